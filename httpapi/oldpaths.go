package httpapi

import (
	"net/http"
	"strings"

	"cartwheel/ring"
	"cartwheel/vclock"
)

// The old paths are /riak/BUCKET/KEY for an object of the default type, /riak/BUCKET for
// everything about a bucket, and /riak for the buckets. They lead to the same objects as the
// others; what differs is the form of the paths in answers.

// oldResources returns the resources of the old paths, by template. object are the actions of
// an object on the present paths.
func (a *API) oldResources(object map[string]action) map[string]*resource {
	actions := make(map[string]action, len(object))
	for method, act := range object {
		actions[method] = action{act.op, oldForm(act.serve)}
	}
	return map[string]*resource{
		"/riak/{bucket}/{key}": a.resource(actions),
		"/riak/{bucket}": a.resource(map[string]action{
			http.MethodGet:  {opProps, (*API).getOldBucket},
			http.MethodPut:  {opProps, (*API).putProps},
			http.MethodPost: {opPut, oldForm((*API).putObject)},
		}),
		"/riak": a.resource(map[string]action{http.MethodGet: {opList, (*API).getBuckets}}),
	}
}

// oldForm makes an action answer with old paths.
func oldForm(serve func(*API, *exchange, *http.Request)) func(*API, *exchange, *http.Request) {
	return func(a *API, x *exchange, r *http.Request) {
		x.old = true
		serve(a, x, r)
	}
}

// getOldBucket answers with the properties of a bucket, its keys, or both.
func (a *API) getOldBucket(x *exchange, r *http.Request) {
	l, ok := x.listRequest(r)
	switch {
	case !ok:
	case l.form != listNone:
		x.op = opList
		l.props = !l.noProps
		a.list(x, r, l)
	case l.noProps:
		x.json(http.StatusOK, struct{}{})
	default:
		a.getProps(x, r)
	}
}

// objectPath is the path of an object of the default type in one of the two forms.
func objectPath(k ring.Key, old bool) string {
	if old {
		return "/riak/" + encodeSegment(k.Bucket) + "/" + encodeSegment(k.Key)
	}
	return "/buckets/" + encodeSegment(k.Bucket) + "/keys/" + encodeSegment(k.Key)
}

// up is the link to the bucket. Paths below /types use it too, without the type, as clients
// expect it.
func up(bucket string) string { return "</buckets/" + encodeSegment(bucket) + `>; rel="up"` }

// links is the whole Link header of one value. All of its paths have the form of the
// request's, whatever the writer used.
func links(bucket string, s *vclock.Sibling, old bool) string {
	own := meta(s, metaLink)
	first, other := up(bucket), "</riak/"
	if old {
		first, other = "</riak/"+encodeSegment(bucket)+`>; rel="up"`, "</buckets/"
	}
	switch {
	case own == "":
		return first
	case strings.Contains(own, other):
		own = convertLinks(own, old)
	}
	return first + ", " + own
}

// convertLinks brings the targets of stored links, see addLinks, into one of the two forms.
func convertLinks(stored string, old bool) string {
	var converted []string
	for rest := stored; rest != ""; rest = strings.TrimPrefix(rest, ", ") {
		var l link
		var ok bool
		if l, rest, ok = cutLink(rest); !ok {
			return stored // nothing that was written here
		}
		converted = append(converted, "<"+convertTarget(l.target, old)+`>; riaktag="`+l.tag+`"`)
	}
	return strings.Join(converted, ", ")
}

// convertTarget converts one path, whose segments stay encoded as they are.
func convertTarget(target string, old bool) string {
	s := strings.Split(target, "/")
	switch {
	case old && len(s) == 5 && s[1] == "buckets" && s[3] == "keys":
		return "/riak/" + s[2] + "/" + s[4]
	case !old && len(s) == 4 && s[1] == "riak":
		return "/buckets/" + s[2] + "/keys/" + s[3]
	}
	return target
}
