package e2e

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"
)

// wanted is the answer that a request must get. The text, if any, is the whole first line.
type wanted struct {
	status int
	text   string
}

var (
	found    = wanted{status: http.StatusOK}
	stored   = wanted{status: http.StatusNoContent}
	timedOut = wanted{http.StatusServiceUnavailable, "request timed out"}
)

func unsatisfied(text string) wanted { return wanted{http.StatusServiceUnavailable, text} }

// check holds a request at a node to its answer, and returns it.
func check(t *testing.T, o Object, n *Node, method, query, context string, w wanted) Reply {
	t.Helper()
	r, err := o.Ask(n, method, query, context, "value of "+o.Key)
	if err != nil {
		t.Errorf("%s %s%s at %s: %v", method, o.Key, query, n.Name, err)
		return r
	}
	if r.Status != w.status || w.text != "" && (r.Line() != w.text || !strings.HasSuffix(r.Body, "\n")) {
		t.Errorf("%s %s%s at %s: %d %q after %v, want %d %q", method, o.Key, query, n.Name, r.Status, r.Body, r.Took.Round(time.Millisecond), w.status, w.text)
	}
	return r
}

// object is a key in a bucket of its test, written to all replicas.
func object(t *testing.T, n *Node, key string) Object {
	t.Helper()
	o := Object{Bucket: strings.ReplaceAll(t.Name(), "/", "-"), Key: key, Client: lab.HTTP}
	check(t, o, n, http.MethodPut, "?w=all", "", stored)
	return o
}

// again writes an object as a client does that has read it before.
func again(t *testing.T, o Object, n *Node, query string, w wanted) Reply {
	t.Helper()
	read := check(t, o, n, http.MethodGet, "", "", found)
	return check(t, o, n, http.MethodPut, query, read.Context(), w)
}

// sizes runs a test on a cluster of three nodes, where nobody can stand in for an owner, and of
// five, where two can.
func sizes(t *testing.T, test func(t *testing.T, nodes []*Node)) {
	t.Helper()
	for _, n := range []int{3, 5} {
		t.Run(fmt.Sprintf("%d nodes", n), func(t *testing.T) { test(t, lab.Cluster(t, n)) })
	}
}

// TestOneOwnerDown: the defaults are met, by a fallback where there is one; levels that only
// owners can meet are not.
func TestOneOwnerDown(t *testing.T) { sizes(t, oneOwnerDown) }

func oneOwnerDown(t *testing.T, nodes []*Node) {
	o := object(t, nodes[0], "k")
	owners, fallbacks := nodes[0].Explain(t, o.Bucket, o.Key).Holders(nodes)
	owners[0].Kill()
	live := append(fallbacks, owners[1:]...)
	for _, n := range live {
		check(t, o, n, http.MethodGet, "", "", found)
		again(t, o, n, "", stored)
		check(t, o, n, http.MethodGet, "?pr=all", "", unsatisfied("PR-value unsatisfied: 2/3"))
	}
	if len(fallbacks) > 0 {
		for _, n := range live {
			if r := again(t, o, n, "?w=all", stored); !strings.Contains(r.Header.Get("X-Cartwheel-Receipt"), " primaries=2 fallbacks=1 ") {
				t.Errorf("the receipt of %s names no fallback: %v", n.Name, r.Header)
			}
			again(t, o, n, "?w=all&sloppy_quorum=false", unsatisfied("W-value unsatisfied: 2/3"))
		}
	}
	for _, n := range live {
		again(t, o, n, "?pw=all", unsatisfied("PW-value unsatisfied: 2/3"))
	}
}

// TestTwoOwnersDown: with two others to stand in, the defaults are still met, and the owners get
// what they missed.
func TestTwoOwnersDown(t *testing.T) {
	nodes := lab.Cluster(t, 5)
	o := object(t, nodes[0], "k")
	owners, fallbacks := nodes[0].Explain(t, o.Bucket, o.Key).Holders(nodes)
	for _, n := range owners[:2] {
		n.Kill()
	}
	live := append(fallbacks, owners[2])
	for _, n := range live {
		check(t, o, n, http.MethodGet, "?pr=quorum", "", unsatisfied("PR-value unsatisfied: 1/2"))
		check(t, o, n, http.MethodGet, "?pr=1", "", found)
		again(t, o, n, "", stored)
		again(t, o, n, "?pw=quorum", unsatisfied("PW-value unsatisfied: 1/2"))
	}
	Restart(t, nodes, owners[:2]...)
	Until(t, readyWithin, "the copies are equal", func() error { return nodes[0].Explain(t, o.Bucket, o.Key).Equal() })
}

// TestSilentNodes pauses nodes, so that nobody knows that they do not answer, and asks for more
// replicas than the others have. The request waits as long as it was told to, and no longer.
func TestSilentNodes(t *testing.T) { sizes(t, silentNodes) }

func silentNodes(t *testing.T, nodes []*Node) {
	o := object(t, nodes[0], "k")
	owners, live := nodes[0].Explain(t, o.Bucket, o.Key).Holders(nodes)
	silent := owners // of five nodes two are left
	if len(live) == 0 {
		silent, live = owners[2:], owners[:2]
	}
	for _, n := range silent {
		n.Pause(t)
	}
	// All at once: within a second or two the silence is noticed, and the answer says so instead.
	var wg sync.WaitGroup
	for _, n := range live {
		for method, query := range map[string]string{http.MethodGet: "?r=all&timeout=500", http.MethodPut: "?w=all&timeout=500"} {
			wg.Go(func() {
				if r := check(t, o, n, method, query, "", timedOut); r.Took > 1500*time.Millisecond {
					t.Errorf("%s at %s took %v", method, n.Name, r.Took)
				}
			})
		}
	}
	wg.Wait()
}

// TestMissedWrite: after a read of all replicas each has what one of them missed.
func TestMissedWrite(t *testing.T) {
	nodes := lab.Cluster(t, 3)
	nodes[2].Kill()
	o := Object{Bucket: "missed", Key: "k", Client: lab.HTTP}
	check(t, o, nodes[0], http.MethodPut, "?w=1&dw=1", "", stored)
	Restart(t, nodes, nodes[2])
	check(t, o, nodes[1], http.MethodGet, "?r=all", "", found)
	Until(t, requestWithin, "every replica has the value", func() error {
		return nodes[1].Explain(t, o.Bucket, o.Key).Equal()
	})
}

// TestOneNodeLeft: one node cannot be two.
func TestOneNodeLeft(t *testing.T) {
	nodes := lab.Cluster(t, 3)
	o := object(t, nodes[0], "k")
	for _, n := range nodes[1:] {
		n.Kill()
	}
	short := unsatisfied("node_confirms-value unsatisfied: 1/2")
	check(t, o, nodes[0], http.MethodPut, "?node_confirms=2", "", short)
	check(t, o, nodes[0], http.MethodPut, "?node_confirms=2&w=1&dw=1", "", short)
}
