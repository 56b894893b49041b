package gossip

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// pullTimeout bounds one fetch of a whole document.
	pullTimeout = 5 * time.Second
	// maxDocumentBytes bounds a whole document that is fetched. It is far beyond the limits of
	// the documents themselves, since merges of what several nodes took may pass those.
	maxDocumentBytes = 64 << 20
)

type pullKey struct{ uuid, document string }

// pullState is the pair of digests that a pull has dealt with: while neither side changes,
// pulling again would bring nothing new (the peer lacks something of ours and pulls itself).
type pullState struct{ theirs, ours string }

// pull fetches every document of which a live peer shows another digest.
func (g *Gossip) pull() {
	for _, p := range g.Peers() {
		if !p.Alive || g.isSelf(p) {
			continue
		}
		g.mu.Lock()
		digests := g.mu.seen[p.UUID].meta.Digests
		g.mu.Unlock()
		for name, d := range g.cfg.Documents {
			ours := digest(d)
			now := pullState{digests[name], ours}
			key := pullKey{p.UUID, name}
			if now.theirs == "" || now.theirs == ours || g.pulled[key] == now || g.ctx.Err() != nil {
				continue
			}
			if err := g.pullOne(p.Peer, name, d); err != nil {
				g.cfg.Logger.Warn("document not fetched", "document", name, "member", p.Name, "err", err)
				continue
			}
			g.pulled[key] = now
			if digest(d) != ours {
				g.Publish()
			}
		}
	}
}

func (g *Gossip) pullOne(addr, name string, d Document) error {
	ctx, cancel := context.WithTimeout(g.ctx, pullTimeout)
	defer cancel()
	data, err := g.cfg.Call(ctx, addr, KindDocument, []byte(name))
	if err != nil {
		return err
	}
	if len(data) > maxDocumentBytes {
		return fmt.Errorf("document of %d bytes, at most %d", len(data), maxDocumentBytes)
	}
	return d.Merge(data)
}

// push is the request of KindPush: a part of a document that its Merge takes.
type push struct {
	Document string
	Delta    []byte
}

// Broadcast hands a change of a document to every live peer at once and returns how many
// took it by the end of ctx. Those that did not will see another digest and fetch.
func (g *Gossip) Broadcast(ctx context.Context, document string, delta []byte) (reached int) {
	payload, err := json.Marshal(push{document, delta})
	if err != nil {
		panic(err) // plain data: cannot fail
	}
	g.Publish()
	var took atomic.Int64
	var wg sync.WaitGroup
	for _, p := range g.Peers() {
		if !p.Alive || g.isSelf(p) {
			continue
		}
		wg.Go(func() {
			if _, err := g.cfg.Call(ctx, p.Peer, KindPush, payload); err != nil {
				g.cfg.Logger.Debug("change not pushed", "document", document, "member", p.Name, "err", err)
				return
			}
			took.Add(1)
		})
	}
	wg.Wait()
	return int(took.Load())
}

// Serve answers a KindDocument or KindPush request of a member. It may wait for the disk.
func (g *Gossip) Serve(kind uint8, payload []byte) ([]byte, error) {
	switch kind {
	case KindDocument:
		d, ok := g.cfg.Documents[string(payload)]
		if !ok {
			return nil, fmt.Errorf("gossip: no document %.64q", payload)
		}
		return d.Encode()
	case KindPush:
		if len(payload) > maxRequestBytes {
			return nil, fmt.Errorf("gossip: change of %d bytes, at most %d", len(payload), maxRequestBytes)
		}
		var p push
		if err := json.Unmarshal(payload, &p); err != nil {
			return nil, fmt.Errorf("gossip: malformed change: %w", err)
		}
		d, ok := g.cfg.Documents[p.Document]
		if !ok {
			return nil, fmt.Errorf("gossip: no document %.64q", p.Document)
		}
		before := d.Digest()
		if err := d.Merge(p.Delta); err != nil {
			return nil, err
		}
		if d.Digest() != before {
			g.Publish()
		}
		return nil, nil
	}
	return nil, fmt.Errorf("gossip: unknown request kind %d", kind)
}
