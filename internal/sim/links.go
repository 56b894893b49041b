package sim

import (
	"time"

	"cartwheel/internal/memnet"
)

// goodLink is a link without faults.
var goodLink = memnet.Link{Delay: 200 * time.Microsecond, Jitter: 300 * time.Microsecond, ResetOnHeal: 0.5}

// hosts returns the hosts of machines.
func (x *nemesis) hosts(machines []int) (hosts []string) {
	for _, i := range machines {
		hosts = append(hosts, x.c.machines[i].host)
	}
	return hosts
}

func (x *nemesis) setLinks(host string, l memnet.Link) {
	for _, m := range x.c.machines {
		if m.host != host {
			x.c.net.SetLink(host, m.host, l)
		}
	}
}

// heal ends all cuts but the long split.
func (x *nemesis) heal() {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.c.net.HealAll()
	if x.left != nil {
		x.c.net.Partition(x.left, x.right)
	}
}

func (x *nemesis) cutOneWay() bool {
	a, b := x.pair()
	x.log("cut %s > %s", a, b)
	x.c.net.Cut(a, b)
	return true
}

func (x *nemesis) cutBothWays() bool {
	a, b := x.pair()
	x.log("cut %s <> %s", a, b)
	x.c.net.Partition([]string{a}, []string{b})
	return true
}

func (x *nemesis) isolate() bool {
	hosts := x.hosts(x.rng.Perm(len(x.c.machines)))
	x.log("isolate %s", hosts[0])
	x.c.net.Partition(hosts[:1], hosts[1:])
	return true
}

// deaf lets a machine speak and not hear, or hear and not speak: the others and the machine then
// disagree on who is away.
func (x *nemesis) deaf() bool {
	hosts := x.hosts(x.rng.Perm(len(x.c.machines)))
	mute := x.rng.IntN(2) == 0
	x.log("%s only hears: %v, else only speaks", hosts[0], mute)
	for _, h := range hosts[1:] {
		if mute {
			x.c.net.Cut(hosts[0], h)
		} else {
			x.c.net.Cut(h, hosts[0])
		}
	}
	return true
}

// bridge cuts the cluster into two halves that one machine alone sees both of.
func (x *nemesis) bridge() bool {
	hosts := x.hosts(x.rng.Perm(len(x.c.machines)))
	half := 1 + (len(hosts)-1)/2
	x.log("%v and %v are cut, %s sees both", hosts[1:half], hosts[half:], hosts[0])
	x.c.net.Partition(hosts[1:half], hosts[half:])
	return true
}

// flap cuts and heals a link again and again for a while.
func (x *nemesis) flap() bool {
	a, b := x.pair()
	length, oneWay, rng := time.Second+x.seconds(9), x.rng.IntN(2) == 0, x.fork()
	x.log("%s <> %s flaps for %v, one way: %v", a, b, length, oneWay)
	pause := func() { time.Sleep(time.Duration(100+rng.IntN(800)) * time.Millisecond) }
	x.wg.Go(func() {
		for end := time.Now().Add(length); time.Now().Before(end); {
			x.c.net.Cut(a, b)
			if !oneWay {
				x.c.net.Cut(b, a)
			}
			pause()
			if !x.apart(a, b) {
				x.c.net.Heal(a, b)
				x.c.net.Heal(b, a)
			}
			pause()
		}
	})
	return true
}

func (x *nemesis) healAll() bool {
	x.log("heal all")
	x.heal()
	return true
}

func (x *nemesis) badWeather() bool {
	a, _ := x.pair()
	x.log("bad packets and slow streams from %s", a)
	x.setLinks(a, memnet.Link{Delay: 2 * time.Millisecond, Jitter: x.seconds(1) / 4, Drop: 0.2, Duplicate: 0.2, ResetOnHeal: 0.5})
	return true
}

func (x *nemesis) reset() bool {
	a, b := x.pair()
	x.log("reset %s <> %s", a, b)
	x.c.net.Reset(a, b)
	return true
}

func (x *nemesis) pause() bool {
	a, _ := x.pair()
	length := x.seconds(6)
	x.log("pause %s for %v", a, length)
	x.c.net.Pause(a)
	x.wg.Go(func() { time.Sleep(length); x.c.net.Resume(a) })
	return true
}

// split reports whether the long split is on.
func (x *nemesis) split() bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.left != nil
}

// splitFor cuts the cluster in two for so long that each half takes the other for dead, whatever
// else happens meanwhile.
func (x *nemesis) splitFor(length time.Duration) {
	hosts := x.hosts(x.rng.Perm(len(x.c.machines)))
	at := 1 + x.rng.IntN(len(hosts)-1)
	x.log("split %v and %v for %v", hosts[:at], hosts[at:], length)
	x.count("split")
	x.mu.Lock()
	x.left, x.right = hosts[:at], hosts[at:]
	x.mu.Unlock()
	x.heal()
	x.wg.Go(func() {
		time.Sleep(length)
		x.mu.Lock()
		x.left, x.right = nil, nil
		x.mu.Unlock()
		x.log("the split is over")
		x.heal()
	})
}
