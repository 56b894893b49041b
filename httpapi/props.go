package httpapi

import (
	"encoding/json"
	"errors"
	"net/http"
	"strings"

	"cartwheel/props"
	"cartwheel/ring"
)

// maxPropsBytes bounds the body of a change. Package props has a limit of its own below it,
// with a better explanation.
const maxPropsBytes = 128 << 10

// getProps answers GET and HEAD of a bucket's properties.
func (a *API) getProps(x *exchange, r *http.Request) {
	key, ok := x.bucket()
	if !ok {
		return
	}
	x.json(http.StatusOK, map[string]map[string]json.RawMessage{
		"props": a.cfg.Properties.Set().JSON(key.Type, key.Bucket)})
}

// bucket reads type and bucket from the path, or answers why not.
func (x *exchange) bucket() (ring.Key, bool) {
	key, f := pathKey(x)
	if f == nil {
		f = x.api.checkType(key)
	}
	if f != nil {
		x.refuseJSON(*f)
		return key, false
	}
	return key, true
}

// putProps changes some properties of a bucket.
func (a *API) putProps(x *exchange, r *http.Request) {
	key, ok := x.bucket()
	if !ok {
		return
	}
	body, ok, err := x.propsBody(r)
	if !ok {
		return
	}
	var change props.Change
	if err == nil {
		change, err = props.ParseChange(key.Type, key.Bucket, body)
	}
	a.changeProps(x, r, key, change, err)
}

// propsBody reads the body of a change, or answers why it cannot; then ok is false. The error
// is one of package props, for changeProps.
func (x *exchange) propsBody(r *http.Request) (body []byte, ok bool, err error) {
	if stored, _ := contentType(header(r.Header, "Content-Type")); !strings.EqualFold(strings.SplitN(stored, ";", 2)[0], "application/json") {
		x.refuseJSON(failure{status: http.StatusUnsupportedMediaType, reason: badHeader, text: "Content-Type must be application/json"})
		return nil, false, nil
	}
	body, err = readBody(x, r, maxPropsBytes)
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		return nil, true, props.ErrTooLarge
	case err != nil:
		x.refuseJSON(*x.bodyFailure(err))
		return nil, false, nil
	}
	return body, true, nil
}

// deleteProps puts all properties of a bucket back to the defaults.
func (a *API) deleteProps(x *exchange, r *http.Request) {
	if key, ok := x.bucket(); ok {
		a.changeProps(x, r, key, props.ResetChange(key.Type, key.Bucket), nil)
	}
}

// changeProps applies a change that was parsed with err, and answers.
func (a *API) changeProps(x *exchange, r *http.Request, key ring.Key, change props.Change, err error) {
	if err == nil && !a.mayChange(x, r, key, change) {
		return
	}
	if err == nil {
		err = a.cfg.Properties.Apply(r.Context(), change)
	}
	var invalid *props.InvalidError
	switch {
	case err == nil:
		x.send(http.StatusNoContent)
	case errors.As(err, &invalid):
		x.countRefusal(failure{reason: badProperties})
		x.json(http.StatusBadRequest, invalid.Messages)
	case errors.Is(err, props.ErrForm), errors.Is(err, props.ErrTypeForm):
		x.refuse(bad(badProperties, err.Error()))
	case errors.Is(err, props.ErrTooLarge):
		x.refuseJSON(failure{status: http.StatusRequestEntityTooLarge, reason: badProperties, text: err.Error()})
	case errors.Is(err, props.ErrFull):
		x.refuseJSON(failure{status: http.StatusInsufficientStorage, reason: badProperties, text: err.Error()})
	default:
		a.cfg.Logger.Error("bucket properties could not be changed", "type", key.Type, "bucket", key.Bucket, "err", err)
		x.refuseJSON(failure{http.StatusServiceUnavailable, unavailable, err.Error(), true})
	}
}

// mayChange refuses another n_val for a bucket, or a bucket type, that is not empty: its
// objects would lie on the replicas of the old one, where requests of the new one do not look
// for them. That holds also for a type that is new here: other nodes may know it already.
func (a *API) mayChange(x *exchange, r *http.Request, key ring.Key, change props.Change) bool {
	if _, changed := change.NVal(a.cfg.Properties.Set()); !changed {
		return true
	}
	what := "the bucket"
	if key.Bucket == "" {
		what = "every bucket of the type"
	}
	empty, err := a.cfg.Properties.BucketEmpty(r.Context(), key.Type, key.Bucket)
	switch {
	case err != nil:
		x.refuseJSON(failure{http.StatusServiceUnavailable, unavailable,
			"n_val can change only while " + what + " is empty, which cannot be told now: " + err.Error(), true})
	case !empty:
		x.refuseJSON(failure{status: http.StatusConflict, reason: badProperties,
			text: "n_val can change only while " + what + " is empty; copy the objects to a bucket that has the other n_val"})
	}
	return err == nil && empty
}
