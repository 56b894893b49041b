package report

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"cartwheel/bench/result"
)

// fact is one line of the page's head: what has to be known to judge the figures.
type fact struct{ Name, Value string }

func facts(run *result.Run) []fact {
	l, cl := run.Load, run.Cluster
	list := []fact{
		{"Date", date(run.Began) + ", " + inSeconds(run.Seconds) + " in all"},
		{"Software", join(" ", "cartwheel", known(run.Software.Version), run.Software.Go, run.Software.OS+"/"+run.Software.Arch)},
		{"Load generator on", machine(run.Machine)},
		{"Cluster", clusterText(cl)},
		{"Durability", durability(cl.Durability)},
		{"Cells", cellsText(run.Cells)},
		{"Workload", workload(l)},
		{"Keys", thousands(l.Keys) + ", " + known(l.Distribution)},
		{"Value size", sizes(l)},
		{"Clients", clients(l)},
		{"Each cell", inSeconds(l.For) + " after " + inSeconds(l.WarmUp) + " of warm-up, seed " + fmt.Sprint(l.Seed)},
		{"Bucket", bucket(l)},
	}
	for i := range list {
		list[i].Value = printable(list[i].Value)
	}
	return list
}

func known(s string) string {
	if s == "" {
		return "not known"
	}
	return s
}

// join joins what is not empty.
func join(separator string, parts ...string) string {
	return strings.Join(slices.DeleteFunc(parts, func(s string) bool { return s == "" }), separator)
}

func date(t time.Time) string {
	if t.IsZero() {
		return "not known"
	}
	return t.UTC().Format("2006-01-02 15:04 UTC")
}

func machine(m result.Machine) string {
	memory := ""
	if m.MemoryBytes > 0 {
		memory = inBytes(m.MemoryBytes) + " of memory"
	}
	used := ""
	if m.Procs > 0 && m.Procs != m.Cores {
		used = fmt.Sprintf("%d of them used", m.Procs)
	}
	return join(", ", known(m.CPU), plural(m.Cores, "core"), used, memory)
}

func plural[T int | int64](n T, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return thousands(n) + " " + noun + "s"
}

func clusterText(c result.Cluster) string {
	return join(", ", plural(c.Members, "member"), "default N="+fmt.Sprint(c.N), plural(c.Partitions, "partition"),
		"requests to "+plural(len(c.Nodes), "node"))
}

func durability(s string) string {
	switch s {
	case "fsync":
		return "fsync: acknowledged writes are on disk"
	case "os":
		return "os: acknowledged writes may be in the memory of the operating system only"
	case "":
		return "not known"
	}
	return s + ": the nodes differ"
}

// cellsText names the cells, or, if there are many, their range.
func cellsText(cells []result.Cell) string {
	full, others := matrices(cells)
	var parts []string
	for _, m := range full {
		parts = append(parts, fmt.Sprintf("%s: R %s by W %s", m.name, strings.Join(m.rs, ", "), strings.Join(m.ws, ", ")))
	}
	const named = 6
	for _, c := range others[:min(len(others), named)] {
		parts = append(parts, cellName(c))
	}
	if left := len(others) - named; left > 0 {
		parts = append(parts, fmt.Sprintf("and %d more", left))
	}
	return join("; ", append([]string{fmt.Sprint(len(cells))}, parts...)...)
}

func workload(l result.Load) string {
	var names, shares []string
	for name := range l.Mix {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		shares = append(shares, name+" "+percent(l.Mix[name]))
	}
	return join(": ", known(l.Workload), strings.Join(shares, ", "))
}

func sizes(l result.Load) string {
	if l.ValueMin == l.ValueMax {
		return plural(l.ValueMin, "byte")
	}
	return thousands(l.ValueMin) + " to " + plural(l.ValueMax, "byte")
}

func clients(l result.Load) string {
	if l.Rate > 0 {
		return fmt.Sprintf("open loop: %s operations/s in all, over %s; latency counts from the moment the schedule wanted the request sent", perSecond(l.Rate), plural(l.Clients, "connection"))
	}
	return fmt.Sprintf("closed loop: %s, each with one request at a time", plural(l.Clients, "client"))
}

func bucket(l result.Load) string {
	var names, parts []string
	for name := range l.Properties {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		parts = append(parts, fmt.Sprintf("%s=%v", name, l.Properties[name]))
	}
	return join(": ", known(l.Bucket), strings.Join(parts, " "))
}

// cellName names a cell; one with faults is named after them as well, since there may be another
// of the same levels without.
func cellName(c *result.Cell) string {
	name := c.Name
	if name == "" {
		name = common(c.Levels) + " " + levelName("R", c.Levels.R) + " " + levelName("W", c.Levels.W)
	}
	var during []string
	for _, e := range c.Events {
		during = insert(during, e.Name)
	}
	if len(during) > 0 && !strings.Contains(name, "during") {
		name += " during " + strings.Join(during, ", ")
	}
	return clip(name, 80)
}

// errorText prints the failures of one kind of operation: their number, and of what sort they were.
func errorText(o *result.Op) string {
	if errorsOf(o) == 0 {
		return "0"
	}
	return fmt.Sprintf("%s (%s)", thousands(errorsOf(o)), errorKinds(o.Errors))
}

// errorKinds prints the kinds of errors with their numbers, the most frequent first.
func errorKinds(errs map[string]int64) string {
	sorts := slices.SortedFunc(maps.Keys(errs), func(a, b string) int {
		return cmp.Or(cmp.Compare(errs[b], errs[a]), cmp.Compare(a, b))
	})
	var parts []string
	for _, name := range sorts {
		parts = append(parts, clip(name, 24)+" "+thousands(errs[name]))
	}
	const named = 4
	if len(parts) > named {
		parts = append(parts[:named], "…")
	}
	return strings.Join(parts, ", ")
}

// nodeTable is what the nodes said of themselves.
func nodeTable(c result.Cluster) table {
	t := table{Caption: "Nodes that requests went to", Words: true, Head: []string{"node", "address", "version", "durability", "cores", "zone"}}
	for _, n := range c.Nodes {
		cores := dash
		if n.Cores > 0 {
			cores = fmt.Sprint(n.Cores)
		}
		t.Rows = append(t.Rows, []string{printable(n.Name), printable(n.URL), printable(known(n.Version)), printable(known(n.Durability)), cores, printable(n.Zone)})
	}
	return t
}
