package props

import (
	"encoding/json"
	"maps"
	"slices"
	"strconv"
)

// kind says which values a property takes.
type kind uint8

const (
	free         kind = iota // any JSON value
	boolean                  // true, false, "true", "false", or an integer (true above 0)
	positive                 // an integer above 0
	replicas                 // an integer from 1 to maxReplicas
	quorum                   // an integer above 0, or a word
	quorumOrZero             // an integer from 0, or a word
	syncWord                 // who flushes a write
	repairWord               // before or after the answer
	alwaysOff                // a boolean that only takes false
	noHooks                  // a list that must be empty
	unsettable               // belongs to the bucket type
	resolveWord              // how siblings become one value
	skipped                  // not the client's to set; in a body, where what was read is sent back, it is skipped
)

// property describes one known property. value is its default as JSON, "" when it is shown
// only where it was set. field points into the struct that requests use; nil: no effect on
// them.
type property struct {
	kind  kind
	value string
	field func(*Properties) any
}

// schema holds the known properties by name. Any other name is of kind free. It is never
// written.
var schema = map[string]property{
	"name":            {kind: skipped}, // the request's path has it
	activeName:        {kind: skipped}, // of a type: it exists
	"n_val":           {replicas, "3", func(p *Properties) any { return &p.NVal }},
	"allow_mult":      {boolean, "true", func(p *Properties) any { return &p.AllowMult }},
	"last_write_wins": {boolean, "false", func(p *Properties) any { return &p.LastWriteWins }},
	"notfound_ok":     {boolean, "true", func(p *Properties) any { return &p.NotFoundOK }},
	"basic_quorum":    {boolean, "false", func(p *Properties) any { return &p.BasicQuorum }},
	"sloppy_quorum":   {boolean, "true", func(p *Properties) any { return &p.SloppyQuorum }},
	"read_repair":     {repairWord, `"after"`, func(p *Properties) any { return &p.ReadRepairBefore }},
	"r":               {quorum, `"quorum"`, func(p *Properties) any { return &p.R }},
	"w":               {quorum, `"quorum"`, func(p *Properties) any { return &p.W }},
	"rw":              {quorum, `"quorum"`, func(p *Properties) any { return &p.RW }},
	"dw":              {quorumOrZero, `"quorum"`, func(p *Properties) any { return &p.DW }},
	"pr":              {quorumOrZero, "0", func(p *Properties) any { return &p.PR }},
	"pw":              {quorumOrZero, "0", func(p *Properties) any { return &p.PW }},
	"node_confirms":   {quorumOrZero, "0", func(p *Properties) any { return &p.NodeConfirms }},
	"require_context": {boolean, "false", func(p *Properties) any { return &p.RequireContext }},
	"resolve":         {resolveWord, `"siblings"`, func(p *Properties) any { return &p.Resolve }},

	"dvv_enabled":   {boolean, "true", nil}, // dots are always used
	"sync_on_write": {syncWord, `"backend"`, nil},
	"precommit":     {noHooks, "[]", nil},
	"postcommit":    {noHooks, "[]", nil},
	"old_vclock":    {positive, "86400", nil}, // clocks are never pruned
	"young_vclock":  {free, "20", nil},
	"big_vclock":    {positive, "50", nil},
	"small_vclock":  {positive, "50", nil},
	"write_once":    {alwaysOff, "false", nil},
	"consistent":    {alwaysOff, "", nil},
	"datatype":      {unsettable, "", nil},
	"stat_tracked":  {boolean, "", nil},
	"chash_keyfun":  {free, `{"fun":"chash_std_keyfun","mod":"riak_core_util"}`, nil},
	"linkfun":       {free, `{"fun":"mapreduce_linkfun","mod":"riak_kv_wm_link_walker"}`, nil},
}

// The messages for refused values; those of the original where it has one.
const (
	notBoolean   = "not_boolean"
	notInteger   = "not_integer"
	notReplicas  = "more_than_64"
	notQuorum    = "not_valid_quorum"
	notSync      = "not_valid_sync_param"
	notRepair    = "not_valid_read_repair"
	notResolve   = "not_valid_resolve"
	notAvailable = "not_supported"
	notSettable  = "cannot_be_set"
	nestedTooFar = "nested_too_deep"
)

// maxReplicas bounds n_val, as the ring bounds its own n. Nodes that compare their copies do so for
// each n_val in use, and tell each other of all of them.
const maxReplicas = 64

