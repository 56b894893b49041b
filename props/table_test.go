package props

import (
	"fmt"
	"slices"
	"testing"

	"cartwheel/vclock"
)

func config(node string, save func([]byte) error) Config {
	if save == nil {
		save = func([]byte) error { return nil }
	}
	return Config{Node: node, Defaults: Defaults{AllowMult: true, N: 3}, Save: save}
}

// newTable returns an empty table and what it saved last.
func newTable(t testing.TB, node string) (*Table, *[]byte) {
	t.Helper()
	saved := new([]byte)
	table, err := NewTable(config(node, func(b []byte) error { *saved = b; return nil }), nil)
	if err != nil {
		t.Fatal(err)
	}
	return table, saved
}

func parse(t testing.TB, bucket, body string) Change {
	t.Helper()
	c, err := ParseChange("", bucket, []byte(body))
	if err != nil {
		t.Fatalf("%s: %v", body, err)
	}
	return c
}

func apply(t testing.TB, table *Table, bucket, body string) (delta []byte) {
	t.Helper()
	delta, err := table.Apply(parse(t, bucket, body))
	if err != nil {
		t.Fatalf("%s: %v", body, err)
	}
	return delta
}

func merge(t testing.TB, table *Table, document []byte) (changed bool) {
	t.Helper()
	changed, err := table.Merge(document)
	if err != nil {
		t.Fatalf("merge %s: %v", document, err)
	}
	return changed
}

func TestDefaults(t *testing.T) {
	table, _ := newTable(t, "n1")
	want := `{"allow_mult":true,"basic_quorum":false,"big_vclock":50,"chash_keyfun":{"fun":"chash_std_keyfun","mod":"riak_core_util"},` +
		`"dvv_enabled":true,"dw":"quorum","last_write_wins":false,"linkfun":{"fun":"mapreduce_linkfun","mod":"riak_kv_wm_link_walker"},` +
		`"n_val":3,"name":"carts \"1\"","node_confirms":0,"notfound_ok":true,"old_vclock":86400,"postcommit":[],"pr":0,"precommit":[],` +
		`"pw":0,"r":"quorum","read_repair":"after","require_context":false,"resolve":"siblings","rw":"quorum","sloppy_quorum":true,"small_vclock":50,"sync_on_write":"backend",` +
		`"w":"quorum","write_once":false,"young_vclock":20}`
	if got := string(marshal(table.Set().JSON("", `carts "1"`))); got != want {
		t.Errorf("shown\n got %s\nwant %s", got, want)
	}
	base := Properties{NVal: 3, AllowMult: true, NotFoundOK: true, SloppyQuorum: true, R: Majority, W: Majority, DW: Majority, RW: Majority}
	if got := table.Set().Bucket("default", "b"); got != base {
		t.Errorf("got %+v, want %+v", got, base)
	}
	cfg := config("n1", nil)
	cfg.Defaults = Defaults{AllowMult: false, N: 2}
	other, err := NewTable(cfg, nil)
	if err != nil {
		t.Fatal(err)
	}
	if p := other.Set().Bucket("", "b"); p.AllowMult || p.NVal != 2 || !p.Lossy() {
		t.Errorf("own defaults: got %+v", p)
	}
	if got := string(other.Set().JSON("", "b")["n_val"]); got != "2" {
		t.Errorf("own defaults: n_val shown as %s", got)
	}
}

func TestApplySteersEveryField(t *testing.T) {
	table, _ := newTable(t, "n1")
	apply(t, table, "b", `{"props":{"n_val":5,"allow_mult":false,"last_write_wins":true,"notfound_ok":false,"basic_quorum":true,
		"sloppy_quorum":false,"read_repair":"before","require_context":true,"resolve":"max","r":"one","w":2,"dw":0,"rw":"all","pr":"quorum","pw":3,"node_confirms":"all"}}`)
	want := Properties{NVal: 5, LastWriteWins: true, BasicQuorum: true, ReadRepairBefore: true, RequireContext: true, Resolve: ResolveMax,
		R: 1, W: 2, DW: 0, RW: All, PR: Majority, PW: 3, NodeConfirms: All}
	if got := table.Set().Bucket("", "b"); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if got, base := table.Set().Bucket("", "c"), table.Set().base; got != base {
		t.Errorf("another bucket: got %+v, want %+v", got, base)
	}
	if got := table.Set().Bucket("type", "b"); got != table.Set().base {
		t.Errorf("the bucket of another type: got %+v", got)
	}
	shown := table.Set().JSON("", "b")
	for name, want := range map[string]string{"r": `"one"`, "pw": "3", "read_repair": `"before"`, "n_val": "5", "name": `"b"`} {
		if got := string(shown[name]); got != want {
			t.Errorf("%s shown as %s, want %s", name, got, want)
		}
	}
}

