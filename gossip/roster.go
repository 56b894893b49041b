package gossip

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
)

const rosterFile = "roster.json" // last known peer addresses by uuid

// loadRoster takes over the addresses at which members were last seen, so that a cluster
// whose nodes have moved finds together again after all of them stopped.
func (g *Gossip) loadRoster() error {
	data, err := g.cfg.Store.Load(rosterFile)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("gossip: read the roster of the data directory: %w", err)
	}
	addrs := map[string]string{}
	if err := json.Unmarshal(data, &addrs); err != nil {
		// The addresses in the ring document remain; no reason not to start.
		g.cfg.Logger.Warn("the saved roster cannot be read", "err", err)
		return nil
	}
	for uuid, s := range g.mu.seen {
		s.meta.Peer = addrs[uuid]
		g.mu.seen[uuid] = s
	}
	g.saved = addrs
	return nil
}

// saveRoster saves the members' addresses if any has changed.
func (g *Gossip) saveRoster() {
	addrs := map[string]string{}
	for _, p := range g.Peers() {
		addrs[p.UUID] = p.Peer
	}
	if maps.Equal(addrs, g.saved) {
		return
	}
	data, err := json.Marshal(addrs)
	if err == nil {
		err = g.cfg.Store.Save(rosterFile, data)
	}
	if err != nil {
		// The addresses in the ring document remain; nothing is lost but their news.
		g.cfg.Logger.Warn("roster not saved", "err", err)
		return
	}
	g.saved = addrs
}
