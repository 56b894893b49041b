package storage

import (
	"fmt"
	"slices"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"cartwheel/vclock"

	"github.com/dgraph-io/badger/v4"
)

// What waits for the batch before is minted at once, and nothing is answered, read or seen by a scan
// before all that came earlier is durable. If that fails, all fail.
func TestBatchOnTopOfAnother(t *testing.T) {
	for _, verdict := range []error{nil, syscall.EIO} {
		t.Run(fmt.Sprint(verdict), func(t *testing.T) {
			dir := t.TempDir()
			f := newTraffic(t, small(dir))
			held := place(f.before)
			w := vclock.Write{RequestID: vclock.RequestID{1}, Value: []byte("v")}
			first := f.put("first", key("k"), w)
			<-held.met
			f.merge("nothing new", key("k"), first)
			if o := f.put("retry", key("k"), w); !o.Equal(first) {
				t.Errorf("a retry minted %q", values(o))
			}
			f.drop("drop", key("k"), first.Digest())
			f.drop("nothing to drop", key("k"), 1)
			f.put("second", key("l"), blind("v"))
			f.mark("mark", func(txn *badger.Txn) {
				for name, want := range map[string]string{"k": "", "l": "v", "later": ""} {
					if got := values(readRecord(txn, key(name)).record.Object); got != want {
						t.Errorf("the scan sees %q of %s", got, name)
					}
				}
			})
			f.merge("later", key("later"), first)
			f.want()
			if o := mustGet(t, f.s, key("l")); !o.Missing() || !mustGet(t, f.s, key("k")).Missing() {
				t.Error("what is not durable is read")
			}
			held.verdict <- verdict
			f.under.Wait()
			there := "v"
			if verdict == nil {
				f.want("changed k", "durable", "first", "changed k", "changed l", "durable",
					"nothing new", "retry", "drop", "nothing to drop", "second", "began", "mark", "changed later", "durable", "later")
			} else {
				there = ""
				slices.Sort(f.notes) // those that were in no batch may be told first
				f.want("drop: fenced", "first: fenced", "later: fenced", "mark: fenced", "nothing new: fenced",
					"nothing to drop: fenced", "retry: fenced", "second: fenced")
			}
			for range 2 {
				for name, want := range map[string]string{"k": "", "l": there, "later": there} {
					if got := values(mustGet(t, f.s, key(name))); got != want {
						t.Errorf("%s reads %q, want %q", name, got, want)
					}
				}
				mustClose(t, f.s)
				f.s = mustOpen(t, small(dir))
			}
		})
	}
}

// One key changes in batch after batch, each begun before the one before is answered: all that is left
// is the last record, and the changes are a chain.
func TestKeyChangesInSuccessiveBatches(t *testing.T) {
	t.Parallel()
	for _, sizes := range [][]int{{9, 8, 7, 6}, {200_000, 150_000, 120_000, 90_000}, {200_000, 7, 150_000, 120_000}, {9, 150_000, 7, 6}, {100_000, 0, 90_000, 0}} {
		for _, k := range []Key{key("k"), hint("owner", "k")} {
			for _, late := range []bool{false, true} {
				t.Run(fmt.Sprint(k.Hint, late, sizes), func(t *testing.T) { changeInSuccession(t, k, sizes, late) })
			}
		}
	}
}