// TestResetAndDefault: a reset erases all, "default" one; both are a change that later
// changes replace.
func TestResetAndDefault(t *testing.T) {
	table, _ := newTable(t, "n1")
	fresh := marshal(table.Set().JSON("", "b"))
	apply(t, table, "b", `{"props":{"r":1,"w":1,"backend":"x"}}`)
	apply(t, table, "b", `{"props":{"r":"default"}}`)
	if p := table.Set().Bucket("", "b"); p.R != Majority || p.W != 1 {
		t.Errorf(`after "default": got %+v`, p)
	}
	if _, err := table.Apply(ResetChange("default", "b")); err != nil {
		t.Fatal(err)
	}
	if got := marshal(table.Set().JSON("", "b")); string(got) != string(fresh) {
		t.Errorf("after the reset: got %s, want %s", got, fresh)
	}
	if got := table.Set().Stats(); got.Buckets != 0 || got.Entries != 1 {
		t.Errorf("after the reset: got %+v, want the mark alone", got)
	}
	apply(t, table, "b", `{"props":{"r":2}}`)
	if p := table.Set().Bucket("", "b"); p.R != 2 {
		t.Errorf("set after the reset: got %+v", p)
	}
	if delta := apply(t, table, "b", `{"props":{}}`); delta != nil {
		t.Errorf("an empty change gave the delta %s", delta)
	}
}

// TestResetCoversUnknown: a reset made by a node that has not heard of a property erases it.
func TestResetCoversUnknown(t *testing.T) {
	clock := new(vclock.HybridClock) // one clock for both: the reset is later
	a, _ := newTable(t, "a")
	b, _ := newTable(t, "b")
	a.cfg.Clock, b.cfg.Clock = clock, clock
	set := apply(t, a, "x", `{"props":{"r":1}}`)
	reset, err := b.Apply(ResetChange("", "x"))
	if err != nil {
		t.Fatal(err)
	}
	later := apply(t, a, "x", `{"props":{"w":1}}`)
	for _, table := range []*Table{a, b} {
		for _, delta := range [][]byte{later, reset, set, later} {
			merge(t, table, delta)
		}
		if p := table.Set().Bucket("", "x"); p.R != Majority || p.W != 1 {
			t.Errorf("node %s: got %+v, want r erased and w 1", table.cfg.Node, p)
		}
	}
	if a.Set().Digest() != b.Set().Digest() {
		t.Error("digests differ")
	}
}

// TestTablesConverge: nodes that exchange deltas badly and whole documents at the end agree,
// and their digests agree exactly when their documents do.
func TestTablesConverge(t *testing.T) {
	tables := make([]*Table, 3)
	for i := range tables {
		tables[i], _ = newTable(t, fmt.Sprint("n", i))
	}
	names := []string{"r", "w", "pw", "x"}
	for round := range 120 {
		from := tables[round%3]
		bucket := fmt.Sprint("b", round%5)
		c := parse(t, bucket, fmt.Sprintf(`{"props":{%q:%d}}`, names[round%4], 1+round%7))
		if round%11 == 0 {
			c = ResetChange("", bucket)
		}
		delta, err := from.Apply(c)
		if err != nil {
			t.Fatal(err)
		}
		if round%3 != 0 {
			merge(t, tables[(round+round/3)%3], delta)
		}
	}
	if tables[0].Set().Digest() == tables[1].Set().Digest() {
		t.Error("digests agree although documents differ")
	}
	for _, order := range [][2]int{{0, 1}, {1, 2}, {2, 0}, {0, 1}, {1, 2}} {
		merge(t, tables[order[1]], tables[order[0]].Set().Encode())
	}
	for _, table := range tables[1:] {
		if got, want := string(table.Set().Encode()), string(tables[0].Set().Encode()); got != want {
			t.Errorf("documents differ:\n%s\n%s", got, want)
		}
		if table.Set().Digest() != tables[0].Set().Digest() || table.Set().Stats() != tables[0].Set().Stats() {
			t.Errorf("digest or totals differ: %+v, %+v", table.Set().Stats(), tables[0].Set().Stats())
		}
		for bucket := range 5 {
			name := fmt.Sprint("b", bucket)
			if got, want := table.Set().Bucket("", name), tables[0].Set().Bucket("", name); got != want {
				t.Errorf("%s: got %+v, want %+v", name, got, want)
			}
		}
	}
}

