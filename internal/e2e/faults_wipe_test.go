package e2e

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// smallBucket has keys with values of 100 bytes that follow from their numbers.
const smallBucket = "small"

func smallPath(i int) string { return fmt.Sprintf("/buckets/%s/keys/%d", smallBucket, i) }

func smallValue(dst []byte, i int) []byte {
	const valueBytes = 100
	at := len(dst)
	dst = strconv.AppendInt(dst, int64(i), 10)
	for len(dst)-at < valueBytes {
		dst = append(dst, '.')
	}
	return dst
}

// readers read random keys from every node that runs, at levels that one replica alone cannot
// meet, for as long as they are wanted, and count answers. A key that was acknowledged is never
// missing.
type readers struct {
	keys    int
	queries []string

	found, refused, missing, wrong atomic.Int64

	stop context.CancelFunc
	wg   sync.WaitGroup
}

func startReaders(t *testing.T, nodes []*Node, keys int, queries ...string) *readers {
	ctx, stop := context.WithCancel(t.Context())
	r := &readers{keys: keys, queries: queries, stop: stop}
	for i, n := range nodes {
		r.wg.Go(func() { r.run(ctx, n, rand.New(rand.NewPCG(uint64(i), 0))) })
	}
	t.Cleanup(func() { stop(); r.wg.Wait() })
	return r
}

// finish ends the reading, holds it to what was acknowledged, and says what it saw.
func (r *readers) finish(t *testing.T) string {
	t.Helper()
	r.stop()
	r.wg.Wait()
	if r.missing.Load() > 0 || r.wrong.Load() > 0 {
		t.Error("acknowledged values were denied")
	}
	if r.found.Load() == 0 {
		t.Error("no read was answered: the test proves nothing")
	}
	return fmt.Sprintf("reads meanwhile: %d found, %d refused, %d missing, %d wrong", r.found.Load(), r.refused.Load(), r.missing.Load(), r.wrong.Load())
}

func (r *readers) run(ctx context.Context, n *Node, source *rand.Rand) {
	web := &http.Client{Timeout: requestWithin, Transport: &http.Transport{}}
	defer web.CloseIdleConnections()
	var value []byte
	for ctx.Err() == nil {
		i := source.IntN(r.keys)
		o := Object{Bucket: smallBucket, Key: strconv.Itoa(i), Client: web}
		reply, err := o.Ask(n, http.MethodGet, r.queries[source.IntN(len(r.queries))], "", "")
		value = smallValue(value[:0], i)
		switch {
		case err != nil || reply.Status == http.StatusServiceUnavailable:
			r.refused.Add(1) // the node starts, or too few replicas are sure of what they have
			pause(ctx, 5*time.Millisecond)
		case reply.Status == http.StatusNotFound:
			r.missing.Add(1)
		case reply.Status != http.StatusOK || reply.Body != string(value):
			r.wrong.Add(1)
		default:
			r.found.Add(1)
		}
		pause(ctx, time.Millisecond) // a watch, not a load: the cores are for the repair
	}
}

// TestWipedNode stops one of three nodes, deletes its objects and starts it again. A third node
// was away while the second half of the keys was written and comes back in the same moment, so
// for these keys the wiped node and the stale one are two replicas that have nothing. Nobody may
// conclude from that that there is nothing, and in the end all replicas are equal.
func TestWipedNode(t *testing.T) {
	keys, within := 20_000, time.Minute
	if Long() {
		keys, within = 1_000_000, 5*time.Minute
	}
	nodes := lab.Cluster(t, 3)
	wiped, stale := nodes[1], nodes[2]
	writeSmall(t, nodes, 0, keys/2)
	stale.Kill()
	writeSmall(t, nodes[:2], keys/2, keys)
	if code := wiped.Stop(t, syscall.SIGTERM); code != 0 {
		t.Errorf("exit code %d", code)
	}
	wiped.Wipe(t)

	began := time.Now()
	wiped.Start(t)
	stale.Start(t)
	r := startReaders(t, nodes, keys, "?r=2")
	wiped.AwaitReady(t)
	stale.AwaitReady(t)
	awaitWhole(t, nodes, keys, within)
	whole := time.Since(began)
	t.Attr("wiped_node", fmt.Sprintf("%d keys of 100 bytes, whole after %v; %s", keys, whole.Round(100*time.Millisecond), r.finish(t)))
	equalEverywhere(t, nodes[0], smallBucket, keys, strconv.Itoa)
}

// awaitWhole waits until the nodes have nothing left to repair and a sample of the keys is equal
// everywhere.
func awaitWhole(t *testing.T, nodes []*Node, keys int, within time.Duration) {
	t.Helper()
	Until(t, within, "the nodes are whole again", func() error {
		if err := Settled(t, nodes); err != nil {
			return err
		}
		for k := range sampled {
			if err := nodes[0].Explain(t, smallBucket, strconv.Itoa(k*keys/sampled)).Equal(); err != nil {
				return err
			}
		}
		return nil
	})
}

// TestFreshDisks: two of three replicas lose everything. What the third has is never denied
// while they get it back; what nobody ever had is not found as soon as one has looked.
func TestFreshDisks(t *testing.T) {
	const keys = 5_000
	nodes := lab.Cluster(t, 3)
	nowhere := Object{Bucket: "b", Key: "nowhere", Client: lab.HTTP}
	for _, n := range nodes {
		check(t, nowhere, n, http.MethodGet, "?basic_quorum=true&notfound_ok=false&r=1", "", wanted{http.StatusNotFound, "not found"})
	}
	writeSmall(t, nodes, 0, keys)
	for _, n := range nodes[:2] {
		if code := n.Stop(t, syscall.SIGTERM); code != 0 {
			t.Errorf("%s stopped with exit code %d", n.Name, code)
		}
		n.Wipe(t)
	}
	r := startReaders(t, nodes, keys, "?notfound_ok=false&r=quorum", "?r=quorum")
	Restart(t, nodes, nodes[:2]...)
	awaitWhole(t, nodes, keys, time.Minute)
	t.Log(r.finish(t))
	equalEverywhere(t, nodes[0], smallBucket, keys, strconv.Itoa)
}

// writeSmall writes keys from first to before end, a part through each node.
func writeSmall(t *testing.T, nodes []*Node, first, end int) {
	t.Helper()
	errs := make([]error, len(nodes))
	var wg sync.WaitGroup
	for k, n := range nodes {
		from, to := first+k*(end-first)/len(nodes), first+(k+1)*(end-first)/len(nodes)
		wg.Go(func() {
			p := Pipeline{Addr: n.HTTP, Lanes: 8, Depth: 16, Limit: 5 * loadWithin}
			errs[k] = p.Each(to-from,
				func(dst []byte, i int) []byte {
					var room [128]byte
					return AppendPut(dst, smallPath(from+i), smallValue(room[:0], from+i))
				},
				func(i int, a Answer) error {
					if a.Status != http.StatusNoContent {
						return fmt.Errorf("status %d: %.200s", a.Status, a.Body)
					}
					return nil
				})
		})
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
}
