package resolve

import (
	"cmp"
	"slices"
	"strings"

	"cartwheel/vclock"
)

// How is the rule by which siblings become one value. The zero How is none: all are shown.
type How uint8

// The rules; the package document says what each does.
const (
	ShowAll How = iota
	LWW
	Union
	Max
	JSONMerge
)

// Limits of what is resolved; they bound the memory and the time that a read can cost the node,
// which answers thousands at once. Beyond them the siblings are shown, and their reader resolves
// them.
const (
	MaxDepth  = 32      // levels of arrays and objects
	MaxBytes  = 1 << 20 // of all values together, so that the result is no longer than a value may be
	MaxValues = 1 << 14 // JSON values in all siblings together, of up to 700 bytes of memory each
)

// Siblings returns the one value of the live siblings among s, or ok false if the rule does not
// fit them or is ShowAll. One live sibling alone is returned as it is.
//
// Content type, metadata, time and dot are those of the sibling that LWW and Max choose, and of
// the latest one otherwise; the dot does not name the result. Content-Encoding is metadata, and
// the caller's to look at first: a compressed value does not parse. The result may share memory
// with s, which is not changed.
func Siblings(how How, s []vclock.Sibling) (one vclock.Sibling, ok bool) {
	live := inOrder(s)
	switch {
	case how == ShowAll || how > JSONMerge || len(live) == 0:
		return one, false
	case how == LWW || len(live) == 1:
		return *live[len(live)-1], true
	}
	values, ok := parseAll(live)
	if !ok {
		return one, false
	}
	if how == Max {
		i, ok := greatest(values)
		if !ok {
			return one, false
		}
		return *live[i], true
	}
	merge := union
	if how == JSONMerge {
		merge = overlayAll
	}
	merged, ok := merge(values)
	if !ok {
		return one, false
	}
	one = *live[len(live)-1]
	one.Value = merged.append(nil)
	one.RequestID = vclock.RequestID{} // no request has written this
	return one, true
}

// inOrder returns the live siblings, each once, the latest last.
func inOrder(s []vclock.Sibling) []*vclock.Sibling {
	live := make([]*vclock.Sibling, 0, len(s))
	for i := range s {
		if !s[i].Deleted {
			live = append(live, &s[i])
		}
	}
	slices.SortFunc(live, compareSiblings)
	return slices.CompactFunc(live, func(a, b *vclock.Sibling) bool { return compareSiblings(a, b) == 0 })
}

// compareSiblings orders by time, then dot, then all that a result can show: after a corruption
// two siblings may share a dot.
func compareSiblings(a, b *vclock.Sibling) int {
	if c := cmp.Or(cmp.Compare(a.Time, b.Time), a.Dot.Compare(b.Dot)); c != 0 {
		return c
	}
	return cmp.Or(strings.Compare(a.ContentType, b.ContentType), slices.Compare(a.Value, b.Value),
		slices.CompareFunc(a.Meta, b.Meta, func(p, q vclock.Pair) int {
			return cmp.Or(strings.Compare(p.Name, q.Name), strings.Compare(p.Value, q.Value))
		}), cmp.Compare(a.Expiry, b.Expiry))
}

// parseAll parses the values of all siblings, in their order. ok is false if one is not JSON,
// their content types differ, or they are too much.
func parseAll(live []*vclock.Sibling) (values []value, ok bool) {
	left := MaxBytes
	p := parser{left: MaxValues}
	media, ok := jsonType(live[0].ContentType)
	if !ok {
		return nil, false
	}
	values = make([]value, 0, min(len(live), MaxValues))
	for _, s := range live {
		if m, ok := jsonType(s.ContentType); !ok || !strings.EqualFold(m, media) {
			return nil, false
		}
		if left -= len(s.Value); left < 0 {
			return nil, false
		}
		v, ok := p.parse(s.Value)
		if !ok {
			return nil, false
		}
		values = append(values, v)
	}
	return values, true
}

// jsonType returns the media type of a content type; ok is false unless it is JSON in UTF-8.
func jsonType(contentType string) (media string, ok bool) {
	media, parameters, _ := strings.Cut(contentType, ";")
	media = strings.TrimSpace(media)
	const suffix = "+json"
	structured := len(media) > len(suffix) && strings.EqualFold(media[len(media)-len(suffix):], suffix)
	if !structured && !strings.EqualFold(media, "application/json") {
		return "", false
	}
	for p := range strings.SplitSeq(parameters, ";") {
		name, charset, _ := strings.Cut(strings.TrimSpace(p), "=")
		if strings.EqualFold(name, "charset") && !strings.EqualFold(strings.Trim(charset, `"`), "utf-8") {
			return "", false
		}
	}
	return media, true
}
