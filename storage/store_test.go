package storage

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"cartwheel/vclock"

	"github.com/dgraph-io/badger/v4"
)

// small is a configuration whose memtables rotate after a megabyte.
func small(dir string) Config {
	return Config{Dir: dir, MemTableBytes: 1 * mib}
}

func mustOpen(t testing.TB, cfg Config) *Store {
	t.Helper()
	return mustOpenHooked(t, cfg, defaultHooks())
}

func mustOpenHooked(t testing.TB, cfg Config, h hooks) *Store {
	t.Helper()
	// Between fork and exec the child of another test holds the lock of a directory that was just closed.
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	s, err := open(cfg, h)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func mustClose(t testing.TB, s *Store) {
	t.Helper()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

// put writes and waits.
func put(s *Store, k Key, w vclock.Write) (vclock.Object, error) {
	type answer struct {
		o   vclock.Object
		err error
	}
	done := make(chan answer, 1)
	s.Put(Put{Key: k, Write: w, Done: func(o vclock.Object, err error) { done <- answer{o, err} }})
	a := <-done
	return a.o, a.err
}

func mustPut(t testing.TB, s *Store, k Key, w vclock.Write) vclock.Object {
	t.Helper()
	o, err := put(s, k, w)
	if err != nil {
		t.Fatal(err)
	}
	return o
}

func merge(s *Store, k Key, o vclock.Object) error {
	done := make(chan error, 1)
	s.Merge(Merge{Key: k, Object: o, Done: func(err error) { done <- err }})
	return <-done
}

func mustMerge(t testing.TB, s *Store, k Key, o vclock.Object) {
	t.Helper()
	if err := merge(s, k, o); err != nil {
		t.Fatal(err)
	}
}

func mustGet(t testing.TB, s *Store, k Key) vclock.Object {
	t.Helper()
	o, err := s.Get(k)
	if err != nil {
		t.Fatal(err)
	}
	return o
}

// values returns the siblings' values, comma-separated in the order of their times.
func values(o vclock.Object) string {
	var texts []string
	rest := append([]vclock.Sibling(nil), o.Siblings...)
	for len(rest) > 0 {
		first := 0
		for i := range rest {
			if rest[i].Time < rest[first].Time {
				first = i
			}
		}
		texts = append(texts, string(rest[first].Value))
		rest = append(rest[:first], rest[first+1:]...)
	}
	return strings.Join(texts, ",")
}

func key(name string) Key { return Key{Partition: 7, Name: name} }

func blind(value string) vclock.Write { return vclock.Write{Value: []byte(value)} }

func TestPutGetRoundTrip(t *testing.T) {
	dir := t.TempDir()
	s := mustOpen(t, small(dir))
	w := vclock.Write{
		RequestID: vclock.RequestID{1}, Expiry: 17, ContentType: "text/plain",
		Meta: []vclock.Pair{{Name: "a", Value: "b"}}, Value: []byte("v"),
	}
	if o := mustGet(t, s, key("k")); !o.Missing() {
		t.Fatalf("an unwritten key has %v", o)
	}
	want := mustPut(t, s, key("k"), w)
	if got := mustGet(t, s, key("k")); !got.Equal(want) || len(got.Siblings) != 1 {
		t.Fatalf("read %v, wrote %v", got, want)
	}
	if o := mustGet(t, s, Key{Partition: 8, Name: "k"}); !o.Missing() {
		t.Fatalf("another partition has %v", o)
	}
	if o := mustGet(t, s, key("k2")); !o.Missing() {
		t.Fatalf("another key has %v", o)
	}
	if time.Until(want.Siblings[0].Time.Wall()).Abs() > time.Minute {
		t.Errorf("time is %v", want.Siblings[0].Time.Wall())
	}
	mustClose(t, s)
	s = mustOpen(t, small(dir))
	if got := mustGet(t, s, key("k")); !got.Equal(want) {
		t.Fatalf("read %v after reopening, wrote %v", got, want)
	}
}

func TestGetReturnsCallersOwnCopy(t *testing.T) {
	s := mustOpen(t, small(t.TempDir()))
	mustPut(t, s, key("k"), blind("value"))
	o := mustGet(t, s, key("k"))
	copy(o.Siblings[0].Value, "other")
	if got := values(mustGet(t, s, key("k"))); got != "value" {
		t.Fatalf("changing a result changed the store: %q", got)
	}
}

// Several operations of one key in one batch see each other, in the order they were queued: put
// i names in its context what put i-1 made, so any other order leaves a second sibling.
func TestOperationsOfOneKeyInOneBatchAreApplied(t *testing.T) {
	entered, held := make(chan struct{}), make(chan struct{})
	h := defaultHooks()
	batches := 0
	h.synced = func() {
		if batches++; batches == 1 {
			close(entered)
			<-held
		}
	}
	s := mustOpenHooked(t, small(t.TempDir()), h)
	var wg sync.WaitGroup
	var mu sync.Mutex
	var order []string
	submit := func(name, value string, w vclock.Write) {
		wg.Add(1)
		w.Value = []byte(value)
		s.Put(Put{Key: key(name), Write: w, Done: func(o vclock.Object, err error) {
			if err != nil {
				t.Error(err)
			}
			mu.Lock()
			order = append(order, values(o))
			mu.Unlock()
			wg.Done()
		}})
	}
	submit("other", "x", vclock.Write{})
	<-entered // the committer is held while the others queue
	other := vclock.Record{}.Put(vclock.Write{Time: 1, Value: []byte("merged")}, vclock.NewActors(99)).Object
	submit("k", "1", vclock.Write{TakeLocal: true})
	submit("k", "2", vclock.Write{TakeLocal: true})
	wg.Add(1)
	s.Merge(Merge{Key: key("k"), Object: other, Done: func(err error) {
		if err != nil {
			t.Error(err)
		}
		wg.Done()
	}})
	submit("k", "3", vclock.Write{})
	submit("k", "4", vclock.Write{TakeLocal: true})
	submit("k", "5", vclock.Write{})
	close(held)
	wg.Wait()
	if got, want := fmt.Sprint(order), "[x 1 2 merged,2,3 4 4,5]"; got != want {
		t.Errorf("answers %s, want %s", got, want)
	}
	if got := values(mustGet(t, s, key("k"))); got != "4,5" {
		t.Errorf("stored %q", got)
	}
	if batches != 2 {
		t.Errorf("%d batches, want the six operations in one", batches-1)
	}
}

// Every acknowledged blind write must be a sibling in the end, under its own dot.
func TestConcurrentWritersLoseNothing(t *testing.T) {
	const writers, keys, each = 16, 4, 24
	cfg := small(t.TempDir())
	cfg.MaxSiblings = writers * each
	s := mustOpen(t, cfg)
	var wg sync.WaitGroup
	for g := range writers {
		wg.Go(func() {
			for i := range each {
				k := key(fmt.Sprint("k", (g+i)%keys))
				if i%3 == 2 { // what another replica would send back
					o, err := s.Get(k)
					if err == nil {
						err = merge(s, k, o)
					}
					if err != nil {
						t.Error(err)
					}
				}
				if _, err := put(s, k, blind(fmt.Sprintf("%d-%d", g, i))); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	found, dots := map[string]bool{}, map[vclock.Dot]bool{}
	for i := range keys {
		o := mustGet(t, s, key(fmt.Sprint("k", i)))
		clear(dots)
		for _, sibling := range o.Siblings {
			found[string(sibling.Value)] = true
			if dots[sibling.Dot] {
				t.Errorf("dot %v twice", sibling.Dot)
			}
			dots[sibling.Dot] = true
		}
	}
	if len(found) != writers*each {
		t.Errorf("%d of %d acknowledged values are there", len(found), writers*each)
	}
	if st := s.Stats(); st.Puts != writers*each || st.Batches >= st.Puts {
		t.Errorf("stats %+v", st)
	}
}

func TestMintedComesBeforeCommit(t *testing.T) {
	h := defaultHooks()
	var mu sync.Mutex
	var events []string
	note := func(e string) {
		mu.Lock()
		events = append(events, e)
		mu.Unlock()
	}
	commit := h.commit
	h.commit = func(txn *badger.Txn, at uint64) error { note("commit"); return commit(txn, at) }
	s := mustOpenHooked(t, small(t.TempDir()), h)
	mu.Lock()
	events = nil // the run's registration
	mu.Unlock()
	done := make(chan struct{})
	s.Put(Put{
		Key: key("k"), Write: blind("v"),
		Minted: func(o vclock.Object) { note("minted " + values(o)) },
		Done:   func(o vclock.Object, err error) { note(fmt.Sprint("done ", values(o), " ", err)); close(done) },
	})
	<-done
	if got := strings.Join(events, "; "); got != "minted v; commit; done v <nil>" {
		t.Errorf("got %s", got)
	}
}

func TestUnchangedMergeWritesNothing(t *testing.T) {
	s := mustOpen(t, small(t.TempDir()))
	o := mustPut(t, s, key("k"), blind("v"))
	before := s.Stats().Transactions
	mustMerge(t, s, key("k"), o)
	mustMerge(t, s, key("missing"), vclock.Object{})
	st := s.Stats()
	if st.Transactions != before || st.UnchangedMerges != 2 {
		t.Errorf("%d transactions for nothing, %d merges counted", st.Transactions-before, st.UnchangedMerges)
	}
}

// An unchanged merge must not be answered before what, in its own batch, made it so is durable.
func TestUnchangedMergeWaitsForWhatItFound(t *testing.T) {
	h := defaultHooks()
	commit := h.commit
	entered, held := make(chan struct{}), make(chan struct{})
	commits := 0
	h.commit = func(txn *badger.Txn, at uint64) error {
		switch commits++; commits {
		case 2: // the first after the run's registration
			close(entered)
			<-held
		case 3:
			return errors.New("injected")
		}
		return commit(txn, at)
	}
	s := mustOpenHooked(t, small(t.TempDir()), h)
	s.Put(Put{Key: key("other"), Write: blind("v"), Done: func(vclock.Object, error) {}})
	<-entered // the committer is held, so the next two share a batch
	o := vclock.Record{}.Put(blind("v"), vclock.NewActors(3)).Object
	answers := make(chan error, 2)
	for range 2 {
		s.Merge(Merge{Key: key("k"), Object: o, Done: func(err error) { answers <- err }})
	}
	close(held)
	for i := range 2 {
		if err := <-answers; !errors.Is(err, ErrFenced) {
			t.Errorf("merge %d was acknowledged (%v) though the commit failed", i, err)
		}
	}
	if n := s.Stats().UnchangedMerges; n != 1 {
		t.Errorf("%d unchanged merges, want the second one", n)
	}
}

func TestRequestIDs(t *testing.T) {
	dir := t.TempDir()
	s := mustOpen(t, small(dir))
	id := vclock.RequestID{7}
	w := vclock.Write{RequestID: id, Value: []byte("v")}
	first := mustPut(t, s, key("k"), w)
	minted := false
	again := func(s *Store, k Key) vclock.Object {
		done := make(chan vclock.Object, 1)
		s.Put(Put{
			Key: k, Write: w, Minted: func(vclock.Object) { minted = true },
			Done: func(o vclock.Object, err error) {
				if err != nil {
					t.Error(err)
				}
				done <- o
			},
		})
		return <-done
	}
	// Minted is called all the same: what the first try did not reach must be sent again.
	if o := again(s, key("k")); !o.Equal(first) || !minted {
		t.Errorf("a retry minted %v, or was not passed on: %v", values(o), minted)
	}
	if o := again(s, key("other")); values(o) != "v" {
		t.Errorf("the same id under another key was taken for a retry: %v", o)
	}
	// Replaced by a later write: only the memory knows it.
	second := mustPut(t, s, key("k"), vclock.Write{Context: first.Clock, Value: []byte("w")})
	if o := again(s, key("k")); !o.Equal(second) {
		t.Errorf("a late retry brought back %q", values(o))
	}
	if n := s.Stats().Replays; n != 2 {
		t.Errorf("%d replays counted", n)
	}
	// After a restart only the siblings tell.
	third := mustPut(t, s, key("k"), vclock.Write{Context: second.Clock, RequestID: vclock.RequestID{8}, Value: []byte("x")})
	mustClose(t, s)
	s = mustOpen(t, small(dir))
	w.RequestID = vclock.RequestID{8}
	if o := again(s, key("k")); !o.Equal(third) {
		t.Errorf("a retry after a restart left %q", values(o))
	}
	// No id is never a retry.
	mustPut(t, s, key("z"), blind("1"))
	if o := mustPut(t, s, key("z"), blind("2")); len(o.Siblings) != 2 {
		t.Errorf("writes without id were taken for retries: %q", values(o))
	}
}

func TestRecentForgetsTheOldestFirst(t *testing.T) {
	r := newRecent(10)
	id := func(i int) vclock.RequestID { return vclock.RequestID{1, byte(i)} }
	dot := func(i int) vclock.Dot { return vclock.Dot{Counter: uint64(i)} }
	for i := range 200 {
		r.add(key("k"), id(i), dot(i))
		for j := max(0, i-9); j <= i; j++ {
			if d, ok := r.dot(key("k"), id(j)); !ok || d != dot(j) {
				t.Fatalf("after %d, %d has dot %v, %t", i, j, d, ok)
			}
		}
		if n := len(r.younger) + len(r.older); n > 20 {
			t.Fatalf("%d entries", n)
		}
	}
	r.add(key("k"), vclock.RequestID{}, dot(1))
	for k, i := range map[Key]vclock.RequestID{key("k"): id(0), key("other"): id(199), key("none"): {}} {
		if d, ok := r.dot(k, i); ok {
			t.Errorf("%v: remembers %v", k, d)
		}
	}
	if d, ok := r.dot(key("k"), vclock.RequestID{}); ok {
		t.Errorf("no id: remembers %v", d)
	}
}

func TestLimitsOfPuts(t *testing.T) {
	cfg := small(t.TempDir())
	cfg.MaxValueBytes, cfg.MaxObjectBytes, cfg.MaxSiblings = 1000, 5000, 4
	s := mustOpen(t, cfg)
	big := strings.Repeat("x", 1001)
	var large *TooLargeError
	if _, err := put(s, key("value"), blind(big)); !errors.As(err, &large) || large.Size != 1001 || large.Limit != 1000 {
		t.Errorf("value of 1001 bytes: %v", err)
	}
	for i := range 4 {
		mustPut(t, s, key("siblings"), blind(fmt.Sprint(i)))
	}
	var many *TooManySiblingsError
	if _, err := put(s, key("siblings"), blind("5")); !errors.As(err, &many) || many.Count != 5 || many.Limit != 4 {
		t.Errorf("fifth sibling: %v", err)
	}
	o := mustGet(t, s, key("siblings"))
	if o = mustPut(t, s, key("siblings"), vclock.Write{Context: o.Clock, Value: []byte("one")}); values(o) != "one" {
		t.Errorf("resolved to %q", values(o))
	}

	// Refusals mint nothing: the next dot follows the last one.
	before := mustPut(t, s, key("dot"), blind("a")).Siblings[0].Dot
	if _, err := put(s, key("dot"), blind(big)); err == nil {
		t.Error("too large and accepted")
	}
	after := mustPut(t, s, key("dot"), vclock.Write{TakeLocal: true}).Siblings[0].Dot
	if before.Actor != after.Actor || after.Counter != before.Counter+1 {
		t.Errorf("dot %v, then %v", before, after)
	}

	// Objects: merges pass, puts that would make it worse do not, puts that shrink it do.
	value := strings.Repeat("y", 900)
	var heavy vclock.Record
	for range 7 {
		heavy = heavy.Put(blind(value), vclock.NewActors(rand.Uint64()|1))
	}
	mustMerge(t, s, key("heavy"), heavy.Object)
	if o := mustGet(t, s, key("heavy")); len(o.Siblings) != 7 {
		t.Fatalf("merge left %d siblings", len(o.Siblings))
	}
	if _, err := put(s, key("heavy"), blind("z")); !errors.As(err, &many) {
		t.Errorf("eighth sibling of four: %v", err)
	}
	two := vclock.Clock{heavy.Object.Siblings[0].Dot}.Join(vclock.Clock{heavy.Object.Siblings[1].Dot})
	if o := mustPut(t, s, key("heavy"), vclock.Write{Context: two, Value: []byte("z")}); len(o.Siblings) != 6 {
		t.Errorf("a put that shrinks left %d siblings", len(o.Siblings))
	}
	for i := range 4 {
		_, err := put(s, key("object"), blind(strings.Repeat("y", 1000)))
		if i < 4 && err != nil {
			t.Fatal(err)
		}
	}
	cfg2 := cfg
	cfg2.Dir, cfg2.MaxSiblings = t.TempDir(), 100
	s2 := mustOpen(t, cfg2)
	for range 4 {
		mustPut(t, s2, key("object"), blind(strings.Repeat("y", 1000)))
	}
	if _, err := put(s2, key("object"), blind(strings.Repeat("y", 1000))); !errors.As(err, &large) || large.Limit != 5000 || large.Size <= 5000 {
		t.Errorf("object over 5000 bytes: %v", err)
	}
	mustPut(t, s2, key("object"), vclock.Write{TakeLocal: true, Value: []byte("small")})
	if n := s.Stats().Refused; n == 0 {
		t.Error("no refusal counted")
	}
}

// The preview is never smaller than the object that the put really leaves.
func TestPreviewIsAnUpperBound(t *testing.T) {
	ids := vclock.NewActors(5)
	other := vclock.NewActors(6)
	var r vclock.Record
	random := rand.New(rand.NewPCG(1, 2))
	for range 500 {
		w := vclock.Write{Value: make([]byte, random.IntN(300)), TakeLocal: random.IntN(4) == 0, Time: 1, RequestID: vclock.RequestID{1}}
		if len(r.Object.Siblings) > 0 && random.IntN(2) == 0 {
			w.Context = vclock.Clock{r.Object.Siblings[random.IntN(len(r.Object.Siblings))].Dot}
		}
		bound := preview(r.Object, &w)
		if random.IntN(3) == 0 {
			r, _ = r.Merge(vclock.Record{}.Put(w, other).Object)
			continue
		}
		after := r.Put(w, ids)
		if after.Object.Size() > bound.Size() || len(after.Object.Siblings) != len(bound.Siblings) {
			t.Fatalf("preview of %d bytes and %d siblings, put leaves %d and %d",
				bound.Size(), len(bound.Siblings), after.Object.Size(), len(after.Object.Siblings))
		}
		r = after
	}
}

func TestNames(t *testing.T) {
	s := mustOpen(t, small(t.TempDir()))
	for _, name := range []string{"", strings.Repeat("n", maxNameBytes+1)} {
		if _, err := put(s, key(name), blind("v")); err == nil {
			t.Errorf("a name of %d bytes was accepted", len(name))
		}
	}
	longest := strings.Repeat("n", maxNameBytes)
	mustPut(t, s, key(longest), blind("v"))
	if got := values(mustGet(t, s, key(longest))); got != "v" {
		t.Errorf("got %q", got)
	}
}

// What could not be decoded again must not be stored: it would be acknowledged and then be corrupt.
func TestMalformedWritesAreRefused(t *testing.T) {
	s := mustOpen(t, small(t.TempDir()))
	for name, w := range map[string]vclock.Write{
		"a tombstone with a value": {Deleted: true, Value: []byte("v")},
		"a negative expiry":        {Expiry: -1, Value: []byte("v")},
	} {
		_, err := put(s, key(name), w)
		if o, readErr := s.Get(key(name)); err == nil || readErr != nil || !o.Missing() {
			t.Errorf("%s: %v, read %v, %v", name, err, o, readErr)
		}
	}
}

// The queue's array is reused: it must not keep what was answered.
func TestQueueForgetsWhatWasAnswered(t *testing.T) {
	s := mustOpen(t, small(t.TempDir()))
	const n = 8
	forgotten := make(chan struct{}, n)
	var answered sync.WaitGroup
	for i := range n {
		value := bytes.Repeat([]byte("v"), 1000)
		runtime.AddCleanup(&value[0], func(c chan struct{}) { c <- struct{}{} }, forgotten)
		answered.Add(1)
		s.Put(Put{Key: key(fmt.Sprint(i)), Write: vclock.Write{Value: value}, Done: func(vclock.Object, error) { answered.Done() }})
	}
	answered.Wait()
	for start := time.Now(); len(forgotten) < n && time.Since(start) < 10*time.Second; {
		runtime.GC() // again and again: the committer has only just answered, and cleanups run later
	}
	if got := len(forgotten); got != n {
		t.Errorf("%d values of writes that were answered are still reachable", n-got)
	}
}

func TestFullQueueIsBusyAtOnce(t *testing.T) {
	h := defaultHooks()
	commit := h.commit
	hold := make(chan struct{})
	holding := false
	h.commit = func(txn *badger.Txn, at uint64) error {
		if holding {
			<-hold
		}
		return commit(txn, at)
	}
	cfg := small(t.TempDir())
	cfg.MaxQueueOps, cfg.MaxQueueBytes = 10, 8*mib
	cfg.MaxValueBytes = 16 * mib
	s := mustOpenHooked(t, cfg, h)
	holding = true
	answers := make(chan error, 100)
	submit := func(n int) {
		s.Put(Put{Key: key("k"), Write: vclock.Write{TakeLocal: true, Value: make([]byte, n)}, Done: func(_ vclock.Object, err error) { answers <- err }})
	}
	for range 10 {
		submit(1)
	}
	submit(1)
	if err := <-answers; !errors.Is(err, ErrBusy) {
		t.Fatalf("eleventh of ten: %v", err)
	}
	close(hold)
	for range 10 {
		if err := <-answers; err != nil {
			t.Fatal(err)
		}
	}
	if st := s.Stats(); st.Busy != 1 || st.QueueOps != 0 || st.QueueBytes != 0 {
		t.Errorf("stats %+v", st)
	}
}

func TestQueueBoundsBytesButTakesOneOfAnySize(t *testing.T) {
	q := newQueue(10, 100)
	if err := q.push(&op{size: 1000}); err != nil {
		t.Errorf("a large one into an empty queue: %v", err)
	}
	if err := q.push(&op{size: 1}); !errors.Is(err, ErrBusy) {
		t.Errorf("one more: %v", err)
	}
	ops, _, _ := q.take(10, true)
	if err := q.push(&op{size: 1}); !errors.Is(err, ErrBusy) {
		t.Errorf("one more while the large one is in flight: %v", err)
	}
	q.settle(len(ops))
	if err := q.push(&op{size: 1}); err != nil {
		t.Errorf("after it: %v", err)
	}
}

func TestCloseDrainsAndRefuses(t *testing.T) {
	dir := t.TempDir()
	h := defaultHooks()
	entered, held := make(chan struct{}), make(chan struct{})
	batches := 0
	h.synced = func() {
		if batches++; batches == 1 {
			close(entered)
			<-held
		}
	}
	s := mustOpenHooked(t, small(dir), h)
	answers := make(chan error, 101)
	submit := func(name string) {
		s.Put(Put{Key: key(name), Write: blind("v"), Done: func(_ vclock.Object, err error) { answers <- err }})
	}
	submit("first")
	<-entered // the committer is held while the others queue
	for i := range 100 {
		submit(fmt.Sprint(i))
	}
	s.queue.close() // as Close begins
	close(held)
	mustClose(t, s)
	mustClose(t, s)
	for range 101 {
		select {
		case err := <-answers:
			if err != nil {
				t.Error(err)
			}
		default:
			t.Fatal("Close returned before a waiting write was answered")
		}
	}
	if _, err := put(s, key("k"), blind("v")); !errors.Is(err, ErrClosed) {
		t.Errorf("put: %v", err)
	}
	if err := merge(s, key("k"), vclock.Object{}); !errors.Is(err, ErrClosed) {
		t.Errorf("merge: %v", err)
	}
	if _, err := s.Get(key("0")); !errors.Is(err, ErrClosed) {
		t.Errorf("get: %v", err)
	}
	s.Stats()
	s = mustOpen(t, small(dir))
	for i := range 100 {
		if got := values(mustGet(t, s, key(fmt.Sprint(i)))); got != "v" {
			t.Errorf("key %d has %q", i, got)
		}
	}
}

func TestOpenRefuses(t *testing.T) {
	dir := t.TempDir()
	cfg := small(dir)
	cfg.Run = 42
	s := mustOpen(t, cfg)
	if _, err := Open(small(dir)); err == nil {
		t.Error("opened twice at once")
	}
	mustClose(t, s)
	if _, err := Open(cfg); err == nil || !strings.Contains(err.Error(), "fresh") {
		t.Errorf("same run again: %v", err)
	}
	mustClose(t, mustOpen(t, small(dir)))
	_, err := Open(Config{MemTableBytes: 1, MaxSiblings: -1})
	for _, part := range []string{"directory", "memtable", "sibling"} {
		if err == nil || !strings.Contains(err.Error(), part) {
			t.Errorf("invalid configuration: %v, want it to name the %s", err, part)
		}
	}
}

// A process killed while Badger makes or removes a log leaves an empty one, over which Badger would
// refuse to start.
func TestOpensOverEmptyLogs(t *testing.T) {
	dir := t.TempDir()
	s := mustOpen(t, small(dir))
	mustPut(t, s, key("k"), blind("v"))
	crashed := copyDir(t, dir)
	for _, name := range []string{"00000.mem", "00007.mem", "000007.vlog"} {
		if err := os.WriteFile(filepath.Join(crashed, name), nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	s = mustOpen(t, small(crashed))
	if got := values(mustGet(t, s, key("k"))); got != "v" {
		t.Errorf("read %q", got)
	}
}

// Badger's goroutines and ours live on the bubble's clock and end with Close; the bubble fails the
// test if one does not. A hung commit is found by the guard's ticks.
func TestInBubble(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		s, err := Open(small(dir))
		if err != nil {
			t.Fatal(err)
		}
		for i := range 100 {
			mustPut(t, s, key(fmt.Sprint(i)), blind(strings.Repeat("v", 50_000)))
			time.Sleep(time.Second)
		}
		if n := s.wals.syncs; n < 2 {
			t.Errorf("%d directory syncs though the memtable was rotated", n)
		}
		if n := s.Stats().TableBytes; n == 0 {
			t.Error("the size of the tables is not followed")
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	})
}

func TestLoggerGetsDamageAndFences(t *testing.T) {
	var text bytes.Buffer
	cfg := small(t.TempDir())
	cfg.Logger = slog.New(slog.NewTextHandler(&text, nil))
	s := mustOpen(t, cfg)
	a := vclock.Record{}.Put(blind("one"), vclock.NewActors(3)).Object
	b := vclock.Record{}.Put(blind("two"), vclock.NewActors(3)).Object
	mustMerge(t, s, key("k"), a)
	mustMerge(t, s, key("k"), b)
	if o := mustGet(t, s, key("k")); len(o.Siblings) != 2 {
		t.Errorf("equal dots, different values: %q are left", values(o))
	}
	if n := s.Stats().Conflicts; n != 1 {
		t.Errorf("%d conflicts counted", n)
	}
	mustMerge(t, s, key("k"), b) // known already
	if n := s.Stats().Conflicts; n != 1 {
		t.Errorf("%d conflicts counted after a repetition", n)
	}
	mustClose(t, s)
	if !strings.Contains(text.String(), "share one dot") {
		t.Errorf("log is %s", text.String())
	}
}
