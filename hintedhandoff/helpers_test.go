package hintedhandoff

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"cartwheel/ring"
	"cartwheel/vclock"
)

// documentOf returns a ring of 16 partitions and n replicas over the named members.
func documentOf(version uint64, n int, names ...string) ring.Document {
	d := ring.Document{Cluster: "c", Version: version, Partitions: 16, N: n, Tokens: 64}
	if version > 1 {
		d.Parent = documentOf(1, n, names...).Hash()
	}
	for _, name := range names {
		d.Members = append(d.Members, ring.Member{UUID: name, Name: name, Weight: 1, Status: ring.StatusMember})
	}
	return d
}

func ringOf(t testing.TB, version uint64, n int, names ...string) *ring.Ring {
	t.Helper()
	r, err := ring.New(documentOf(version, n, names...))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func nameOf(i int) string { return ring.Key{Bucket: "b", Key: fmt.Sprint("key", i)}.Name() }

// written returns an object with one blind write of that size; each run is another write.
func written(run uint64, size int) vclock.Object {
	return vclock.Record{}.Put(vclock.Write{Value: make([]byte, size)}, vclock.NewActors(run)).Object
}

// world is a cluster seen from one node, "self": its hints, the copies of all members (its own
// too), who is alive, and what the network does. Everything is guarded by mu.
type world struct {
	t testing.TB

	mu      sync.Mutex
	ring    *ring.Ring
	dead    map[string]bool
	hints   map[string]map[string]vclock.Object // by owner, by name
	corrupt map[string]bool                     // names of hints that cannot be read
	copies  map[string]map[string]vclock.Object // by member, by name
	missed  map[string]int                      // "owner/partition"
	scans   int
	shown   int // hints that scans have shown

	// network decides what happens to a call: before it, how many items arrive (negative: all)
	// and what the sender hears. nil: all goes well in a millisecond.
	network func(ctx context.Context, member string, items []Item) (arrive int, err error)
	refuse  map[string]bool // names that nobody takes
	dropErr error
	open    map[string]int // calls under way, by member
	peak    map[string]int // the most of them
	peaked  int            // the most members called at one time
	calls   int
}

func newWorld(t testing.TB, r *ring.Ring) *world {
	return &world{
		t: t, ring: r, dead: map[string]bool{}, hints: map[string]map[string]vclock.Object{}, corrupt: map[string]bool{},
		copies: map[string]map[string]vclock.Object{}, missed: map[string]int{}, open: map[string]int{}, peak: map[string]int{},
	}
}

func (w *world) locked(f func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	f()
}

// hint stores a hint as the store does: merged with the one that is there.
func (w *world) hint(owner, name string, o vclock.Object) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.hints[owner] == nil {
		w.hints[owner] = map[string]vclock.Object{}
	}
	w.hints[owner][name], _ = vclock.Merge(w.hints[owner][name], o)
}

func (w *world) pending() (n int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, of := range w.hints {
		n += len(of)
	}
	return n
}

// has reports whether a member's copy knows all of o. With the lock held.
func (w *world) has(member, name string, o vclock.Object) bool {
	_, changed := vclock.Merge(w.copies[member][name], o)
	return !changed
}

func (w *world) store(member, name string, o vclock.Object) {
	if w.copies[member] == nil {
		w.copies[member] = map[string]vclock.Object{}
	}
	w.copies[member][name], _ = vclock.Merge(w.copies[member][name], o)
}

func (w *world) View() *View {
	w.mu.Lock()
	defer w.mu.Unlock()
	r := w.ring
	self, ok := r.Index("self")
	if !ok {
		self = -1
	}
	return &View{Ring: r, Self: self, Alive: func(member int) bool {
		w.mu.Lock()
		defer w.mu.Unlock()
		return !w.dead[r.Members()[member].UUID]
	}}
}

func (w *world) Hints() []Count {
	w.mu.Lock()
	defer w.mu.Unlock()
	var all []Count
	for _, owner := range slices.Sorted(maps.Keys(w.hints)) {
		all = append(all, Count{Owner: owner, Hints: int64(len(w.hints[owner])), Bytes: int64(1000 * len(w.hints[owner]))})
	}
	return all
}

func (w *world) Scan(owner string, partition uint16, name string, visit func(Hint) bool) error {
	w.mu.Lock()
	var all []Hint
	w.scans++
	for n, o := range w.hints[owner] {
		h := Hint{Partition: w.ring.Partition(n), Name: n, Object: o}
		if w.corrupt[n] {
			h.Object, h.Err = vclock.Object{}, errors.New("damaged")
		}
		if name == "" || cmp.Or(cmp.Compare(h.Partition, partition), cmp.Compare(n, name)) > 0 {
			all = append(all, h)
		}
	}
	w.mu.Unlock()
	slices.SortFunc(all, func(a, b Hint) int {
		return cmp.Or(cmp.Compare(a.Partition, b.Partition), cmp.Compare(a.Name, b.Name))
	})
	for _, h := range all {
		w.locked(func() { w.shown++ })
		if !visit(h) {
			break
		}
	}
	return nil
}

