package pbs

import (
	"errors"
	"fmt"
	"math/rand/v2"
)

// Legs are the latencies of a message's way to a replica and back: of a write W and A, of a
// read R and S. The time that the replica itself takes belongs to W and R.
type Legs struct{ W, A, R, S Sampler }

// Model is a quorum system whose staleness is to be predicted.
type Model struct {
	N, R, W int
	Legs    Legs
	// ReadAll: a read asks all N replicas and takes the first R answers. Else it asks R: the
	// coordinator's own, if it has one, and others at random.
	ReadAll bool
	// Local, if set, are the legs between a coordinator and its own replica. The write's
	// coordinator has one then, and the read's, another node, if it is one of the N.
	Local *Legs
	// Members is how many nodes there are, for Local: of more than N, some coordinate for keys
	// of which they have no replica, and pass a write on to a node that has one. 0: N.
	Members int
	// Writes, if not empty, are measured writes, to be drawn as a whole: of each N times until the
	// replicas acknowledged, with Local the coordinator's own first. A replica has the write A
	// before that, at the earliest at once; W is not used. So what slows all copies of a write
	// alike, as a disk that they share, stays together.
	Writes [][]float64
	// Client is one way between a client and its coordinator; nil takes no time.
	Client Sampler
}

// Bounds of a model and of a prediction.
const (
	maxReplicas = 32
	maxRounds   = 10_000_000 // 80 MB for each of three lists
	maxVersions = 100
)

// Validate returns everything that is wrong with m.
func (m Model) Validate() error {
	var errs []error
	if m.N < 1 || m.N > maxReplicas {
		errs = append(errs, fmt.Errorf("pbs: N is %d, want 1 to %d", m.N, maxReplicas))
	}
	if m.R < 1 || m.R > m.N || m.W < 1 || m.W > m.N {
		errs = append(errs, fmt.Errorf("pbs: R is %d and W is %d, want 1 to N, which is %d", m.R, m.W, m.N))
	}
	if m.Members != 0 && m.Members < m.N {
		errs = append(errs, fmt.Errorf("pbs: %d members cannot have %d replicas", m.Members, m.N))
	}
	for _, w := range m.Writes {
		if len(w) != m.N {
			errs = append(errs, fmt.Errorf("pbs: a measured write has %d replicas, want %d", len(w), m.N))
			break
		}
	}
	if !m.Legs.complete() || m.Local != nil && !m.Local.complete() {
		errs = append(errs, errors.New("pbs: a leg has no latencies"))
	}
	return errors.Join(errs...)
}

func (l *Legs) complete() bool {
	for _, s := range []Sampler{l.W, l.A, l.R, l.S} {
		if e, ok := s.(Empirical); s == nil || ok && len(e) == 0 {
			return false
		}
	}
	return true
}

// round is one draw of everything: one write and one read of it.
type round struct {
	m   *Model
	rng *rand.Rand

	visible [maxReplicas]float64 // from sending the write until the replica has it
	acked   [maxReplicas]float64 // until its acknowledgement is back
	looked  [maxReplicas]float64 // from sending the read until the replica looks
	replied [maxReplicas]float64 // until its answer is back
	order   [maxReplicas]int     // the replicas, in the order in which the read takes their answers
	ranked  [maxReplicas]float64 // room

	forwarded bool // the write went through a node that has no replica
	reader    int  // the replica of the read's coordinator, -1 for none
}

// place draws which nodes coordinate. The write's coordinator in the end has replica 0.
func (d *round) place() {
	m, local := d.m, d.m.Local != nil
	members := max(m.Members, m.N)
	writer, reader := d.rng.IntN(members), d.rng.IntN(max(members-1, 1))
	d.reader = -1
	if !local {
		return
	}
	// Nodes 0 to N-1 have the replicas. A write that comes to another node is passed to 0;
	// else 0 stands for whoever the writer is. The reader is any node but the writer's.
	d.forwarded = writer >= m.N
	if !d.forwarded {
		reader++
	}
	if reader < m.N {
		d.reader = reader
	}
}

// write draws the way of one write.
func (d *round) write() {
	if len(d.m.Writes) > 0 {
		d.measured(d.m.Writes[d.rng.IntN(len(d.m.Writes))])
		return
	}
	for i := range d.m.N {
		legs := &d.m.Legs
		if i == 0 && d.m.Local != nil {
			legs = d.m.Local
		}
		d.visible[i] = legs.W.Sample(d.rng)
		d.acked[i] = d.visible[i] + legs.A.Sample(d.rng)
	}
}

// measured draws the way of one write from its measured times. Their order means nothing, as
// the replicas that are read are drawn at random.
func (d *round) measured(times []float64) {
	copy(d.acked[:], times)
	for i := range times {
		legs := &d.m.Legs
		if i == 0 && d.m.Local != nil {
			legs = d.m.Local
		}
		d.visible[i] = max(0, d.acked[i]-legs.A.Sample(d.rng))
	}
}

// commit returns when the write is acknowledged by its coordinator, as all times counted from
// its sending to the replicas.
func (d *round) commit() float64 {
	ranked := d.ranked[:0]
	for _, t := range d.acked[:d.m.N] {
		ranked = insert(ranked, t)
	}
	return ranked[d.m.W-1]
}

// relay draws the way of the acknowledgement to the client.
func (d *round) relay() float64 {
	way := d.m.Legs.A.Sample(d.rng)
	if !d.forwarded {
		way = 0
	}
	return way + d.client()
}

// client draws one way between client and node.
func (d *round) client() float64 {
	if d.m.Client == nil {
		return 0
	}
	return d.m.Client.Sample(d.rng)
}

// read draws the way of the read, and in which order it takes the answers.
func (d *round) read() {
	n := d.m.N
	for i := range n {
		legs := &d.m.Legs
		if i == d.reader {
			legs = d.m.Local
		}
		d.looked[i] = legs.R.Sample(d.rng)
		d.replied[i] = d.looked[i] + legs.S.Sample(d.rng)
		// The inside-out shuffle; replaced below where the order is not left to chance.
		j := d.rng.IntN(i + 1)
		d.order[i] = d.order[j]
		d.order[j] = i
	}
	order := d.order[:n]
	before := func(a, b int) bool { return a == d.reader }
	if d.m.ReadAll {
		before = func(a, b int) bool { return d.replied[a] < d.replied[b] }
	}
	for i := 1; i < n; i++ {
		for j := i; j > 0 && before(order[j], order[j-1]); j-- {
			order[j], order[j-1] = order[j-1], order[j]
		}
	}
}

// readTook returns how long the read's coordinator took.
func (d *round) readTook() (took float64) {
	for _, i := range d.order[:d.m.R] {
		took = max(took, d.replied[i])
	}
	return took
}

// freshFrom returns the moment after which a read must be sent by its coordinator, counted
// from the sending of the write, to see it.
func (d *round) freshFrom(visible []float64) float64 {
	from := visible[d.order[0]] - d.looked[d.order[0]]
	for _, i := range d.order[1:d.m.R] {
		from = min(from, visible[i]-d.looked[i])
	}
	return from
}

// insert adds v to the sorted list, which is short.
func insert(list []float64, v float64) []float64 {
	list = append(list, v)
	for i := len(list) - 1; i > 0 && list[i] < list[i-1]; i-- {
		list[i], list[i-1] = list[i-1], list[i]
	}
	return list
}
