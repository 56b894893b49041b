package sim

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"cartwheel/quorum"
	"cartwheel/ring"
	"cartwheel/vclock"
)

// session is one client: it remembers what it last read of each key.
type session struct {
	c     *Cluster
	h     *History
	name  string
	rng   *rand.Rand
	style style
	think int // it waits up to so many milliseconds between two requests
	last  map[ring.Key]vclock.Object
	ops   int
}

// style is what a client asks for as a rule.
type style int

const (
	anyNode   style = iota // fallbacks may stand in for owners
	ownersToo              // a majority of owners reads and writes, repaired before the answer: read your writes, monotonic reads
	noSloppy               // fallbacks count for nothing
	styles
)

func keyOf(i int) ring.Key {
	return ring.Key{Type: "default", Bucket: "sim", Key: fmt.Sprintf("k%d", i)}
}

// run works until the deadline.
func (s *session) run(until time.Time) {
	for time.Now().Before(until) {
		time.Sleep(time.Duration(s.rng.IntN(s.think)) * time.Millisecond)
		s.ops++
		key := keyOf(s.rng.IntN(keys))
		if s.rng.IntN(100) < 45 {
			s.read(key)
		} else {
			s.write(key)
		}
	}
}

// options draws levels: mostly majorities, sometimes others.
func (s *session) options() quorum.Options {
	o := quorum.Options{
		N: 3, R: quorum.LevelQuorum, W: quorum.LevelQuorum, DW: quorum.LevelQuorum, NotFoundOK: true,
		Timeout: time.Duration(500+s.rng.IntN(4000)) * time.Millisecond,
	}
	sloppy(&o, s.style != noSloppy)
	if s.style == ownersToo {
		o.PR, o.PW, o.RepairBefore = quorum.LevelQuorum, quorum.LevelQuorum, true
		return o
	}
	switch s.rng.IntN(10) {
	case 0:
		o.R, o.W, o.DW = 1, 1, 1
	case 1:
		o.R, o.W, o.DW = quorum.LevelAll, quorum.LevelAll, quorum.LevelAll
	case 2:
		o.PR, o.PW = quorum.LevelQuorum, quorum.LevelQuorum
	case 3:
		o.RepairBefore = true
	}
	return o
}

func (s *session) read(key ring.Key) { s.readAt(s.rng.IntN(len(s.c.machines)), key, s.options()) }

func (s *session) readAt(at int, key ring.Key, o quorum.Options) {
	n, life := s.c.running(at)
	if n == nil {
		return
	}
	start := time.Now()
	got, err := n.Coordinator().Get(context.Background(), quorum.GetRequest{Key: key, Options: o})
	if err != nil {
		return
	}
	if _, now := s.c.running(at); now != life {
		return
	}
	s.h.observe(key, got.Object)
	s.h.read(read{key: key, found: ids(got.Object), start: start, end: time.Now(), receipt: got.Receipt, firm: o.RepairBefore,
		what: fmt.Sprintf("the read of %s at %s (r=%d, %+v)", s.name, s.c.machines[at].name, o.R, got.Receipt)})
	s.last[key] = got.Object
}

func (s *session) write(key ring.Key) {
	at := s.rng.IntN(len(s.c.machines))
	n, life := s.c.running(at)
	if n == nil {
		return
	}
	o := s.options()
	req := quorum.PutRequest{Key: key, ContentType: "text/plain", Options: o}
	for i := range req.RequestID {
		req.RequestID[i] = byte(s.rng.Uint32())
	}
	kind := "blind write"
	seen := map[vclock.RequestID]bool{}
	if known := s.last[key]; !known.Missing() && s.rng.IntN(5) > 0 {
		kind = "write"
		req.Context, seen = known.Clock, ids(known)
		if s.rng.IntN(6) == 0 {
			kind, req.Deleted = "delete", true
		}
	}
	what := fmt.Sprintf("%s %x of %s at %s (w=%d)", kind, req.RequestID[:4], s.name, s.c.machines[at].name, o.W)
	if !req.Deleted {
		req.Value = []byte(what)
		if s.rng.IntN(60) == 0 {
			req.Value = append(req.Value, make([]byte, 150<<10)...) // in chunks and, with siblings, in parts
		}
	}
	w := s.h.begin(write{id: req.RequestID, key: key, seen: seen, start: time.Now(), what: what})
	// Tries with one id are one write; more than one node may have minted it.
	for range 1 + s.rng.IntN(2) {
		res, err := n.Coordinator().Put(context.Background(), req)
		if _, now := s.c.running(at); now != life {
			return
		}
		if err == nil {
			s.h.observe(key, res.Object)
			s.h.acknowledge(w, res.Receipt)
			return
		}
		if n, life = s.c.running(at); n == nil {
			return
		}
	}
}
