package gossip

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/google/uuid"

	"cartwheel/ring"
)

// proposal is a first ring and who proposes it; it is the request of KindForm and what is
// kept as a promise.
type proposal struct {
	Lead     string // uuid, of a member
	Document ring.Document
}

// promised is the answer of KindForm.
type promised struct {
	Granted bool
	Why     string `json:",omitempty"` // not
}

func decodeProposal(b []byte) (p proposal, err error) {
	if len(b) > maxRequestBytes {
		return proposal{}, fmt.Errorf("gossip: proposal of %d bytes, at most %d", len(b), maxRequestBytes)
	}
	if err := json.Unmarshal(b, &p); err != nil {
		return proposal{}, fmt.Errorf("gossip: malformed proposal: %w", err)
	}
	return p, nil
}

// lineup decides whom the node self may propose a first ring with: the expected number of
// candidates, itself the lowest uuid of all that it hears. nil: not now, and why.
func lineup(self string, heard map[string]greeting) (members []Self, why string) {
	expect := heard[self].Expect
	if expect == 1 {
		return []Self{heard[self].Self}, "" // whoever else is there wants to join this ring
	}
	all := make([]greeting, 0, len(heard))
	for _, g := range heard {
		all = append(all, g)
	}
	slices.SortFunc(all, func(a, b greeting) int { return cmp.Compare(a.Self.UUID, b.Self.UUID) })
	named := map[string]string{} // peer address by name
	for _, g := range all {
		if g.Expect != expect {
			return nil, fmt.Sprintf("node %s at %s was started with --expect %d, this node with --expect %d", g.Self.Name, g.Self.Peer, g.Expect, expect)
		}
		if other, taken := named[g.Self.Name]; taken {
			return nil, fmt.Sprintf("two nodes are named %s, at %s and %s: give each its own --name", g.Self.Name, other, g.Self.Peer)
		}
		named[g.Self.Name] = g.Self.Peer
	}
	switch {
	case len(all) < expect:
		return nil, fmt.Sprintf("%d of %d nodes are here", len(all), expect)
	case all[0].Self.UUID != self:
		return nil, fmt.Sprintf("node %s has the lowest uuid and proposes", all[0].Self.Name)
	}
	for _, g := range all[:expect] {
		members = append(members, g.Self)
	}
	return members, ""
}

// propose tries to decide the first ring once, if it is this node's turn.
func (f *Former) propose(ctx context.Context) error {
	p, why := f.nextProposal()
	if p != nil {
		why = f.collect(ctx, p)
	}
	if why != "" {
		if why != f.Waiting() {
			f.cfg.Logger.Info("no first ring yet", "why", why)
			f.waiting.Store(&why)
		}
		return nil
	}
	if err := f.adopt(p.Document); err != nil {
		return err
	}
	f.cfg.Logger.Info("first ring decided", "cluster", p.Document.Cluster, "members", len(p.Document.Members))
	return nil
}

// nextProposal returns what this node proposes now, the same as before as long as the members
// are the same; nil if nothing, and why.
func (f *Former) nextProposal() (p *proposal, why string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	members, why := lineup(f.cfg.Self.UUID, f.heardLocked(time.Now()))
	switch {
	case f.promise != nil:
		members, why = nil, "this node has promised to take the ring of node "+nameOf(f.promise)+" and waits to hear of it"
	case len(members) == 1 && slices.ContainsFunc(f.cfg.Seeds, f.elsewhereLocked):
		// A node that was told to join others never makes a ring without them.
		members, why = nil, "waiting for the node to join"
	}
	if members == nil {
		f.proposal = nil
		return nil, why
	}
	if f.proposal != nil && sameMembers(f.proposal.Document, members) {
		return f.proposal, ""
	}
	// From here on the old proposal is dropped, whatever comes of the new one: promises to it
	// may be released.
	f.proposal = nil
	doc := f.firstRing(members)
	if err := doc.Validate(); err != nil {
		return nil, err.Error() // two nodes of one name, for example: the operator changes it
	}
	f.proposal = &proposal{Lead: f.cfg.Self.UUID, Document: doc}
	return f.proposal, ""
}

