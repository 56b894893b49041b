package ring

import (
	"errors"
	"fmt"
	"unicode"
	"unicode/utf8"
)

// Bounds of a document. They keep the work of New, which every node does for
// every version it learns of, within about a second and 100 MiB.
const (
	maxPartitions = 1 << 16 // a partition number is two bytes in storage keys
	maxN          = 64
	maxTokens     = 4096
	maxWeight     = 100
	maxMembers    = 4096
	maxPairs      = 1 << 22 // partitions times members, each 16 bytes while matching, 8 in lists
	maxAllTokens  = 1 << 22 // tokens of all members together
	maxIDBytes    = 64
	maxTextBytes  = 255
	hashBytes     = 64 // SHA-256 in hex
)

// problems collects what is wrong, so that it can be reported at once.
type problems []error

func (p *problems) addf(format string, args ...any) {
	*p = append(*p, fmt.Errorf(format, args...))
}

func (p *problems) between(what string, v, low, high int) {
	if v < low || v > high {
		p.addf("%s is %d, want %d..%d", what, v, low, high)
	}
}

// id checks an identity: short, plain ASCII, so that it is the same bytes in
// JSON, logs, file names and URLs.
func (p *problems) id(what, s string) {
	ok := s != "" && len(s) <= maxIDBytes
	for _, c := range []byte(s) {
		ok = ok && (c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c == '-' || c == '_' || c == '.')
	}
	if !ok {
		p.addf("%s is %.80q, want 1..%d letters, digits, '-', '_' or '.'", what, s, maxIDBytes)
	}
}

// text checks a string for people: JSON must keep its bytes, a log line its shape.
func (p *problems) text(what, s string, low, high int) {
	if len(s) < low || len(s) > high {
		p.addf("%s %.80q has %d bytes, want %d..%d", what, s, len(s), low, high)
		return
	}
	if !utf8.ValidString(s) {
		p.addf("%s %q is not UTF-8", what, s)
		return
	}
	for _, r := range s {
		if !unicode.IsPrint(r) {
			p.addf("%s %q holds the unprintable %q", what, s, r)
			return
		}
	}
}

// Validate returns nil or all that is wrong with d, joined by errors.Join, with
// the values. It looks at this version alone, not at its parent.
func (d Document) Validate() error {
	var p problems
	p.id("cluster", d.Cluster)
	d.validateParent(&p)
	p.between("partitions", d.Partitions, 1, maxPartitions)
	if d.Partitions > 0 && d.Partitions&(d.Partitions-1) != 0 {
		p.addf("partitions is %d, want a power of two", d.Partitions)
	}
	p.between("n", d.N, 1, maxN)
	p.between("tokens", d.Tokens, 1, maxTokens)
	d.validateMembers(&p)
	d.validateSize(&p)
	d.validateRemoved(&p)
	return errors.Join(p...)
}

func (d Document) validateParent(p *problems) {
	switch {
	case d.Version == 0:
		p.addf("version is 0, want 1 or more")
	case d.Version == 1 && d.Parent != "":
		p.addf("parent of version 1 is %.80q, want none", d.Parent)
	case d.Version > 1 && !isHash(d.Parent):
		p.addf("parent of version %d is %.80q, want %d lower-case hex digits", d.Version, d.Parent, hashBytes)
	}
}

func isHash(s string) bool {
	for _, c := range []byte(s) {
		if !(c >= '0' && c <= '9' || c >= 'a' && c <= 'f') {
			return false
		}
	}
	return len(s) == hashBytes
}

func (d Document) validateMembers(p *problems) {
	uuids, names := make(map[string]bool), make(map[string]bool)
	owners := 0
	for i, m := range d.Members {
		at := fmt.Sprintf("member %d (%.80q): ", i, m.Name)
		p.id(at+"uuid", m.UUID)
		p.text(at+"name", m.Name, 1, maxIDBytes)
		p.text(at+"http", m.HTTP, 0, maxTextBytes)
		p.text(at+"peer", m.Peer, 0, maxTextBytes)
		p.text(at+"zone", m.Zone, 0, maxIDBytes)
		p.between(at+"weight", m.Weight, 1, maxWeight)
		switch m.Status {
		case StatusJoining, StatusMember, StatusLeaving:
		default:
			p.addf("%sstatus is %.80q, want joining, member or leaving", at, m.Status)
		}
		if uuids[m.UUID] {
			p.addf("%suuid %.80q is used twice", at, m.UUID)
		}
		if names[m.Name] {
			p.addf("%sname is used twice", at)
		}
		uuids[m.UUID], names[m.Name] = true, true
		if m.owns() {
			owners++
		}
	}
	if owners == 0 {
		p.addf("none of %d members has status member or leaving, nobody owns the data", len(d.Members))
	}
}

func (d Document) validateSize(p *problems) {
	p.between("number of members", len(d.Members), 1, maxMembers)
	if d.Partitions > 0 && len(d.Members) > maxPairs/d.Partitions {
		p.addf("%d members with %d partitions, want at most %d members with so many partitions",
			len(d.Members), d.Partitions, maxPairs/d.Partitions)
	}
	total := 0
	for _, m := range d.Members {
		// Values out of bounds are reported where they stand and would overflow here.
		if m.Weight > 0 && m.Weight <= maxWeight && d.Tokens <= maxTokens {
			total += m.Weight * d.Tokens
		}
	}
	if total > maxAllTokens {
		p.addf("all weights times %d tokens are %d, want at most %d; lower the weights in proportion", d.Tokens, total, maxAllTokens)
	}
}

func (d Document) validateRemoved(p *problems) {
	members, seen := make(map[string]bool), make(map[string]bool)
	for _, m := range d.Members {
		members[m.UUID] = true
	}
	for i, uuid := range d.Removed {
		p.id(fmt.Sprintf("removed %d", i), uuid)
		if seen[uuid] {
			p.addf("removed %d: uuid %.80q is listed twice", i, uuid)
		}
		if members[uuid] {
			p.addf("removed %d: uuid %.80q is a member, a removed uuid may never come back", i, uuid)
		}
		seen[uuid] = true
	}
}
