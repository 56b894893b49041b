package replica

import (
	"testing"

	"cartwheel/quorum"
	"cartwheel/storage"
	"cartwheel/vclock"
)

// A read that asks for a write learns whether the replica knows it, be it of its own copy or of
// the hints for other owners, with the object and with its digest alone.
func TestReplicaKnowsWrites(t *testing.T) {
	withStore(t, storage.Fsync, func(t *testing.T, p *pair, r quorum.Replica) {
		id := vclock.RequestID{2: 1}.Lasting()
		ids := vclock.NewActors(3)
		one := vclock.Record{}.Put(vclock.Write{RequestID: id, Value: []byte("one")}, ids)
		two := one.Put(vclock.Write{Context: one.Object.Clock, Value: []byte("two")}, ids)
		own, foreign := p.target, keyOf(p.ring, 0, false)
		owners := p.view.Owners(foreign)
		known := func(target quorum.Target, of vclock.RequestID, digest bool) bool {
			done, wait := once[quorum.ReadReply](t)
			q := quorum.Read{Target: target, Digest: digest, Did: of, Budget: budget, Done: done}
			if r == quorum.Replica(p.local) && target.For != "" {
				q.Owners = owners // a peer finds them itself
			}
			r.Read(q)
			a := wait()
			if a.Err != nil {
				t.Error(a.Err)
			}
			return a.Did
		}
		for step, o := range []vclock.Object{{}, one.Object, two.Object} {
			for _, target := range []quorum.Target{own, standIn(foreign, owners[0])} {
				if !o.Missing() {
					if w := p.merge(r, target, o); w.Err != nil {
						t.Fatal(w.Err)
					}
				}
				if target.For != "" {
					target.For = owners[1] // whoever is asked for, all hints count
				}
				for _, digest := range []bool{false, true} {
					if got := known(target, id, digest); got != (step > 0) {
						t.Errorf("step %d, for %q, digest %v: known %v", step, target.For, digest, got)
					}
					if known(target, vclock.RequestID{2: 2}.Lasting(), digest) || known(target, vclock.RequestID{}, digest) {
						t.Errorf("step %d, for %q: another write is known", step, target.For)
					}
				}
			}
		}
	})
}
