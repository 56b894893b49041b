package check

import "strconv"

// ledger is what the judges need of the writes of a history: all of them, in little space.
type ledger struct {
	keys  map[keyName]*keyLedger
	texts map[string]string // receipts and endpoints, of which there are few different ones
}

type keyName struct{ workload, key string }

// keyLedger is the writes of one key.
type keyLedger struct {
	keyName
	load   *workload
	writes []write
	byID   map[string]int32 // index in writes
	tags   map[string]int32 // which write a tag was seen with
}

// write is one write of a history.
type write struct {
	client, seq, count int32
	start, end         int64
	outcome            byte // the first letter of it
	strict             bool
	digest             string
	status             int
	receipt, endpoint  string
	saw                []Shown
	causes             []int32 // the writes that saw names, filled in by resolve
	shown              showing // the first strict read with repair that showed it
}

// showing names a read.
type showing struct {
	client, seq int32
	at          int64 // its end; 0: there is none
}

func newLedger() *ledger {
	return &ledger{keys: map[keyName]*keyLedger{}, texts: map[string]string{}}
}

// key returns the ledger of an operation's key, made when it is new.
func (l *ledger) key(op *Op) *keyLedger {
	name := keyName{op.Workload, op.Key}
	k := l.keys[name]
	if k == nil {
		k = &keyLedger{keyName: name, load: lookup(op.Workload), byID: map[string]int32{}, tags: map[string]int32{}}
		l.keys[name] = k
	}
	return k
}

// add notes a write; other operations only make their key known.
func (l *ledger) add(op *Op) {
	if op.Type != typeRead && op.Type != typeWrite {
		return
	}
	k := l.key(op)
	if op.Type == typeRead {
		return
	}
	k.byID[op.ID] = int32(len(k.writes))
	k.writes = append(k.writes, write{
		client: int32(op.Client), seq: int32(op.Seq), count: int32(op.Count), start: op.Start, end: op.End,
		outcome: op.Outcome[0], strict: op.strict(), digest: op.Digest, status: op.Status,
		receipt: l.intern(op.Receipt), endpoint: l.intern(op.Endpoint), saw: op.Saw,
	})
}

func (l *ledger) intern(s string) string {
	if t, ok := l.texts[s]; ok {
		return t
	}
	l.texts[s] = s
	return s
}

// resolve links the writes with those that their clients had read. A line may name a write whose
// own line comes later, so it is done after the last.
func (l *ledger) resolve() {
	for _, k := range l.keys {
		for i := range k.writes {
			w := &k.writes[i]
			w.causes = w.causes[:0]
			for _, s := range w.saw {
				if j, ok := k.byID[s.ID]; ok {
					w.causes = append(w.causes, j)
				}
			}
		}
	}
}

func (w *write) id() string         { return strconv.Itoa(int(w.client)) + "." + strconv.Itoa(int(w.seq)) }
func (w *write) acknowledged() bool { return w.outcome == outcomeOK[0] }
func (w *write) refused() bool      { return w.outcome == outcomeFail[0] }
func (w *write) wasShown() bool     { return w.shown.at != 0 }

// accounted returns for each write of the key whether the answer accounts for it, in a slice
// that the next call with the same buffer overwrites.
func (k *keyLedger) accounted(op *Op, buffer []bool) []bool {
	in := cleared(buffer, len(k.writes))
	switch k.load.kind {
	case kindSet:
		for _, e := range op.Elements {
			if i, ok := k.byID[e]; ok {
				in[i] = true
			}
		}
	case kindCounter:
		for i := range k.writes {
			w := &k.writes[i]
			in[i] = int(w.count) <= op.Counts[strconv.Itoa(int(w.client))]
		}
	case kindRegister:
		k.walk(op, in)
	}
	return in
}

func cleared(b []bool, n int) []bool {
	if cap(b) < n {
		return make([]bool, n)
	}
	b = b[:n]
	clear(b)
	return b
}

// walk marks the writes that the answer's values replaced, directly or through others, and
// those values' own writes.
func (k *keyLedger) walk(op *Op, in []bool) {
	var next []int32
	for _, v := range op.Values {
		if i, ok := k.byID[v.ID]; ok && !in[i] {
			in[i] = true
			next = append(next, i)
		}
	}
	for len(next) > 0 {
		i := next[len(next)-1]
		next = next[:len(next)-1]
		for _, j := range k.writes[i].causes {
			if !in[j] {
				in[j] = true
				next = append(next, j)
			}
		}
	}
}

// missing returns the writes that the final state op must account for and does not.
func (k *keyLedger) missing(op *Op) []*write {
	var out []*write
	in := k.accounted(op, nil)
	for i := range k.writes {
		if w := &k.writes[i]; !in[i] && (w.acknowledged() || w.wasShown()) {
			out = append(out, w)
		}
	}
	return out
}

// replacedTag returns a tag of the answer whose value another of its values had replaced, and
// the write that did; the tag is empty if there is none.
func (k *keyLedger) replacedTag(op *Op, buffer []bool) (string, *write) {
	if len(op.Values) < 2 {
		return "", nil
	}
	in := cleared(buffer, len(k.writes))
	k.walk(op, in)
	for i := range k.writes {
		if !in[i] {
			continue
		}
		for _, s := range k.writes[i].saw {
			for _, v := range op.Values {
				if v.Tag == s.Tag {
					return v.Tag, &k.writes[i]
				}
			}
		}
	}
	return "", nil
}
