package resolve

import (
	"cmp"
	"strconv"
	"strings"
)

// decimal is the value of a JSON number: 0.DIGITS times ten to the power of point. Zero has no
// digits. The first and the last digit are not 0, so equal numbers have equal decimals.
type decimal struct {
	negative bool
	digits   string
	point    int
}

// maxExponent bounds what is written after the e of a number, so that arithmetic with it cannot
// overflow. A number beyond it is not compared.
const maxExponent = 1 << 30

// parseDecimal reads a number that is valid JSON. ok is false if its exponent is beyond the bound.
func parseDecimal(s string) (d decimal, ok bool) {
	s, d.negative = strings.CutPrefix(s, "-")
	if i := strings.IndexAny(s, "eE"); i >= 0 {
		e, err := strconv.Atoi(s[i+1:])
		if err != nil || e > maxExponent || e < -maxExponent {
			return d, false
		}
		d.point, s = e, s[:i]
	}
	whole, fraction, _ := strings.Cut(s, ".")
	d.point += len(whole)
	d.digits = whole
	if fraction != "" {
		d.digits += fraction
	}
	significant := strings.TrimLeft(d.digits, "0")
	d.point -= len(d.digits) - len(significant)
	d.digits = strings.TrimRight(significant, "0")
	if d.digits == "" {
		return decimal{}, true // -0 and 0e5 are 0
	}
	return d, true
}

// compare compares by the exact values.
func (d *decimal) compare(o *decimal) int {
	if s := d.sign(); s != o.sign() {
		return cmp.Compare(s, o.sign())
	}
	c := cmp.Or(cmp.Compare(d.point, o.point), strings.Compare(d.digits, o.digits))
	if d.negative {
		return -c
	}
	return c
}

// sign is -1, 0 or 1.
func (d *decimal) sign() int {
	switch {
	case d.digits == "":
		return 0
	case d.negative:
		return -1
	}
	return 1
}
