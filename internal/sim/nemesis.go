package sim

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"cartwheel/internal/memnet"
)

// nemesis breaks things on schedule. It belongs to one goroutine, which waits for what it
// started before it returns.
type nemesis struct {
	c   *Cluster
	rng *rand.Rand
	log func(format string, args ...any)
	wg  sync.WaitGroup
}

// run breaks and mends until the deadline, then mends everything.
func (x *nemesis) run(until time.Time) {
	for time.Now().Before(until) {
		time.Sleep(time.Duration(200+x.rng.IntN(3000)) * time.Millisecond)
		x.strike()
	}
	x.wg.Wait()
	x.c.net.HealAll()
	for _, m := range x.c.machines {
		x.c.net.Resume(m.host)
		x.setLinks(m.host, memnet.Link{Delay: 200 * time.Microsecond})
	}
	for i := range x.c.machines {
		if n, _ := x.c.running(i); n == nil {
			x.c.start(i)
		}
	}
}

func (x *nemesis) setLinks(host string, l memnet.Link) {
	for _, m := range x.c.machines {
		if m.host != host {
			x.c.net.SetLink(host, m.host, l)
		}
	}
}

// pick returns two different machines.
func (x *nemesis) pick() (a, b int) {
	p := x.rng.Perm(len(x.c.machines))
	return p[0], p[1]
}

func (x *nemesis) seconds(most int) time.Duration {
	return time.Duration(x.rng.IntN(most*1000)) * time.Millisecond
}

func (x *nemesis) strike() {
	a, b := x.pick()
	ha, hb := x.c.machines[a].host, x.c.machines[b].host
	switch x.rng.IntN(11) {
	case 0:
		x.log("cut %s > %s", ha, hb)
		x.c.net.Cut(ha, hb)
	case 1:
		x.log("cut %s <> %s", ha, hb)
		x.c.net.Cut(ha, hb)
		x.c.net.Cut(hb, ha)
	case 2:
		var others []string
		for i, m := range x.c.machines {
			if i != a {
				others = append(others, m.host)
			}
		}
		x.log("isolate %s", ha)
		x.c.net.Partition([]string{ha}, others)
	case 3, 4:
		x.log("heal all")
		x.c.net.HealAll()
	case 5:
		x.log("bad packets and slow streams from %s", ha)
		x.setLinks(ha, memnet.Link{Delay: 2 * time.Millisecond, Jitter: x.seconds(1) / 4, Drop: 0.2, Duplicate: 0.2, ResetOnHeal: 0.5})
	case 6:
		x.log("reset %s <> %s", ha, hb)
		x.c.net.Reset(ha, hb)
	case 7:
		length := x.seconds(6)
		x.log("pause %s for %v", ha, length)
		x.c.net.Pause(ha)
		x.wg.Go(func() { time.Sleep(length); x.c.net.Resume(ha) })
	case 8, 9:
		x.bounce(fmt.Sprintf("cut the power of %s", ha), a, true)
	default:
		if x.rng.IntN(2) == 0 {
			x.bounce(fmt.Sprintf("stop %s", ha), a, false)
			return
		}
		x.log("cut the power of all")
		for i := range x.c.machines {
			x.bounce("", i, true)
		}
	}
}

// bounce takes machine i down and boots it again after a while.
func (x *nemesis) bounce(what string, i int, power bool) {
	if n, _ := x.c.running(i); n == nil {
		return
	}
	down, rng := x.seconds(8), rand.New(rand.NewPCG(x.rng.Uint64(), 0))
	if what != "" {
		x.log("%s for %v", what, down)
	}
	take := func() { x.c.halt(i) }
	if power {
		take = func() { x.c.crash(i, rng) }
	}
	x.wg.Go(func() {
		take()
		time.Sleep(down)
		x.c.start(i)
	})
}
