package sim

import (
	"strings"
	"testing"

	"cartwheel/quorum"
	"cartwheel/ring"
	"cartwheel/vclock"
)

func TestRevived(t *testing.T) {
	// base is a write of the seconds 1 to 2 that all owners had, replaced by one of 3 to 4, and
	// repeated at 5; the last start of a node was at 0.
	type setting struct {
		receipt     quorum.Receipt
		first       bool
		replacedBy  string
		again, boot int
		final       string
	}
	base := setting{receipt: owners(3), first: true, replacedBy: "b", again: 5, final: "a"}
	for name, c := range map[string]struct {
		change func(*setting)
		looked int
		bad    bool
	}{
		"it is there again":          {func(*setting) {}, 1, true},
		"it stays replaced":          {func(s *setting) { s.final = "b" }, 1, false},
		"an owner did not have it":   {func(s *setting) { s.receipt = owners(2) }, 0, false},
		"tried for its client twice": {func(s *setting) { s.first = false }, 0, false},
		"never replaced":             {func(s *setting) { s.replacedBy = "" }, 0, false},
		"repeated before that":       {func(s *setting) { s.again = 3 }, 0, false},
		"a node has forgotten":       {func(s *setting) { s.boot = 2 }, 0, false},
	} {
		t.Run(name, func(t *testing.T) {
			s := base
			c.change(&s)
			key := namedKeyOf(0)
			a := &write{id: nameID("a"), key: key, start: at(1), acked: at(2), receipt: s.receipt, what: "write a"}
			b := &write{id: nameID("b"), key: key, start: at(3), acked: at(4), seen: map[vclock.RequestID]bool{nameID(strings.Replace(s.replacedBy, "b", "a", 1)): true}}
			final := map[ring.Key]vclock.Object{key: byName(vclock.Object{Siblings: []vclock.Sibling{{Value: []byte(s.final)}}})}
			bad, looked := revived([]*named{{write: a, first: s.first, again: at(s.again)}}, []*write{a, b}, final, at(s.boot))
			if looked != c.looked || (len(bad) > 0) != c.bad {
				t.Errorf("looked at %d, got %q", looked, bad)
			}
		})
	}
}

func TestParseReceipt(t *testing.T) {
	r, err := parseReceipt("replicas=3 primaries=2 fallbacks=1 durable=3 n=3 ring=1 lossy=true")
	if want := (quorum.Receipt{Replicas: 3, Primaries: 2, Fallbacks: 1, Durable: 3, N: 3, Ring: 1}); err != nil || r != want {
		t.Errorf("got %+v, %v", r, err)
	}
	if _, err := parseReceipt("replicas=3"); err == nil {
		t.Error("half a receipt is taken")
	}
}
