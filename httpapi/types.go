package httpapi

import (
	"encoding/json"
	"errors"
	"net/http"

	"cartwheel/props"
	"cartwheel/ring"
)

// getTypes answers with the names of all bucket types that this node knows.
func (a *API) getTypes(x *exchange, _ *http.Request) {
	x.json(http.StatusOK, map[string][]string{"types": a.cfg.Properties.Set().Types()})
}

// getTypeProps answers GET and HEAD of a bucket type's properties.
func (a *API) getTypeProps(x *exchange, _ *http.Request) {
	key, f := pathKey(x)
	if f == nil {
		f = a.checkType(key)
	}
	if f != nil {
		x.refuseJSON(*f)
		return
	}
	x.json(http.StatusOK, map[string]map[string]json.RawMessage{
		"props": a.cfg.Properties.Set().TypeJSON(key.Type)})
}

// putTypeProps changes some properties of a bucket type, and makes the type if there is none
// of this name.
func (a *API) putTypeProps(x *exchange, r *http.Request) {
	key, f := pathKey(x)
	if f != nil {
		x.refuseJSON(*f)
		return
	}
	if key.Type == ring.DefaultType {
		// The resource exists and has no such method, unlike its siblings.
		x.Header()["Allow"] = []string{"HEAD, GET"}
		x.jsonError(http.StatusMethodNotAllowed, props.ErrDefaultType.Error())
		return
	}
	body, ok, err := x.propsBody(r)
	if !ok {
		return
	}
	var change props.Change
	if err == nil {
		change, err = props.ParseTypeChange(key.Type, body)
	}
	if errors.Is(err, props.ErrTypeName) {
		x.refuseJSON(failure{status: http.StatusBadRequest, reason: badPath, text: err.Error()})
		return
	}
	a.changeProps(x, r, key, change, err)
}
