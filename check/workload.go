package check

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"time"

	"cartwheel/client"
)

// kind says what the values of a workload are, and so what an answer accounts for.
type kind int

const (
	kindSet      kind = iota // JSON arrays of identities, siblings merged by union
	kindCounter              // JSON objects writer -> count, siblings merged by maximum
	kindRegister             // one identity, siblings replaced by a write that had read them
)

const sessionName = "session"

// workload is one way of using a bucket.
type workload struct {
	name  string
	kind  kind
	lossy bool // on a bucket where the last write wins
	// keyWrites is how many writes a key takes before another one takes its place: values and
	// their reasoning grow with it.
	keyWrites int
	reads     mix
	writes    mix
	alone     float64 // share of the operations that only read
	blind     float64 // share of the writes without a context
	older     float64 // share of the writes with a context that the client read some time ago
}

// workloads are all there are, in the order of reports.
var workloads = [...]workload{
	{name: "sets", kind: kindSet, keyWrites: 100, reads: mixed, writes: mixedWrites, alone: .25, blind: .15},
	{name: "register", kind: kindRegister, keyWrites: 500, reads: mixed, writes: mixedWrites, alone: .25, blind: .15, older: .15},
	{name: "counter", kind: kindCounter, keyWrites: 1000, reads: mixed, writes: mixedWrites, alone: .2},
	{name: sessionName, kind: kindRegister, keyWrites: 500, reads: onlyStrict, writes: onlyStrict, alone: .5, blind: .1},
	{name: "lww", kind: kindSet, lossy: true, keyWrites: 100, reads: mixed, writes: mixedWrites, alone: .25, blind: .15},
}

// Workloads returns the names of all workloads.
func Workloads() []string {
	var names []string
	for _, w := range workloads {
		names = append(names, w.name)
	}
	return names
}

// lookup returns the named workload, nil if there is none.
func lookup(name string) *workload {
	if i := position(name); i < len(workloads) {
		return &workloads[i]
	}
	return nil
}

// position returns the index of the named workload, len(workloads) if there is none.
func position(name string) int {
	for i := range workloads {
		if workloads[i].name == name {
			return i
		}
	}
	return len(workloads)
}

func (a keyName) compare(b keyName) int {
	return cmp.Or(position(a.workload)-position(b.workload), strings.Compare(a.key, b.key))
}

// The levels at which operations are made.
const (
	levelWeak    = "weak"    // one replica
	levelDefault = "default" // the bucket's properties
	levelStrict  = "strict"  // pr or pw of a quorum, and repair before the answer
	levelOwners  = "owners"  // a quorum with sloppy_quorum=false
	levelFinal   = "final"   // every owner
)

// mix is a choice of levels, in percent.
type mix struct{ weak, strict, owners int }

var (
	mixed       = mix{weak: 20, strict: 25, owners: 15}
	mixedWrites = mix{weak: 10, strict: 25, owners: 15} // weak ones on request only
	onlyStrict  = mix{strict: 100}
)

func (m mix) pick(r *rand.Rand) string {
	switch n := r.IntN(100); {
	case n < m.weak:
		return levelWeak
	case n < m.weak+m.strict:
		return levelStrict
	case n < m.weak+m.strict+m.owners:
		return levelOwners
	}
	return levelDefault
}

const quorum = "quorum"

// readQuorum returns the settings of a read at a level.
func readQuorum(level string, timeout time.Duration) client.Quorum {
	q := client.Quorum{Timeout: timeout}
	switch level {
	case levelWeak:
		q.R = "1"
	case levelStrict:
		q.R, q.PR, q.ReadRepair = quorum, quorum, "before"
	case levelOwners:
		q.R, q.SloppyQuorum = quorum, "false"
	case levelFinal:
		q.R, q.PR, q.SloppyQuorum, q.ReadRepair = "all", "all", "false", "before"
	}
	return q
}

// writeQuorum returns the settings of a write at a level.
func writeQuorum(level string, timeout time.Duration) client.Quorum {
	q := client.Quorum{Timeout: timeout}
	switch level {
	case levelWeak:
		q.W, q.DW = "1", "1"
	case levelStrict:
		q.W, q.PW = quorum, quorum
	case levelOwners:
		q.W, q.SloppyQuorum = quorum, "false"
	}
	return q
}

// properties returns what the workload's bucket is made with.
func (w *workload) properties() map[string]any {
	if w.lossy {
		return map[string]any{"last_write_wins": true}
	}
	return map[string]any{"allow_mult": true, "last_write_wins": false}
}

const (
	slotCount = 16 // keys in use at a time
	hotSlots  = 4  // half of the operations go to these, so that clients meet
	oldShare  = 5  // one read of so many goes to a key that is not written any more
)

// keys hands out the keys of one workload. It is safe for concurrent use.
type keys struct {
	mu    sync.Mutex
	limit int
	slots [slotCount]struct{ generation, writes int }
	full  []string
}

// pick returns a key, and its slot: -1 if it is one that is not written any more. A key that is
// to be written is counted.
func (k *keys) pick(r *rand.Rand, write bool) (key string, slot int) {
	slot = r.IntN(slotCount)
	if r.IntN(2) == 0 {
		slot = r.IntN(hotSlots)
	}
	old := r.IntN(oldShare) == 0
	choice := r.Float64()
	k.mu.Lock()
	defer k.mu.Unlock()
	if !write && old && len(k.full) > 0 {
		return k.full[int(choice*float64(len(k.full)))], -1
	}
	s := &k.slots[slot]
	key = keyText(slot, s.generation)
	if write {
		if s.writes++; s.writes >= k.limit {
			k.full = append(k.full, key)
			s.generation++
			s.writes = 0
		}
	}
	return key, slot
}

func keyText(slot, generation int) string { return fmt.Sprintf("k%02d-%d", slot, generation) }
