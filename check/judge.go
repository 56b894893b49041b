package check

import (
	"fmt"
	"iter"
	"slices"
	"time"
)

// maxViolations is how many violations a report lists; further ones are counted only.
const maxViolations = 10_000

// Judge computes the report of a history. It ranges over it twice, and both times must see the
// same. An error is a history that cannot be read or is not complete.
func Judge(history iter.Seq2[Op, error]) (*Report, error) {
	j := &judge{
		report: newReport(), ledger: newLedger(), last: map[int]int{},
		sessions: map[sessionKey]*session{}, finals: map[keyName][]Op{},
	}
	n, complete := 0, false
	for op, err := range history {
		if err == nil {
			n++
			err = op.valid()
		}
		if err == nil {
			err = j.first(&op)
		}
		if err != nil {
			return nil, fmt.Errorf("check: operation %d of the history: %w", n, err)
		}
		complete = op.Type == typeEnd
	}
	if !complete {
		return nil, errIncomplete
	}
	j.ledger.resolve()
	for op, err := range history {
		if err != nil {
			return nil, err
		}
		j.second(&op)
	}
	j.finish()
	return j.report, nil
}

type judge struct {
	report   *Report
	ledger   *ledger
	last     map[int]int // the last Seq of each client
	sessions map[sessionKey]*session
	finals   map[keyName][]Op // the reads of the last round
	buffer   []bool
}

// sessionKey is a client's view of one key.
type sessionKey struct {
	client int
	keyName
}

// session holds, for each write of the key, which operation of the client knew it first.
type session struct{ known map[int32]showing }

// first gathers the writes and counts the operations.
func (j *judge) first(op *Op) error {
	switch op.Type {
	case typeRun:
		j.report.Info = *op.Run
		return nil
	case typeFault:
		j.report.Faults++
		return nil
	case typeEnd:
		return nil
	}
	if last, ok := j.last[op.Client]; ok && op.Seq <= last {
		return fmt.Errorf("the operations of client %d are not in order: %d follows %d", op.Client, op.Seq, last)
	}
	j.last[op.Client] = op.Seq
	j.ledger.add(op)
	if !op.Final {
		j.report.workload(op.Workload).Counts.add(op)
	}
	return nil
}

// second judges the reads, now that all writes are known.
func (j *judge) second(op *Op) {
	switch {
	case op.Type == typeWrite && op.Workload == sessionName && op.Outcome == outcomeOK:
		k := j.ledger.key(op)
		j.session(op, k).learn(k.byID[op.ID], op)
	case op.Type != typeRead:
	case op.Final:
		j.keepFinal(op)
		if op.Outcome == outcomeOK {
			j.values(op, j.ledger.key(op))
		}
	case op.Outcome == outcomeOK:
		j.read(op, j.ledger.key(op))
	}
}

func (j *judge) keepFinal(op *Op) {
	name := keyName{op.Workload, op.Key}
	if reads := j.finals[name]; len(reads) > 0 && reads[0].Round != op.Round {
		j.finals[name] = reads[:0]
	}
	j.finals[name] = append(j.finals[name], *op)
}

// read judges an answered read during the load.
func (j *judge) read(op *Op, k *keyLedger) {
	j.values(op, k)
	if !op.strict() || k.load.lossy {
		return
	}
	in := k.accounted(op, j.buffer)
	j.buffer = in
	j.fresh(op, k, in)
	if op.Workload == sessionName {
		j.monotonic(op, k, in)
	}
	if op.Level != levelStrict {
		return // without repair before the answer, the next read may meet other replicas
	}
	for i := range k.writes {
		if w := &k.writes[i]; in[i] && !w.wasShown() {
			w.shown = showing{int32(op.Client), int32(op.Seq), op.End}
		}
	}
}

// fresh demands of a strict read every write that a quorum of owners had acknowledged before.
func (j *judge) fresh(op *Op, k *keyLedger, in []bool) {
	var first *write
	more := 0
	for i := range k.writes {
		w := &k.writes[i]
		if in[i] || !w.strict || !w.acknowledged() || w.end >= op.Start {
			continue
		}
		if first == nil {
			first = w
		} else {
			more++
		}
	}
	if first != nil {
		j.accuse(op, "stale", "%s does not have %s%s", describeRead(op), first.describe(k), andMore(more))
	}
}

