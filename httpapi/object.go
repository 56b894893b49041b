package httpapi

import (
	"cmp"
	"net/http"
	"strconv"
	"strings"
	"time"

	"cartwheel/props"
	"cartwheel/quorum"
	"cartwheel/ring"
)

// object is what every request for an object has in common.
type object struct {
	key    ring.Key
	params params
	chosen bool          // the key is none of the client's choice
	name   string        // the Idempotency-Key of a write; "" without one
	bind   uint64        // what contexts of this key carry
	how    props.Resolve // how its siblings are shown
}

// pathKey reads type, bucket and key ("" where the path has none) from the path.
func pathKey(x *exchange) (ring.Key, *failure) {
	k := ring.Key{Type: ring.DefaultType}
	for _, part := range [...]struct {
		name string
		to   *string
	}{{"type", &k.Type}, {"bucket", &k.Bucket}, {"key", &k.Key}} {
		escaped, ok := x.match.Vars[part.name]
		if !ok {
			continue
		}
		s, err := decodeSegment(escaped)
		if err != nil {
			f := bad(badPath, err.Error())
			return k, &f
		}
		*part.to = s
	}
	return k, checkLength(k)
}

// checkLength refuses names that are too long.
func checkLength(k ring.Key) *failure {
	if len(k.Type)+len(k.Bucket)+len(k.Key) <= maxNameBytes {
		return nil
	}
	return &failure{status: http.StatusRequestURITooLong, reason: nameTooLong,
		text: "type, bucket and key together are longer than " + strconv.Itoa(maxNameBytes) + " bytes\n"}
}

// checkType refuses bucket types that do not exist.
func (a *API) checkType(k ring.Key) *failure {
	if k.Type == ring.DefaultType || a.cfg.Properties.Set().HasType(k.Type) {
		return nil
	}
	return &failure{status: http.StatusNotFound, reason: unknownType, text: "Unknown bucket type: " + k.Type}
}

// object reads the path and the query of an object request. The caller refuses with the
// failure, if there is one.
func (a *API) object(x *exchange, r *http.Request) (object, *failure) {
	key, f := pathKey(x)
	if f != nil {
		return object{}, f
	}
	params, problems := parseParams(r.URL.RawQuery)
	if problems != nil {
		f := bad(badParameter, strings.Join(problems, "\n"))
		return object{}, &f
	}
	x.notes = params.consistency.note()
	return object{key: key, params: params}, nil
}

// bindTo completes an object once everything that can be said without a ring is said.
func (a *API) bindTo(o *object) *failure {
	present := a.cfg.Node.Ring()
	if present == nil {
		f := notReady("")
		return &f
	}
	o.bind = ring.Hash(present.Cluster(), o.key.Name())
	return nil
}

// options folds the bucket's properties into the request.
func (a *API) options(o *object) quorum.Options {
	p := a.cfg.Properties.Set().Bucket(o.key.Type, o.key.Bucket)
	o.how = o.params.resolve.or(p.Resolve)
	return fold(&o.params, p, a.cfg.Timeout, a.cfg.MaxTimeout)
}

func (a *API) deleteOptions(o *object) quorum.Options {
	p := a.cfg.Properties.Set().Bucket(o.key.Type, o.key.Bucket)
	o.how = o.params.resolve.or(p.Resolve)
	return foldDelete(&o.params, p, a.cfg.Timeout, a.cfg.MaxTimeout)
}

// getObject answers GET and HEAD of an object. What wins when several things are wrong is
// the order of this function.
func (a *API) getObject(x *exchange, r *http.Request) {
	o, f := a.object(x, r)
	if f == nil {
		f = a.checkType(o.key)
	}
	if f == nil {
		f = a.bindTo(&o)
	}
	if f != nil {
		x.refuse(*f)
		return
	}
	options := a.options(&o)
	got, err := a.cfg.Coordinator.Get(r.Context(), quorum.GetRequest{Key: o.key, Options: options})
	if err != nil {
		x.fail(err, got.Receipt, false)
		return
	}
	v := newView(o.key, got.Object, options.Lossy, o.bind, got.Receipt)
	if !v.exists() {
		x.notFound(&v)
		return
	}
	a.metrics.siblings.Observe(float64(len(v.shown)))
	if !o.params.vtag.set {
		x.notes += v.resolve(o.how)
	}
	x.show(r, &v, o.params.vtag)
}

// show answers a read of an object that exists.
func (x *exchange) show(r *http.Request, v *view, vtag optional[string]) {
	picked := &v.shown[0]
	if vtag.set {
		picked = nil
		tag := strings.TrimSuffix(vtag.value, gzipSuffix) // clients take it from an ETag
		for i := range v.shown {
			if v.shown[i].Dot.Tag() == tag {
				picked = &v.shown[i]
			}
		}
	}
	form, acceptable := asText, true
	switch {
	case len(v.shown) > 1 && !vtag.set:
		form, acceptable = siblingForm(header(r.Header, "Accept"), asText)
	case picked != nil || len(v.shown) == 1:
		s := picked
		if s == nil {
			s = &v.shown[0]
		}
		coding := meta(s, metaCoding)
		acceptable = acceptsValue(r.Header, typeOf(s), coding)
		if acceptable && coding == "" {
			x.packing, acceptable = choosePacking(r.Header, typeOf(s), len(s.Value))
		}
	}
	switch {
	case !acceptable:
		x.plain(v, http.StatusNotAcceptable, "nothing that Accept, Accept-Charset and Accept-Encoding allow is stored here\n")
		return
	case picked == nil:
		x.plain(v, http.StatusNotFound, "no value has this vtag\n")
		return
	}
	validators := validators{exists: true, modified: v.modified()}
	if vtag.set {
		validators.etag = quotedTag(picked)
	} else {
		validators.etag = v.etag()
	}
	if x.packing != unpacked {
		validators.sent = gzipTag(validators.etag)
	}
	switch status := readStatus(r.Header, validators, time.Now()); {
	case status == http.StatusNotModified:
		h := newHeaders(x)
		h.receipt(v.receipt)
		h.set("ETag", cmp.Or(validators.sent, validators.etag))
		h.set("Vary", "Accept-Encoding")
		x.send(status)
	case status != 0:
		x.plain(v, status, "a condition of the request does not hold\n")
	case len(v.shown) > 1 && !vtag.set:
		x.siblings(v, form)
	default:
		x.value(http.StatusOK, v, picked, validators.etag)
	}
}

// plain answers with a sentence and the receipt.
func (x *exchange) plain(v *view, status int, text string) {
	h := headers{h: x.Header(), notes: x.notes}
	h.receipt(v.receipt)
	x.text(status, text)
}
