package httpapi

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"cartwheel/listing"
)

const (
	// maxLists bounds the lists under way in one node; more are 503. Each costs the members a
	// scan of all that they have.
	maxLists = 8

	keysTimeout    = 8 * time.Minute // of lists that name none
	bucketsTimeout = 5 * time.Minute
	maxListTimeout = time.Hour // upper bound of the timeout parameter: a slow client may take that long
)

// listForm is how names are answered.
type listForm uint8

const (
	listNone   listForm = iota // no list was asked for
	listWhole                  // one object
	listStream                 // one object after the other, as the names come
	listCount                  // their number
)

// listRequest is a list as a client asks for it.
type listRequest struct {
	noun    string // what is listed, the name in queries and answers: "keys" or "buckets"
	form    listForm
	query   listing.Query // without N, and with Limit one above limit
	limit   int           // names of the answer, 0 for all
	escaped bool          // names come percent-encoded
	noProps bool          // what old paths put before the keys is not wanted
	props   bool          // the properties come before the keys
	timeout time.Duration
}

// What a list may be asked for, besides its own name, which chooses the form.
const (
	paramTimeout = iota
	paramPrefix
	paramStart
	paramLimit
	paramContinuation
	paramSort
	paramEncoding
	paramProps
	paramForm
	listParams
)

var listParamNames = [listParams]string{"timeout", "prefix", "start", "limit", "continuation", "sort", "encoding", "props", ""}

// parseList reads the raw query of a list of the keys of a bucket, or of buckets if bucket is
// "". problems has one sentence for each malformed parameter; unknown ones are ignored.
func parseList(typ, bucket, raw string) (l listRequest, problems []string) {
	l = listRequest{noun: "keys", timeout: keysTimeout, query: listing.Query{Type: typ, Bucket: bucket}}
	if bucket == "" {
		l.noun, l.timeout = "buckets", bucketsTimeout
	}
	values, ok := firstValues(raw, l.noun)
	if !ok {
		return l, []string{"Malformed percent-encoding in the query"}
	}
	complain := func(text string) {
		if text != "" {
			problems = append(problems, text)
		}
	}
	complain(l.setForm(values[paramForm]))
	l.noProps = strings.EqualFold(values[paramProps].value, "false")
	var timeout optional[time.Duration]
	if v := values[paramTimeout]; v.set {
		complain(setTimeout(&timeout, v.value))
		l.timeout = min(timeout.value, maxListTimeout)
	}
	l.query.Prefix, l.query.Start = values[paramPrefix].value, values[paramStart].value
	for _, p := range [...]int{paramPrefix, paramStart} {
		if len(values[p].value) > maxNameBytes {
			complain(listParamNames[p] + " query parameter is longer than " + strconv.Itoa(maxNameBytes) + " bytes, and so than any name")
		}
	}
	var sorted optional[bool]
	if v := values[paramSort]; v.set {
		complain(setBool(&sorted, "sort", v.value))
	}
	l.query.Sorted = sorted.value
	complain(l.setEncoding(values[paramEncoding]))
	complain(l.setLimit(values[paramLimit]))
	complain(l.setContinuation(values[paramContinuation]))
	return l, problems
}

// firstValues returns the value of each parameter of a list, the first one where a name is
// repeated. noun is the name of the last of them.
func firstValues(raw, noun string) (values [listParams]optional[string], ok bool) {
	for raw != "" {
		var pair string
		pair, raw, _ = strings.Cut(raw, "&")
		name, value, _ := strings.Cut(pair, "=")
		name, err := url.QueryUnescape(name)
		if err == nil {
			value, err = url.QueryUnescape(value)
		}
		if err != nil {
			return values, false
		}
		for i, known := range listParamNames {
			if (name == known && known != "" || i == paramForm && name == noun) && !values[i].set {
				values[i] = optional[string]{value, true}
			}
		}
	}
	return values, true
}

// setForm reads keys= or buckets=. Clients that want no list say so with "false", in any case.
func (l *listRequest) setForm(v optional[string]) string {
	switch strings.ToLower(v.value) {
	case "", "false":
	case "true":
		l.form = listWhole
	case "stream":
		l.form = listStream
	case "count":
		l.form = listCount
	default:
		return l.noun + " query parameter must be 'true', 'stream' or 'count'"
	}
	return ""
}

func (l *listRequest) setEncoding(v optional[string]) string {
	if v.set && v.value != "url" {
		return "encoding query parameter must be 'url'"
	}
	l.escaped = v.set
	return ""
}

