package httpapi

import (
	"strconv"
	"strings"

	"cartwheel/props"
	"cartwheel/resolve"
	"cartwheel/vclock"
)

// rule turns a bucket's way to resolve siblings into the function of package resolve.
func rule(how props.Resolve) resolve.How {
	switch how {
	case props.ResolveLWW:
		return resolve.LWW
	case props.ResolveUnion:
		return resolve.Union
	case props.ResolveMax:
		return resolve.Max
	case props.ResolveJSONMerge:
		return resolve.JSONMerge
	}
	return resolve.ShowAll
}

// resolve puts one value in the place of siblings, if the rule fits them, and returns what the
// receipt says of it, "" if all are shown as before. The context still covers all siblings, so
// that the next write with it replaces them. The entity tag is one of rule and set: it changes
// when a sibling comes or goes, even if the value stays.
func (v *view) resolve(how props.Resolve) (note string) {
	if how == props.ResolveSiblings || len(v.shown) < 2 || how != props.ResolveLWW && anyCoded(v.shown) {
		return ""
	}
	one, ok := resolve.Siblings(rule(how), v.shown)
	if !ok {
		return ""
	}
	for i := range v.shown { // Last-Modified does not go back when the greatest value is an old one
		one.Time = max(one.Time, v.shown[i].Time)
	}
	v.shown = []vclock.Sibling{one}
	v.tag = `"` + how.String() + "." + strconv.FormatUint(v.object.Digest(), 16) + `"`
	return " resolved=" + how.String()
}

// anyCoded reports whether a value is stored compressed, so that its bytes are not the text that
// its content type names.
func anyCoded(s []vclock.Sibling) bool {
	for i := range s {
		if coding := meta(&s[i], metaCoding); coding != "" && !strings.EqualFold(coding, "identity") {
			return true
		}
	}
	return false
}

func setResolve(o *optional[props.Resolve], name, value string) string {
	if value == "default" {
		return ""
	}
	how, ok := props.ParseResolve(value)
	if !ok {
		return name + " query parameter must be one of the following words: 'siblings', 'lww', 'union', 'max' or 'json_merge'"
	}
	*o = optional[props.Resolve]{how, true}
	return ""
}
