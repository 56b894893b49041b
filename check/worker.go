package check

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"maps"
	"math/rand/v2"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"cartwheel/client"
)

// store is one endpoint of the cluster; *client.Client is one. Its methods may be called
// concurrently, and return the errors of package client.
type store interface {
	Get(context.Context, client.Key, client.GetOptions) (*client.Object, error)
	Put(context.Context, client.Key, client.Value, client.PutOptions) (*client.Object, error)
}

// endpoint is a store, and until when it is mostly left alone because it gave no answer.
type endpoint struct {
	store
	name  string
	rests atomic.Int64 // microseconds since the run's start
}

const (
	// idName is the metadata that carries the identity of a write.
	idName = "check-id"
	// restTime is how long an endpoint that gave no answer is mostly left alone; mostly, because
	// what a node answers just after its return is worth knowing.
	restTime  = 2 * time.Second
	restShare = 10 // one operation of so many goes there nevertheless
	// repeatShare: of so many writes without an answer one is repeated under its request id.
	repeatShare = 2
	// maxPadding is how much is added to a register's value, so that sizes differ.
	maxPadding = 2 << 10
	// answerGrace is how much longer than the server's limit an operation may take.
	answerGrace = 500 * time.Millisecond
)

// load is a workload in a run, shared by all clients.
type load struct {
	*workload
	bucket string
	keys   *keys
}

// view is what a client read of a key.
type view struct {
	key, read string // read: CLIENT.SEQ
	context   string
	saw       []Shown
	elements  []string
	counts    map[string]int
}

// worker is one client of a run.
type worker struct {
	run    *Run
	client int
	seq    int
	rng    *rand.Rand
	next   time.Time // when the next operation may begin
	views  map[*load][slotCount]*view
	counts map[string]int // own count by key, as far as it was tried
}

func newWorker(r *Run, n int) *worker {
	w := &worker{
		run: r, client: n, rng: rand.New(rand.NewPCG(r.cfg.Seed, uint64(n))),
		views: map[*load][slotCount]*view{}, counts: map[string]int{},
	}
	// Clients that begin together would go on together.
	w.next = time.Now().Add(time.Duration(w.rng.Float64() * float64(r.interval())))
	return w
}

// work makes operations until the load ends. One that is under way then is finished.
func (w *worker) work(ctx context.Context, until time.Time) {
	for w.pace(ctx, until) {
		w.step(ctx)
	}
}

// pace waits for the client's next turn, and reports whether there is one.
func (w *worker) pace(ctx context.Context, until time.Time) bool {
	if now := time.Now(); w.next.Before(now) {
		w.next = now // what was missed is not made up for: that would be a burst
	}
	if !w.next.Before(until) {
		return false
	}
	if err := sleep(ctx, time.Until(w.next)); err != nil {
		return false
	}
	w.next = w.next.Add(w.run.interval())
	return true
}

func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return ctx.Err()
	case <-ctx.Done():
		return ctx.Err()
	}
}

// step makes a read, a write, or a read and the write that follows from it. The pair counts as
// two in the pace.
func (w *worker) step(ctx context.Context) {
	l := w.run.loads[w.rng.IntN(len(w.run.loads))]
	write := w.rng.Float64() >= l.alone
	key, slot := l.keys.pick(w.rng, write)
	if !write {
		if v, ok := w.read(ctx, l, key); ok && slot >= 0 {
			w.remember(l, slot, v)
		}
		return
	}
	var v *view // nil: a blind write
	switch choice := w.rng.Float64(); {
	case choice < l.blind:
	case choice < l.blind+l.older && w.recall(l, slot, key) != nil:
		v = w.recall(l, slot, key)
	default:
		var ok bool
		if v, ok = w.read(ctx, l, key); ok {
			w.remember(l, slot, v)
		} else if w.rng.IntN(2) == 0 {
			return // who cannot read may still write: the others do
		}
		w.next = w.next.Add(w.run.interval())
	}
	w.write(ctx, l, key, v)
}

func (w *worker) remember(l *load, slot int, v *view) {
	views := w.views[l]
	views[slot] = v
	w.views[l] = views
}

