package storage

import "cartwheel/vclock"

// admit decides, before anything is minted, whether a put may happen: its value and the object
// that it leaves must be within the limits. A put that does not make an object with too many or
// too large siblings (merges may build one) worse is admitted, or nobody could shrink it.
func (s *Store) admit(o vclock.Object, w *vclock.Write) error {
	if n := int64(len(w.Value)); n > s.cfg.MaxValueBytes {
		return &TooLargeError{Size: n, Limit: s.cfg.MaxValueBytes}
	}
	if len(o.Siblings) < s.cfg.MaxSiblings && int64(o.Size())+writeSize(w) <= s.cfg.MaxObjectBytes {
		return nil // whatever the context covers
	}
	after := preview(o, w)
	if n := len(after.Siblings); n > s.cfg.MaxSiblings && n > len(o.Siblings) {
		return &TooManySiblingsError{Count: n, Limit: s.cfg.MaxSiblings}
	}
	if n := int64(after.Size()); n > s.cfg.MaxObjectBytes && n > int64(o.Size()) {
		return &TooLargeError{Size: n, Limit: s.cfg.MaxObjectBytes}
	}
	return nil
}

// preview returns the object that a put would leave, but under a dot that is never used: of the
// largest encoding, and with an actor of its own, so that no real object is larger.
func preview(o vclock.Object, w *vclock.Write) vclock.Object {
	context := w.Context
	if w.TakeLocal {
		context = context.Join(o.Clock)
	}
	const largest = ^uint64(0)
	dot := vclock.Dot{Actor: vclock.Actor{Run: largest, Epoch: largest}, Counter: largest}
	after := vclock.Object{Clock: o.Clock.Join(context).Join(vclock.Clock{dot})}
	for _, sibling := range o.Siblings {
		if !context.Covers(sibling.Dot) {
			after.Siblings = append(after.Siblings, sibling)
		}
	}
	after.Siblings = append(after.Siblings, vclock.Sibling{
		Dot: dot, RequestID: w.RequestID, Time: vclock.Time(largest), Expiry: w.Expiry, Deleted: w.Deleted,
		ContentType: w.ContentType, Meta: w.Meta, Value: w.Value,
	})
	return after
}
