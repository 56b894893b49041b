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
	delay, cut, silent := l.delay, l.cut, l.silent
	l.mu.Unlock()
	if cut {
		expire()
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
		l.node.store.merge(m.Name, o, func(w WriteReply) { reply(func() { m.Done(w) }) })
	}, func() { m.Done(WriteReply{Err: refuse(Unreachable)}) })
}

func (l *link) Forward(f Forward) {
	l.carry(f.Budget, func(reply func(func())) {
		l.node.cluster.wg.Go(func() {
			res, err := l.node.coordinator.Coordinate(context.Background(), f.Request)
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

func (l local) Mint(m Mint) { l.store.mint(m) }

func (s *memory) read(r Read) ReadReply {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.readErr != nil {
		return ReadReply{Err: s.readErr}
	}
	o := s.records[r.Name].Object
	a := ReadReply{Missing: o.Missing(), Digest: o.Digest()}
	if !r.Digest {
		a.Object = o
	}
	return a
}

func (s *memory) merge(name string, o vclock.Object, done func(WriteReply)) {
	s.mu.Lock()
	err := s.writeErr
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
	if err := s.writeErr; err != nil {
		s.mu.Unlock()
		m.Done(vclock.Object{}, WriteReply{Err: err})
		return
	}
	rec := s.records[m.Name]
	if !rec.Object.HasRequest(m.Write.RequestID) {
		m.Write.Time = s.clock.Now(rec.Object.LatestTime())
		rec = rec.Put(m.Write, s.actors)
		s.records[m.Name] = rec
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
