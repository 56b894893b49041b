package workload

import "math/rand/v2"

// Op is one operation of a client.
type Op struct {
	Kind Kind
	Key  int64
	// Value is what Put, Update and Insert write, nil for Get. It must not be changed.
	Value []byte
}

// Stream is the operations of one client. One goroutine uses it.
type Stream struct {
	mix     Workload
	space   *Space
	chooser *Chooser
	values  *Values
	rand    *rand.Rand
}

// NewStream returns the stream of a client, numbered from 0.
func NewStream(w Workload, space *Space, values *Values, seed uint64, client int) *Stream {
	return &Stream{w, space, space.Chooser(), values, Rand(seed, client)}
}

// Next returns the next operation. Done must follow before the next one.
func (s *Stream) Next() Op {
	op := Op{Kind: s.mix.pick(s.rand)}
	if op.Kind == Insert {
		op.Key = s.space.Insert()
	} else {
		op.Key = s.chooser.Next(s.rand)
	}
	if op.Kind != Get {
		op.Value = s.values.Next(s.rand)
	}
	return op
}

// Done says that an operation has ended, well or not.
func (s *Stream) Done(op Op) {
	if op.Kind == Insert {
		s.space.Inserted(op.Key)
	}
}
