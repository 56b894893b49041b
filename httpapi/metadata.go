package httpapi

import (
	"cmp"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"cartwheel/vclock"
)

// Metadata is stored as pairs whose names are lower-case header names. Lower case is also
// how user metadata is sent: clients compare names without case, except for one (rhc, the
// Erlang HTTP client) that knows only the lower-case prefix.
const (
	metaCoding = "content-encoding"
	metaLink   = "link"
	metaIndex  = "x-riak-index-" // one pair per value
	metaUser   = "x-riak-meta-"  // one pair per header line
)

// metadata collects what a write keeps besides its value, sorted by name, the values of one
// name in the order of the request. limit bounds names and values together, in bytes.
func metadata(h http.Header, limit int64) ([]vclock.Pair, *failure) {
	var pairs []vclock.Pair
	for name, lines := range h {
		var f *failure
		switch {
		case strings.HasPrefix(name, "X-Riak-Meta-") && len(name) > len(metaUser):
			name = strings.ToLower(name)
			for _, v := range lines {
				pairs = append(pairs, vclock.Pair{Name: name, Value: v})
			}
		case strings.HasPrefix(name, "X-Riak-Index-"):
			pairs, f = addIndex(pairs, strings.ToLower(name), lines)
		case name == "Content-Encoding":
			pairs = append(pairs, vclock.Pair{Name: metaCoding, Value: header(h, name)})
		case name == "Link":
			pairs, f = addLinks(pairs, header(h, name))
		}
		if f != nil {
			return nil, f
		}
	}
	var size int64
	for _, p := range pairs {
		size += int64(len(p.Name) + len(p.Value))
	}
	if size > limit {
		return nil, &failure{status: http.StatusRequestHeaderFieldsTooLarge, reason: metadataTooLarge,
			text: "the metadata takes " + strconv.FormatInt(size, 10) + " bytes, the limit is " + strconv.FormatInt(limit, 10) + "\n"}
	}
	if len(pairs) > 1 {
		slices.SortStableFunc(pairs, func(a, b vclock.Pair) int { return cmp.Compare(a.Name, b.Name) })
	}
	return pairs, nil
}

// addIndex adds the values of one index field. They are only stored and returned.
func addIndex(pairs []vclock.Pair, name string, lines []string) ([]vclock.Pair, *failure) {
	field := name[len(metaIndex):]
	number := strings.HasSuffix(field, "_int")
	if !number && !strings.HasSuffix(field, "_bin") {
		f := bad(badHeader, "Unknown field type for field: '"+field+"'.")
		return nil, &f
	}
	for _, line := range lines {
		for v := range strings.SplitSeq(line, ",") {
			v = strings.TrimSpace(v)
			if number {
				if _, err := strconv.ParseInt(v, 10, 64); err != nil {
					f := bad(badHeader, "Could not parse field '"+field+"', value '"+v+"'.")
					return nil, &f
				}
			}
			pairs = append(pairs, vclock.Pair{Name: name, Value: v})
		}
	}
	return pairs, nil
}

// addLinks adds the links of a request as one pair. Those to the bucket are not kept: each
// answer has them, and clients send back what they got.
func addLinks(pairs []vclock.Pair, list string) ([]vclock.Pair, *failure) {
	var kept []string
	for rest := strings.TrimLeft(list, ", "); rest != ""; rest = strings.TrimLeft(rest, ", ") {
		var l link
		var ok bool
		l, rest, ok = cutLink(rest)
		switch {
		case ok && l.rel == "up":
		case ok && l.tag != "" && pointsToKey(l.target):
			kept = append(kept, "<"+l.target+">; riaktag=\""+l.tag+"\"")
		default:
			f := bad(badHeader, "Invalid Link header. Links must be of the form\n</buckets/BUCKET/keys/KEY>; riaktag=\"TAG\"")
			return nil, &f
		}
	}
	if len(kept) == 0 {
		return pairs, nil
	}
	return append(pairs, vclock.Pair{Name: metaLink, Value: strings.Join(kept, ", ")}), nil
}

type link struct{ target, rel, tag string }

// cutLink reads one link, <target>; name="value"..., from the front of s. Commas and
// semicolons may be part of the target and of quoted values.
func cutLink(s string) (l link, rest string, ok bool) {
	if !strings.HasPrefix(s, "<") {
		return l, "", false
	}
	l.target, rest, ok = strings.Cut(s[1:], ">")
	for ok {
		rest = strings.TrimLeft(rest, " ")
		if rest == "" || rest[0] == ',' {
			return l, rest, true
		}
		if rest[0] != ';' {
			return l, "", false
		}
		var name, value string
		name, rest, ok = strings.Cut(rest[1:], "=\"")
		if ok {
			value, rest, ok = strings.Cut(rest, "\"")
		}
		switch strings.ToLower(strings.TrimSpace(name)) {
		case "rel":
			l.rel = value
		case "riaktag":
			l.tag = value
		}
	}
	return l, "", false
}

// pointsToKey reports whether a link's target has the form of an object's path, old or new.
func pointsToKey(target string) bool {
	s := strings.Split(target, "/")
	if slices.Contains(s[1:], "") || s[0] != "" {
		return false
	}
	return len(s) == 5 && s[1] == "buckets" && s[3] == "keys" || len(s) == 4 && s[1] == "riak"
}

// contentType brings a Content-Type into the form that is stored, "type/subtype" or
// "type/subtype; charset=x". Other parameters are dropped.
func contentType(v string) (stored string, ok bool) {
	media, rest, more := strings.Cut(v, ";")
	media = strings.TrimSpace(media)
	major, minor, _ := strings.Cut(media, "/")
	if !token(major) || !token(minor) {
		return "", false
	}
	for more {
		var p string
		p, rest, more = strings.Cut(rest, ";")
		name, charset, _ := strings.Cut(strings.TrimSpace(p), "=")
		charset = strings.Trim(charset, "\"")
		if strings.EqualFold(name, "charset") && token(charset) {
			return media + "; charset=" + charset, true
		}
	}
	return media, true
}

// token reports whether s is a token of RFC 9110: not empty, no separators.
func token(s string) bool {
	for i := range len(s) {
		if c := s[i]; c <= ' ' || c >= 0x7f || strings.IndexByte(`()<>@,;:\"/[]?={}`, c) >= 0 {
			return false
		}
	}
	return s != ""
}