// session returns the client's view of the key.
func (j *judge) session(op *Op, k *keyLedger) *session {
	name := sessionKey{op.Client, k.keyName}
	s := j.sessions[name]
	if s == nil {
		s = &session{known: map[int32]showing{}}
		j.sessions[name] = s
	}
	return s
}

func (s *session) learn(i int32, op *Op) {
	if _, ok := s.known[i]; !ok {
		s.known[i] = showing{int32(op.Client), int32(op.Seq), op.End}
	}
}

// monotonic demands of a session's read all that its client knew before.
func (j *judge) monotonic(op *Op, k *keyLedger, in []bool) {
	s := j.session(op, k)
	var first int32 = -1
	more := 0
	for i := range s.known {
		switch {
		case in[i]:
		case first < 0:
			first = i
		default:
			more++
			first = min(first, i)
		}
	}
	if first >= 0 {
		known, w := s.known[first], &k.writes[first]
		how := "read"
		if known.client == w.client && known.seq == w.seq {
			how = "wrote"
		}
		j.accuse(op, "session", "%s does not have %s, which the same client %s with its operation %d.%d, ended at %s%s",
			describeRead(op), w.describe(k), how, known.client, known.seq, clock(known.at), andMore(more))
	}
	for i := range in {
		if in[i] {
			s.learn(int32(i), op)
		}
	}
}

// values judges what any answer shows, whatever its level: that somebody wrote it, so and not
// otherwise, under a tag of its own, and that it was not replaced by what stands beside it.
func (j *judge) values(op *Op, k *keyLedger) {
	for _, v := range op.Values {
		j.value(op, k, v)
	}
	for _, e := range op.Elements {
		if i, ok := k.byID[e]; !ok || k.writes[i].start > op.End {
			j.accuse(op, "unwritten", "%s has the element %s, which nobody had begun to add", describeRead(op), e)
		}
	}
	if k.load.kind == kindCounter {
		j.counts(op, k)
	}
	if k.load.lossy {
		return
	}
	if tag, by := k.replacedTag(op, j.buffer); tag != "" {
		j.accuse(op, "resurrected", "%s shows the value tagged %s beside one that replaced it: the client of %s had read it", describeRead(op), tag, by.describe(k))
	}
}

func (j *judge) value(op *Op, k *keyLedger, v Shown) {
	i, ok := k.byID[v.ID]
	if !ok {
		j.accuse(op, "unwritten", "%s shows a value with the id %q, which nobody wrote", describeRead(op), v.ID)
		return
	}
	w := &k.writes[i]
	switch {
	case w.start > op.End:
		j.accuse(op, "unwritten", "%s shows %s, which had not begun", describeRead(op), w.describe(k))
	case w.digest != v.Digest:
		j.accuse(op, "altered", "%s shows %s with other content: digest %s, written %s", describeRead(op), w.describe(k), v.Digest, w.digest)
	case w.refused():
		j.accuse(op, "refused", "%s shows %s", describeRead(op), w.describe(k))
	}
	if former, ok := k.tags[v.Tag]; ok && former != i {
		j.accuse(op, "tag", "%s shows %s under the tag %s, under which %s was shown before: a dot was used twice",
			describeRead(op), w.describe(k), v.Tag, k.writes[former].describe(k))
	}
	k.tags[v.Tag] = i
}

// counts demands that nobody's count is above what it tried to write.
func (j *judge) counts(op *Op, k *keyLedger) {
	tried := map[string]int{}
	for i := range k.writes {
		if w := &k.writes[i]; w.start <= op.End {
			writer := fmt.Sprint(w.client)
			tried[writer] = max(tried[writer], int(w.count))
		}
	}
	for writer, n := range op.Counts {
		if n > tried[writer] {
			j.accuse(op, "unwritten", "%s counts %d for client %s, which had tried %d", describeRead(op), n, writer, tried[writer])
		}
	}
}

// finish judges the final state of every key.
func (j *judge) finish() {
	names := make([]keyName, 0, len(j.ledger.keys))
	for name := range j.ledger.keys {
		names = append(names, name)
	}
	slices.SortFunc(names, keyName.compare)
	for _, name := range names {
		j.final(j.ledger.keys[name])
	}
	j.report.conclude()
}

