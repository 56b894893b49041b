package httpapi

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"errors"
	random "math/rand/v2"
	"net/http"
	"strconv"
	"time"

	"cartwheel/quorum"
	"cartwheel/ring"
	"cartwheel/vclock"
)

// putObject answers PUT and POST to a key, and POST to the keys of a bucket. What wins when
// several things are wrong is the order of this function and of prepare; the body is read
// last, when nothing else can go wrong before the write.
func (a *API) putObject(x *exchange, r *http.Request) {
	o, put, f := a.prepare(x, r)
	if f != nil {
		x.refuse(*f)
		return
	}
	switch found, receipt := a.look(x, r, &o, put.RequestID, a.needs(r, &o, len(put.Context) == 0), &put.Options); found {
	case answered:
		return
	case overtaken:
		a.putAgain(x, r, &o, &put, receipt)
		return
	}
	if put.Value, f = a.body(x, r); f != nil {
		x.refuse(*f)
		return
	}
	done, err := a.cfg.Coordinator.Put(r.Context(), put)
	if err != nil {
		x.fail(err, done.Receipt, put.Timeout > 0)
		return
	}
	a.stored(x, r, &o, &put, done)
}

// putAgain answers a put that was done before and must not be done again, as its value was
// replaced since. receipt is that of the read that found so.
func (a *API) putAgain(x *exchange, r *http.Request, o *object, put *quorum.PutRequest, receipt quorum.Receipt) {
	done := quorum.PutResult{Receipt: receipt}
	if put.ReturnBody {
		got, err := a.cfg.Coordinator.Get(r.Context(), quorum.GetRequest{Key: o.key, Options: put.Options})
		if err != nil {
			x.fail(err, got.Receipt, false)
			return
		}
		done = quorum.PutResult{Object: got.Object, Receipt: got.Receipt}
	}
	a.stored(x, r, o, put, done)
}

// prepare reads everything of a write but its body.
func (a *API) prepare(x *exchange, r *http.Request) (o object, put quorum.PutRequest, f *failure) {
	given := header(r.Header, "Content-Type")
	if given == "" {
		return o, put, &failure{status: http.StatusBadRequest, reason: badHeader, text: "Missing Content-Type request header"}
	}
	if o, f = a.object(x, r); f != nil {
		return o, put, f
	}
	if put.Meta, f = metadata(r.Header, a.cfg.MaxMetadataBytes); f != nil {
		return o, put, f
	}
	if o.name, f = idempotencyKey(r.Header); f != nil {
		return o, put, f
	}
	if put.RequestID, f = requestID(r.Header); f != nil {
		return o, put, f
	}
	if f = a.checkType(o.key); f != nil {
		return o, put, f
	}
	if o.key.Key == "" {
		o.key.Key, o.chosen = chosenKey(o.key, o.name), true
	}
	if o.name != "" {
		put.RequestID = namedRequest(namesPut, o.key, o.name)
	}
	if f = a.bindTo(&o); f != nil {
		return o, put, f
	}
	if put.Context, _, f = causalContext(r.Header, o.bind); f != nil {
		return o, put, f
	}
	stored, ok := contentType(given)
	if !ok {
		return o, put, &failure{status: http.StatusUnsupportedMediaType, reason: badHeader,
			text: strconv.Quote(given) + " is not a valid media type for the Content-type header.\n"}
	}
	put.Key, put.ContentType, put.ReturnBody, put.Options = o.key, stored, o.params.returnBody, a.options(&o)
	return o, put, nil
}

// stored answers a write that was acknowledged.
func (a *API) stored(x *exchange, r *http.Request, o *object, put *quorum.PutRequest, done quorum.PutResult) {
	if o.chosen {
		x.Header()["Location"] = []string{x.location(o.key)}
	}
	if !put.ReturnBody {
		h := newHeaders(x)
		h.receipt(done.Receipt)
		h.set("Content-Type", put.ContentType)
		h.set("Vary", "Accept-Encoding")
		status := http.StatusNoContent
		if o.chosen {
			status = http.StatusCreated
		}
		x.send(status)
		return
	}
	v := newView(o.key, done.Object, put.Lossy, o.bind, done.Receipt)
	x.notes += v.resolve(o.how)
	switch {
	case !v.exists(): // a concurrent delete won in a bucket that shows one value; stored it is all the same
		h := newHeaders(x)
		h.receipt(v.receipt)
		h.set("X-Riak-Vclock", v.context)
		h.set("X-Riak-Deleted", "true")
		x.send(http.StatusNoContent)
	case len(v.shown) > 1:
		form, _ := siblingForm(header(r.Header, "Accept"), asMultipart)
		x.siblings(&v, form)
	case o.chosen:
		x.value(http.StatusCreated, &v, &v.shown[0], v.etag())
	case len(v.shown[0].Value) == 0:
		x.value(http.StatusNoContent, &v, &v.shown[0], v.etag())
	default:
		x.value(http.StatusOK, &v, &v.shown[0], v.etag())
	}
}

