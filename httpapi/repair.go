package httpapi

import (
	"math"
	"time"

	"cartwheel/ring"
)

// Repair is what a node knows of copies that are not where they belong, and of what it does
// about them.
type Repair struct {
	Hints      []Hints    // kept here for others
	Dirty      []Dirty    // copies known to lack writes
	Unsure     []uint16   // partitions whose copies here may lack acknowledged writes, ascending
	Rebuilding int        // partitions whose tree is being built
	Exchanges  int        // under way, begun here
	Rate       float64    // objects per second that repair may move now
	Yielding   bool       // the rate is held down for the sake of requests
	Verified   []Verified // by peer that shares partitions with this node
}

// Hints are the writes that a node keeps for an owner that was away.
type Hints struct {
	Owner        string // uuid
	Count, Bytes int64
	Error        string // of the last attempt to deliver them; "" if it went well
}

// Dirty names partitions whose copies at an owner lack writes for which no hint exists.
type Dirty struct {
	Owner      string // uuid
	Partitions []uint16
}

// Verified says how far this node's copies have been compared with a peer's.
type Verified struct {
	Peer       string        // uuid
	Partitions int           // shared with it
	Never      int           // of them not compared in this life
	Oldest     time.Duration // since the least recent comparison of the others
}

// hintsView is the hints for one owner as /cluster shows them.
type hintsView struct {
	Owner string `json:"owner"` // name, or uuid of one that is no member
	UUID  string `json:"uuid"`
	Count int64  `json:"count"`
	Bytes int64  `json:"bytes"`
	Error string `json:"error,omitempty"`
}

type dirtyView struct {
	Owner      string   `json:"owner"`
	UUID       string   `json:"uuid"`
	Partitions []uint16 `json:"partitions"`
}

type verifiedView struct {
	Peer          string  `json:"peer"`
	UUID          string  `json:"uuid"`
	Partitions    int     `json:"partitions"`
	Never         int     `json:"never"`
	OldestSeconds float64 `json:"oldest_seconds"`
}

// repairView is what /cluster shows of Repair.
type repairView struct {
	HintsPending  int64          `json:"hints_pending"`
	Hints         []hintsView    `json:"hints"`
	Dirty         []dirtyView    `json:"dirty"`
	Unsure        []uint16       `json:"unsure"`
	Rebuilding    int            `json:"rebuilding"`
	Exchanges     int            `json:"exchanges"`
	RatePerSecond float64        `json:"rate_per_second"`
	Yielding      bool           `json:"yielding"`
	Verified      []verifiedView `json:"verified"`
}

// view names the members of r that p speaks of. r may be nil.
func (p Repair) view(r *ring.Ring) repairView {
	name := func(uuid string) string {
		if r != nil {
			if i, ok := r.Index(uuid); ok {
				return r.Members()[i].Name
			}
		}
		return uuid
	}
	v := repairView{
		Hints: []hintsView{}, Dirty: []dirtyView{}, Unsure: append([]uint16{}, p.Unsure...), Verified: []verifiedView{},
		Rebuilding: p.Rebuilding, Exchanges: p.Exchanges, RatePerSecond: math.Round(p.Rate), Yielding: p.Yielding,
	}
	for _, h := range p.Hints {
		v.HintsPending += h.Count
		v.Hints = append(v.Hints, hintsView{Owner: name(h.Owner), UUID: h.Owner, Count: h.Count, Bytes: h.Bytes, Error: h.Error})
	}
	for _, d := range p.Dirty {
		v.Dirty = append(v.Dirty, dirtyView{Owner: name(d.Owner), UUID: d.Owner, Partitions: d.Partitions})
	}
	for _, o := range p.Verified {
		seconds := math.Round(o.Oldest.Seconds()*10) / 10
		v.Verified = append(v.Verified, verifiedView{Peer: name(o.Peer), UUID: o.Peer, Partitions: o.Partitions, Never: o.Never, OldestSeconds: seconds})
	}
	return v
}
