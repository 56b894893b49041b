package e2e

import (
	"fmt"
	"syscall"
	"testing"
)

// TestKillAllWithHints kills five nodes at once while clients write to them and one of them has
// been away for a while, so that the others keep hints for it. Once all are back, nothing that
// was acknowledged is lost and no hint is left.
func TestKillAllWithHints(t *testing.T) {
	nodes := lab.Cluster(t, 5)
	w := startWriters(t, nodes)
	w.await(t, 500)
	nodes[4].Kill()
	w.await(t, 1000)
	kept := HintsPending(t, nodes[:4])
	if kept == 0 {
		t.Error("no node keeps a hint: the test proves nothing about them")
	}
	for _, n := range nodes {
		n.Signal(syscall.SIGKILL) // all before any is waited for
	}
	for _, n := range nodes {
		n.Kill()
	}
	Restart(t, nodes, nodes...)
	w.await(t, 500)
	w.stop()
	Until(t, loadWithin, "everything is where it belongs", func() error { return Settled(t, nodes) })
	w.finish(t)
	t.Attr("killed_all_with_hints", fmt.Sprintf("%d writes acknowledged, %d hints kept at the kill", w.count.Load(), kept))
}
