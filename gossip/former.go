package gossip

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"cartwheel/ring"
)

// Self is what a node tells the others about itself.
type Self struct {
	UUID, Name string
	HTTP, Peer string // host:port as the others reach them
	Zone       string
	Weight     int
}

// Store keeps small documents durably. Load returns an error that wraps [fs.ErrNotExist] for
// one that was never saved.
type Store interface {
	Save(name string, data []byte) error
	Load(name string) ([]byte, error)
}

// Call asks the node whose peer port is at addr and waits for its answer, at most until ctx
// ends. Its error wraps [ErrDuplicate] if another process with this node's uuid listens there
// and [ErrSelf] if the address leads back to this process.
type Call func(ctx context.Context, addr string, kind uint8, payload []byte) ([]byte, error)

// The kinds of requests between nodes. Hello and Form are served to nodes without a common
// cluster, the others are not.
const (
	KindHello    uint8 = 1
	KindForm     uint8 = 2
	KindDocument uint8 = 3
	KindPush     uint8 = 4
)

// ErrNotMember and ErrDuplicate end a node's start. A [Call] returns ErrDuplicate and ErrSelf.
var (
	ErrNotMember    = errors.New("gossip: the cluster at the --join address has its ring already and this node is not in it; this version cannot add members to a running cluster: start all nodes together with --expect")
	ErrDuplicate    = errors.New("gossip: another live process has this node's uuid (a copied data directory?); stop it, or give this node an empty data directory")
	ErrOtherCluster = errors.New("gossip: the node at the --join address is of another cluster than this data directory; correct --join, or give this node the directory of its own cluster")
	ErrSelf         = errors.New("gossip: the address is this node's own")
)

const (
	ringFile    = "ring.json"    // the ring document that this node holds
	promiseFile = "forming.json" // the first ring that it has promised to take
)

// maxRequestBytes bounds a greeting, a proposal or a change that is decoded. The largest honest
// ones, with a ring document or all candidates, stay below 3 MiB.
const maxRequestBytes = 8 << 20

// FormConfig says how the first ring comes about. All fields but Seeds, Logger and Every are
// required.
type FormConfig struct {
	Self   Self
	Life   uint64   // random per process: tells this process from another one with its uuid
	Seeds  []string // peer addresses to greet first
	Expect int      // members of the first ring

	Partitions, N, Tokens int // of the first ring

	Store  Store
	Call   Call
	Logger *slog.Logger  // discards
	Every  time.Duration // between two rounds of greetings; 250 ms
}

// Former makes or learns the first ring. Run it once; Serve may be called at any time and by
// several goroutines.
type Former struct {
	cfg FormConfig

	mu         sync.Mutex
	candidates map[string]candidate // by uuid; never this node
	twin       string               // where another process with this node's uuid may be; "": nowhere
	ownSeeds   map[string]bool      // seeds that have turned out to be this node
	document   *ring.Document       // decided
	promise    *proposal            // given to another node; durable
	proposal   *proposal            // this node's own, until it is dropped or decided; never beside a promise

	waiting atomic.Pointer[string] // what Run waits for, as logged last
}

// NewFormer returns a Former that holds what the store has of an earlier life. Its error says
// what is wrong with the configuration or the stored documents.
func NewFormer(cfg FormConfig) (*Former, error) {
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.Every == 0 {
		cfg.Every = 250 * time.Millisecond
	}
	f := &Former{cfg: cfg, candidates: map[string]candidate{}, ownSeeds: map[string]bool{}}
	if cfg.Expect < 1 || cfg.Expect > maxCandidates {
		return nil, fmt.Errorf("gossip: a first ring of %d members, want 1..%d", cfg.Expect, maxCandidates)
	}
	// What is wrong with this node alone is said now, not when all the others are here.
	if err := f.firstRing([]Self{cfg.Self}).Validate(); err != nil {
		return nil, fmt.Errorf("gossip: first ring: %w", err)
	}
	var err error
	if f.document, err = load(cfg.Store, ringFile, "ring document", ring.DecodeDocument); err != nil {
		return nil, err
	}
	if f.promise, err = load(cfg.Store, promiseFile, "promised ring", decodeProposal); err != nil {
		return nil, err
	}
	return f, nil
}

// load reads a document of the store; nil if it was never saved.
func load[T any](s Store, name, what string, decode func([]byte) (T, error)) (*T, error) {
	data, err := s.Load(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("gossip: read the %s of the data directory: %w", what, err)
	}
	v, err := decode(data)
	if err != nil {
		return nil, fmt.Errorf("gossip: read the %s of the data directory: %w", what, err)
	}
	return &v, nil
}

// Run returns the ring document, which is on disk by then. It blocks until the first ring is
// decided or ctx ends, and returns [ErrNotMember] or [ErrDuplicate] if this node cannot be
// part of it. After an error a new process has to try.
func (f *Former) Run(ctx context.Context) (ring.Document, error) {
	for {
		if err := f.greetAll(ctx); err != nil {
			return ring.Document{}, err
		}
		if doc := f.decided(); doc != nil {
			if !member(doc, f.cfg.Self.UUID) {
				return ring.Document{}, ErrNotMember
			}
			return *doc, nil
		}
		if err := f.propose(ctx); err != nil {
			return ring.Document{}, err
		}
		if doc := f.decided(); doc != nil {
			return *doc, nil
		}
		// Jitter keeps nodes that were started together from greeting in step.
		wait := time.NewTimer(jitter(f.cfg.Every))
		select {
		case <-ctx.Done():
			wait.Stop()
			return ring.Document{}, ctx.Err()
		case <-wait.C:
		}
	}
}

// Waiting returns what Run waits for, in words for the operator.
func (f *Former) Waiting() string {
	if why := f.waiting.Load(); why != nil {
		return *why
	}
	return "looking for the other nodes"
}

func (f *Former) decided() *ring.Document {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.document
}

func member(d *ring.Document, uuid string) bool {
	return slices.ContainsFunc(d.Members, func(m ring.Member) bool { return m.UUID == uuid })
}

// adopt takes doc as the ring, durably. Only Run's goroutine calls it.
func (f *Former) adopt(doc ring.Document) error {
	data, err := doc.Encode()
	if err != nil {
		return fmt.Errorf("gossip: encode the ring document: %w", err)
	}
	if err := f.cfg.Store.Save(ringFile, data); err != nil {
		return fmt.Errorf("gossip: save the ring document: %w", err)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.document, f.proposal = &doc, nil
	return nil
}

// Serve answers a KindHello or KindForm request of another node. It may wait for the disk.
func (f *Former) Serve(kind uint8, payload []byte) ([]byte, error) {
	switch kind {
	case KindHello:
		h, err := decodeHello(payload)
		if err != nil {
			return nil, err
		}
		_, stranger := f.ringIn(h) // of another ring, which may mean nothing here
		f.mu.Lock()
		defer f.mu.Unlock()
		if f.document == nil && stranger == nil {
			// Its ring, if it has one, comes with the answer to this node's next greeting.
			f.noteLocked(h, time.Now())
		}
		return json.Marshal(f.helloLocked(time.Now()))
	case KindForm:
		p, err := decodeProposal(payload)
		if err != nil {
			return nil, err
		}
		return json.Marshal(f.grant(p))
	}
	return nil, fmt.Errorf("gossip: unknown request kind %d", kind)
}
