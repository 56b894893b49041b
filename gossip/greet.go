package gossip

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"cartwheel/ring"
)

const (
	// callTimeout bounds one request of a forming node.
	callTimeout = 2 * time.Second
	// candidateTTL is how long a candidate counts after it was last heard, and how long an
	// address that others named is tried. It spans several rounds with lost requests.
	candidateTTL = 10 * time.Second
	// maxCandidates bounds what greetings of strangers make a forming node remember: further
	// ones are not noted until older ones have run out.
	maxCandidates = 1024
	// maxTextBytes bounds each text of a greeting; that of a ring document is the same.
	maxTextBytes = 255
)

// greeting is how a candidate presents itself.
type greeting struct {
	Self   Self
	Life   uint64
	Expect int
}

// valid reports whether the greeting is one that a node could send.
func (g greeting) valid() bool {
	s := g.Self
	for _, text := range []string{s.UUID, s.Name, s.HTTP, s.Peer, s.Zone} {
		if len(text) > maxTextBytes {
			return false
		}
	}
	return s.UUID != "" && s.Peer != "" && g.Expect >= 1
}

// candidate is what a forming node remembers of another one.
type candidate struct {
	greeting
	heard time.Time // from itself; zero if only others have named it
	named time.Time // by itself or by others
}

// hello is both the request and the answer of KindHello.
type hello struct {
	From     greeting
	Known    []greeting      // candidates that From has heard lately
	Document json.RawMessage `json:",omitempty"` // the encoded ring, if there is one
	Proposal string          `json:",omitempty"` // hash of the document that From is proposing
}

func decodeHello(b []byte) (h hello, err error) {
	if len(b) > maxRequestBytes {
		return hello{}, fmt.Errorf("gossip: greeting of %d bytes, at most %d", len(b), maxRequestBytes)
	}
	if err := json.Unmarshal(b, &h); err != nil {
		return hello{}, fmt.Errorf("gossip: malformed greeting: %w", err)
	}
	return h, nil
}

// greetAll greets the seeds and all candidates at once and takes in what they answer. Nodes
// that do not answer are tried again in the next round.
func (f *Former) greetAll(ctx context.Context) error {
	targets, payload, held := f.greetings(time.Now())
	addrs := slices.Sorted(maps.Keys(targets))
	answers := make([]hello, len(addrs))
	errs := make([]error, len(addrs))
	var wg sync.WaitGroup
	for i, addr := range addrs {
		wg.Go(func() {
			ctx, cancel := context.WithTimeout(ctx, callTimeout)
			defer cancel()
			data, err := f.cfg.Call(ctx, addr, KindHello, payload)
			if err == nil {
				answers[i], err = decodeHello(data)
			}
			errs[i] = err
		})
	}
	wg.Wait()
	for i, addr := range addrs {
		switch err := errs[i]; {
		case errors.Is(err, ErrDuplicate):
			return err
		case errors.Is(err, ErrSelf):
			f.mu.Lock()
			f.ownSeeds[addr] = true // if it is one; others do not lead back here
			f.mu.Unlock()
		case err != nil:
			f.cfg.Logger.Debug("no answer to a greeting", "addr", addr, "err", err)
		default:
			if err := f.learn(targets[addr], answers[i], held); err != nil {
				return err
			}
		}
	}
	return nil
}

// greetings returns whom to greet, with what, and the promise that is held at this moment.
// Whom: addresses, with the uuid of the node that is thought to be there; "" if it may be
// any, as the operator named the address.
func (f *Former) greetings(now time.Time) (targets map[string]string, payload []byte, held *proposal) {
	f.mu.Lock()
	defer f.mu.Unlock()
	maps.DeleteFunc(f.candidates, func(_ string, c candidate) bool { return now.Sub(c.named) > candidateTTL })
	targets = map[string]string{}
	for uuid, c := range f.candidates {
		targets[c.Self.Peer] = uuid
	}
	for _, d := range []*ring.Document{f.document, f.promisedLocked()} {
		for _, m := range membersOf(d) {
			targets[m.Peer] = m.UUID
		}
	}
	if f.twin != "" {
		targets[f.twin] = f.cfg.Self.UUID
		f.twin = "" // whoever named it does so again, unless it was an earlier life
	}
	for _, s := range f.cfg.Seeds {
		if !f.ownSeeds[s] {
			targets[s] = ""
		}
	}
	delete(targets, f.cfg.Self.Peer)
	payload, err := json.Marshal(f.helloLocked(now))
	if err != nil {
		panic(err) // plain data: cannot fail
	}
	return targets, payload, f.promise
}

