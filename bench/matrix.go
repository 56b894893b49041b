package bench

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"cartwheel/bench/result"
)

// The words of a matrix that stand for cells of their own.
const (
	// AllCells is every R and W from 1 to N.
	AllCells = "all"
	// DefaultCell sends no level: those of the bucket apply.
	DefaultCell = "default"
)

// Limits of a matrix.
const (
	maxMatrixText = 64 << 10
	// MaxN bounds the replicas of a cell. Nobody keeps more, and N times N cells are to be run.
	MaxN = 16
	// MaxCells bounds a run: as many cells as AllCells has with MaxN.
	MaxCells = MaxN * MaxN
)

// Matrix is a parsed list of cells whose levels are not yet resolved against a number of replicas.
// Make it with ParseMatrix; the zero value has no cell.
type Matrix struct {
	cells []spec
	text  string
}

// spec is one word of a matrix.
type spec struct {
	word   string
	all    bool
	n      int               // 0: for every N
	levels map[string]string // by name: r, pr, w, pw, dw
	strict bool
}

// levelNames are the fields of a cell that are levels, and the lowest number each may have.
var levelNames = map[string]int{"r": 1, "w": 1, "dw": 1, "pr": 0, "pw": 0}

// ParseMatrix reads cells separated by spaces: "r=1,w=2 r=2,w=2,pr=1,sloppy=false,n=5", or the words
// "all" and "default". It reports everything that is wrong.
func ParseMatrix(text string) (Matrix, error) {
	if len(text) > maxMatrixText {
		return Matrix{}, fmt.Errorf("bench: the matrix is longer than %d bytes", maxMatrixText)
	}
	m := Matrix{text: text}
	var errs []error
	for word := range strings.FieldsSeq(text) {
		s, err := parseCell(word)
		if err != nil {
			errs = append(errs, fmt.Errorf("bench: the cell %q of the matrix: %w", clip(word), err))
			continue
		}
		m.cells = append(m.cells, s)
	}
	switch {
	case len(errs) > 0:
		return Matrix{}, errors.Join(errs...)
	case len(m.cells) == 0:
		return Matrix{}, errors.New(`bench: the matrix has no cell; name some such as "r=1,w=1 r=2,w=2", or "all"`)
	case len(m.cells) > MaxCells:
		return Matrix{}, fmt.Errorf("bench: the matrix has %d cells; up to %d are possible", len(m.cells), MaxCells)
	}
	return m, nil
}

// clip keeps what a message quotes short.
func clip(s string) string {
	const enough = 60
	if len(s) <= enough {
		return s
	}
	return s[:enough] + "..."
}

func parseCell(word string) (spec, error) {
	s := spec{word: word, levels: map[string]string{}}
	switch word {
	case AllCells:
		s.all = true
		return s, nil
	case DefaultCell:
		return s, nil
	}
	seen := map[string]bool{}
	for field := range strings.SplitSeq(word, ",") {
		name, value, ok := strings.Cut(field, "=")
		if !ok {
			return s, fmt.Errorf("%q is not of the form name=value; the names are r, w, pr, pw, dw, sloppy, n", clip(field))
		}
		if seen[name] {
			return s, fmt.Errorf("%s is there twice", name)
		}
		seen[name] = true
		if err := s.set(name, value); err != nil {
			return s, err
		}
	}
	return s, nil
}

// set takes one field of a cell.
func (s *spec) set(name, value string) error {
	low, isLevel := levelNames[name]
	switch {
	case isLevel:
		if err := checkLevel(value, low); err != nil {
			return fmt.Errorf("%s=%s: %w", name, clip(value), err)
		}
		s.levels[name] = value
	case name == "sloppy" && (value == "true" || value == "false"):
		s.strict = value == "false"
	case name == "sloppy":
		return fmt.Errorf("sloppy=%s: use true or false", clip(value))
	case name == "n":
		n, err := strconv.Atoi(value)
		if err != nil || n < 1 || n > MaxN {
			return fmt.Errorf("n=%s: use a number from 1 to %d", clip(value), MaxN)
		}
		s.n = n
	default:
		return fmt.Errorf("there is no %q; the names are r, w, pr, pw, dw, sloppy, n", clip(name))
	}
	return nil
}

func checkLevel(value string, low int) error {
	switch value {
	case "one", "quorum", "all":
		return nil
	}
	if v, err := strconv.Atoi(value); err != nil || v < low || v > MaxN {
		return fmt.Errorf("use a number from %d to %d, one, quorum or all", low, MaxN)
	}
	return nil
}