// changeInSuccession writes objects of these sizes; 0 drops. If late, each batch is kept when it is
// durable and the next one applied on top of it; else each second one is kept before it is durable.
func changeInSuccession(t *testing.T, k Key, sizes []int, late bool) {
	cfg := small(t.TempDir())
	var last uint64
	cfg.Changed = func(c Change) {
		if c.Key == k && c.Old != last {
			t.Errorf("a change from %x after one to %x", c.Old, last)
		}
		if c.Key == k {
			last = c.New
		}
	}
	f := newTraffic(t, cfg)
	stops := f.stops(late)
	var held, next *stop
	var o vclock.Object
	for i, size := range sizes {
		if !late && held == nil {
			f.under.Wait()
			settle(t, f.s)
		}
		if late || i%2 == 0 {
			next = place(stops)
		}
		if size > 0 {
			o = f.put("put", k, vclock.Write{TakeLocal: true, Value: []byte(large(size, "v"))})
		} else {
			f.drop("drop", k, o.Digest())
			o = vclock.Object{}
			if held != nil {
				f.put("applied", key("k2"), vclock.Write{TakeLocal: true})
			}
		}
		if held != nil {
			held.verdict <- nil
		}
		if held, next = next, nil; held != nil {
			<-held.met
		}
	}
	if late {
		held.verdict <- nil
	}
	f.under.Wait()
	want := 0
	if size := sizes[len(sizes)-1]; size > 1000 {
		want = chunks(size, f.s.limits.inline)
	}
	for range 2 {
		settle(t, f.s)
		if got := mustGet(t, f.s, k); !got.Equal(o) {
			t.Errorf("%d bytes, want %d", got.Size(), o.Size())
		}
		chunks := countKind(f.s, kindChunk) + countKind(f.s, kindChunk|kindHint)
		if garbage := countKind(f.s, kindGarbage) + countKind(f.s, kindGarbage|kindHint); chunks != want || garbage != 0 {
			t.Errorf("%d chunks, want %d; %d garbage entries", chunks, want, garbage)
		}
		checkHints(t, f.s)
		mustClose(t, f.s)
		f.s = mustOpen(t, small(cfg.Dir))
	}
}

// What a batch adds to the space for hints, or frees there, counts once for the next one: while it is
// not durable, and when it is and not answered.
func TestHintSpaceIsBoundedOverTwoBatches(t *testing.T) {
	for _, late := range []bool{false, true} {
		cfg := small(t.TempDir())
		cfg.MaxHintBytes = 10_000
		f := newTraffic(t, cfg)
		stops := f.stops(late)
		o := vclock.Record{}.Put(blind(large(3000, "v")), vclock.NewActors(1)).Object
		add := func(name string) { f.merge(name, hint("a", name), o) }
		drop := func(name string) { f.drop("drop "+name, hint("a", name), o.Digest()) }
		both := func(first, second func()) {
			busy := place(stops)
			f.put("busy", key("k"), vclock.Write{})
			<-busy.met
			first() // all in one batch
			f.put("first", key("k"), vclock.Write{})
			held := place(stops)
			busy.verdict <- nil
			<-held.met
			second()
			f.put("second", key("k"), vclock.Write{})
			held.verdict <- nil
			f.under.Wait()
			checkHints(t, f.s)
			if n := f.s.Stats().HintBytes; n > cfg.MaxHintBytes {
				t.Errorf("late=%t: %d bytes of hints", late, n)
			}
		}
		both(func() { add("1"); add("2") }, func() { add("3"); add("4"); drop("1"); add("5") })
		f.want("changed k", "durable", "busy", "changed k", "durable", "1", "2", "first",
			"changed k", "durable", "3", "4: full", "drop 1", "5", "second", "durable")
		both(func() { drop("3"); drop("5") }, func() { add("6"); add("7"); add("8") })
		f.want("changed k", "durable", "busy", "changed k", "durable", "drop 3", "drop 5", "first",
			"changed k", "durable", "6", "7", "8: full", "second", "durable")
	}
}