// Drop also checks the one rule that nothing may break: what goes is known to the owner that it
// waited for, or, if that is no owner of the key any more, to all that are.
func (w *world) Drop(owner string, partition uint16, name string, digest uint64, done func(bool, error)) {
	view := w.View()
	time.AfterFunc(time.Millisecond, func() {
		w.mu.Lock()
		err, dropped := w.dropErr, false
		o, ok := w.hints[owner][name]
		gone := ok && w.corrupt[name] && digest == 0 // as its object is, whatever happens to the record
		if err == nil && (!ok || gone || o.Digest() == digest && !w.corrupt[name]) {
			dropped = true
			for _, m := range view.targets(owner, partition, 0) {
				member := view.uuid(m)
				switch {
				case gone && (w.dead[member] || w.missed[fmt.Sprint(member, "/", partition)] == 0):
					w.t.Errorf("the unreadable hint for %s of %q is deleted before an exchange can be made", owner, name)
				case !gone && !w.has(member, name, o):
					w.t.Errorf("the hint for %s of %q is deleted, but %s lacks it", owner, name, member)
				}
			}
			delete(w.hints[owner], name)
			if len(w.hints[owner]) == 0 {
				delete(w.hints, owner)
			}
		}
		w.mu.Unlock()
		done(dropped, err)
	})
}

// answered is an error of a member that looked at every item.
type answered struct{ error }

func (answered) Answered() bool { return true }

var (
	errGone    = errors.New("gone")
	errPartial = answered{errors.New("some were not taken")}
)

func (w *world) Send(ctx context.Context, member string, items []Item) ([]bool, error) {
	w.locked(func() {
		w.calls++
		w.open[member]++
		w.peak[member] = max(w.peak[member], w.open[member])
		w.peaked = max(w.peaked, len(w.open))
	})
	defer w.locked(func() {
		if w.open[member]--; w.open[member] == 0 {
			delete(w.open, member)
		}
	})
	arrive, err := -1, error(nil)
	w.mu.Lock()
	network := w.network
	w.mu.Unlock()
	if network != nil {
		arrive, err = network(ctx, member, items)
	} else {
		time.Sleep(time.Millisecond)
	}
	acked := make([]bool, len(items))
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.dead[member] {
		return acked, errGone
	}
	for i, it := range items {
		if arrive >= 0 && i >= arrive {
			break
		}
		if m, ok := w.ring.Index(member); !ok || !w.ring.Owns(m, it.Partition, it.N) || w.refuse[it.Name] {
			err = errPartial // as the receiver's check does
			continue
		}
		w.store(member, it.Name, it.Object)
		acked[i] = err == nil || err == error(errPartial)
	}
	return acked, err
}

func (w *world) config() Config {
	return Config{
		Store: w, Sender: w, View: w.View,
		Merge: func(_ uint16, name string, o vclock.Object, done func(error)) {
			time.AfterFunc(time.Millisecond, func() {
				w.locked(func() { w.store("self", name, o) })
				done(nil)
			})
		},
		Missed: func(owner string, partition uint16) {
			w.locked(func() { w.missed[fmt.Sprint(owner, "/", partition)]++ })
		},
	}
}

// run starts a Handoff and returns it with what stops it and waits for it.
func run(t testing.TB, cfg Config) (*Handoff, func()) {
	h := New(cfg)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- h.Run(ctx) }()
	return h, func() {
		cancel()
		began := time.Now()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		if took := time.Since(began); took > time.Second {
			t.Errorf("it took %v to stop", took)
		}
	}
}

// inWorld runs f in a bubble with a world of members self, a, b, c, d and three replicas.
func inWorld(t *testing.T, f func(t *testing.T, w *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		f(t, newWorld(t, ringOf(t, 1, 3, "self", "a", "b", "c", "d")))
	})
}

// hintsFor stores hints of that size for n keys that owner owns, and returns their names.
func (w *world) hintsFor(owner string, n, size int) (names []string) {
	m, ok := w.ring.Index(owner)
	if !ok {
		w.t.Fatalf("%s is no member", owner)
	}
	for i := 0; len(names) < n; i++ {
		if name := nameOf(i); w.ring.Owns(m, w.ring.Partition(name), 0) {
			w.hint(owner, name, written(uint64(i)+1, size))
			names = append(names, name)
		}
	}
	return names
}

// drained fails the test unless all hints are gone within d.
func (w *world) drained(d time.Duration) {
	w.t.Helper()
	for end := time.Now().Add(d); w.pending() > 0; time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			w.t.Fatalf("%d hints are left after %v", w.pending(), d)
		}
	}
	synctest.Wait()
}

// settle lets time pass and then waits until everything that is to happen has happened.
func settle(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}