// recall returns what the client read last of the key, nil if that was another key.
func (w *worker) recall(l *load, slot int, key string) *view {
	if v := w.views[l][slot]; v != nil && v.key == key {
		return v
	}
	return nil
}

// begin returns an operation that begins now.
func (w *worker) begin(l *load, kind, key, level string) *Op {
	w.seq++
	return &Op{Type: kind, Workload: l.name, Client: w.client, Seq: w.seq, Key: key, Level: level, Start: w.run.now()}
}

// read reads a key, and returns what it showed, if it was answered.
func (w *worker) read(ctx context.Context, l *load, key string) (*view, bool) {
	op := w.begin(l, typeRead, key, l.reads.pick(w.rng))
	v := w.run.read(ctx, l, op, w.run.pick(w.rng))
	w.run.history.add(op)
	return v, v != nil
}

// write writes what follows from the view, nil for a blind write.
func (w *worker) write(ctx context.Context, l *load, key string, v *view) {
	level := l.writes.pick(w.rng)
	if level == levelWeak && !w.run.cfg.Weak {
		level = levelDefault
	}
	op := w.begin(l, typeWrite, key, level)
	op.ID = op.name()
	value := w.value(l, op, v)
	opts := client.PutOptions{Quorum: writeQuorum(level, w.run.cfg.Timeout), RequestID: client.NewRequestID()}
	if v != nil {
		op.Context, op.Saw, opts.Context = v.read, v.saw, v.context
	}
	op.Digest = digest(value.Body)
	for op.Attempts = 1; ; op.Attempts++ {
		doubt := op.Outcome == outcomeUnknown
		w.run.put(ctx, l, op, w.run.pick(w.rng), value, opts)
		if doubt && op.Outcome == outcomeFail {
			op.Outcome = outcomeUnknown // the attempt before may have had an effect
		}
		if op.Outcome != outcomeUnknown || op.Attempts > 1 || w.rng.IntN(repeatShare) != 0 || ctx.Err() != nil {
			break
		}
	}
	w.run.history.add(op)
}

// value returns what the write stores: its own identity, added to what the client saw.
func (w *worker) value(l *load, op *Op, v *view) client.Value {
	var body any
	switch l.kind {
	case kindSet:
		elements := []string{op.ID}
		if v != nil {
			elements = append(slices.Clone(v.elements), op.ID)
		}
		body = elements
	case kindCounter:
		w.counts[op.Key]++
		op.Count = w.counts[op.Key]
		counts := map[string]int{}
		if v != nil {
			maps.Copy(counts, v.counts)
		}
		counts[strconv.Itoa(w.client)] = op.Count
		body = counts
	case kindRegister:
		body = op.ID + strings.Repeat(" ", int(float64(maxPadding)*w.rng.Float64()*w.rng.Float64()))
	}
	text, err := json.Marshal(body)
	if err != nil {
		panic(err) // not reached: strings and numbers only
	}
	return client.Value{ContentType: "application/json", Meta: map[string]string{idName: op.ID}, Body: text}
}

// pick returns an endpoint at random, seldom one that gave no answer lately.
func (r *Run) pick(rng *rand.Rand) *endpoint {
	e := r.endpoints[rng.IntN(len(r.endpoints))]
	if e.rests.Load() < r.now() || rng.IntN(restShare) == 0 {
		return e
	}
	return r.endpoints[rng.IntN(len(r.endpoints))]
}

// read makes one read and completes the operation. The view is nil if there was no answer.
func (r *Run) read(ctx context.Context, l *load, op *Op, e *endpoint) *view {
	ctx, cancel := context.WithTimeout(ctx, r.cfg.Timeout+answerGrace)
	defer cancel()
	obj, err := e.Get(ctx, client.Key{Bucket: l.bucket, Key: op.Key}, client.GetOptions{Quorum: readQuorum(op.Level, r.cfg.Timeout)})
	r.ended(op, e, err)
	if missing, ok := errors.AsType[*client.NotFoundError](err); ok {
		op.Outcome, op.Error, op.Receipt = outcomeOK, "", missing.Receipt.String()
		return &view{key: op.Key, read: op.name(), context: missing.Context}
	}
	if err != nil {
		return nil
	}
	op.Status, op.Receipt = http.StatusOK, obj.Receipt.String()
	if obj.Siblings {
		op.Status = http.StatusMultipleChoices
	}
	return l.show(op, obj)
}