// The same while the batch before is answered and the chunks that it replaced are not deleted yet.
func TestHintSpaceIsBoundedWhileChunksAreDeleted(t *testing.T) {
	cfg := small(t.TempDir())
	cfg.MaxHintBytes = 10_000
	f := newTraffic(t, cfg)
	mustPut(t, f.s, key("k"), blind(large(100_000, "v")))
	settle(t, f.s)
	busy := place(f.after)
	f.put("busy", key("l"), vclock.Write{})
	<-busy.met
	o := vclock.Record{}.Put(blind(large(6000, "v")), vclock.NewActors(1)).Object
	answered := make(chan error, 1)
	f.put("replaces chunks", key("k"), vclock.Write{TakeLocal: true})
	f.s.Merge(Merge{Key: hint("a", "1"), Object: o, Done: func(err error) { answered <- err }})
	f.put("applied", key("l"), vclock.Write{})
	held := place(f.after)
	busy.verdict <- nil
	<-held.met
	f.put("open", key("l"), vclock.Write{})
	deleting := place(f.before)
	held.verdict <- nil
	<-answered
	small := vclock.Record{}.Put(blind(large(3000, "v")), vclock.NewActors(1)).Object
	f.merge("2", hint("a", "2"), small)
	f.merge("3", hint("a", "3"), small)
	<-deleting.met
	f.put("applied", key("l"), vclock.Write{})
	deleting.verdict <- nil
	f.under.Wait()
	if h := f.s.Hints(); len(h) != 1 || h[0].Count != 2 {
		t.Errorf("hints %+v, want two", h)
	}
	checkHints(t, f.s)
}

// What the batch before has only read is not passed on: it may have been found damaged meanwhile, and
// the merge that repairs it must not look like one that changes nothing.
func TestDamageBetweenTwoBatchesIsRepaired(t *testing.T) {
	f := newTraffic(t, small(t.TempDir()))
	o := mustPut(t, f.s, key("k"), blind("v"))
	held := place(f.after)
	f.merge("known", key("k"), o)
	<-held.met
	flipBit(t, f.s, recordKey(key("k")))
	f.merge("repair", key("k"), o)
	f.put("applied", key("l"), blind("v"))
	held.verdict <- nil
	f.under.Wait()
	if got := values(mustGet(t, f.s, key("k"))); got != "v" {
		t.Errorf("reads %q", got)
	}
}

// Close lets the batch under way, the open one and a mark end.
func TestCloseWithAnOpenBatch(t *testing.T) {
	dir := t.TempDir()
	f := newTraffic(t, small(dir))
	held := place(f.before)
	f.put("first", key("a"), blind("1"))
	<-held.met
	f.put("second", key("b"), blind("2"))
	f.mark("mark", func(*badger.Txn) {})
	f.s.queue.close() // as Close does at first
	held.verdict <- nil
	mustClose(t, f.s)
	f.want("changed a", "durable", "first", "changed b", "durable", "second", "began", "mark")
	s := mustOpen(t, small(dir))
	if got := values(mustGet(t, s, key("a"))) + values(mustGet(t, s, key("b"))); got != "12" {
		t.Errorf("reads %q", got)
	}
}

// The disk hangs in a commit, and then perhaps for whoever begins the next batch, too. All are
// answered, once; when it comes back nothing is minted any more, also of a key that need not be read.
func TestHangAnswersBothBatches(t *testing.T) {
	for _, both := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			cfg := small(t.TempDir())
			var hanging atomic.Bool
			back := make(chan struct{})
			cfg.FreeBytes = func() int64 {
				if hanging.Load() {
					<-back
				}
				return 1 << 40
			}
			f := newTraffic(t, cfg)
			held := place(f.before)
			f.put("first", key("k"), blind("1"))
			<-held.met
			hanging.Store(both)
			f.send("second", key("k"))
			synctest.Wait()
			f.mark("mark", func(*badger.Txn) {})
			f.merge("third", key("k"), vclock.Object{})
			time.Sleep(29 * time.Second)
			if f.want(map[bool][]string{false: {"minted"}, true: nil}[both]...); t.Failed() {
				return
			}
			f.under.Wait()
			f.want("first: fenced", "second: fenced", "mark: fenced", "third: fenced")
			close(back)
			synctest.Wait()
			held.verdict <- nil
			mustClose(t, f.s)
			f.want("changed k", "durable") // late, as nobody knew
		})
	}
}