// setLimit makes a list with a limit a sorted one: only then is there a place where the next
// page begins. One name more is asked for, to know whether there is a next page.
func (l *listRequest) setLimit(v optional[string]) string {
	if !v.set {
		return ""
	}
	n, err := strconv.ParseInt(v.value, 10, 32)
	switch {
	case err != nil || n <= 0:
		return "limit query parameter must be a positive integer"
	case l.form == listCount:
		return "limit query parameter means nothing with " + l.noun + "=count"
	}
	l.limit, l.query.Limit, l.query.Sorted = int(n), int(n)+1, true
	return ""
}

// setContinuation comes after everything that a continuation is checked against.
func (l *listRequest) setContinuation(v optional[string]) string {
	if !v.set {
		return ""
	}
	if l.form == listCount {
		return "continuation query parameter means nothing with " + l.noun + "=count"
	}
	last, ok := decodeContinuation(l.query, v.value)
	if !ok {
		return "continuation query parameter is damaged or of another list; give back the one of the page before, with the same prefix"
	}
	l.query.Start, l.query.Sorted = max(l.query.Start, last+"\x00"), true
	return ""
}

// getKeys answers GET of the keys of a bucket.
func (a *API) getKeys(x *exchange, r *http.Request) {
	l, ok := x.listRequest(r)
	switch {
	case !ok:
	case l.form == listNone:
		x.json(http.StatusOK, struct{}{})
	default:
		a.list(x, r, l)
	}
}

// getBuckets answers GET of the buckets of a type.
func (a *API) getBuckets(x *exchange, r *http.Request) {
	l, ok := x.listRequest(r)
	switch {
	case !ok:
	case l.form == listNone:
		x.json(http.StatusOK, map[string][]string{l.noun: {}})
	default:
		a.list(x, r, l)
	}
}

// listRequest reads path and query of a list, or answers what is wrong with them.
func (x *exchange) listRequest(r *http.Request) (listRequest, bool) {
	key, f := pathKey(x)
	if f != nil {
		x.refuseJSON(*f)
		return listRequest{}, false
	}
	l, problems := parseList(key.Type, key.Bucket, r.URL.RawQuery)
	if problems != nil {
		x.refuseJSON(bad(badParameter, strings.Join(problems, "; ")))
		return l, false
	}
	if f := x.api.checkType(key); f != nil {
		x.refuseJSON(*f)
		return l, false
	}
	return l, true
}

// list answers with names. A HEAD request gets the header of a list and causes no scan.
func (a *API) list(x *exchange, r *http.Request, l listRequest) {
	x.Header()["Content-Type"] = []string{"application/json"}
	if x.head {
		x.WriteHeader(http.StatusOK)
		return
	}
	if a.cfg.Lister == nil {
		x.failList(listing.ErrNoRing)
		return
	}
	select {
	case a.lists <- struct{}{}:
		defer func() { <-a.lists }()
	default:
		x.refuseJSON(failure{http.StatusServiceUnavailable, overloaded,
			strconv.Itoa(maxLists) + " lists are under way, as many as one node does at once; try again later", true})
		return
	}
	l.query.N = a.listN(l.query)
	ctx, cancel := context.WithTimeout(r.Context(), l.timeout)
	defer cancel()
	switch l.form {
	case listCount:
		a.listCount(ctx, x, l)
	case listStream:
		a.listStream(ctx, x, l)
	default:
		a.listWhole(ctx, x, l)
	}
}

// listN is how many members have the whole of each partition: the n_val of the bucket. Of all
// buckets that is the smallest in use, as the members after that lack the buckets that have it.
func (a *API) listN(q listing.Query) int {
	set := a.cfg.Properties.Set()
	if q.Bucket == "" {
		return set.Levels()[0]
	}
	return set.Bucket(q.Type, q.Bucket).NVal
}

func (a *API) listCount(ctx context.Context, x *exchange, l listRequest) {
	n, err := a.cfg.Lister.Count(ctx, l.query)
	if err != nil {
		x.failList(err)
		return
	}
	x.moreTime()
	x.json(http.StatusOK, map[string]int64{"count": n})
}

// listFailure is the answer to an error of the lister.
func listFailure(err error) failure {
	var incomplete *listing.IncompleteError
	switch {
	case errors.As(err, &incomplete):
		return failure{http.StatusServiceUnavailable, unavailable, incomplete.Error(), true}
	case errors.Is(err, context.DeadlineExceeded):
		return failure{status: http.StatusServiceUnavailable, text: "timeout"} // the original's word
	case errors.Is(err, context.Canceled):
		return failure{status: statusClientGone, text: "the client is gone"}
	case errors.Is(err, listing.ErrNoRing):
		return notReady("")
	case errors.Is(err, listing.ErrClosed):
		return failure{http.StatusServiceUnavailable, unavailable, "the node is stopping", true}
	}
	return failure{http.StatusServiceUnavailable, unavailable, err.Error(), true}
}

// failList answers for a list of which nothing was sent yet.
func (x *exchange) failList(err error) {
	x.moreTime()
	x.refuseJSON(listFailure(err))
}
