package httpapi

import (
	"reflect"
	"testing"
	"time"
)

// What a node has to repair stands in /cluster under the members' names.
func TestClusterShowsRepair(t *testing.T) {
	c := newCluster(t)
	a := c.server(t)
	get := func() (v struct {
		Members []struct{ Name, Calls string }
		Repair  repairView
	}) {
		t.Helper()
		getJSON(t, a, "/cluster", &v)
		return v
	}
	empty := get().Repair
	want := repairView{Hints: []hintsView{}, Dirty: []dirtyView{}, Unsure: []uint16{}, Verified: []verifiedView{}}
	if !reflect.DeepEqual(empty, want) {
		t.Errorf("nothing to repair: %+v", empty)
	}

	m := c.ring.Members()[0]
	c.status.Members[0].Silent = true
	c.repair = Repair{
		Hints:  []Hints{{Owner: m.UUID, Count: 3, Bytes: 99, Error: "no answer"}, {Owner: "gone", Count: 2, Bytes: 8}},
		Dirty:  []Dirty{{Owner: m.UUID, Partitions: []uint16{1, 9}}},
		Unsure: []uint16{4}, Rebuilding: 2, Exchanges: 1, Rate: 1500.2, Yielding: true,
		Verified: []Verified{{Peer: m.UUID, Partitions: 16, Never: 1, Oldest: 1234 * time.Millisecond}},
	}
	got := get()
	want = repairView{
		HintsPending: 5,
		Hints:        []hintsView{{m.Name, m.UUID, 3, 99, "no answer"}, {"gone", "gone", 2, 8, ""}},
		Dirty:        []dirtyView{{m.Name, m.UUID, []uint16{1, 9}}},
		Unsure:       []uint16{4}, Rebuilding: 2, Exchanges: 1, RatePerSecond: 1500, Yielding: true,
		Verified: []verifiedView{{m.Name, m.UUID, 16, 1, 1.2}},
	}
	if !reflect.DeepEqual(got.Repair, want) {
		t.Errorf("got  %+v\nwant %+v", got.Repair, want)
	}
	if got.Members[0].Calls != "open" {
		t.Errorf("a silent member: %+v", got.Members[0])
	}
}