// maxDepth bounds the nesting of a free value. Decoders of JSON have a limit (10,000 levels
// in encoding/json, some tens in others); a value that is beyond it only as a part of the
// document would make the document unreadable for every node.
const maxDepth = 32

// normalize checks a decoded JSON value (numbers as json.Number) against a kind. It returns
// the one spelling that is stored, nil for "back to the default", or what is wrong with it.
func normalize(k kind, v any) (stored json.RawMessage, problem string) {
	switch k {
	case boolean, alwaysOff:
		return normalizeBool(k, v)
	case positive:
		if n, ok := integer(v); ok && n > 0 {
			return json.RawMessage(strconv.Itoa(n)), ""
		}
		return nil, notInteger
	case replicas:
		switch n, ok := integer(v); {
		case !ok || n < 1:
			return nil, notInteger
		case n > maxReplicas:
			return nil, notReplicas
		default:
			return json.RawMessage(strconv.Itoa(n)), ""
		}
	case quorum, quorumOrZero:
		return normalizeQuorum(k, v)
	case syncWord:
		return normalizeWord(v, notSync, "backend", "one", "all")
	case repairWord:
		return normalizeWord(v, notRepair, "before", "after")
	case resolveWord:
		return normalizeWord(v, notResolve, resolveWords[:]...)
	case noHooks:
		if list, ok := v.([]any); ok && len(list) == 0 {
			return json.RawMessage("[]"), ""
		}
		return nil, notAvailable
	case unsettable:
		return nil, notSettable
	default:
		if deeper(v, maxDepth) {
			return nil, nestedTooFar
		}
		return marshal(v), ""
	}
}

// deeper reports whether lists and objects lie in each other more than limit levels deep.
func deeper(v any, limit int) bool {
	within := func(inner any) bool { return deeper(inner, limit-1) }
	switch v := v.(type) {
	case []any:
		return limit == 0 || slices.ContainsFunc(v, within)
	case map[string]any:
		return limit == 0 || slices.ContainsFunc(slices.Collect(maps.Values(v)), within)
	}
	return false
}

func normalizeBool(k kind, v any) (json.RawMessage, string) {
	n, isNumber := integer(v)
	var on bool
	switch {
	case v == true || v == "true" || isNumber && n > 0:
		on = true
	case v == false || v == "false" || isNumber:
	default:
		return nil, notBoolean
	}
	if on && k == alwaysOff {
		return nil, notAvailable
	}
	return json.RawMessage(strconv.FormatBool(on)), ""
}

func normalizeQuorum(k kind, v any) (json.RawMessage, string) {
	if n, ok := integer(v); ok && (n > 0 || n == 0 && k == quorumOrZero) {
		return json.RawMessage(strconv.Itoa(n)), ""
	}
	return normalizeWord(v, notQuorum, "one", "quorum", "all")
}

// normalizeWord takes one of the words, or "default".
func normalizeWord(v any, problem string, words ...string) (json.RawMessage, string) {
	if v == "default" {
		return nil, ""
	}
	for _, w := range words {
		if v == w {
			return json.RawMessage(strconv.Quote(w)), ""
		}
	}
	return nil, problem
}

// integer reads a JSON number written without fraction and exponent. No property has a use
// for more than 31 bits.
func integer(v any) (int, bool) {
	number, ok := v.(json.Number)
	if !ok {
		return 0, false
	}
	n, err := strconv.ParseInt(number.String(), 10, 32)
	return int(n), err == nil
}

// marshal encodes a value that came out of a JSON decoder, which cannot fail.
func marshal(v any) json.RawMessage {
	b, err := json.Marshal(v)
	if err != nil {
		panic("props: encode: " + err.Error())
	}
	return b
}

// assign puts a stored value into the field of p that it steers, if it steers one.
func (p *Properties) assign(name string, stored json.RawMessage) {
	known := schema[name]
	if known.field == nil {
		return
	}
	word := string(stored)
	if s, err := strconv.Unquote(word); err == nil {
		word = s
	}
	switch f := known.field(p).(type) {
	case *bool:
		*f = word == "true" || word == "before"
	case *int:
		if n, err := strconv.Atoi(word); err == nil {
			*f = n
		}
	case *Resolve:
		if r, ok := ParseResolve(word); ok {
			*f = r
		}
	case *Quorum:
		if q, ok := ParseQuorum(word); ok {
			*f = q
		}
	}
}
