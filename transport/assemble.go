package transport

// maxOpenMessages bounds the unfinished messages of one connection, those that
// nobody wants included: of them only the parts are forgotten. An honest peer
// has maxParallelLarge; a later version may have more.
const maxOpenMessages = 1024

// assembler puts the parts of messages together. Its memory is bounded by what
// has arrived, and that by max. Only the connection's reader uses it.
type assembler struct {
	max  int64 // bytes held of all unfinished messages
	held int64
	open map[uint64]*assembly
}

type assembly struct {
	head  header   // of the first part
	parts [][]byte // nil after discard
	size  int64
	drop  bool // nobody wants it: later parts are read and forgotten
}

// add takes one frame. It returns whole=true with the head and the payload of
// a message that is now complete and wanted. An error is always errMalformed.
func (a *assembler) add(h header, payload []byte) (head header, message []byte, whole bool, err error) {
	if !h.has(flagMore | flagPart) {
		if a.open[h.id] != nil {
			return h, nil, false, malformed("message %d inside its own parts", h.id)
		}
		return h, payload, true, nil
	}
	m := a.open[h.id]
	switch {
	case !h.has(flagPart):
		if m != nil {
			return h, nil, false, malformed("message %d begins twice", h.id)
		}
		if len(a.open) >= maxOpenMessages {
			return h, nil, false, malformed("more than %d unfinished messages", maxOpenMessages)
		}
		if a.open == nil {
			a.open = make(map[uint64]*assembly)
		}
		m = &assembly{head: h}
		a.open[h.id] = m
	case m == nil:
		return h, nil, false, malformed("part of message %d, which never began", h.id)
	case m.head.kind != h.kind:
		return h, nil, false, malformed("message %d changes its kind from %d to %d", h.id, m.head.kind, h.kind)
	}
	if h.has(flagAbort) {
		a.close(h.id, m)
		return h, nil, false, nil
	}
	m.size += int64(len(payload))
	if m.size > a.max {
		return h, nil, false, malformed("message %d over %d bytes", h.id, a.max)
	}
	if !m.drop {
		m.parts = append(m.parts, payload)
		a.held += int64(len(payload))
	}
	if a.held > a.max {
		return h, nil, false, malformed("unfinished messages over %d bytes", a.max)
	}
	if h.has(flagMore) {
		return h, nil, false, nil
	}
	head = m.head
	head.flags &^= flagMore
	wanted := !m.drop
	if wanted {
		message = make([]byte, 0, m.size)
		for _, p := range m.parts {
			message = append(message, p...)
		}
	}
	a.close(h.id, m)
	return head, message, wanted, nil
}

func (a *assembler) close(id uint64, m *assembly) {
	a.discard(m)
	delete(a.open, id)
}

// discard forgets what has arrived of m and all that will.
func (a *assembler) discard(m *assembly) {
	for _, p := range m.parts {
		a.held -= int64(len(p))
	}
	m.parts, m.drop = nil, true
}

// refuse forgets the message that h began, if it is not complete.
func (a *assembler) refuse(id uint64) {
	if m := a.open[id]; m != nil {
		a.discard(m)
	}
}
