package report

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"cartwheel/bench/result"
)

// matrix is a full grid of cells: one for each of its R and W, with all else the same.
type matrix struct {
	n      int
	name   string // "N=3", and what else its cells have in common
	rs, ws []string
	at     map[[2]string]*result.Cell // by R and W
}

// matrices finds the matrices among the cells, in order of appearance, and the cells that are
// in none. Cells with faults are in none: they measure the fault.
func matrices(cells []result.Cell) (full []matrix, others []*result.Cell) {
	groups := map[string]*matrix{}
	var order []*matrix
	member := map[*result.Cell]*matrix{}
	for i := range cells {
		c := &cells[i]
		if len(c.Events) > 0 {
			continue
		}
		name := common(c.Levels)
		m := groups[name]
		if m == nil {
			m = &matrix{n: c.Levels.N, name: name, at: map[[2]string]*result.Cell{}}
			groups[name] = m
			order = append(order, m)
		}
		key := [2]string{c.Levels.R, c.Levels.W}
		if m.at[key] != nil {
			continue // a second one of the same levels has no place in the grid
		}
		m.at[key] = c
		member[c] = m
		m.rs, m.ws = insert(m.rs, key[0]), insert(m.ws, key[1])
	}
	whole := map[*matrix]bool{}
	for _, m := range order {
		if len(m.rs) >= 2 && len(m.ws) >= 2 && len(m.at) == len(m.rs)*len(m.ws) {
			slices.SortFunc(m.rs, byLevel(m.n))
			slices.SortFunc(m.ws, byLevel(m.n))
			whole[m] = true
			full = append(full, *m)
		}
	}
	for i := range cells {
		if !whole[member[&cells[i]]] {
			others = append(others, &cells[i])
		}
	}
	return full, others
}

func insert(list []string, s string) []string {
	if slices.Contains(list, s) {
		return list
	}
	return append(list, s)
}

// common names what the cells of a matrix have in common.
func common(l result.Levels) string {
	parts := []string{fmt.Sprintf("N=%d", l.N)}
	for _, p := range [][2]string{{"PR", l.PR}, {"PW", l.PW}, {"DW", l.DW}} {
		if p[1] != "" {
			parts = append(parts, p[0]+"="+clip(p[1], 12))
		}
	}
	if l.Sloppy {
		parts = append(parts, "sloppy")
	}
	return strings.Join(parts, " ")
}

// level is the number of replies that a level asks for.
func level(s string, n int) (int, bool) {
	switch s {
	case "one":
		return 1, true
	case "quorum":
		return n/2 + 1, true
	case "all":
		return n, true
	}
	v, err := strconv.Atoi(s)
	return v, err == nil
}

// byLevel orders levels by their number, and before them those without one by name.
func byLevel(n int) func(a, b string) int {
	return func(a, b string) int {
		x, okX := level(a, n)
		y, okY := level(b, n)
		if okX && okY && x != y {
			return cmp.Compare(x, y)
		}
		if okX != okY {
			return map[bool]int{true: 1, false: -1}[okX]
		}
		return cmp.Compare(a, b)
	}
}

// levelName names a row or a column.
func levelName(letter, value string) string {
	if value == "" {
		return letter + " default"
	}
	return letter + "=" + clip(value, 8)
}

// overlap reports whether the replicas that a read hears and those that a write waits for must
// have one in common; known is false if a level is not a number.
func overlap(r, w string, n int) (overlaps, known bool) {
	x, okR := level(r, n)
	y, okW := level(w, n)
	return x+y > n, okR && okW
}

// op returns the operations of one kind, nil if there were none.
func op(c *result.Cell, kind string) *result.Op {
	for i := range c.Ops {
		if c.Ops[i].Kind == kind && c.Ops[i].Count > 0 {
			return &c.Ops[i]
		}
	}
	return nil
}

// all is the entry that sums the others up.
const all = "all"

// kinds returns the kinds of operations in the order of their appearance, without the sum, unless
// the sum is all there is.
func kinds(cells []result.Cell) []string {
	var found []string
	for i := range cells {
		for _, o := range cells[i].Ops {
			if o.Kind != all && o.Count > 0 && !slices.Contains(found, o.Kind) {
				found = append(found, o.Kind)
			}
		}
	}
	if len(found) == 0 {
		return []string{all}
	}
	return found
}

// errorsOf is the number of failed operations.
func errorsOf(o *result.Op) int64 {
	var sum int64
	for _, n := range o.Errors {
		sum += n
	}
	return sum
}

// cpuPerOp is the processor time per operation in microseconds; not a number if it is not known.
func cpuPerOp(c *result.Cell, uses ...result.Use) float64 {
	o := op(c, all)
	var sum float64
	for _, u := range uses {
		if u.CPUSeconds == 0 {
			return math.NaN() // not known, of a process that was restarted: the sum would be too low
		}
		sum += u.CPUSeconds
	}
	if o == nil || !usable(sum) || sum <= 0 {
		return math.NaN()
	}
	return sum * 1e6 / float64(o.Count)
}

// atOnce is how long after the acknowledgement, in microseconds, a read still begins "at once".
const atOnce = 50

// readsAtOnce returns how many reads began at the acknowledgement of a write, and how many of them
// were answered with it; 0 of 0 if that was not measured.
func readsAtOnce(c *result.Cell) (fresh, reads int64) {
	if c.Staleness != nil {
		for _, f := range c.Staleness.Times {
			if f.Delay <= atOnce && f.Reads > 0 {
				return f.Fresh, f.Reads
			}
		}
	}
	return 0, 0
}

// freshAtOnce is the share of them; not a number if it was not measured.
func freshAtOnce(c *result.Cell) float64 {
	fresh, reads := readsAtOnce(c)
	if reads == 0 {
		return math.NaN()
	}
	return float64(fresh) / float64(reads)
}

// measuredFresh reports whether any cell has it.
func measuredFresh(cells []result.Cell) bool {
	return slices.ContainsFunc(cells, func(c result.Cell) bool { return usable(freshAtOnce(&c)) })
}

// fewestAtOnce is the least number of reads of a cell that has it; 0 if none has.
func fewestAtOnce(cells []result.Cell) int64 {
	var least int64
	for i := range cells {
		if _, reads := readsAtOnce(&cells[i]); reads > 0 && (least == 0 || reads < least) {
			least = reads
		}
	}
	return least
}

// unknownCPU returns the cells whose processor time is not known, and why; "" if there is none.
func unknownCPU(cells []result.Cell) (of []string, why string) {
	var nodes []string
	for i := range cells {
		c := &cells[i]
		if op(c, all) == nil || usable(cpuPerOp(c, c.Nodes...)) {
			continue
		}
		of = append(of, cellName(c))
		for _, u := range c.Nodes {
			if u.CPUSeconds == 0 {
				nodes = insert(nodes, clip(u.Name, 24))
			}
		}
	}
	switch {
	case len(of) == 0:
		return nil, ""
	case len(nodes) == 0:
		nodes = []string{"the nodes"}
	}
	return of, "no processor time of " + listed(nodes) + " (restarted, or not reached)"
}

// listed joins names, and says how many more there are.
func listed(names []string) string {
	const most = 6
	text := strings.Join(names[:min(len(names), most)], ", ")
	if left := len(names) - most; left > 0 {
		text += fmt.Sprintf(" and %d more", left)
	}
	return text
}