// show fills in what the answer shows. A body that cannot be read has another digest than the
// one that was written, which is enough for the judge.
func (l *load) show(op *Op, obj *client.Object) *view {
	v := &view{key: op.Key, read: op.name(), context: obj.Context}
	elements := map[string]bool{}
	for _, value := range obj.Values {
		v.saw = append(v.saw, Shown{Tag: value.VTag, ID: value.Meta[idName], Digest: digest(value.Body)})
		switch l.kind {
		case kindSet:
			var have []string
			_ = json.Unmarshal(value.Body, &have)
			for _, e := range have {
				elements[e] = true
			}
		case kindCounter:
			var have map[string]int
			_ = json.Unmarshal(value.Body, &have)
			if v.counts == nil {
				v.counts = map[string]int{}
			}
			for writer, n := range have {
				v.counts[writer] = max(v.counts[writer], n)
			}
		case kindRegister:
		}
	}
	if l.kind == kindSet {
		v.elements = slices.Sorted(maps.Keys(elements))
	}
	op.Values, op.Elements, op.Counts = v.saw, v.elements, v.counts
	return v
}

// put makes one attempt at a write and completes the operation.
func (r *Run) put(ctx context.Context, l *load, op *Op, e *endpoint, value client.Value, opts client.PutOptions) {
	ctx, cancel := context.WithTimeout(ctx, r.cfg.Timeout+answerGrace)
	defer cancel()
	obj, err := e.Put(ctx, client.Key{Bucket: l.bucket, Key: op.Key}, value, opts)
	op.Receipt = ""
	r.ended(op, e, err)
	if err == nil {
		op.Status, op.Receipt = http.StatusNoContent, obj.Receipt.String()
	}
}

// ended notes the end of an attempt.
func (r *Run) ended(op *Op, e *endpoint, err error) {
	op.End, op.Endpoint = r.now(), e.name
	op.Outcome, op.Status = outcomeOf(err)
	op.Error = ""
	if err != nil {
		op.Error = firstLine(err)
	}
	if q, ok := errors.AsType[*client.QuorumError](err); ok {
		op.Receipt = q.Receipt.String()
	}
	if err != nil && op.Status == 0 {
		e.rests.Store(op.End + restTime.Microseconds())
	}
}

// outcomeOf says what is certain about an attempt that ended with err. Only what was never sent,
// and what was refused for its form, surely had no effect.
func outcomeOf(err error) (outcome string, status int) {
	if err == nil {
		return outcomeOK, 0
	}
	if errors.Is(err, client.ErrNotFound) {
		return outcomeUnknown, http.StatusNotFound
	}
	if _, ok := errors.AsType[*client.QuorumError](err); ok {
		return outcomeUnknown, http.StatusServiceUnavailable
	}
	if s, ok := errors.AsType[*client.StatusError](err); ok {
		switch s.Status {
		case http.StatusBadRequest, http.StatusRequestEntityTooLarge, http.StatusRequestURITooLong, http.StatusUnsupportedMediaType:
			return outcomeFail, s.Status
		}
		return outcomeUnknown, s.Status
	}
	if _, ok := errors.AsType[*client.IndeterminateError](err); !ok && errors.Is(err, client.ErrUnreachable) {
		return outcomeFail, 0
	}
	return outcomeUnknown, 0
}

// firstLine is the beginning of an error's text, short enough for every line of a history.
func firstLine(err error) string {
	const enough = 200
	text, _, _ := strings.Cut(err.Error(), "\n")
	if len(text) > enough {
		text = strings.ToValidUTF8(text[:enough], "")
	}
	return text
}

// digest is a short hash of a body. Errors, not attackers, are to be found.
func digest(body []byte) string {
	h := fnv.New64a()
	_, _ = h.Write(body) // never fails
	return fmt.Sprintf("%016x", h.Sum64())
}
