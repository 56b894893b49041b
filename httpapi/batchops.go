package httpapi

import (
	"context"
	"fmt"
	"net/http"
	"runtime/debug"
	"time"

	"cartwheel/quorum"
	"cartwheel/ring"
	"cartwheel/vclock"
)

// do carries out one line and returns its answer. A panic is a bug and ends no more than
// the line, as in API.finish.
func (b *batch) do(ctx context.Context, l *batchLine) (answer []byte) {
	start := time.Now()
	as, act := opGet, b.doGet
	switch l.op {
	case batchPut:
		as, act = opPut, b.doPut
	case batchDelete:
		as, act = opDelete, b.doDelete
	}
	status := http.StatusInternalServerError
	defer func() {
		if v := recover(); v != nil {
			b.api.cfg.Logger.Error("panic", "method", l.op, "key", l.key, "err", fmt.Sprint(v), "stack", string(debug.Stack()))
			broken := refused(l.key, failure{status: status, text: "Error:\ninternal error\n"})
			answer = broken.encode()
		}
		b.api.metrics.count(as, status, time.Since(start))
	}()
	o := b.object
	o.key = b.key(l)
	o.bind = ring.Hash(b.cluster, o.key.Name())
	result := act(ctx, &o, l)
	answer, status = result.encode(), result.Status
	return answer
}

// options are those of a line that begins now: the batch has one timeout for all.
func (b *batch) options(of quorum.Options) quorum.Options {
	of.Timeout = time.Until(b.deadline)
	return of
}

func (b *batch) doGet(ctx context.Context, o *object, _ *batchLine) batchAnswer {
	options := b.options(b.put)
	got, err := b.api.cfg.Coordinator.Get(ctx, quorum.GetRequest{Key: o.key, Options: options})
	if err != nil {
		return b.failed(o, opGet, err, got.Receipt, false)
	}
	v := newView(o.key, got.Object, options.Lossy, o.bind, got.Receipt)
	if v.exists() {
		b.api.metrics.siblings.Observe(float64(len(v.shown)))
	}
	return b.show(o, &v)
}

// show is the answer to a get, or to a put that returns its body.
func (b *batch) show(o *object, v *view) batchAnswer {
	notes := b.notes + v.resolve(o.how)
	return shownValue(v, notes)
}

func (b *batch) doPut(ctx context.Context, o *object, l *batchLine) batchAnswer {
	put := quorum.PutRequest{Key: o.key, ContentType: l.contentType, Value: l.value, ReturnBody: o.params.returnBody, Options: b.options(b.put)}
	var f *failure
	if put.Meta, f = metadata(l.header, b.api.cfg.MaxMetadataBytes); f == nil {
		put.RequestID, f = requestID(l.header)
	}
	if f == nil {
		put.Context, _, f = causalContext(l.header, o.bind)
	}
	if f != nil {
		return b.refuse(o.key.Key, *f)
	}
	if o.name != "" {
		put.RequestID = namedRequest(namesPut, o.key, o.name)
	}
	n := need{named: o.name != "", context: !b.blind && len(put.Context) == 0}
	switch found, refusal, receipt := b.look(ctx, o, put.RequestID, n, &put.Options); found {
	case answered:
		return refusal
	case overtaken:
		return b.putAgain(ctx, o, &put, receipt)
	}
	done, err := b.api.cfg.Coordinator.Put(ctx, put)
	if err != nil {
		return b.failed(o, opPut, err, done.Receipt, put.Timeout > 0)
	}
	return b.stored(o, &put, done)
}

// look is API.look for a line. Of what can speak against one there is only that it has no
// context where that is required: then refusal is its answer.
func (b *batch) look(ctx context.Context, o *object, id vclock.RequestID, n need, options *quorum.Options) (found standing, refusal batchAnswer, receipt quorum.Receipt) {
	if n == (need{}) {
		return unhindered, refusal, receipt
	}
	found, got, err := b.api.past(ctx, o, id, n, options)
	if err != nil {
		return found, b.failed(o, opPut, err, got.Receipt, false), got.Receipt
	}
	if v := newView(o.key, got.Object, options.Lossy, o.bind, got.Receipt); found == unhindered && n.context && v.exists() {
		refusal = b.refuse(o.key.Key, failure{status: http.StatusPreconditionRequired, reason: contextRequired, text: contextMissing})
		refusal.attest(got.Receipt, b.notes)
		return answered, refusal, got.Receipt
	}
	return found, refusal, got.Receipt
}

// putAgain answers a put whose value was replaced since: see API.putAgain.
func (b *batch) putAgain(ctx context.Context, o *object, put *quorum.PutRequest, receipt quorum.Receipt) batchAnswer {
	done := quorum.PutResult{Receipt: receipt}
	if put.ReturnBody {
		got, err := b.api.cfg.Coordinator.Get(ctx, quorum.GetRequest{Key: o.key, Options: put.Options})
		if err != nil {
			return b.failed(o, opPut, err, got.Receipt, false)
		}
		done = quorum.PutResult{Object: got.Object, Receipt: got.Receipt}
	}
	return b.stored(o, put, done)
}

// stored is the answer to a put that was acknowledged.
func (b *batch) stored(o *object, put *quorum.PutRequest, done quorum.PutResult) batchAnswer {
	if put.ReturnBody {
		v := newView(o.key, done.Object, put.Lossy, o.bind, done.Receipt)
		if v.exists() { // else a concurrent delete won in a bucket that shows one value; stored it is all the same
			return b.show(o, &v)
		}
	}
	answer := batchAnswer{Key: o.key.Key, Status: http.StatusNoContent, Context: contextAfter(done.Object, put.RequestID, o.bind)}
	answer.attest(done.Receipt, b.notes)
	return answer
}

func (b *batch) doDelete(ctx context.Context, o *object, l *batchLine) batchAnswer {
	del := quorum.DeleteRequest{Key: o.key, Options: b.options(b.delete)}
	var f *failure
	if del.RequestID, f = requestID(l.header); f == nil {
		del.Context, del.HasContext, f = causalContext(l.header, o.bind)
	}
	if f != nil {
		return b.refuse(o.key.Key, *f)
	}
	if o.name != "" {
		del.RequestID = namedRequest(namesDelete, o.key, o.name)
	}
	answer := batchAnswer{Key: o.key.Key, Status: http.StatusNoContent}
	switch found, _, receipt := b.look(ctx, o, del.RequestID, need{named: o.name != ""}, &del.Options); found {
	case overtaken:
		answer.attest(receipt, b.notes)
		return answer
	case repeated:
		del.HasContext = true
	}
	done, err := b.api.delete(ctx, del)
	switch {
	case err != nil:
		return b.failed(o, opDelete, err, done.Receipt, del.Timeout > 0)
	case done.NotFound:
		v := newView(o.key, done.Object, del.Lossy, o.bind, done.Receipt)
		return b.show(o, &v)
	}
	answer.attest(done.Receipt, b.notes)
	return answer
}

// refuse is the answer to a line that was not begun.
func (b *batch) refuse(key string, f failure) batchAnswer {
	b.api.countRefusal(f)
	return refused(key, f)
}

// failed is the answer to a line that the coordinator did not fulfill.
func (b *batch) failed(o *object, as op, err error, receipt quorum.Receipt, written bool) batchAnswer {
	f, receipt := b.api.failed(as, err, receipt, written)
	answer := b.refuse(o.key.Key, f)
	answer.attest(receipt, b.notes)
	return answer
}
