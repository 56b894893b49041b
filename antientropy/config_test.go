package antientropy

import (
	"strings"
	"testing"
)

func TestConfig(t *testing.T) {
	_, err := New(Config{MaxExchanges: -1, Pause: -1})
	if err == nil {
		t.Fatal("nothing is missed")
	}
	for _, want := range []string{"view", "n_val", "store", "sender", "throttle", "call", "-1 exchanges", "pause of -1ns"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q does not name %q", err, want)
		}
	}
}

// Before there is a ring everything waits, and nothing is lost that must not be.
func TestWithoutARing(t *testing.T) {
	c := newCluster(t, 2, 4)
	n := c.nodes[0]
	view := n.view.Swap(nil)
	n.renew()
	k := n.k()
	k.Update(1, "x", 0, 5, false)
	k.MarkUnsure(1)
	k.MarkDirty("node-1", 1)
	k.Rebuild()
	k.Wake()
	if err := k.Exchange(t.Context(), "node-1"); err == nil {
		t.Error("an exchange without a ring")
	}
	if answer, err := k.Serve("node-1", kindEnd, request(1)); err != nil || outcome(answer[0]) != refused {
		t.Errorf("served without a ring: %v, %v", answer, err)
	}
	if s := k.Status(); len(s.Verified) != 0 {
		t.Errorf("%+v", s)
	}
	n.view.Store(view)
	n.build()
	if !k.Unsure(1) || k.Status().Rebuilding != 0 {
		t.Errorf("%+v", k.Status())
	}
	if err := k.Close(); err != nil || k.Close() != nil {
		t.Error("Close")
	}
}
