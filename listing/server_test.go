package listing

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"cartwheel/ring"
)

// one returns the cluster's first member and a request that it can answer.
func one(t testing.TB) (*fakeCluster, *member, request) {
	c := filled(t, 200)
	c.serve()
	return c, c.members[0], request{mode: keysInTurn, version: 1, typ: "default", bucket: "b", pageBytes: maxPageBytes, partitions: []uint16{3, 5, 9}}
}

func (m *member) answer(t testing.TB, q request) answer {
	t.Helper()
	b, err := m.server.Serve(context.Background(), q.encode())
	if err != nil {
		t.Fatal(err)
	}
	a, err := decodeAnswer(b, &q)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func TestServerRefuses(t *testing.T) {
	t.Parallel()
	c, m, q := one(t)
	if a := m.answer(t, q); a.verdict != answered || a.finished != 3 || a.count == 0 {
		t.Errorf("%+v", a)
	}
	other := q
	other.version = 2
	if a := m.answer(t, other); a.verdict != refused || !strings.Contains(a.text, "version") {
		t.Errorf("another ring: %+v", a)
	}
	m.unsure[5] = true
	if a := m.answer(t, q); len(a.refused) != 1 || a.refused[0].at != 1 || a.count != 0 {
		t.Errorf("unsure: %+v", a)
	}
	delete(m.unsure, 5)
	foreign := q
	foreign.n = 1
	want := 0
	for _, p := range q.partitions {
		if !c.ring.Owns(0, p, 1) {
			want++
		}
	}
	if a := m.answer(t, foreign); len(a.refused) != want || want == 0 {
		t.Errorf("not an owner: %+v; want %d refused", a, want)
	}
	m.server.cfg.View = func() *View { return nil }
	if a := m.answer(t, q); a.verdict != refused {
		t.Errorf("no ring: %+v", a)
	}
	for _, b := range [][]byte{nil, {format}, q.encode()[1:], append(q.encode(), 0), bytes.Repeat([]byte{0xff}, 100)} {
		if _, err := m.server.Serve(context.Background(), b); !errors.Is(err, ErrMalformed) {
			t.Errorf("%x: %v", b, err)
		}
	}
}

// doubting makes a store in doubt by walking over it, as a damaged record does.
type doubting struct {
	Store
	doubt func()
}

func (d doubting) Names(settled bool, read func(Walker) error) error {
	defer d.doubt()
	return d.Store.Names(settled, read)
}

// What comes into doubt while a page is made is not part of it.
func TestServerDoubtsWhatItMeets(t *testing.T) {
	t.Parallel()
	for _, mode := range []mode{keysInTurn, keysSorted, countKeys} {
		_, m, q := one(t)
		q.mode = mode
		m.server.cfg.Store = doubting{m.store, func() { m.unsure[9] = true }}
		if a := m.answer(t, q); len(a.refused) != 1 || a.refused[0].at != 2 || a.count != 0 || a.list != "" {
			t.Errorf("mode %d: %+v", mode, a)
		}
	}
}

// Pages are made one after the other; some wait, the rest is told that the member is busy.
func TestServerIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, _, q := one(t)
		c.server = ServerConfig{Pages: 1, Waiting: 2}
		c.serve()
		m := c.members[0]
		m.store.blocked = make(chan struct{})
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		got := make(chan string, 5)
		for range 5 {
			go func() {
				b, err := m.server.Serve(ctx, q.encode())
				if err != nil {
					got <- err.Error()
					return
				}
				a, err := decodeAnswer(b, &q)
				got <- fmt.Sprint(a.verdict, err)
			}()
			synctest.Wait()
		}
		count := map[string]int{}
		for range 2 {
			count[<-got]++
		}
		<-ctx.Done()
		for range 2 {
			count[<-got]++
		}
		close(m.store.blocked)
		count[<-got]++
		want := map[string]int{fmt.Sprint(busy, error(nil)): 2, context.DeadlineExceeded.Error(): 2, fmt.Sprint(answered, error(nil)): 1}
		if fmt.Sprint(count) != fmt.Sprint(want) {
			t.Errorf("%v, want %v", count, want)
		}
	})
}

// A page ends when its cost is spent, also if all that it looked at is deleted.
func TestPagesOverNothing(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 1, 4, 1)
	for i := range 4000 {
		c.put(ring.Key{Bucket: "b", Key: fmt.Sprintf("key-%05d", i)}, 0, false)
	}
	c.put(ring.Key{Bucket: "b", Key: "last"}, 0, true)
	c.server.PageRecords = 100
	co := c.serve()
	for name, q := range queries {
		before, looked := c.asked(), c.members[0].store.looked
		got, err := list(co, q)
		pages, records := c.asked()-before, c.members[0].store.looked-looked
		if err != nil || len(got) != 1 || pages < 40 {
			t.Errorf("%s: %q, %v, %d pages", name, got, err, pages)
		}
		if records > 6000 {
			t.Errorf("%s: %d records were looked at", name, records)
		}
	}
}
