package antientropy

import (
	"errors"
	"fmt"
	"time"
)

const (
	// sessionIdle is how long an exchange that is served keeps its place without a message: its
	// initiator may have died.
	sessionIdle = 15 * time.Second
	// sessionCalls bounds the messages of one exchange that are being served at once.
	sessionCalls = 64
	// serveTime bounds what one message waits for the throttle. Pages end well before.
	serveTime = 8 * time.Second
	// maxPairs bounds the pairs in one message, and with it the answer.
	maxPairs = 8192
	// maxHashes bounds the groups of 32 hashes in one answer to pageBytes.
	maxHashes = pageBytes / (fanout * 8)
	// maxFetch and maxFetchBytes bound the names in one message.
	maxFetch      = 256
	maxFetchBytes = 128 << 10
)

// A session is an exchange that this node serves.
type session struct {
	last   time.Time
	active int
}

// refusal is an answer that is no error of anybody's.
type refusal struct {
	outcome outcome
	text    string
}

func (r *refusal) Error() string { return "antientropy: " + r.text }

func refuse(format string, args ...any) error {
	return &refusal{refused, fmt.Sprintf(format, args...)}
}

var (
	errBusy    = &refusal{busy, "too many exchanges at once"}
	errClaimed = &refusal{claimed, "the partition is being repaired with another member"}
)

// Serve answers a message of a member (by uuid) of the kinds from KindFirst to KindLast. It
// blocks, for some seconds at most. An error means that the message was malformed, the store
// failed, or the keeper is closed; everything else that cannot be is part of the answer.
func (k *Keeper) Serve(from string, kind uint8, payload []byte) ([]byte, error) {
	done, err := k.admit(from, kind)
	if err != nil {
		return answerRefusal(err)
	}
	defer done()
	k.stats.bytesIn.Add(uint64(len(payload)))
	answer, err := k.serve(from, kind, payload)
	if err != nil {
		answer, err = answerRefusal(err)
	}
	k.stats.bytesOut.Add(uint64(len(answer)))
	return answer, err
}

func answerRefusal(err error) ([]byte, error) {
	r, ok := errors.AsType[*refusal](err)
	if !ok {
		return nil, err
	}
	return append([]byte{byte(r.outcome)}, r.text...), nil
}

// admit finds the place of an exchange among those that are served. A place is taken by any
// message of a member that has none, and given up by the end or by silence.
func (k *Keeper) admit(from string, kind uint8) (done func(), err error) {
	now := time.Now()
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.mu.closed {
		return nil, errClosed
	}
	if kind == kindRescan || kind == kindDirty || kind == kindEnd {
		if kind == kindEnd {
			delete(k.mu.sessions, from)
		}
		k.serving.Add(1)
		return k.serving.Done, nil
	}
	s := k.mu.sessions[from]
	if s == nil {
		for m, o := range k.mu.sessions {
			if o.active == 0 && now.Sub(o.last) > sessionIdle {
				delete(k.mu.sessions, m)
			}
		}
		if len(k.mu.sessions) >= k.cfg.MaxExchanges {
			return nil, errBusy
		}
		s = new(session)
		k.mu.sessions[from] = s
	}
	if s.active >= sessionCalls {
		return nil, errBusy
	}
	s.active++
	s.last = now
	k.serving.Add(1)
	return func() {
		k.mu.Lock()
		s.active--
		s.last = time.Now()
		k.mu.Unlock()
		k.serving.Done()
	}, nil
}

// serve answers a message, or returns a refusal or an error.
func (k *Keeper) serve(from string, kind uint8, payload []byte) ([]byte, error) {
	r := &reader{rest: payload}
	version := r.uint(1<<64 - 1)
	if r.err != nil {
		return nil, r.err
	}
	p := k.currentPlan()
	if p == nil {
		return nil, refuse("this node has no ring yet")
	}
	if ours := p.view.Ring.Version(); ours != version {
		return nil, refuse("the message is of ring version %d, this node is at %d", version, ours)
	}
	member, ok := p.view.Ring.Index(from)
	if !ok || member == p.view.Self {
		return nil, refuse("%q is no other member", from)
	}
	a := &answering{k: k, plan: p, from: from, member: member}
	switch kind {
	case kindRoots:
		return a.roots(r)
	case kindBranches:
		return a.branches(r)
	case kindLeaves:
		return a.leaves(r)
	case kindKeys:
		return a.keys(r)
	case kindFetch:
		return a.fetch(r)
	case kindRescan:
		return a.rescan(r)
	case kindDirty:
		return a.dirty(r)
	case kindEnd:
		return []byte{byte(answered)}, r.end()
	}
	return nil, fmt.Errorf("antientropy: unknown kind %d", kind)
}
