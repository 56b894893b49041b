package httpapi

import (
	"cmp"
	"net/http"
	"net/url"
	"runtime"
	"strconv"
	"time"

	"cartwheel/quorum"
	"cartwheel/ring"
	"cartwheel/vclock"
)

// memberView is a member as /cluster shows it.
type memberView struct {
	Name       string  `json:"name"`
	UUID       string  `json:"uuid"`
	Status     string  `json:"status"`
	Alive      bool    `json:"alive"`
	Storage    string  `json:"storage"` // "ok", or "down" if its store takes no writes
	Calls      string  `json:"calls"`   // "ok", or "open" while this node sends it nothing as it did not answer
	Zone       string  `json:"zone"`
	Weight     int     `json:"weight"`
	HTTP       string  `json:"http"`
	Peer       string  `json:"peer"`
	Partitions int     `json:"partitions"` // replicas of partitions owned
	Share      float64 `json:"share"`      // of all replicas, 0 to 1
}

// clusterView is the answer of /cluster.
type clusterView struct {
	Cluster     string       `json:"cluster"`
	Node        string       `json:"node"`
	Version     string       `json:"version"`
	Durability  string       `json:"durability"` // when a write of this node counts: "fsync" or "os"
	Cores       int          `json:"cores"`      // processors that this node's process may use at once
	RingVersion uint64       `json:"ring_version"`
	Settled     bool         `json:"settled"`
	Ready       bool         `json:"ready"`
	NotReady    string       `json:"not_ready,omitempty"` // why not
	Fenced      string       `json:"fenced,omitempty"`    // why the store of this node takes no writes
	Partitions  int          `json:"partitions"`
	N           int          `json:"n"`
	Members     []memberView `json:"members"`
	Repair      repairView   `json:"repair"`
}

// now returns what is known of a member now; nothing is known before there is gossip.
func (s Status) now(member int) Member {
	if member < len(s.Members) {
		return s.Members[member]
	}
	return Member{}
}

// getCluster shows the ring and its members as this node sees them.
func (a *API) getCluster(x *exchange, _ *http.Request) {
	s, present := a.cfg.Node.Status(), a.cfg.Node.Ring()
	v := clusterView{
		Node: s.Name, Version: a.cfg.Version, Durability: a.cfg.Durability, Cores: runtime.GOMAXPROCS(0),
		NotReady: s.NotReady, Fenced: s.Fenced, Members: []memberView{}, Repair: a.cfg.Node.Repair().view(present),
	}
	if present == nil {
		x.json(http.StatusOK, v)
		return
	}
	v.Cluster, v.RingVersion, v.Partitions, v.N = present.Cluster(), present.Version(), present.Partitions(), present.N()
	v.Settled, v.Ready = s.Settled, a.notReady(s) == ""
	all := float64(present.Partitions() * present.EffectiveN(0))
	for i, m := range present.Members() {
		owned, now := present.Replicas(i), s.now(i)
		storage, calls := "ok", "ok"
		if now.StorageDown {
			storage = "down"
		}
		if now.Silent {
			calls = "open"
		}
		v.Members = append(v.Members, memberView{
			Name: m.Name, UUID: m.UUID, Status: string(m.Status), Alive: now.Alive, Storage: storage, Calls: calls, Zone: m.Zone, Weight: m.Weight,
			HTTP: cmp.Or(now.HTTP, m.HTTP), Peer: cmp.Or(now.Peer, m.Peer), Partitions: owned, Share: float64(owned) / all,
		})
	}
	x.json(http.StatusOK, v)
}

// explainView is the answer of /cluster/explain.
type explainView struct {
	Type       string      `json:"type"`
	Bucket     string      `json:"bucket"`
	Key        string      `json:"key"`
	Partition  uint16      `json:"partition"`
	Ring       uint64      `json:"ring_version"`
	NVal       int         `json:"n_val"`
	N          int         `json:"n"`          // effective
	Preference []string    `json:"preference"` // names of all members, owners first
	Owners     []ownerView `json:"owners"`
}

