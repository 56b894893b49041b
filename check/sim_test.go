package check

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"time"

	"cartwheel/client"
)

// simStore is a cluster of three replicas in memory that keeps what the checker demands, written
// apart from the project's own store, and with faults that can be planted. Every replica is an
// owner of every key. Its methods are called through endpoints.
type simStore struct {
	mu       sync.Mutex
	rng      *rand.Rand
	replicas [simReplicas]map[client.Key]*simObject
	counter  [simReplicas]int
	trouble  float64 // share of the operations that end badly
	plant    string  // the fault; empty: none
	planted  int     // how often it was
	dropped  map[client.Key]bool
	former   map[client.Key][]simValue // what the last answer showed
	began    time.Time
	late     []func() // acknowledged writes that fallbacks keep until simLate
}

const (
	simReplicas = 3
	simLate     = 3 * time.Second
)

// simObject is a replica's copy: a version vector and the values that no write replaced.
type simObject struct {
	clock  map[int]int
	values []simValue
}

type simValue struct {
	actor, n int // the dot
	request  string
	at       time.Time
	value    client.Value
}

func newSimStore(seed uint64) *simStore {
	s := &simStore{rng: rand.New(rand.NewPCG(seed, 99)), dropped: map[client.Key]bool{}, former: map[client.Key][]simValue{}, began: time.Now()}
	for i := range s.replicas {
		s.replicas[i] = map[client.Key]*simObject{}
	}
	return s
}

func (o *simObject) covers(v simValue) bool { return o.clock[v.actor] >= v.n }

func (o *simObject) has(v simValue) bool {
	return slices.ContainsFunc(o.values, func(w simValue) bool { return w.actor == v.actor && w.n == v.n })
}

// merge returns the join of two copies; nil is none.
func merge(a, b *simObject) *simObject {
	out := &simObject{clock: map[int]int{}}
	for _, pair := range [][2]*simObject{{a, b}, {b, a}} {
		one, other := pair[0], pair[1]
		if one == nil {
			continue
		}
		for actor, n := range one.clock {
			out.clock[actor] = max(out.clock[actor], n)
		}
		for _, v := range one.values {
			if !out.has(v) && (other == nil || other.has(v) || !other.covers(v)) {
				out.values = append(out.values, v)
			}
		}
	}
	return out
}

// happens reports a planted fault that is to show itself now, with the given chance.
func (s *simStore) happens(fault string, chance float64) bool {
	if s.plant != fault || s.rng.Float64() >= chance {
		return false
	}
	s.planted++
	return true
}

// simEndpoint coordinates at one replica.
type simEndpoint struct {
	*simStore
	replica int
}

func (e simEndpoint) wait(ctx context.Context) error {
	e.mu.Lock()
	d := time.Duration(e.rng.IntN(20_000)) * time.Microsecond
	e.mu.Unlock()
	return sleep(ctx, d)
}

func lossyBucket(bucket string) bool { return strings.HasSuffix(bucket, "-lww") }