func (f *Former) promisedLocked() *ring.Document {
	if f.promise == nil {
		return nil
	}
	return &f.promise.Document
}

func membersOf(d *ring.Document) []ring.Member {
	if d == nil {
		return nil
	}
	return d.Members
}

func (f *Former) self() greeting { return greeting{f.cfg.Self, f.cfg.Life, f.cfg.Expect} }

// helloLocked returns what this node says of itself and of those that it has heard itself:
// what it only knows from others it does not pass on, or the dead would be named for ever.
func (f *Former) helloLocked(now time.Time) hello {
	h := hello{From: f.self()}
	if f.document != nil {
		data, err := f.document.Encode()
		if err != nil {
			panic(err) // it was encoded when it was adopted or decoded
		}
		h.Document = data
	}
	known := f.heardLocked(now)
	for _, uuid := range slices.Sorted(maps.Keys(known)) {
		h.Known = append(h.Known, known[uuid])
	}
	if f.proposal != nil {
		h.Proposal = f.proposal.Document.Hash()
	}
	return h
}

// heardLocked returns the candidates that this node has heard lately, itself among them.
func (f *Former) heardLocked(now time.Time) map[string]greeting {
	heard := map[string]greeting{f.cfg.Self.UUID: f.self()}
	for uuid, c := range f.candidates {
		if now.Sub(c.heard) <= candidateTTL {
			heard[uuid] = c.greeting
		}
	}
	return heard
}

// learn takes in the answer to a greeting that was meant for the node meant, "" for any. held
// is the promise that this node held when it sent the greeting.
func (f *Former) learn(meant string, h hello, held *proposal) error {
	if h.From.Self.UUID == f.cfg.Self.UUID {
		if h.From.Life != f.cfg.Life {
			return fmt.Errorf("%w: it listens at %.255s", ErrDuplicate, h.From.Self.Peer)
		}
		return nil
	}
	if own := f.decided(); own != nil {
		if meant != "" || h.Document == nil {
			return nil
		}
		if other, err := ring.DecodeDocument(h.Document); err == nil && other.Cluster != own.Cluster {
			return fmt.Errorf("%w: cluster %s, this node's is %s", ErrOtherCluster, other.Cluster, own.Cluster)
		}
		return nil
	}
	doc, err := f.ringIn(h)
	if err != nil {
		if meant != "" && meant != h.From.Self.UUID {
			return nil // a stranger that has got the address of a node that was here
		}
		return err
	}
	f.mu.Lock()
	f.noteLocked(h, time.Now())
	// The node that holds our promise proposes something else, or nothing, by now: it has not
	// decided (its ring would be in the hello) and will never decide the old document. Only
	// an answer that was asked for after the promise can say so: an older one may be from
	// before the proposal.
	if p := f.promise; p != nil && p == held && p.Lead == h.From.Self.UUID && doc == nil && h.Proposal != p.Document.Hash() {
		f.promise = nil
	}
	f.mu.Unlock()
	if doc == nil {
		return nil
	}
	return f.adopt(*doc)
}

// ringIn returns the ring that a hello carries, nil if none, and ErrNotMember if it is one
// without this node.
func (f *Former) ringIn(h hello) (*ring.Document, error) {
	if h.Document == nil {
		return nil, nil
	}
	doc, err := ring.DecodeDocument(h.Document)
	if err != nil {
		return nil, fmt.Errorf("gossip: the ring document of node %.255s: %w", h.From.Self.Name, err)
	}
	if !member(&doc, f.cfg.Self.UUID) {
		return nil, ErrNotMember
	}
	return &doc, nil
}

// noteLocked remembers the sender of h and those that it names.
func (f *Former) noteLocked(h hello, now time.Time) {
	for _, g := range append(h.Known, h.From) {
		c, ok := f.candidates[g.Self.UUID]
		switch {
		case !g.valid():
			continue
		case g.Self.UUID == f.cfg.Self.UUID:
			// An earlier life of this node, or a twin: whoever answers there will tell. A
			// twin that greets this node is told by the answer, and is the one to go.
			if g.Life != f.cfg.Life && h.From.Self.UUID != f.cfg.Self.UUID {
				f.twin = g.Self.Peer
			}
			continue
		case !ok && len(f.candidates) >= maxCandidates:
			continue
		}
		c.named = now
		if g.Self.UUID == h.From.Self.UUID {
			c.greeting, c.heard = g, now
		} else if now.Sub(c.heard) > candidateTTL {
			// What a node says of itself beats what others remember of it.
			c.greeting = g
		}
		f.candidates[g.Self.UUID] = c
	}
}