// Cells returns the cells for n replicas, in order, their levels as numbers; nil if every cell asks
// for another n. Levels above n, and cells that are equal, are errors.
func (m Matrix) Cells(n int) ([]result.Levels, error) {
	if n < 1 || n > MaxN {
		return nil, fmt.Errorf("bench: n=%d is not between 1 and %d", n, MaxN)
	}
	var cells []result.Levels
	var errs []error
	for _, s := range m.cells {
		if s.n != 0 && s.n != n {
			continue
		}
		for _, l := range s.expand(n) {
			if err := fits(l, n); err != nil {
				errs = append(errs, fmt.Errorf("bench: the cell %q of the matrix: %w", clip(s.word), err))
			}
			if slices.Contains(cells, l) {
				errs = append(errs, fmt.Errorf("bench: the cell %q of the matrix is there twice, as %s", clip(s.word), Name(l)))
				continue
			}
			cells = append(cells, l)
		}
	}
	return cells, errors.Join(errs...)
}

// Ns returns the numbers of replicas that cells ask for themselves, ascending.
func (m Matrix) Ns() []int {
	var ns []int
	for _, s := range m.cells {
		if s.n != 0 {
			ns = append(ns, s.n)
		}
	}
	slices.Sort(ns)
	return slices.Compact(ns)
}

// expand returns the cells that one word stands for.
func (s spec) expand(n int) []result.Levels {
	if !s.all {
		at := func(name string) string { return number(s.levels[name], n) }
		l := result.Levels{N: n, R: at("r"), W: at("w"), PR: at("pr"), PW: at("pw"), DW: at("dw"), Sloppy: !s.strict}
		if l.DW == l.W {
			l.DW = "" // follows from w
		}
		return []result.Levels{l}
	}
	var cells []result.Levels
	for r := 1; r <= n; r++ {
		for w := 1; w <= n; w++ {
			cells = append(cells, result.Levels{N: n, R: strconv.Itoa(r), W: strconv.Itoa(w), Sloppy: true})
		}
	}
	return cells
}

// number returns a level as a number; an empty one stays empty.
func number(level string, n int) string {
	switch level {
	case "one":
		return "1"
	case "quorum":
		return strconv.Itoa(n/2 + 1)
	case "all":
		return strconv.Itoa(n)
	case "":
		return ""
	}
	v, _ := strconv.Atoi(level) // checkLevel has seen it
	return strconv.Itoa(v)      // "02" is 2
}

// fits returns an error if a level is above n.
func fits(l result.Levels, n int) error {
	var errs []error
	for _, f := range levelFields(l) {
		if v, err := strconv.Atoi(f.value); err == nil && v > n {
			errs = append(errs, fmt.Errorf("%s=%d is above n=%d", f.name, v, n))
		}
	}
	return errors.Join(errs...)
}

// levelField is a level by its name as a parameter of a request.
type levelField struct{ name, value string }

func levelFields(l result.Levels) [5]levelField {
	return [...]levelField{{"r", l.R}, {"w", l.W}, {"pr", l.PR}, {"pw", l.PW}, {"dw", l.DW}}
}

// Name returns a cell's name, as "N=3 R=2 W=2".
func Name(l result.Levels) string {
	words := []string{"N=" + strconv.Itoa(l.N)}
	for _, f := range levelFields(l) {
		if f.value != "" {
			words = append(words, strings.ToUpper(f.name)+"="+f.value)
		}
	}
	if len(words) == 1 {
		words = append(words, DefaultCell)
	}
	if !l.Sloppy {
		words = append(words, "strict")
	}
	return strings.Join(words, " ")
}

// Queries returns the parameters of the requests of a cell, without "?": what was not named is not
// sent. Only w brings dw=w with it: the bucket's dw is quorum, below which w alone would not lower
// what a write needs.
func Queries(l result.Levels) (get, put string) {
	reads, writes := url.Values{}, url.Values{}
	if l.DW == "" {
		l.DW = l.W
	}
	for _, f := range levelFields(l) {
		if f.value == "" {
			continue
		}
		to := writes
		if strings.HasSuffix(f.name, "r") {
			to = reads
		}
		to.Set(f.name, f.value)
	}
	if !l.Sloppy {
		reads.Set("sloppy_quorum", "false")
		writes.Set("sloppy_quorum", "false")
	}
	return reads.Encode(), writes.Encode()
}