// Put writes at the own replica, then at the others.
func (e simEndpoint) Put(ctx context.Context, key client.Key, v client.Value, opts client.PutOptions) (*client.Object, error) {
	if err := e.wait(ctx); err != nil {
		return nil, err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.rng.Float64() < e.trouble/3 {
		return nil, fmt.Errorf("%w: refused", client.ErrUnreachable)
	}
	if e.happens("stores what it refuses", .02) {
		e.store(key, v, opts, simReplicas)
		return nil, &client.StatusError{Status: 400, Message: "bad"}
	}
	copies := 2 + e.rng.IntN(2)
	switch doubt := e.rng.Float64(); {
	case e.happens("loses a write", .02):
		copies = 0
	case opts.PW == "" && opts.SloppyQuorum == "" && e.happens("delivers hints late", .1):
		e.late = append(e.late, func() { e.store(key, v, opts, copies) })
		return &client.Object{}, nil
	case doubt < e.trouble:
		e.store(key, v, opts, e.rng.IntN(simReplicas+1))
		return nil, &client.IndeterminateError{Err: client.ErrUnreachable}
	case doubt < 2*e.trouble:
		e.store(key, v, opts, 1)
		return nil, &client.QuorumError{Message: "DW-value unsatisfied: 1/2"}
	}
	e.store(key, v, opts, copies)
	return &client.Object{}, nil
}

// store mints the write at the own replica and sends it to so many replicas in all.
func (e simEndpoint) store(key client.Key, v client.Value, opts client.PutOptions, copies int) {
	if copies == 0 {
		return
	}
	o := merge(e.replicas[e.replica][key], nil)
	known := slices.ContainsFunc(o.values, func(w simValue) bool { return w.request == opts.RequestID })
	if !known {
		context := &simObject{clock: map[int]int{}}
		if opts.Context != "" {
			if err := json.Unmarshal([]byte(opts.Context), &context.clock); err != nil {
				panic(err)
			}
		}
		if lossyBucket(key.Bucket) {
			context.clock = maps.Clone(o.clock)
		}
		o = merge(o, context)
		n := e.counter[e.replica] + 1
		if last := o.clock[e.replica]; last > 0 && e.happens("uses a dot twice", .05) {
			n = last
		}
		e.counter[e.replica] = max(n, e.counter[e.replica])
		o.clock[e.replica] = max(n, o.clock[e.replica])
		if e.happens("alters a value", .01) {
			v.Body = append([]byte(" "), v.Body...)
		}
		o.values = append(o.values, simValue{e.replica, n, opts.RequestID, time.Now(), v})
	}
	e.replicas[e.replica][key] = o
	for _, i := range e.others()[:copies-1] {
		if e.happens("sends a clock without its siblings", .05) {
			o = &simObject{clock: o.clock, values: o.values[len(o.values)-1:]}
		}
		e.replicas[i][key] = merge(e.replicas[i][key], o)
	}
}

func (e simEndpoint) others() []int {
	var out []int
	for _, i := range e.rng.Perm(simReplicas) {
		if i != e.replica {
			out = append(out, i)
		}
	}
	return out
}

// Get reads as many replicas as the level says.
func (e simEndpoint) Get(ctx context.Context, key client.Key, opts client.GetOptions) (*client.Object, error) {
	if err := e.wait(ctx); err != nil {
		return nil, err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	final := opts.R == "all"
	if time.Since(e.began) > simLate {
		for _, deliver := range e.late {
			deliver()
		}
		e.late = nil
	}
	if !final && e.rng.Float64() < e.trouble {
		return nil, &client.QuorumError{Message: "R-value unsatisfied: 1/2"}
	}
	if e.happens("forgets a key", .03) {
		for i := range e.replicas {
			delete(e.replicas[i], key)
		}
	}
	if final && e.happens("cannot be read in the end", .1) {
		e.dropped[key] = true
	}
	if final && e.dropped[key] {
		return nil, &client.QuorumError{Message: "R-value unsatisfied: 2/3"}
	}
	count := map[string]int{"1": 1, "all": simReplicas}[opts.R]
	if count == 0 {
		count = 2
	}
	asked := append([]int{e.replica}, e.others()...)
	if count == 2 && e.happens("answers a quorum from one replica", .2) {
		asked, count = asked[simReplicas-1:], 1
	}
	if count == 2 && opts.PR != "" && e.happens("says not found too early", .05) {
		return nil, &client.NotFoundError{Key: key}
	}
	var seen *simObject
	for _, i := range asked[:count] {
		if o := e.replicas[i][key]; o != nil {
			seen = merge(seen, o)
		}
	}
	if seen != nil && (final || opts.ReadRepair == "before" && e.plant != "skips the repair before the answer") {
		for _, i := range asked[:count] {
			e.replicas[i][key] = merge(e.replicas[i][key], seen)
		}
	} else if e.plant == "skips the repair before the answer" {
		e.planted++
	}
	if final && e.plant == "endpoints disagree" && e.replica == 1 && seen != nil && key.Key[2]%2 == 0 {
		e.planted++
		seen = nil
	}
	return e.answer(key, seen)
}

// answer shows what was read.
func (e simEndpoint) answer(key client.Key, seen *simObject) (*client.Object, error) {
	if seen == nil || len(seen.values) == 0 {
		return nil, &client.NotFoundError{Key: key}
	}
	context, err := json.Marshal(seen.clock)
	if err != nil {
		panic(err)
	}
	values := slices.Clone(seen.values)
	if lossyBucket(key.Bucket) {
		newest := slices.MaxFunc(values, func(a, b simValue) int { return a.at.Compare(b.at) })
		values = []simValue{newest}
	}
	if e.happens("shows what nobody wrote", .01) {
		values = append(values, simValue{7, 7, "", time.Now(), client.Value{Body: []byte(`["9.9"]`), Meta: map[string]string{idName: "9.9"}}})
	}
	if old := e.former[key]; len(old) > 0 && e.happens("resurrects a value", .2) {
		if !seen.has(old[0]) {
			values = append(values, old[0])
		}
	}
	e.former[key] = seen.values
	obj := &client.Object{Context: string(context), Siblings: len(values) > 1}
	for _, v := range values {
		w := v.value
		w.VTag = fmt.Sprintf("%d-%d", v.actor, v.n)
		w.Body = bytes.Clone(w.Body)
		obj.Values = append(obj.Values, w)
	}
	return obj, nil
}

func newTestRand(seed uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, 1)) }