// deleteObject answers DELETE of an object.
func (a *API) deleteObject(x *exchange, r *http.Request) {
	o, f := a.object(x, r)
	var del quorum.DeleteRequest
	if f == nil {
		o.name, f = idempotencyKey(r.Header)
	}
	if f == nil {
		del.RequestID, f = requestID(r.Header)
	}
	if f == nil {
		f = a.checkType(o.key)
	}
	if f == nil {
		f = a.bindTo(&o)
	}
	if f == nil {
		del.Context, del.HasContext, f = causalContext(r.Header, o.bind)
	}
	if f != nil {
		x.refuse(*f)
		return
	}
	del.Key, del.Options = o.key, a.deleteOptions(&o)
	if o.name != "" {
		del.RequestID = namedRequest(namesDelete, o.key, o.name)
	}
	switch found, receipt := a.look(x, r, &o, del.RequestID, a.needs(r, &o, false), &del.Options); found {
	case answered:
		return
	case overtaken:
		x.deleted(receipt)
		return
	case repeated:
		del.HasContext = true
	}
	done, err := a.delete(r.Context(), del)
	switch {
	case err != nil:
		x.fail(err, done.Receipt, del.Timeout > 0)
	case done.NotFound:
		v := newView(o.key, done.Object, del.Lossy, o.bind, done.Receipt)
		x.notFound(&v)
	default:
		x.deleted(done.Receipt)
	}
}

// delete deletes. If there is nothing but the tombstone that this very request has made
// before, that is sent on once more, so that the receipt says what holds it now. It goes
// without a context, for should it be minted again after all, it must hide nothing else.
func (a *API) delete(ctx context.Context, del quorum.DeleteRequest) (quorum.DeleteResult, error) {
	start := time.Now()
	done, err := a.cfg.Coordinator.Delete(ctx, del)
	if err != nil || !done.NotFound || !done.Object.HasRequest(del.RequestID) {
		return done, err
	}
	del.HasContext = true
	del.Timeout -= time.Since(start)
	return a.cfg.Coordinator.Delete(ctx, del)
}

func (x *exchange) deleted(receipt quorum.Receipt) {
	h := newHeaders(x)
	h.receipt(receipt)
	x.send(http.StatusNoContent)
}

// causalContext reads the context that a client sends back. One that cannot be used is
// refused: taken as none it would make siblings, taken as it is it would hide values.
func causalContext(h http.Header, bind uint64) (clock vclock.Clock, has bool, f *failure) {
	text := header(h, "X-Riak-Vclock")
	if text == "" {
		return nil, false, nil
	}
	clock, err := vclock.DecodeContext(text, bind)
	switch {
	case err == nil:
		return clock, true, nil
	case errors.Is(err, vclock.ErrContextForeign):
		return nil, false, &failure{status: http.StatusBadRequest, reason: badContext,
			text: "X-Riak-Vclock belongs to another key or another cluster; read this key and send back its own\n"}
	default:
		return nil, false, &failure{status: http.StatusBadRequest, reason: badContext,
			text: "X-Riak-Vclock is damaged; send back the one that was read, unchanged\n"}
	}
}

// requestID is the client's own name of the write, by which a retry is recognized, or a
// random one.
func requestID(h http.Header) (id vclock.RequestID, f *failure) {
	text := header(h, "X-Cartwheel-Request-Id")
	if text == "" {
		binary.NativeEndian.PutUint64(id[:8], random.Uint64())
		binary.NativeEndian.PutUint64(id[8:], random.Uint64()|1) // zero would mean none
		return id, nil
	}
	if len(text) != hex.EncodedLen(len(id)) {
		return id, badRequestID()
	}
	if _, err := hex.Decode(id[:], []byte(text)); err != nil || id == (vclock.RequestID{}) {
		return id, badRequestID()
	}
	return id, nil
}

// chosenKey is the key of an object that comes without one. Under an Idempotency-Key every try
// has the same; else it is 26 letters and digits, 130 bits: nobody else's.
func chosenKey(bucket ring.Key, name string) string {
	if name != "" {
		return namedKey(bucket, name)
	}
	return rand.Text()
}

func badRequestID() *failure {
	f := bad(badHeader, "X-Cartwheel-Request-Id must be 32 hexadecimal digits, not all of them zero")
	return &f
}

// location is the path of a key chosen here, with the type if the request had one.
func (x *exchange) location(k ring.Key) string {
	path := objectPath(k, x.old)
	if _, typed := x.match.Vars["type"]; typed {
		return "/types/" + encodeSegment(k.Type) + path
	}
	return path
}
