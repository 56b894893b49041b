package props

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// defaultType is the bucket type that always exists and has no document: its properties are
// the cluster's defaults.
const defaultType = "default"

// maxTypeName bounds the name of a bucket type in bytes: it is part of every name below it.
const maxTypeName = 255

// activeName is the property that every change of a type sets, so that a type exists even if
// nothing else was ever set.
const activeName = "active"

// typeKey names the document of a type itself: no bucket has an empty name.
func typeKey(typ string) bucketKey { return newKey(typ, "") }

// isType reports whether k names the document of a type. One for the type "default" can only
// come from a foreign program: it is kept as all documents are, and means nothing.
func (k bucketKey) isType() bool { return k.bucket == "" && k.typ != defaultType }

// String names the bucket or type in messages.
func (k bucketKey) String() string {
	switch {
	case k.isType():
		return fmt.Sprintf("bucket type %.300q", k.typ)
	case k.typ != defaultType:
		return fmt.Sprintf("bucket %.300q of type %.300q", k.bucket, k.typ)
	}
	return fmt.Sprintf("bucket %.300q", k.bucket)
}

// validTypeName reports whether a type may be created under a name: 1 to 255 bytes of
// printable UTF-8 without a slash, so that it can stand in paths, logs and tables; "." and "..", which
// most clients take out of a path, are none.
func validTypeName(name string) bool {
	unfit := func(r rune) bool { return r == '/' || !unicode.IsPrint(r) }
	return name != "" && name != "." && name != ".." && len(name) <= maxTypeName && utf8.ValidString(name) && !strings.ContainsFunc(name, unfit)
}

// exists reports whether e makes a type exist: a reset mark alone does not.
func (e *entry) exists() bool { return e != nil && len(e.props) > 0 }

// HasType reports whether a bucket type exists; "" is "default", which always does. It
// allocates nothing.
func (s *Set) HasType(typ string) bool {
	k := typeKey(typ)
	return k.typ == defaultType || s.buckets[k].exists()
}

// Types returns the names of all bucket types in order, "default" among them. The slice is
// the caller's.
func (s *Set) Types() []string {
	names := []string{defaultType}
	for k, e := range s.buckets {
		if k.isType() && e.exists() {
			names = append(names, k.typ)
		}
	}
	slices.Sort(names)
	return names
}

// TypeJSON returns everything that is shown of a bucket type, which is what its buckets have
// unless they say otherwise. A type that does not exist has the defaults of one. The map is
// the caller's, the values are shared and read-only.
func (s *Set) TypeJSON(typ string) map[string]json.RawMessage {
	typ = cmp.Or(typ, defaultType)
	shown := maps.Clone(s.shown)
	if typ == defaultType {
		return shown
	}
	shown["allow_mult"] = json.RawMessage("true")
	if e := s.buckets[typeKey(typ)]; e != nil {
		maps.Insert(shown, e.effective)
	}
	return shown
}

// typed returns the properties of a bucket of the type that has none of its own.
func (s *Set) typed(typ string) Properties {
	if typ == defaultType {
		return s.base
	}
	if e := s.buckets[bucketKey{typ: typ}]; e != nil {
		return e.parsed
	}
	return s.typeBase
}

// parent returns what holds for k where its own document says nothing.
func (s *Set) parent(k bucketKey) Properties {
	if k.isType() {
		return s.typeBase
	}
	return s.typed(k.typ)
}

// derive computes what the document of k means on top of its parent.
func (s *Set) derive(k bucketKey, e *entry) {
	e.parsed = s.parent(k)
	if k.bucket == "" && !k.isType() {
		return
	}
	for name, value := range e.effective {
		e.parsed.assign(name, value)
	}
}

// inherit derives all buckets of the changed types anew. It is only for a set that nobody
// else has seen yet; the entries it had are shared with older sets and stay as they are.
func (s *Set) inherit(changed map[string]bool) {
	if len(changed) == 0 {
		return
	}
	for k, e := range s.buckets {
		if k.bucket != "" && changed[k.typ] {
			renewed := *e
			s.derive(k, &renewed)
			s.buckets[k] = &renewed
		}
	}
}
