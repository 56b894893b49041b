package httpapi

import (
	"net/http"
	"strconv"
	"strings"
)

// header returns all lines of a header as one list; "" without it. name is canonical.
func header(h http.Header, name string) string {
	switch v := h[name]; len(v) {
	case 0:
		return ""
	case 1:
		return v[0]
	default:
		return strings.Join(v, ", ")
	}
}

// How closely an item of an Accept list fits.
const (
	fitsNot = iota
	fitsAny
	fitsPart // type/*
	fitsExactly
)

// quality returns the weight, 0 to 1, that a list such as Accept gives to a value, and how
// closely its best item fits. fit(item) says the latter. An empty list takes anything;
// malformed weights count as 0.
func quality(list string, fit func(item string) int) (q float64, closest int) {
	if list == "" {
		return 1, fitsAny
	}
	for entry := range strings.SplitSeq(list, ",") {
		item, rest, _ := strings.Cut(entry, ";")
		f := fit(strings.TrimSpace(item))
		if f <= closest {
			continue
		}
		q, closest = weight(rest), f
	}
	return q, closest
}

// weight returns the q parameter of a list entry, 1 without one.
func weight(parameters string) float64 {
	for p := range strings.SplitSeq(parameters, ";") {
		name, value, _ := strings.Cut(p, "=")
		if !strings.EqualFold(strings.TrimSpace(name), "q") {
			continue
		}
		q, err := strconv.ParseFloat(strings.TrimSpace(value), 64)
		if err != nil || !(q >= 0 && q <= 1) {
			return 0
		}
		return q
	}
	return 1
}

// mediaQuality is quality of a media type in an Accept header.
func mediaQuality(accept, media string) (q float64, closest int) {
	if accept == "*/*" { // by far the most frequent
		return 1, fitsAny
	}
	major, _, _ := strings.Cut(media, "/")
	return quality(accept, func(item string) int {
		switch a, b, _ := strings.Cut(item, "/"); {
		case strings.EqualFold(item, media):
			return fitsExactly
		case b == "*" && strings.EqualFold(a, major):
			return fitsPart
		case item == "*/*":
			return fitsAny
		}
		return fitsNot
	})
}

// tokenQuality is quality of a charset or content coding.
func tokenQuality(list, token string) float64 {
	q, _ := codingQuality(list, token)
	return q
}

// codingQuality is tokenQuality with how closely the list names the token.
func codingQuality(list, token string) (q float64, closest int) {
	return quality(list, func(item string) int {
		switch {
		case strings.EqualFold(item, token):
			return fitsExactly
		case item == "*":
			return fitsAny
		}
		return fitsNot
	})
}

// acceptsValue reports whether the request takes a value of this content type (with charset)
// and coding ("" for none).
func acceptsValue(h http.Header, contentType, coding string) bool {
	media, rest, _ := strings.Cut(contentType, ";")
	if accept := header(h, "Accept"); accept != "" {
		if q, _ := mediaQuality(accept, media); q == 0 {
			return false
		}
	}
	if list := header(h, "Accept-Charset"); list != "" {
		_, charset, has := strings.Cut(rest, "charset=")
		if has && tokenQuality(list, charset) == 0 {
			return false
		}
	}
	if coding != "" && !strings.EqualFold(coding, "identity") { // identity: no coding, which all can read
		return tokenQuality(header(h, "Accept-Encoding"), coding) > 0
	}
	return true
}

// minGzipBytes is the length from which a value is worth to be compressed: below it hardly a
// packet is saved.
const minGzipBytes = 1 << 10

// packing is whether a value is sent compressed.
type packing uint8

const (
	unpacked packing = iota
	packed           // if there is time for it
	mustPack         // the client takes it in no other form
)

// choosePacking says how a value without a coding of its own is sent, by an Accept-Encoding
// header. That depends on nothing but the header, the content type and the length, so that
// the entity tag can be told without compressing. ok is false if the client takes neither form.
func choosePacking(h http.Header, contentType string, length int) (p packing, ok bool) {
	list := header(h, "Accept-Encoding")
	if list == "" {
		return unpacked, true
	}
	plain, plainFit := codingQuality(list, "identity")
	zipped, zippedFit := codingQuality(list, "gzip")
	if plainFit != fitsNot && plain == 0 {
		return mustPack, zipped > 0
	}
	// A mere wildcard is no wish, and who names both says which one is better.
	wished := zippedFit == fitsExactly && zipped > 0 && !(plainFit == fitsExactly && plain > zipped)
	if wished && length >= minGzipBytes && compressible(contentType) {
		return packed, true
	}
	return unpacked, true
}

// compressible reports whether values of a content type are text, by its name.
func compressible(contentType string) bool {
	media, _, _ := strings.Cut(contentType, ";")
	major, minor, _ := strings.Cut(strings.ToLower(strings.TrimSpace(media)), "/")
	switch {
	case major == "text", strings.HasSuffix(minor, "+json"), strings.HasSuffix(minor, "+xml"):
		return true
	case major != "application":
		return false
	}
	switch minor {
	case "json", "xml", "javascript", "x-ndjson", "yaml", "toml", "sql", "x-www-form-urlencoded":
		return true
	}
	return false
}

// form is how siblings are shown.
type form uint8

const (
	asText      form = iota // a list of vtags
	asMultipart             // all values
)

// siblingForm chooses the form of siblings by an Accept header. What is named with a higher
// weight wins; of equal ones multipart if it is named itself, as only clients that can read
// it do so; a mere wildcard gets the form given. ok is false if neither is acceptable.
func siblingForm(accept string, wildcard form) (f form, ok bool) {
	if accept == "" {
		return asText, true
	}
	text, textFit := mediaQuality(accept, "text/plain")
	multi, multiFit := mediaQuality(accept, "multipart/mixed")
	switch {
	case text == 0 && multi == 0:
		return asText, false
	case multi > text, multi == text && multiFit == fitsExactly:
		return asMultipart, true
	case text > multi, textFit > multiFit:
		return asText, true
	}
	return wildcard, true
}