func (j *judge) final(k *keyLedger) {
	wl := j.report.workload(k.workload)
	if len(k.writes) == 0 {
		return // only reads, which found nothing: judged as reads
	}
	wl.Keys++
	reads := j.finals[k.keyName]
	state, text := settled(reads)
	if state == nil {
		kind := "unverified"
		if len(reads) > 0 && text == differing {
			kind = "diverged"
		}
		j.accuse(&Op{Workload: k.workload, Key: k.key, Client: -1}, kind, "%s", text)
		return
	}
	var sum int
	for _, n := range state.Counts {
		sum += n
	}
	wl.Sum += sum
	missing := k.missing(state)
	for _, w := range missing {
		switch {
		case k.load.lossy: // where nothing is noted as shown, so it was acknowledged
			wl.Lost++
		case w.acknowledged():
			j.accuse(w.op(k), "lost", "%s is lost: %s does not have it", w.describe(k), describeRead(state))
		default:
			j.accuse(w.op(k), "vanished", "%s was shown by the read %d.%d, ended at %s, and is gone: %s does not have it",
				w.describe(k), w.shown.client, w.shown.seq, clock(w.shown.at), describeRead(state))
		}
	}
}

// accuse adds a violation.
func (j *judge) accuse(op *Op, kind, format string, args ...any) {
	j.report.add(Violation{
		Kind: kind, Workload: op.Workload, Key: op.Key, Client: op.Client, Seq: op.Seq, At: op.End, Text: fmt.Sprintf(format, args...),
	})
}

const differing = "the endpoints show different states"

// settled returns the final state of a key that all reads of the last round agree on, or nil
// and why there is none.
func settled(reads []Op) (*Op, string) {
	if len(reads) == 0 {
		return nil, "it was not read after the load"
	}
	for i := range reads {
		if r := &reads[i]; r.Outcome != outcomeOK {
			return nil, fmt.Sprintf("it could not be read at the end from %s: %s", r.Endpoint, r.Error)
		}
	}
	for i := range reads[1:] {
		if !sameValues(&reads[0], &reads[i+1]) {
			return nil, differing
		}
	}
	return &reads[0], ""
}

// sameValues reports whether two reads show the same values, in whatever order.
func sameValues(a, b *Op) bool {
	tags := func(op *Op) []string {
		var out []string
		for _, v := range op.Values {
			out = append(out, v.Tag+" "+v.ID+" "+v.Digest)
		}
		slices.Sort(out)
		return out
	}
	return slices.Equal(tags(a), tags(b))
}

// describe names a write with everything that its acknowledgement said.
func (w *write) describe(k *keyLedger) string {
	what := "write"
	switch k.load.kind {
	case kindSet:
		what = "element"
	case kindCounter:
		what = fmt.Sprintf("increment %d as write", w.count)
	}
	text := fmt.Sprintf("%s %s of client %d (%s to %s", what, w.id(), w.client, clock(w.start), clock(w.end))
	switch {
	case w.acknowledged():
		text += fmt.Sprintf(", acknowledged %d by %s: %s)", w.status, w.endpoint, w.receipt)
	case w.refused():
		text += fmt.Sprintf(", refused with status %d)", w.status)
	default:
		text += ", never acknowledged)"
	}
	return text
}

// op returns what a violation names of a write.
func (w *write) op(k *keyLedger) *Op {
	return &Op{Workload: k.workload, Key: k.key, Client: int(w.client), Seq: int(w.seq), End: w.end}
}

func describeRead(op *Op) string {
	kind := op.Level + " read"
	if op.Final {
		kind = "final read"
	}
	answer := fmt.Sprintf("%d value(s)", len(op.Values))
	if len(op.Values) == 0 {
		answer = "not found"
	}
	return fmt.Sprintf("the %s %s at %s (%s to %s, status %d: %s; %s)", kind, op.name(), op.Endpoint, clock(op.Start), clock(op.End), op.Status, answer, op.Receipt)
}

func clock(micros int64) string { return (time.Duration(micros) * time.Microsecond).String() }

func andMore(n int) string {
	if n == 0 {
		return ""
	}
	return fmt.Sprintf(", and %d more", n)
}
