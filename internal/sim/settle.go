package sim

import (
	"context"
	"fmt"
	"strings"
	"time"

	"cartwheel/ring"
	"cartwheel/vclock"
)

// Work counts what nodes did to bring copies together.
type Work struct {
	Hints   uint64 // sent to fallbacks for owners that were away
	Repairs uint64 // objects sent to stale replicas by reads
}

func (w *Work) add(v Work) {
	w.Hints += v.Hints
	w.Repairs += v.Repairs
}

// sure reports whether every node votes in all its partitions.
func (c *Cluster) sure() bool {
	for i := range c.machines {
		if n, _ := c.running(i); n == nil || unsure(n) {
			return false
		}
	}
	return true
}

// allKeys returns the keys that clients write.
func allKeys() (list []ring.Key) {
	for i := range keys {
		list = append(list, keyOf(i))
	}
	for i := range namedKeys {
		list = append(list, namedKeyOf(i))
	}
	return list
}

// seen is an object with the ids that the history has.
func seen(key ring.Key, o vclock.Object) vclock.Object {
	if key.Key[0] == namedKeyOf(0).Key[0] {
		return byName(o)
	}
	return o
}

// rest is for how long a cluster that has converged is watched whether it stays so.
const rest = 5 * time.Second

// settle waits, without reading, until nobody has anything left to do and all owners of every key
// have the same object, and then that this stays so. It returns the objects, or nil.
func (c *Cluster) settle(h *History) map[ring.Key]vclock.Object {
	var final map[ring.Key]vclock.Object
	why := ""
	if !c.await("convergence", func() bool { final, why = c.whole(h); return why == "" }) {
		c.t.Errorf("not converged: %s", why)
		return nil
	}
	time.Sleep(rest)
	if _, why = c.whole(h); why != "" {
		c.t.Errorf("%v after it had converged, without any request: %s", rest, why)
	}
	return final
}

// whole returns the object of each key if all is as it should be, else what is not.
func (c *Cluster) whole(h *History) (_ map[ring.Key]vclock.Object, why string) {
	var missing []string
	for i := range c.machines {
		n, _ := c.running(i)
		if n == nil {
			return nil, c.machines[i].name + " is down"
		}
		if todo := unfinished(n); todo != "" {
			missing = append(missing, c.machines[i].name+": "+todo)
		}
	}
	if missing != nil {
		return nil, strings.Join(missing, "; ")
	}
	n, _ := c.running(0)
	final := map[ring.Key]vclock.Object{}
	for _, key := range allKeys() {
		copies, err := n.Coordinator().Explain(context.Background(), key, 3)
		if err != nil {
			return nil, fmt.Sprintf("explain %s: %v", key.Key, err)
		}
		for _, cp := range copies {
			if cp.Err != nil {
				return nil, fmt.Sprintf("explain %s: member %d: %v", key.Key, cp.Member, cp.Err)
			}
			h.observe(key, seen(key, cp.Object))
			if !cp.Object.Equal(copies[0].Object) {
				return nil, fmt.Sprintf("key %s: owners %d and %d differ:\n%+v\n%+v", key.Key, copies[0].Member, cp.Member, copies[0].Object.Clock, cp.Object.Clock)
			}
		}
		final[key] = seen(key, copies[0].Object)
	}
	return final, ""
}
