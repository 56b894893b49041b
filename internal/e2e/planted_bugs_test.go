package e2e

// plants are bugs that lose, forget or resurrect data: each is one of those that stores of this
// kind have had.
var plants = []plant{
	{
		// A node whose objects were lost counts its dots from the beginning again, under the name
		// of its former life. The others take a new write for one that they have seen replaced. It
		// takes a blind write to a key that neither a read nor an exchange has brought back yet, so
		// all go to that node, and it has three lives.
		name: "dots",
		edits: []Edit{
			{File: "node/node.go", Old: `	rand.Read(life[:]) // never fails
`, New: `	rand.Read(life[:])
	copy(life[:], n.dir.Node())
`},
			{File: "vclock/record.go", Old: `		for actor = ids.next(); clock.Get(actor) > 0; {
			actor = ids.next()
		}
`, New: `		actor = Actor{Run: ids.last.Run, Epoch: 1}
`},
		},
		kinds: []string{"lost", "stale", "session", "tag", "vanished"},
		nodes: 3, endpoints: []int{2}, load: "20s", flags: []string{"--workload", "sets,register,session", "--rate", "30"},
		faults: `3 kill n2
			3 wipe n2
			3 start n2
			8 kill n2
			8 wipe n2
			8 start n2
			13 kill n2
			13 wipe n2
			13 start n2`,
	},
	{
		// A hint is deleted when it is sent, not when its owner has it. Deliveries have to fail:
		// gossip takes 8 s to notice a pause, and few requests at another node than the holder of
		// the hints leave the holder's breaker closed meanwhile. The third owner then loses its copies.
		name: "hints",
		edits: []Edit{{File: "hintedhandoff/pass.go", Old: `	c := p.address(view, page)
	taken := 0
`, New: `	c := p.address(view, page)
	for _, sent := range c.to {
		for _, i := range sent {
			c.needed[i] = 0
		}
	}
	p.drop(ctx, view, c)
	taken := 0
`}},
		kinds: []string{"lost"},
		nodes: 4, endpoints: []int{3}, load: "22s", flags: []string{"--workload", "sets,register,counter", "--rate", "1.5"},
		faults: `1 pause n1
			1 pause n2
			8 kill n3
			8 wipe n3
			8 resume n1
			8 resume n2
			8 start n3
			12 pause n1
			12 pause n2
			19 kill n3
			19 wipe n3
			19 resume n1
			19 resume n2
			19 start n3`,
	},
	{
		// The other owners get the whole clock and the last sibling only: they drop the others,
		// which the clock covers.
		name: "siblings",
		edits: []Edit{{File: "quorum/put.go", Old: `		p.encoded = o.Append(make([]byte, 0, o.Size()))
`, New: `		last := o
		last.Siblings = o.Siblings[len(o.Siblings)-1:]
		p.encoded = last.Append(make([]byte, 0, o.Size()))
`}},
		kinds: []string{"lost", "stale", "session", "vanished"},
		nodes: 3, endpoints: []int{1, 2, 3}, load: "5s", flags: []string{"--rate", "30"},
	},
	{
		// A replica that has lost its objects answers "not found", and another that was away
		// agrees. Who has the writes is silent, for a shorter time than makes it count as dead.
		name: "unsure",
		edits: []Edit{{File: "replica/local.go", Old: `		if l.unsure(q.Partition) {
			return vclock.Object{}, false, errUnsure
		}
		k := storeKey(q.Target)
		o, err = l.store.Get(k)
		// Again: the loss may be what this very read met.
		if l.unsure(q.Partition) {
			return vclock.Object{}, false, errUnsure
		}
`, New: `		k := storeKey(q.Target)
		o, err = l.store.Get(k)
`}},
		kinds: []string{"stale", "session"},
		nodes: 3, endpoints: []int{2, 3}, load: "12s", flags: []string{"--rate", "30"},
		faults: `0.5 kill n3
			5 kill n2
			5 wipe n2
			5 pause n1
			5 start n2
			5 start n3
			11 resume n1`,
	},
}