type ownerView struct {
	Name     string        `json:"name"`
	UUID     string        `json:"uuid"`
	Alive    bool          `json:"alive"`
	Error    string        `json:"error,omitempty"` // the copy is not known; nothing below is set
	Missing  bool          `json:"missing,omitempty"`
	Digest   string        `json:"digest,omitempty"` // equal digests: equal copies
	Clock    []entryView   `json:"clock,omitempty"`
	Siblings []siblingView `json:"siblings,omitempty"`
}

type entryView struct {
	Run     string `json:"run"` // 16 hexadecimal digits
	Epoch   uint64 `json:"epoch"`
	Counter uint64 `json:"counter"`
}

type siblingView struct {
	VTag        string    `json:"vtag"`
	Dot         entryView `json:"dot"`
	Time        time.Time `json:"time"`
	Deleted     bool      `json:"deleted,omitempty"`
	ContentType string    `json:"content_type,omitempty"`
	Bytes       int       `json:"bytes"`
}

// getExplain shows where a key lives and what each of its owners holds. The key is in the
// query: bucket, key and, optionally, type.
func (a *API) getExplain(x *exchange, r *http.Request) {
	key, ok := x.explained(r)
	if !ok {
		return
	}
	present := a.cfg.Node.Ring()
	if present == nil {
		x.refuseJSON(notReady(""))
		return
	}
	n := a.cfg.Properties.Set().Bucket(key.Type, key.Bucket).NVal
	copies, err := a.cfg.Coordinator.Explain(r.Context(), key, n)
	if err != nil {
		f, _ := classify(err)
		x.refuseJSON(f)
		return
	}
	s, members := a.cfg.Node.Status(), present.Members()
	p := present.Partition(key.Name())
	v := explainView{Type: key.Type, Bucket: key.Bucket, Key: key.Key, Partition: p, Ring: present.Version(),
		NVal: n, N: present.EffectiveN(n), Owners: []ownerView{}}
	for _, m := range present.Preference(p) {
		v.Preference = append(v.Preference, members[m].Name)
	}
	for _, c := range copies {
		// The ring may have changed between the two looks at it.
		if c.Member >= 0 && c.Member < len(members) {
			v.Owners = append(v.Owners, owner(members[c.Member], s.now(c.Member).Alive, c))
		}
	}
	x.json(http.StatusOK, v)
}

// explained reads the key from the query, or answers why not.
func (x *exchange) explained(r *http.Request) (ring.Key, bool) {
	q, err := url.ParseQuery(r.URL.RawQuery)
	key := ring.Key{Type: q.Get("type"), Bucket: q.Get("bucket"), Key: q.Get("key")}
	if key.Type == "" {
		key.Type = ring.DefaultType
	}
	if err != nil || key.Bucket == "" || key.Key == "" {
		x.refuseJSON(failure{status: http.StatusBadRequest, reason: badParameter, text: "give the key as ?bucket=B&key=K"})
		return key, false
	}
	f := checkLength(key)
	if f == nil {
		f = x.api.checkType(key)
	}
	if f != nil {
		x.refuseJSON(*f)
		return key, false
	}
	return key, true
}

func owner(m ring.Member, alive bool, c quorum.Copy) ownerView {
	v := ownerView{Name: m.Name, UUID: m.UUID, Alive: alive}
	if c.Err != nil {
		v.Error = c.Err.Error()
		return v
	}
	if v.Missing = c.Object.Missing(); v.Missing {
		return v
	}
	v.Digest = strconv.FormatUint(c.Object.Digest(), 16)
	for _, d := range c.Object.Clock {
		v.Clock = append(v.Clock, entry(d))
	}
	for i := range c.Object.Siblings {
		s := &c.Object.Siblings[i]
		v.Siblings = append(v.Siblings, siblingView{VTag: s.Dot.Tag(), Dot: entry(s.Dot), Time: s.Time.Wall(),
			Deleted: s.Deleted, ContentType: s.ContentType, Bytes: len(s.Value)})
	}
	return v
}

// entry writes the run in hexadecimal: it is 64 random bits, more than a JSON number of most
// readers can carry.
func entry(d vclock.Dot) entryView {
	const digits = 16
	run := strconv.FormatUint(d.Actor.Run, 16)
	for len(run) < digits {
		run = "0" + run
	}
	return entryView{Run: run, Epoch: d.Actor.Epoch, Counter: d.Counter}
}
