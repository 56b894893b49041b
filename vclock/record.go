package vclock

import "slices"

// Actors hands out the actors of one process run. It is not safe for concurrent use: the
// node's one committer owns it.
type Actors struct{ last Actor }

// NewActors returns the actors of a run. run must be 64 random bits drawn at this process's
// start; a run that repeats would repeat dots.
func NewActors(run uint64) *Actors { return &Actors{last: Actor{Run: run}} }

func (a *Actors) next() Actor {
	a.last.Epoch++
	return a.last
}

// Record is what a replica stores for a key: the replicated object and, outside of it, the
// actor that this replica opened for the record. Invariant: a non-zero Actor of the present
// run made every dot of its own that exists for this key while this record knew all of them.
type Record struct {
	Actor  Actor
	Object Object
}

// Write is one client write.
type Write struct {
	Context     Clock // what the client had read; nil for a blind write
	TakeLocal   bool  // lossy bucket: the local clock is part of the context, so one value stays
	RequestID   RequestID
	Time        Time
	Expiry      int64 // unix milliseconds; 0 never
	Deleted     bool
	ContentType string
	Meta        []Pair
	Value       []byte
}

// Put applies a client write: siblings that the context covers go, the value is added under
// a fresh dot, and the context joins the clock. The dot is minted with the record's actor if
// it is of the present run and the context knows no later dot of it, else with a new epoch;
// so no dot is used twice, whatever became of earlier copies of the record.
func (r Record) Put(w Write, ids *Actors) Record {
	context := w.Context
	if w.TakeLocal {
		context = context.Join(r.Object.Clock)
	}
	clock := r.Object.Clock.Join(context)
	actor := r.Actor
	if actor.IsZero() || actor.Run != ids.last.Run || context.Get(actor) > r.Object.Clock.Get(actor) {
		// Nobody has seen the next actor, unless a client made its context up.
		for actor = ids.next(); clock.Get(actor) > 0; {
			actor = ids.next()
		}
	}
	dot := Dot{Actor: actor, Counter: clock.Get(actor) + 1}
	added := Sibling{
		Dot: dot, RequestID: w.RequestID, Time: w.Time, Expiry: w.Expiry, Deleted: w.Deleted,
		ContentType: w.ContentType, Meta: w.Meta, Value: w.Value,
	}
	kept := make([]Sibling, 0, len(r.Object.Siblings)+1)
	for _, s := range r.Object.Siblings {
		if !context.Covers(s.Dot) {
			kept = append(kept, s)
		}
	}
	at, _ := slices.BinarySearchFunc(kept, added, func(s, t Sibling) int { return s.compare(&t) })
	return Record{Actor: actor, Object: Object{Clock: clock.with(dot), Siblings: slices.Insert(kept, at, added)}}
}

// Merge merges a replica of the key into the record; changed reports whether the object is
// another one now. The record's actor is given up if o knows a later dot of it: this copy
// then lacks history of its own, and minting on would use a dot twice.
func (r Record) Merge(o Object) (m Record, changed bool) {
	m = r
	if !r.Actor.IsZero() && o.Clock.Get(r.Actor) > r.Object.Clock.Get(r.Actor) {
		m.Actor = Actor{}
	}
	m.Object, changed = Merge(r.Object, o)
	return m, changed
}
