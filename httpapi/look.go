package httpapi

import (
	"context"
	"net/http"
	"time"

	"cartwheel/quorum"
	"cartwheel/vclock"
)

// need is why a write has to know the object as it is before it is done.
type need struct {
	conditions bool // it has conditional headers
	context    bool // it is blind, in a bucket that requires a context
	named      bool // it has an Idempotency-Key, so it may have been done before
}

// needs says what a write needs to know. blind means that it comes without a context.
func (a *API) needs(r *http.Request, o *object, blind bool) need {
	n := need{named: o.name != ""}
	if o.chosen { // nobody has written to that key, or only this very request
		return n
	}
	n.conditions = conditional(r)
	n.context = blind && a.cfg.Properties.Set().Bucket(o.key.Type, o.key.Bucket).RequireContext
	return n
}

// standing is what a write finds where it goes.
type standing uint8

const (
	unhindered standing = iota // nothing speaks against it
	repeated                   // the object holds what this very write stored
	overtaken                  // this very write was stored, and something else since
	answered                   // the request has its answer: the write must not be done
)

// nameLookTime bounds a read that only asks whether a write has been done before. Without an
// answer the write goes on to an owner, as the stores that know it refuse to do it twice.
const nameLookTime = time.Second

// past reads the object that a write is for, and tells whether the write was done before. It
// is a check and no lock: of two writers both may pass. What the read takes is taken off the
// timeout of the write. The error is the read's, if the write depends on that.
//
// A write that is found in the object already is allowed whatever it found the first time:
// its conditions speak of the object as it was then. It should be sent on all the same. The
// store that minted it mints nothing again, and what the first try may have missed, enough
// replicas, is made up for.
func (a *API) past(ctx context.Context, o *object, id vclock.RequestID, n need, options *quorum.Options) (standing, quorum.GetResult, error) {
	q := quorum.GetRequest{Key: o.key, Options: lookOptions(*options, n)}
	if n.named {
		q.RequestID = id
	}
	start := time.Now()
	got, err := a.cfg.Coordinator.Get(ctx, q)
	options.Timeout -= time.Since(start)
	switch {
	case err != nil && !n.conditions && !n.context:
		// Owners know what they have stored before, fallbacks do not: with a level for owners none mints.
		if options.PW == 0 {
			options.PW = 1
		}
		return unhindered, got, nil
	case err != nil:
		return answered, got, err
	case got.Object.HasRequest(id):
		return repeated, got, nil
	case got.Did, o.chosen && !got.Object.Missing():
		return overtaken, got, nil
	}
	return unhindered, got, nil
}

// look finds out what speaks against a write, if the write depends on the object as it is, and
// answers the request if it must not be done. The receipt is that of the read.
func (a *API) look(x *exchange, r *http.Request, o *object, id vclock.RequestID, n need, options *quorum.Options) (standing, quorum.Receipt) {
	if n == (need{}) {
		return unhindered, quorum.Receipt{}
	}
	found, got, err := a.past(r.Context(), o, id, n, options)
	if err != nil {
		x.fail(err, got.Receipt, false)
	}
	if found != unhindered {
		return found, got.Receipt
	}
	v := newView(o.key, got.Object, options.Lossy, o.bind, got.Receipt)
	v.resolve(o.how) // the tag that the client was shown
	if n.conditions {
		switch status := writeStatus(r, v.validators()); status {
		case 0:
		case http.StatusNotFound:
			x.notFound(&v)
			return answered, got.Receipt
		default:
			x.plain(&v, status, "a condition of the request does not hold\n")
			return answered, got.Receipt
		}
	}
	if n.context && v.exists() {
		x.refuseBlind(&v)
		return answered, got.Receipt
	}
	return unhindered, got.Receipt
}

// lookOptions are those of the read before a write with these options. To find an earlier try
// it asks a majority at least, and brings the stores that it asks up to date: the one that
// mints next is most likely among them.
func lookOptions(o quorum.Options, n need) quorum.Options {
	if !n.named {
		return o
	}
	if o.R != quorum.LevelAll && int(o.R) <= o.N/2 {
		o.R = quorum.LevelQuorum
	}
	o.RepairBefore = true
	if !n.conditions && !n.context {
		o.Timeout = min(o.Timeout/2, nameLookTime)
	}
	return o
}

// contextMissing is the answer to a blind write where a context is required.
const contextMissing = "this bucket takes no write without a context where a value exists (require_context): read the key, and send its X-Riak-Vclock with the write\n"

func (x *exchange) refuseBlind(v *view) {
	h := headers{h: x.Header(), notes: x.notes}
	h.receipt(v.receipt)
	x.refuse(failure{status: http.StatusPreconditionRequired, reason: contextRequired, text: contextMissing})
}