// elsewhereLocked reports whether a seed may be another node.
func (f *Former) elsewhereLocked(seed string) bool {
	return seed != f.cfg.Self.Peer && !f.ownSeeds[seed]
}

func (f *Former) firstRing(members []Self) ring.Document {
	d := ring.Document{
		Cluster: uuid.NewString(), Version: 1,
		Partitions: f.cfg.Partitions, N: f.cfg.N, Tokens: f.cfg.Tokens,
	}
	for _, m := range members {
		d.Members = append(d.Members, ring.Member{
			UUID: m.UUID, Name: m.Name, HTTP: m.HTTP, Peer: m.Peer, Zone: m.Zone, Weight: m.Weight, Status: ring.StatusMember,
		})
	}
	return d
}

func sameMembers(d ring.Document, members []Self) bool {
	return slices.EqualFunc(d.Members, members, func(a ring.Member, b Self) bool {
		return b == Self{UUID: a.UUID, Name: a.Name, HTTP: a.HTTP, Peer: a.Peer, Zone: a.Zone, Weight: a.Weight}
	})
}

// nameOf returns the name and address of the node that proposes p.
func nameOf(p *proposal) string {
	for _, m := range p.Document.Members {
		if m.UUID == p.Lead {
			return fmt.Sprintf("%s at %s", m.Name, m.Peer)
		}
	}
	return p.Lead
}

// collect asks all other members of p for their promise. It returns "" if all gave it, else
// why one did not.
func (f *Former) collect(ctx context.Context, p *proposal) (why string) {
	payload, err := json.Marshal(p)
	if err != nil {
		panic(err) // plain data: cannot fail
	}
	answers := make([]string, len(p.Document.Members))
	var wg sync.WaitGroup
	for i, m := range p.Document.Members {
		if m.UUID == p.Lead {
			continue
		}
		wg.Go(func() {
			if err := f.ask(ctx, m.Peer, payload); err != nil {
				answers[i] = fmt.Sprintf("node %s: %v", m.Name, err)
			}
		})
	}
	wg.Wait()
	for _, why := range answers {
		if why != "" {
			return why
		}
	}
	return ""
}

func (f *Former) ask(ctx context.Context, addr string, payload []byte) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	data, err := f.cfg.Call(ctx, addr, KindForm, payload)
	if err != nil {
		return err
	}
	var answer promised
	if err := json.Unmarshal(data, &answer); err != nil {
		return fmt.Errorf("malformed answer: %w", err)
	}
	if !answer.Granted {
		return fmt.Errorf("%.255s", answer.Why)
	}
	return nil
}

// grant promises p's document to its lead unless another one was promised or decided.
func (f *Former) grant(p proposal) promised {
	// The lock is held over the save on purpose: what is on disk must be the latest promise,
	// and nothing may be proposed, promised or released meanwhile.
	f.mu.Lock()
	defer f.mu.Unlock()
	if why := f.refusalLocked(p); why != "" {
		return promised{Why: why}
	}
	if f.document != nil {
		return promised{Granted: true}
	}
	data, err := json.Marshal(p)
	if err == nil {
		// Durable first: a promise forgotten in a crash could let two rings have this node.
		err = f.cfg.Store.Save(promiseFile, data)
	}
	if err != nil {
		return promised{Why: fmt.Sprintf("save the promise: %v", err)}
	}
	f.promise = &p
	return promised{Granted: true}
}

// refusalLocked returns why p cannot be promised, "" if it can.
func (f *Former) refusalLocked(p proposal) string {
	self := f.cfg.Self.UUID
	switch err := p.Document.Validate(); {
	case err != nil:
		return err.Error()
	case p.Document.Version != 1 || p.Lead == self || !member(&p.Document, self) || !member(&p.Document, p.Lead):
		return "it is not a first ring of the two nodes"
	case f.document != nil && f.document.Hash() != p.Document.Hash():
		return "this node has a ring already"
	case f.document != nil:
		return ""
	case len(p.Document.Members) != f.cfg.Expect:
		return fmt.Sprintf("this node was started with --expect %d", f.cfg.Expect)
	case f.proposal != nil:
		return "this node proposes a ring itself"
	case f.promise != nil && f.promise.Document.Hash() != p.Document.Hash():
		return "this node has promised another ring to node " + nameOf(f.promise)
	}
	return ""
}
