package httpapi

import (
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"cartwheel/props"
	"cartwheel/quorum"
)

// optional is a value that a request may leave to the bucket's properties.
type optional[T any] struct {
	value T
	set   bool
}

// or returns the value if it is set, else the other one.
func (o optional[T]) or(other T) T {
	if o.set {
		return o.value
	}
	return other
}

// params are the query parameters of an object request. Unset means "as the bucket says".
type params struct {
	r, pr, w, dw, pw, rw, nodeConfirms optional[quorum.Level]
	basicQuorum, notFoundOK            optional[bool]
	repairBefore, sloppy               optional[bool]
	timeout                            optional[time.Duration]
	vtag                               optional[string]
	returnBody                         bool
	consistency                        consistency
	resolve                            optional[props.Resolve]
}

// parameter is a known query parameter: apply checks the value and keeps it, or returns one
// sentence about what is wrong with it.
type parameter struct {
	name  string
	apply func(p *params, name, value string) (problem string)
}

// parameters are checked on every object request, used there or not, and complained about
// in this order. Others are ignored.
var parameters = [...]parameter{
	{"timeout", func(p *params, _, v string) string { return setTimeout(&p.timeout, v) }},
	{"r", func(p *params, n, v string) string { return setLevel(&p.r, n, v) }},
	{"w", func(p *params, n, v string) string { return setLevel(&p.w, n, v) }},
	{"dw", func(p *params, n, v string) string { return setLevel(&p.dw, n, v) }},
	{"rw", func(p *params, n, v string) string { return setLevel(&p.rw, n, v) }},
	{"pr", func(p *params, n, v string) string { return setLevel(&p.pr, n, v) }},
	{"pw", func(p *params, n, v string) string { return setLevel(&p.pw, n, v) }},
	{"node_confirms", func(p *params, n, v string) string { return setLevel(&p.nodeConfirms, n, v) }},
	{"basic_quorum", func(p *params, n, v string) string { return setBool(&p.basicQuorum, n, v) }},
	{"notfound_ok", func(p *params, n, v string) string { return setBool(&p.notFoundOK, n, v) }},
	{"asis", func(_ *params, n, v string) string { return refuseAsis(n, v) }},
	{"sloppy_quorum", func(p *params, n, v string) string { return setBool(&p.sloppy, n, v) }},
	{"sync_on_write", func(_ *params, n, v string) string { return checkSync(n, v) }},
	{"read_repair", func(p *params, n, v string) string { return setRepair(&p.repairBefore, n, v) }},
	{"returnbody", func(p *params, _, v string) string { p.returnBody = v == "true"; return "" }},
	{"vtag", func(p *params, _, v string) string { p.vtag = optional[string]{v, true}; return "" }},
	{"consistency", func(p *params, n, v string) string { return setConsistency(&p.consistency, n, v) }},
	{"resolve", func(p *params, n, v string) string { return setResolve(&p.resolve, n, v) }},
}

// parseParams reads a raw query. problems has one sentence for each malformed parameter, in
// a fixed order; it is nil if the query is good. Of a repeated parameter the first counts.
func parseParams(raw string) (p params, problems []string) {
	if raw == "" { // by far the most frequent, and what follows costs memory
		return p, nil
	}
	return parseQuery(raw)
}

func parseQuery(raw string) (p params, problems []string) {
	var seen [len(parameters)]bool
	var found [len(parameters)]string
	for raw != "" {
		var pair string
		pair, raw, _ = strings.Cut(raw, "&")
		name, value, _ := strings.Cut(pair, "=")
		name, err := url.QueryUnescape(name)
		if err == nil {
			value, err = url.QueryUnescape(value)
		}
		if err != nil {
			return params{}, []string{"Malformed percent-encoding in the query"}
		}
		i := slices.IndexFunc(parameters[:], func(k parameter) bool { return k.name == name })
		if i < 0 || seen[i] {
			continue
		}
		seen[i] = true
		found[i] = parameters[i].apply(&p, name, value)
	}
	for _, text := range found {
		if text != "" {
			problems = append(problems, text)
		}
	}
	return p, problems
}

func setLevel(o *optional[quorum.Level], name, value string) string {
	if value == "default" {
		return ""
	}
	q, ok := props.ParseQuorum(value)
	if !ok {
		return name + " query parameter must be an integer or one of the following words: 'one', 'quorum' or 'all'"
	}
	*o = optional[quorum.Level]{level(q), true}
	return ""
}

func setBool(o *optional[bool], name, value string) string {
	switch {
	case strings.EqualFold(value, "true"):
		*o = optional[bool]{true, true}
	case strings.EqualFold(value, "false"):
		*o = optional[bool]{false, true}
	case strings.EqualFold(value, "default"):
	default:
		return name + " query parameter must be true or false"
	}
	return ""
}

func setTimeout(o *optional[time.Duration], value string) string {
	// 32 bits of milliseconds are 24 days, which no request takes.
	ms, err := strconv.ParseInt(value, 10, 32)
	if err != nil {
		return "Bad timeout value " + strconv.Quote(value)
	}
	*o = optional[time.Duration]{time.Duration(ms) * time.Millisecond, true}
	return ""
}

func setRepair(o *optional[bool], name, value string) string {
	switch value {
	case "before", "after":
		*o = optional[bool]{value == "before", true}
	case "default":
	default:
		return name + " query parameter must be 'before' or 'after'"
	}
	return ""
}

// refuseAsis lets only the harmless values pass. To store under the clock that the client
// gives, without a new dot, would give two values one dot.
func refuseAsis(name, value string) string {
	var asis optional[bool]
	if problem := setBool(&asis, name, value); problem != "" {
		return problem
	}
	if asis.value {
		return "asis=true is not possible: every write gets an identity of its own"
	}
	return ""
}

// checkSync accepts the words of sync_on_write. Whether an acknowledged write is on disk is
// the node's durability setting; the receipt shows it.
func checkSync(name, value string) string {
	for _, word := range [...]string{"default", "backend", "one", "all"} {
		if strings.EqualFold(value, word) {
			return ""
		}
	}
	return name + " query parameter must be one of the following words: [default,backend,one,all]"
}
