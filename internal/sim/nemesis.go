package sim

import (
	"math/rand/v2"
	"slices"
	"sync"
	"time"
)

// nemesis breaks things on schedule, in one round of a history. It belongs to one goroutine,
// which waits for what it started before it returns.
type nemesis struct {
	c    *Cluster
	h    *History
	plan plan
	rng  *rand.Rand
	log  func(format string, args ...any)
	wg   sync.WaitGroup

	mu          sync.Mutex
	left, right []string       // the halves of the long split, nil without one
	claimed     map[int]bool   // machines that something is being done to
	faults      map[string]int // by kind
	lost        bool           // a disk has lost data in this round
}

// fault is something that can break. strike begins it and reports false if it is not possible
// now.
type fault struct {
	name    string
	weight  int
	strike  func(x *nemesis) bool
	machine bool // it is one of machines and their disks
}

var schedule = []fault{
	{"heal", 20, (*nemesis).healAll, false},
	{"cut one way", 8, (*nemesis).cutOneWay, false},
	{"cut", 8, (*nemesis).cutBothWays, false},
	{"isolate", 8, (*nemesis).isolate, false},
	{"deaf", 5, (*nemesis).deaf, false},
	{"bridge", 5, (*nemesis).bridge, false},
	{"flap", 6, (*nemesis).flap, false},
	{"weather", 8, (*nemesis).badWeather, false},
	{"reset", 6, (*nemesis).reset, false},
	{"pause", 8, (*nemesis).pause, false},
	{"power", 14, (*nemesis).cutPower, true},
	{"power of all", 4, (*nemesis).cutPowerOfAll, true},
	{"stop", 5, (*nemesis).stop, true},
	{"stop all", 2, (*nemesis).stopAll, true},
	{"hung disk", 4, (*nemesis).hangDisk, true},
	{"lost disk", 4, (*nemesis).loseDisk, true},
	{"disk error", 8, (*nemesis).breakDisk, true},
	{"clock", 6, (*nemesis).setClock, false},
	{"data loss", 16, (*nemesis).loseData, true},
}

// run breaks and mends until the deadline, then mends everything.
func (x *nemesis) run(until time.Time, split time.Duration) {
	if split > 0 {
		x.splitFor(split)
	}
	for time.Now().Before(until) {
		time.Sleep(time.Duration(200+x.rng.IntN(3000)) * time.Millisecond)
		x.strike()
	}
	x.mend()
}

// mend waits for what was started and mends everything.
func (x *nemesis) mend() {
	x.wg.Wait()
	x.heal()
	for _, m := range x.c.machines {
		x.c.net.Resume(m.host)
		x.setLinks(m.host, goodLink)
	}
	for i := range x.c.machines {
		if n, _ := x.c.running(i); n == nil {
			x.c.start(i)
		}
	}
}

// strike does something by weight; what is not possible now is nothing.
func (x *nemesis) strike() {
	total := 0
	for _, f := range schedule {
		total += f.weight
	}
	roll := x.rng.IntN(total)
	i := slices.IndexFunc(schedule, func(f fault) bool { roll -= f.weight; return roll < 0 })
	if schedule[i].machine && x.plan.linksOnly {
		return
	}
	if schedule[i].strike(x) {
		x.count(schedule[i].name)
	}
}

func (x *nemesis) count(name string) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.faults[name]++
}

// pair returns two different hosts.
func (x *nemesis) pair() (a, b string) {
	p := x.hosts(x.rng.Perm(len(x.c.machines)))
	return p[0], p[1]
}

// apart reports whether the long split separates two hosts.
func (x *nemesis) apart(a, b string) bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.left != nil && slices.Contains(x.left, a) != slices.Contains(x.left, b)
}

func (x *nemesis) seconds(most int) time.Duration {
	return time.Duration(x.rng.IntN(most*1000)) * time.Millisecond
}

// fork returns randomness for a goroutine.
func (x *nemesis) fork() *rand.Rand { return rand.New(rand.NewPCG(x.rng.Uint64(), 0)) }

// claim takes machine i, whose node runs, so that nothing else is done to it until release.
func (x *nemesis) claim(i int) bool {
	if n, _ := x.c.running(i); n == nil {
		return false
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.claimed[i] {
		return false
	}
	x.claimed[i] = true
	return true
}

func (x *nemesis) release(i int) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.claimed[i] = false
}
