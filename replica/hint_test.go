package replica

import (
	"testing"

	"cartwheel/quorum"
	"cartwheel/storage"
	"cartwheel/vclock"
)

// A node that stands in for owners keeps each one's object apart from the others' and from its
// own, and answers reads with all of them.
func TestReplicaKeepsHints(t *testing.T) {
	withStore(t, storage.Fsync, func(t *testing.T, p *pair, r quorum.Replica) {
		key := keyOf(p.ring, 0, false)
		owners := p.view.Owners(key)
		if len(owners) != 2 || owners[0] == owners[1] {
			t.Fatalf("owners %v", owners)
		}
		first, second := standIn(key, owners[0]), standIn(key, owners[1])
		read := func(target quorum.Target, digest bool) quorum.ReadReply {
			done, wait := once[quorum.ReadReply](t)
			q := quorum.Read{Target: target, Digest: digest, Budget: budget, Done: done}
			if r == quorum.Replica(p.local) {
				q.Owners = owners // a peer finds them itself
			}
			r.Read(q)
			return wait()
		}
		if got := read(first, false); got.Err != nil || !got.Missing {
			t.Errorf("nothing kept: %+v", got)
		}
		a, b := objectBy(1, "a"), objectBy(2, "b")
		both, _ := vclock.Merge(a, b)
		if w := p.merge(r, first, a); w.Err != nil || !w.Durable {
			t.Fatalf("%+v", w)
		}
		if got := read(second, false); got.Err != nil || !got.Object.Equal(a) {
			t.Errorf("what is kept for one owner, asked for another: %+v", got)
		}
		if w := p.merge(r, second, b); w.Err != nil {
			t.Fatal(w.Err)
		}
		if got := read(first, false); !got.Object.Equal(both) || got.Digest != both.Digest() {
			t.Errorf("%+v", got)
		}
		if got := read(first, true); got.Missing || got.Digest != both.Digest() || !got.Object.Missing() {
			t.Errorf("digest %+v", got)
		}
		for owner, want := range map[string]vclock.Object{owners[0]: a, owners[1]: b, "": {}} {
			k := storeKey(key)
			k.Hint = owner
			if o, err := p.local.store.Get(k); err != nil || !o.Equal(want) {
				t.Errorf("kept for %q: %+v, %v", owner, o, err)
			}
		}
	})
}

// A put minted in place of an owner goes to its hint.
func TestMintHint(t *testing.T) {
	var key storage.Key
	inBubble(t, func(*testing.T) pairConfig {
		return pairConfig{store: fakeStore{put: func(p storage.Put) {
			key = p.Key
			p.Done(vclock.Object{}, nil)
		}}}
	}, func(t *testing.T, p *pair) {
		p.local.Mint(quorum.Mint{Target: standIn(p.target, "o"), Done: func(vclock.Object, quorum.WriteReply) {}})
		if key != (storage.Key{Partition: p.target.Partition, Name: p.target.Name, Hint: "o"}) {
			t.Errorf("%+v", key)
		}
	})
}

// While a partition may have lost data, own copies of it are not read, also if the doubt comes
// up during the read; hints are, and writes go on.
func TestUnsureRefusesReads(t *testing.T) {
	for name, when := range map[string]int{"before": 0, "during": 1} {
		doubt, reads := false, 0
		onBoth(t, func(t *testing.T) pairConfig {
			doubt, reads = when == 0, 0
			return pairConfig{
				unsure: func(uint16) bool { return doubt },
				store: fakeStore{
					get:   func(storage.Key) (vclock.Object, error) { reads++; doubt = true; return objectBy(1, "a"), nil },
					merge: func(m storage.Merge) { m.Done(nil) },
				},
			}
		}, func(t *testing.T, p *pair, r quorum.Replica) {
			for range 2 {
				if err := p.read(r, p.target, false).Err; p.reason(err) != quorum.Unsure {
					t.Errorf("%s: %v", name, err)
				}
			}
			if reads != when {
				t.Errorf("%s: %d reads of the store", name, reads)
			}
			if w := p.merge(r, p.target, objectBy(1, "a")); w.Err != nil {
				t.Error(w.Err)
			}
			key := keyOf(p.ring, 0, false)
			done, wait := once[quorum.ReadReply](t)
			owners := p.view.Owners(key)
			r.Read(quorum.Read{Target: standIn(key, owners[0]), Owners: owners, Budget: budget, Done: done})
			if a := wait(); a.Err != nil || a.Missing {
				t.Errorf("%s: a hint: %+v", name, a)
			}
		})
	}
}