// TestTotalsAreKept recomputes what a Set counts along.
func TestTotalsAreKept(t *testing.T) {
	set := sample(t)
	var want Set
	for k, e := range set.buckets {
		want.count(k, e, 1)
	}
	if set.owners != want.owners || set.bytes != want.bytes || set.digest != want.digest {
		t.Errorf("got %d %d %x, want %d %d %x", set.owners, set.bytes, set.digest, want.owners, want.bytes, want.digest)
	}
}

// TestFarAheadStamp: what a node with a clock far ahead has written can be replaced, and
// does not drag the stamps of other buckets along.
func TestFarAheadStamp(t *testing.T) {
	const ahead = vclock.Time(9_000_000_000_000) << 16
	foreign := func(time vclock.Time) []byte {
		return encodeDocument([][]byte{encodeBucket(newKey("", "b"), joined([]op{{time, "z", "r", "1"}}))})
	}
	table, _ := newTable(t, "a")
	merge(t, table, foreign(ahead))
	for i := 2; i < 5; i++ {
		apply(t, table, "b", fmt.Sprintf(`{"props":{"r":%d}}`, i))
		if p := table.Set().Bucket("", "b"); p.R != Quorum(i) {
			t.Errorf("change %d over a register far ahead: r is %d", i, p.R)
		}
	}
	if _, err := table.Apply(ResetChange("", "b")); err != nil || table.Set().Bucket("", "b").R != Majority {
		t.Errorf("reset over a register far ahead: %v", err)
	}
	apply(t, table, "b", `{"props":{"r":7}}`)
	if p := table.Set().Bucket("", "b"); p.R != 7 {
		t.Errorf("change over a reset far ahead: r is %d", p.R)
	}
	apply(t, table, "c", `{"props":{"r":7}}`)
	if got := table.Set().buckets[newKey("", "c")].latest(); got >= ahead {
		t.Errorf("another bucket was stamped %d, far ahead", got)
	}
	last, _ := newTable(t, "a")
	merge(t, last, foreign(maxTime))
	if _, err := last.Apply(parse(t, "b", `{"props":{"r":2}}`)); err == nil {
		t.Error("a change over the last possible time was accepted")
	}
}

// TestForeignValue: a value that only a newer program understands is kept and passed on, and
// reads as the default.
func TestForeignValue(t *testing.T) {
	doc := encodeDocument([][]byte{encodeBucket(newKey("", "b"), joined([]op{{5, "z", "r", `"most"`}, {5, "z", "w", "2"}, {5, "z", "n_val", "0"}}))})
	table, _ := newTable(t, "a")
	merge(t, table, doc)
	if p := table.Set().Bucket("", "b"); p.R != Majority || p.W != 2 || p.NVal != 3 {
		t.Errorf("got %+v", p)
	}
	if got := string(table.Set().JSON("", "b")["r"]); got != `"quorum"` {
		t.Errorf("r shown as %s, want what holds", got)
	}
	if got := string(table.Set().Encode()); got != string(doc) {
		t.Errorf("passed on as %s, want %s", got, doc)
	}
}

func TestLevelsAndPlacement(t *testing.T) {
	table, _ := newTable(t, "n1")
	none := table.Set().Placement()
	check := func(step string, same bool, want ...int) {
		t.Helper()
		if got := table.Set().Levels(); !slices.Equal(got, want) {
			t.Errorf("%s: levels %v, want %v", step, got, want)
		}
		if p := table.Set().Placement(); (p == none) != same {
			t.Errorf("%s: placement %x, without properties %x", step, p, none)
		}
	}
	check("empty", true, 3)
	apply(t, table, "a", `{"props":{"r":1}}`)
	check("another property", true, 3)
	apply(t, table, "b", `{"props":{"n_val":5}}`)
	check("n_val 5", false, 3, 5)
	five := table.Set().Placement()
	apply(t, table, "b", `{"props":{"n_val":2}}`)
	check("n_val 2", false, 2, 3)
	if table.Set().Placement() == five {
		t.Error("n_val 5 and 2 have one placement")
	}
	apply(t, table, "b", `{"props":{"n_val":3}}`)
	check("n_val as the default's", true, 3)
	merge(t, table, encodeDocument([][]byte{encodeBucket(newKey("", "c"), joined([]op{{5, "z", "n_val", "100000"}}))}))
	check("n_val beyond what nodes can compare", true, 3)
}
