package report

import (
	"math"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// dash stands for what has no value.
const dash = "–"

// usable reports whether v can be drawn: it is a number, and of a size that occurs. Of others the
// sums and quotients of an axis may be no numbers any more.
func usable(v float64) bool {
	const least, most = 1e-9, 1e15
	size := math.Abs(v)
	return size == 0 || size >= least && size <= most
}

// threeDigits prints v with three digits, without an exponent.
func threeDigits(v float64) string {
	if v == 0 {
		return "0"
	}
	// The exponent of the rounded number, which may be larger: 0.9996 is printed as 1.00.
	_, exponent, _ := strings.Cut(strconv.FormatFloat(v, 'e', 2, 64), "e")
	e, err := strconv.Atoi(exponent)
	if err != nil {
		return dash // not a number
	}
	return strconv.FormatFloat(v, 'f', min(max(2-e, 0), 9), 64)
}

// significant prints v with at most three digits, without zeros that say nothing.
func significant(v float64) string {
	s := threeDigits(v)
	if strings.Contains(s, ".") {
		s = strings.TrimRight(strings.TrimRight(s, "0"), ".")
	}
	return s
}

// scaled prints v in the largest unit that leaves at least 1 before the point. Units rise, each
// with its size.
func scaled(v float64, units []unit, number func(float64) string) string {
	if !usable(v) || v < 0 {
		return dash
	}
	u := units[0]
	for _, next := range units {
		// What rounds to a whole one of the next unit is written in it.
		if v >= next.size*0.9995 {
			u = next
		}
	}
	return number(v/u.size) + u.name
}

type unit struct {
	size float64
	name string
}

// inMicros prints a time given in microseconds.
func inMicros(v float64) string { return scaled(v, timeUnits(), threeDigits) }

// Time prints a time as the table does, with three digits; a dash if it is not above 0.
func Time(d time.Duration) string {
	if d <= 0 {
		return dash
	}
	return inMicros(float64(d) / float64(time.Microsecond))
}

// tickMicros prints a round time for an axis.
func tickMicros(v float64) string { return scaled(v, timeUnits(), significant) }

func timeUnits() []unit { return []unit{{1, " µs"}, {1e3, " ms"}, {1e6, " s"}} }

// short prints a number for a chart.
func short(v float64) string {
	return scaled(v, []unit{{1, ""}, {1e3, "k"}, {1e6, "M"}, {1e9, "G"}}, significant)
}

func inBytes(v int64) string {
	return scaled(float64(v), []unit{{1, " B"}, {1 << 10, " KiB"}, {1 << 20, " MiB"}, {1 << 30, " GiB"}, {1 << 40, " TiB"}}, significant)
}

func inSeconds(v float64) string {
	if !usable(v) || v < 0 {
		return dash
	}
	return significant(v) + " s"
}

// thousands prints a count with commas.
func thousands[T int | int64](v T) string {
	s := strconv.FormatInt(int64(v), 10)
	sign := ""
	if v < 0 {
		sign, s = "-", s[1:]
	}
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return sign + s
}

// perSecond prints a rate for a table.
func perSecond(v float64) string {
	switch {
	case !usable(v) || v < 0 || v > math.MaxInt64:
		return dash
	case v < 100:
		return significant(v)
	}
	return thousands(int64(math.Round(v)))
}

// percent prints a probability. Only what is exactly 1 is printed as 100 %.
func percent(p float64) string {
	if !usable(p) || p < 0 || p > 1 {
		return dash
	}
	const most = 0.9999
	if p < 1 && p > most {
		return "> 99.99 %"
	}
	s := strconv.FormatFloat(p*100, 'f', 2, 64)
	return strings.TrimRight(strings.TrimRight(s, "0"), ".") + " %"
}

// shareOf prints which share of all were hits.
func shareOf(hits, of int64) string {
	if of <= 0 {
		return dash
	}
	return shareText(float64(hits)/float64(of), of)
}

// shareText prints a share of so many with no more digits than they can tell. Only all are 100 %, and
// only none 0 %.
func shareText(p float64, of int64) string {
	const (
		tell = 1000 // from so many on decimals say something
		most = 0.995
	)
	switch {
	case of >= tell || !(p > 0 && p < 1):
		return percent(p)
	case p >= most:
		return "> 99 %"
	case p < 1-most:
		return "< 1 %"
	}
	return strconv.FormatFloat(p*100, 'f', 0, 64) + " %"
}

// clip returns at most n characters of s on one line.
func clip(s string, n int) string {
	s = printable(s)
	if utf8.RuneCountInString(s) <= n {
		return s
	}
	return string([]rune(s)[:n-1]) + "…"
}

// printable escapes what would change a terminal's state or break a line: names come from
// other people.
func printable(s string) string {
	var b strings.Builder
	for _, r := range s {
		if strconv.IsPrint(r) {
			b.WriteRune(r)
			continue
		}
		quoted := strconv.QuoteRune(r)
		b.WriteString(quoted[1 : len(quoted)-1])
	}
	return b.String()
}
