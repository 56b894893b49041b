package sim

import (
	"math/rand/v2"
	"time"

	"cartwheel/quorum"
	"cartwheel/ring"
	"cartwheel/vclock"
)

// The faults of machines and their disks.

func (x *nemesis) cutPower() bool { return x.bounce(x.rng.IntN(len(x.c.machines)), true) }
func (x *nemesis) stop() bool     { return x.bounce(x.rng.IntN(len(x.c.machines)), false) }

func (x *nemesis) cutPowerOfAll() bool { return x.bounceAll(true) }
func (x *nemesis) stopAll() bool       { return x.bounceAll(false) }

func (x *nemesis) bounceAll(power bool) (any bool) {
	for i := range x.c.machines {
		any = x.bounce(i, power) || any
	}
	return any
}

// bounce takes machine i down, by a power cut or in order, and boots it again after a while.
func (x *nemesis) bounce(i int, power bool) bool {
	if !x.claim(i) {
		return false
	}
	down, rng := x.seconds(8), x.fork()
	x.log("%s goes down for %v, power cut: %v", x.c.machines[i].host, down, power)
	x.wg.Go(func() {
		defer x.release(i)
		x.takeDown(i, power, rng)
		time.Sleep(down)
		x.c.start(i)
	})
	return true
}

func (x *nemesis) takeDown(i int, power bool, rng *rand.Rand) {
	if power {
		x.c.crash(i, rng)
	} else {
		x.c.halt(i)
	}
}

// hangDisk lets one transaction take so long that the store gives its disk up. The node goes on
// without writes until it is restarted.
func (x *nemesis) hangDisk() bool {
	i := x.rng.IntN(len(x.c.machines))
	if !x.claim(i) {
		return false
	}
	m, length, rest, rng := x.c.machines[i], hungAfter+time.Second+x.seconds(3), x.seconds(6), x.fork()
	x.log("the disk of %s hangs for %v", m.host, length)
	m.disk.hangFor(length)
	x.wg.Go(func() {
		defer x.release(i)
		time.Sleep(length + rest)
		m.disk.hangFor(0)
		x.restartBroken(i, rng)
	})
	return true
}

// breakDisk lets a transaction fail, before or after it was stored, or fills the disk. The store
// fences itself; it is restarted on a disk that works.
func (x *nemesis) breakDisk() bool {
	i := x.rng.IntN(len(x.c.machines))
	if !x.claim(i) {
		return false
	}
	m, length, how, rng := x.c.machines[i], time.Second+x.seconds(7), failure(x.rng.IntN(3)), x.fork()
	x.log("the disk of %s fails, kind %d, for %v", m.host, how, length)
	if how == works {
		m.disk.setFull(true)
	} else {
		m.disk.failNext(how)
	}
	x.wg.Go(func() {
		defer x.release(i)
		time.Sleep(length)
		m.disk.setFull(false)
		m.disk.failNext(works)
		x.restartBroken(i, rng)
	})
	return true
}

// setClock lets a machine's wall clock jump, by up to a day in either direction.
func (x *nemesis) setClock() bool {
	m := x.c.machines[x.rng.IntN(len(x.c.machines))]
	jump := time.Duration(x.rng.Int64N(int64(48*time.Hour))) - 24*time.Hour
	x.log("the clock of %s is now off by %v", m.host, jump)
	m.clock.offset.Store(int64(jump))
	return true
}

// loseDisk takes a node's disk away, and brings it back with a restart.
func (x *nemesis) loseDisk() bool {
	i := x.rng.IntN(len(x.c.machines))
	if !x.claim(i) {
		return false
	}
	m, length, rng := x.c.machines[i], time.Second+x.seconds(7), x.fork()
	x.log("the disk of %s is away for %v", m.host, length)
	if err := unplug(m.dir); err != nil {
		x.c.t.Errorf("unplug the disk of %s: %v", m.host, err)
	}
	x.wg.Go(func() {
		defer x.release(i)
		time.Sleep(length)
		if err := plug(m.dir); err != nil {
			x.c.t.Errorf("plug in the disk of %s: %v", m.host, err)
		}
		x.restartBroken(i, rng)
	})
	return true
}

// restartBroken restarts a node whose store may be fenced.
func (x *nemesis) restartBroken(i int, rng *rand.Rand) {
	x.takeDown(i, rng.IntN(2) == 0, rng)
	x.c.start(i)
}

// loseData lets a disk lose what it had stored durably: all of it, or one record. It happens once
// per round, since two losses before all have converged may take the only copies. When it is calm,
// all others are there until the node is whole again, so that even quorum reads must not miss a
// thing; else only the end counts.
func (x *nemesis) loseData() bool {
	if !x.plan.losses || x.lost {
		return false
	}
	x.lost = true
	if x.rng.IntN(2) == 0 && !x.split() { // it would be waited for
		return x.loseCalmly()
	}
	i, all, rng, after := x.rng.IntN(len(x.c.machines)), x.rng.IntN(2) == 0, x.fork(), x.seconds(5)
	if !x.claim(i) {
		return false
	}
	x.wg.Go(func() {
		defer x.release(i)
		time.Sleep(after)
		x.c.halt(i) // in order, so that the records are in tables
		x.damage(i, all, false, rng)
		x.c.start(i)
	})
	return true
}

// loseCalmly lets a machine miss writes, then another one lose what it has of them, and brings both
// back at once: what a majority of the two could answer is not what was acknowledged. It reads from
// them until nobody is unsure.
func (x *nemesis) loseCalmly() bool {
	p := x.rng.Perm(len(x.c.machines))
	i, stale := p[0], p[1]
	x.mend()
	if !x.c.await("a whole cluster", func() bool { return x.c.together() && x.c.sure() }) || !x.claim(i) {
		return false
	}
	defer x.release(i)
	hosts := x.hosts(p[1:])
	x.log("%s misses writes", hosts[0])
	x.c.net.Partition(hosts[:1], append(hosts[1:], x.c.machines[i].host))
	time.Sleep(time.Second + x.seconds(4))
	x.c.halt(i)
	x.damage(i, x.rng.IntN(2) == 0, true, x.fork())
	x.heal()
	x.c.start(i)
	reader := &session{c: x.c, h: x.h, name: "the nemesis", last: map[ring.Key]vclock.Object{}}
	o := quorum.Options{N: 3, R: quorum.LevelQuorum, PR: quorum.LevelQuorum, NotFoundOK: true, Timeout: 2 * time.Second}
	return x.c.await("all nodes being sure", func() bool {
		for k := range keys {
			reader.readAt(i, keyOf(k), o)
			reader.readAt(stale, keyOf(k), o)
		}
		return x.c.together() && x.c.sure()
	})
}

// damage takes data from the disk of a stopped node.
func (x *nemesis) damage(i int, all, calm bool, rng *rand.Rand) {
	m := x.c.machines[i]
	x.h.lose(calm)
	x.log("%s loses data, all of it: %v, calm: %v", m.host, all, calm)
	if all {
		x.count("wiped")
		if err := wipe(m.dir); err != nil {
			x.c.t.Errorf("wipe %s: %v", m.host, err)
		}
		return
	}
	done, err := flipBit(m.dir, rng)
	if err != nil {
		x.c.t.Errorf("flip a bit of %s: %v", m.host, err)
	}
	if done {
		x.count("flipped")
	}
}
