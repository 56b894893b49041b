package gossip

import (
	"encoding/json"
	"fmt"
	"math"
	"strconv"

	"github.com/hashicorp/memberlist"
)

// sighting is the last that memberlist said of a member.
type sighting struct {
	meta  metadata
	alive bool
}

// metadata is what a node says of itself in gossip. Its JSON must fit into
// memberlist.MetaMaxSize (512 bytes), hence the short names.
type metadata struct {
	Name    string            `json:"n"`
	HTTP    string            `json:"h"`
	Peer    string            `json:"p"`
	Zone    string            `json:"z,omitempty"`
	Ring    uint64            `json:"r"`
	Down    bool              `json:"d,omitempty"` // the store is fenced
	Digests map[string]string `json:"g"`           // of each document, hexadecimal; never changed once made
}

func decodeMetadata(b []byte) (m metadata, err error) {
	if len(b) > memberlist.MetaMaxSize {
		return metadata{}, fmt.Errorf("%d bytes, at most %d", len(b), memberlist.MetaMaxSize)
	}
	err = json.Unmarshal(b, &m)
	return m, err
}

func (m metadata) encode() []byte {
	b, err := json.Marshal(m)
	if err != nil {
		panic(err) // plain data: cannot fail
	}
	return b
}

func (g *Gossip) metadata() metadata {
	m := metadata{
		Name: g.cfg.Self.Name, HTTP: g.cfg.Self.HTTP, Peer: g.cfg.Self.Peer, Zone: g.cfg.Self.Zone,
		Ring: g.cfg.RingVersion(), Down: g.cfg.StorageDown(), Digests: map[string]string{},
	}
	for name, d := range g.cfg.Documents {
		m.Digests[name] = digest(d)
	}
	return m
}

// digest returns d's digest as metadata carries it.
func digest(d Document) string { return strconv.FormatUint(d.Digest(), 16) }

// longestMetadata returns the bytes that this node's metadata can grow to.
func (g *Gossip) longestMetadata() int {
	m := g.metadata()
	m.Ring, m.Down = math.MaxUint64, true
	for name := range m.Digests {
		m.Digests[name] = strconv.FormatUint(math.MaxUint64, 16)
	}
	return len(m.encode())
}

// delegate is what memberlist calls. It holds its node lock meanwhile, so every method notes
// what it was told and returns.
type delegate Gossip

// NodeMeta implements memberlist.Delegate. New has made sure that it fits.
func (d *delegate) NodeMeta(int) []byte { return (*Gossip)(d).metadata().encode() }

func (d *delegate) note(n *memberlist.Node, alive bool) {
	g := (*Gossip)(d)
	meta, err := decodeMetadata(n.Meta)
	if err != nil {
		g.cfg.Logger.Warn("a member's metadata cannot be read", "member", n.Name, "err", err)
	}
	g.mu.Lock()
	old, known := g.mu.seen[n.Name]
	if known { // whoever else is there is not a member of the ring
		if err != nil {
			meta = old.meta
		}
		g.mu.seen[n.Name] = sighting{meta, alive}
		if alive {
			delete(g.mu.moved, n.Name)
		}
	}
	g.mu.Unlock()
	poke(g.view)
}

// NotifyJoin, NotifyLeave and NotifyUpdate implement memberlist.EventDelegate.
func (d *delegate) NotifyJoin(n *memberlist.Node)   { d.note(n, true) }
func (d *delegate) NotifyLeave(n *memberlist.Node)  { d.note(n, false) }
func (d *delegate) NotifyUpdate(n *memberlist.Node) { d.note(n, true) }

// maxClaims bounds the addresses that wait to be verified; others name them again.
const maxClaims = 16

// NotifyConflict implements memberlist.ConflictDelegate: a member was named at another address
// than the one where it is not dead yet. Mostly it has moved; that there are two is verified
// by the one whose uuid it is.
func (d *delegate) NotifyConflict(existing, other *memberlist.Node) {
	g := (*Gossip)(d)
	g.mu.Lock()
	defer g.mu.Unlock()
	if _, member := g.mu.seen[existing.Name]; member && existing.Name != g.cfg.Self.UUID {
		g.mu.moved[existing.Name] = other.Address()
	} else if member && len(g.mu.claims) < maxClaims {
		g.mu.claims[other.Address()] = true
	}
}

// The documents travel over requests of our own: memberlist's user messages can starve
// behind its system messages, and its push/pull would send them whole every time.
func (d *delegate) NotifyMsg([]byte)                           {}
func (d *delegate) GetBroadcasts(overhead, limit int) [][]byte { return nil }
func (d *delegate) LocalState(join bool) []byte                { return nil }
func (d *delegate) MergeRemoteState(buf []byte, join bool)     {}
