package quorum

import (
	"context"
	"fmt"
	"sync"
	"time"

	"cartwheel/vclock"
)

func refuse(r Reason) error { return &RefusedError{Reason: r, Text: fmt.Sprint("refused for ", r)} }

// carry runs do at the far end after the link's delay and reply with what it brings back at
// once. expire is called instead when the budget runs out first.
func (l *link) carry(budget time.Duration, do func(reply func(func())), expire func()) {
	l.calls.Add(1)
	l.mu.Lock()
	delay, cut, silent, breaks := l.delay, l.cut, l.silent, l.breaks
	l.mu.Unlock()
	if cut {
		expire()
		return
	}
	if breaks {
		time.AfterFunc(delay, expire)
		return
	}
	var once sync.Once
	deadline := time.AfterFunc(budget, func() { once.Do(expire) })
	if silent {
		return
	}
	run := func() {
		do(func(reply func()) {
			once.Do(func() {
				deadline.Stop()
				reply()
			})
		})
	}
	if delay == 0 {
		run()
		return
	}
	time.AfterFunc(delay, run)
}

func (l *link) Read(r Read) {
	l.reads.Add(1)
	if r.Digest {
		l.digests.Add(1)
	}
	l.carry(r.Budget, func(reply func(func())) {
		l.node.place(r.Target)
		a := l.node.store.read(r)
		reply(func() { r.Done(a) })
	}, func() { r.Done(ReadReply{Err: refuse(Unreachable)}) })
}

func (l *link) Merge(m Merge) {
	l.carry(m.Budget, func(reply func(func())) {
		o, err := vclock.DecodeObject(m.Encoded)
		if err != nil || !o.Equal(m.Object) {
			panic("object and encoding differ")
		}
		l.node.place(m.Target)
		if m.For != "" {
			l.hints.Add(1)
		}
		l.node.store.merge(m.Target, o, func(w WriteReply) { reply(func() { m.Done(w) }) })
	}, func() { m.Done(WriteReply{Err: refuse(Unreachable)}) })
}

func (l *link) Forward(f Forward) {
	l.carry(f.Budget, func(reply func(func())) {
		l.node.cluster.wg.Go(func() {
			res, err := l.node.coordinator.Coordinate(context.Background(), f.Request, f.StandIn)
			if !f.Request.ReturnBody {
				res.Object = vclock.Object{}
			}
			reply(func() { f.Done(res, err) })
		})
	}, func() { f.Done(PutResult{}, refuse(Unreachable)) })
}

// local is a node's own replica: a link without faults, and minting.
type local struct {
	*link
	store *memory
}

func (l local) Mint(m Mint) {
	l.node.place(m.Target)
	l.store.mint(m)
}

// recordOf is the name under which a copy, or the hint for an owner, is kept.
func recordOf(owner, name string) string {
	if owner == "" {
		return name
	}
	return owner + "|" + name
}

// place checks what a server checks: a node is asked for its own copy of what it owns, or
// for a hint of what it does not own.
func (n *node) place(t Target) {
	r := n.cluster.ring
	owns := r.Owns(n.index, t.Partition, t.N)
	if owner, ok := r.Index(t.For); t.For == "" && !owns || t.For != "" && (owns || !ok || !r.Owns(owner, t.Partition, t.N)) {
		n.cluster.t.Errorf("node %d was asked for %q, of owners %v", n.index, t.For, r.Preference(t.Partition)[:t.N])
	}
}

func (s *memory) read(r Read) ReadReply {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.readErr != nil {
		return ReadReply{Err: s.readErr}
	}
	o := s.records[r.Name].Object
	if r.For != "" {
		o = vclock.Object{}
		for _, owner := range r.Owners {
			o, _ = vclock.Merge(o, s.records[recordOf(owner, r.Name)].Object)
		}
	}
	a := ReadReply{Missing: o.Missing(), Did: r.Did == s.did && s.did != vclock.RequestID{}, Digest: o.Digest()}
	if !r.Digest {
		a.Object = o
	}
	return a
}

func (s *memory) merge(t Target, o vclock.Object, done func(WriteReply)) {
	name := recordOf(t.For, t.Name)
	s.mu.Lock()
	err := s.writeErr
	if t.For != "" && err == nil {
		err = s.hintErr
	}
	if err == nil {
		rec, _ := s.records[name].Merge(o)
		s.records[name] = rec
	}
	s.mu.Unlock()
	s.after(func() { done(WriteReply{Durable: err == nil && !s.volatile, Err: err}) })
}

// after runs f after an fsync.
func (s *memory) after(f func()) {
	if s.fsync == 0 {
		f()
		return
	}
	time.AfterFunc(s.fsync, f)
}

func (s *memory) mint(m Mint) {
	s.mu.Lock()
	err := s.writeErr
	if m.For != "" && err == nil {
		err = s.hintErr
	}
	if err != nil {
		s.mu.Unlock()
		m.Done(vclock.Object{}, WriteReply{Err: err})
		return
	}
	name := recordOf(m.For, m.Name)
	rec := s.records[name]
	if !rec.Object.HasRequest(m.Write.RequestID) {
		m.Write.Time = s.clock.Now(rec.Object.LatestTime())
		rec = rec.Put(m.Write, s.actors)
		s.records[name] = rec
		s.mints++
	}
	failed := s.failCommit
	s.mu.Unlock()
	m.Minted(rec.Object)
	s.after(func() {
		if failed != nil {
			m.Done(vclock.Object{}, WriteReply{Err: failed})
			return
		}
		m.Done(rec.Object, WriteReply{Durable: !s.volatile})
	})
}
