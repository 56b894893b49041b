package vclock

// RecordLive reports whether the object of an encoded record has a sibling that is no tombstone, and if so
// whether that is its only sibling. It
// allocates nothing and stops at the first one, so that b may be the beginning of the encoding: an
// error, which wraps [ErrDecode], says that b is malformed or ends before that can be told. What
// comes after that sibling's flags is not checked.
func RecordLive(b []byte) (live, alone bool, err error) {
	d := decoder{rest: b}
	d.fixed64()
	d.uvarint()
	if f := d.take(1); f == nil || f[0] != formatObject {
		d.fail("unknown format")
	}
	for range d.uvarint() {
		d.fixed64()
		d.uvarint()
		d.uvarint()
		if d.err != nil {
			return false, false, d.err
		}
	}
	siblings := d.uvarint()
	for range siblings {
		d.uvarint()
		d.uvarint()
		flags := d.take(1)
		if flags == nil || flags[0]&^flagsKnown != 0 {
			d.fail("unknown flags")
		}
		if d.err != nil {
			return false, false, d.err
		}
		if flags[0]&flagDeleted == 0 {
			return true, siblings == 1, nil
		}
		d.skipTombstone(flags[0])
	}
	return false, false, d.err
}

// skipTombstone goes to the end of a sibling without a value whose flags were read.
func (d *decoder) skipTombstone(flags byte) {
	if flags&flagRequest != 0 {
		d.take(len(RequestID{}))
	}
	d.fixed64()
	if flags&flagExpiry != 0 {
		d.uvarint()
	}
	d.bytes() // the type
	for range d.uvarint() {
		d.bytes()
		d.bytes()
		if d.err != nil {
			return
		}
	}
	d.bytes() // no value
}
