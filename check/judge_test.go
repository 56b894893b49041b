package check

import (
	"fmt"
	"iter"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// parse builds a history from lines such as these; a field is NAME=VALUE.
//
//	w 1.2 0-5 strict saw=1.1 bad   the write 1.2, from 0 to 5 at level strict, after a read
//	                               that showed 1.1, refused ("?" instead: not answered)
//	r 2.1 6-9 strict 1.2 1.1       a read that showed the values 1.2 and 1.1
//	r -1.1 90-99 final=1 1.2       a final read, round 1; "?" was not answered
//
// The tag of a value is its id with a "t" before it; id/tag and id/tag/digest give others.
func parse(t *testing.T, load, text string) iter.Seq2[Op, error] {
	t.Helper()
	ops := []Op{{Type: typeRun, Run: &Info{Workloads: []string{load}}}}
	kind := lookup(load).kind
	written := map[string]int{}
	for line := range strings.Lines(text) {
		if fields := strings.Fields(line); len(fields) > 0 {
			ops = append(ops, parseOp(t, load, kind, fields, written))
		}
	}
	ops = append(ops, Op{Type: typeEnd})
	return func(yield func(Op, error) bool) {
		for _, op := range ops {
			if !yield(op, nil) {
				return
			}
		}
	}
}

func parseOp(t *testing.T, load string, kind kind, fields []string, written map[string]int) Op {
	t.Helper()
	op := Op{Type: map[string]string{"w": typeWrite, "r": typeRead}[fields[0]], Workload: load, Key: "k", Outcome: outcomeOK, Status: 200, Endpoint: "e"}
	client, seq, _ := strings.Cut(fields[1], ".")
	op.Client, _ = strconv.Atoi(client)
	op.Seq, _ = strconv.Atoi(seq)
	if _, err := fmt.Sscanf(fields[2], "%d-%d", &op.Start, &op.End); err != nil {
		t.Fatalf("%q: %v", fields, err)
	}
	if op.Type == typeWrite {
		op.ID, op.Digest = fields[1], "d"+fields[1]
		written[client]++
		op.Count = written[client]
	}
	for _, f := range fields[3:] {
		name, value, has := strings.Cut(f, "=")
		switch {
		case f == "?":
			op.Outcome = outcomeUnknown
		case f == "bad":
			op.Outcome, op.Status = outcomeFail, 400
		case name == "saw":
			for id := range strings.SplitSeq(value, ",") {
				op.Saw = append(op.Saw, shown(id))
			}
		case name == "final":
			op.Final, op.Level = true, levelFinal
			op.Round, _ = strconv.Atoi(value)
		case name == "e":
			op.Elements = strings.Split(value, ",")
		case name == "key":
			op.Key = value
		case has:
			if op.Counts == nil {
				op.Counts = map[string]int{}
			}
			op.Counts[name], _ = strconv.Atoi(value)
		case strings.Contains(f, "."):
			op.Values = append(op.Values, shown(f))
		default:
			op.Level = f
		}
	}
	return op
}

func shown(text string) Shown {
	id, rest, _ := strings.Cut(text, "/")
	s := Shown{ID: id, Tag: "t" + id, Digest: "d" + id}
	if tag, d, ok := strings.Cut(rest, "/"); rest != "" {
		if s.Tag = tag; ok {
			s.Digest = d
		}
	}
	return s
}

// Each case is a small history and the kinds of violations that it has, in order.
func TestJudge(t *testing.T) {
	for _, c := range []struct{ name, load, history, want string }{
		{"all there", "register", `
			w 1.1 0-5
			r -1.1 9-10 final=1 1.1`, ""},
		{"lost", "register", `
			w 1.1 0-5
			w 2.1 6-7
			r -1.1 9-10 final=1 2.1`, "lost 1.1"},
		{"replaced by who had read it", "register", `
			w 1.1 0-5
			w 2.1 6-7 saw=1.1
			r -1.1 9-10 final=1 2.1`, ""},
		{"replaced over two", "register", `
			w 1.1 0-5
			w 2.1 6-7 saw=1.1
			w 3.1 6-7 saw=2.1
			r -1.1 9-10 final=1 3.1`, ""},
		{"replaced by a write without an answer", "register", `
			w 1.1 0-5
			w 2.1 6-7 saw=1.1 ?
			r -1.1 9-10 final=1 2.1`, ""},
		{"replaced by a write that is gone itself", "register", `
			w 1.1 0-5
			w 2.1 6-7 saw=1.1 ?
			r -1.1 9-10 final=1`, "lost 1.1"},
		{"a write without an answer may be there or not", "register", `
			w 1.1 0-5 ?
			w 2.1 0-5 ?
			w 3.1 0-5
			r -1.1 9-10 final=1 1.1 3.1`, ""},
		{"the last round counts", "register", `
			w 1.1 0-5
			r -1.1 9-10 final=1
			r -1.2 11-12 final=2 1.1`, ""},
		{"the last round counts, also if it is worse", "register", `
			w 1.1 0-5
			r -1.1 9-10 final=1 1.1
			r -1.2 11-12 final=2`, "lost 1.1"},
		{"no final read", "register", `
			w 1.1 0-5`, "unverified"},
		{"a final read without an answer", "register", `
			w 1.1 0-5
			r -1.1 9-10 final=1 1.1
			r -1.2 9-10 final=1 ?`, "unverified"},
		{"final reads differ", "register", `
			w 1.1 0-5
			w 2.1 0-5
			r -1.1 9-10 final=1 1.1 2.1
			r -1.2 9-10 final=1 2.1 1.1
			r -1.3 9-10 final=1 2.1`, "diverged"},
		{"final reads in another order", "register", `
			w 1.1 0-5
			w 2.1 0-5
			r -1.1 9-10 final=1 1.1 2.1
			r -1.2 9-10 final=1 2.1 1.1`, ""},
		{"a key that was only read", "register", `
			w 1.1 0-5
			r 2.1 6-7 key=other
			r -1.1 9-10 final=1 1.1`, ""},
		{"nothing acknowledged", "register", `
			w 1.1 0-5 ?
			r -1.1 9-10 final=1`, "unverified"},
		{"nothing done", "register", ``, "unverified"},

		{"false not found", "register", `
			w 1.1 0-5 strict
			r 2.1 6-7 owners
			r -1.1 9-10 final=1 1.1`, "stale 2.1"},
		{"a read that began before the answer", "register", `
			w 1.1 0-5 strict
			r 2.1 5-7 strict
			r -1.1 9-10 final=1 1.1`, ""},
		{"a write that no quorum of owners acknowledged", "register", `
			w 1.1 0-5 default
			r 2.1 6-7 strict
			r -1.1 9-10 final=1 1.1`, ""},
		{"a write without an answer is not demanded", "register", `
			w 1.1 0-5 strict ?
			w 1.2 0-5 strict
			r 2.1 6-7 strict 1.2
			r -1.1 9-10 final=1 1.2`, ""},
		{"a read of one replica", "register", `
			w 1.1 0-5 strict
			r 2.1 6-7 weak
			r 2.2 6-7 default
			r -1.1 9-10 final=1 1.1`, ""},
		{"a read without an answer", "register", `
			w 1.1 0-5 strict
			r 2.1 6-7 strict ?
			r -1.1 9-10 final=1 1.1`, ""},
		{"a newer one by who had read it", "register", `
			w 1.1 0-5 strict
			w 2.1 6-20 saw=1.1 ?
			r 3.1 7-8 strict 2.1
			r -1.1 29-30 final=1 2.1`, ""},
		{"an element is missed", "sets", `
			w 1.1 0-5 strict
			w 1.2 6-7 strict saw=1.1
			r 2.1 8-9 strict 1.2 e=1.2
			r -1.1 19-20 final=1 1.2 e=1.1,1.2`, "stale 2.1"},
		{"an element is lost", "sets", `
			w 1.1 0-5
			w 1.2 6-7 saw=1.1
			r -1.1 19-20 final=1 1.2 e=1.2`, "lost 1.1"},
		{"an element nobody added", "sets", `
			w 1.1 0-5
			r -1.1 19-20 final=1 1.1 e=1.1,4.4`, "unwritten -1.1"},
		{"an element too early", "sets", `
			r 2.1 1-2 e=1.1
			w 1.1 3-5
			r -1.1 19-20 final=1 1.1 e=1.1`, "unwritten 2.1"},

		{"counted", "counter", `
			w 1.1 0-5
			w 1.2 6-7 saw=1.1
			w 2.1 0-7 ?
			r -1.1 9-10 final=1 1.2 1=2 2=1`, ""},
		{"an increment is lost", "counter", `
			w 1.1 0-5
			w 1.2 6-7 saw=1.1
			r -1.1 9-10 final=1 1.1 1=1`, "lost 1.2"},
		{"one increment too many", "counter", `
			w 1.1 0-5
			r -1.1 9-10 final=1 1.1 1=2`, "unwritten -1.1"},
		{"a count nobody made", "counter", `
			w 1.1 0-5
			r -1.1 9-10 final=1 1.1 1=1 3=1`, "unwritten -1.1"},

		{"own write not read", "session", `
			w 1.1 0-5 strict
			r 1.2 5-7 strict
			r -1.1 9-10 final=1 1.1`, "session 1.2"},
		{"somebody else's write not read", "session", `
			w 1.1 0-5 strict
			r 2.1 5-7 strict
			r -1.1 9-10 final=1 1.1`, ""},
		{"own write without an answer", "session", `
			w 1.1 0-5 strict ?
			r 1.2 5-7 strict
			w 1.3 8-9 strict
			r -1.1 9-10 final=1 1.3`, ""},
		{"going back", "session", `
			w 1.1 0-9 strict ?
			r 2.1 1-2 strict 1.1
			r 2.2 3-4 strict
			w 1.2 10-11 strict
			r -1.1 19-20 final=1 1.1 1.2`, "session 2.2"},
		{"another client goes back", "session", `
			w 1.1 0-9 strict ?
			r 2.1 1-2 strict 1.1
			r 3.1 3-4 strict
			w 1.2 10-11 strict
			r -1.1 19-20 final=1 1.1 1.2`, ""},
		{"going on", "session", `
			w 1.1 0-2 strict
			r 2.1 3-4 strict 1.1
			w 1.2 5-6 strict saw=1.1
			r 2.2 7-8 strict 1.2
			r 2.3 7-8 strict 1.2
			r -1.1 9-10 final=1 1.2`, ""},
		{"shown and gone", "session", `
			w 1.1 0-5 strict ?
			r 2.1 6-7 strict 1.1
			w 3.1 6-7 strict
			r -1.1 9-10 final=1 3.1`, "vanished 1.1"},
		{"shown by a read without repair and gone", "register", `
			w 1.1 0-5 strict ?
			r 2.1 6-7 owners 1.1
			r 2.2 6-7 default 1.1
			w 3.1 6-7
			r -1.1 9-10 final=1 3.1`, ""},

		{"a value nobody wrote", "register", `
			w 1.1 0-5
			r 2.1 6-7 4.4
			r -1.1 9-10 final=1 1.1`, "unwritten 2.1"},
		{"a value from later", "register", `
			r 2.1 1-2 1.1
			w 1.1 3-5
			r -1.1 9-10 final=1 1.1`, "unwritten 2.1"},
		{"a value while it is written", "register", `
			r 2.1 1-4 1.1
			w 1.1 3-5
			r -1.1 9-10 final=1 1.1`, ""},
		{"a refused value", "register", `
			w 1.1 0-5
			w 1.2 6-7 bad
			r -1.1 9-10 final=1 1.1 1.2`, "refused -1.1"},
		{"a value with other bytes", "register", `
			w 1.1 0-5
			r -1.1 9-10 final=1 1.1/t/x`, "altered -1.1"},
		{"two values under one tag", "register", `
			w 1.1 0-5
			w 2.1 0-5
			r 3.1 6-7 1.1/t
			r -1.1 9-10 final=1 1.1 2.1/t`, "tag -1.1"},
		{"one value under two tags", "register", `
			w 1.1 0-5
			r 3.1 6-7 1.1/t
			r -1.1 9-10 final=1 1.1/u`, ""},
		{"beside its successor", "register", `
			w 1.1 0-5
			w 2.1 6-7 saw=1.1/t
			r 3.1 8-9 1.1/t 2.1
			r -1.1 9-10 final=1 2.1`, "resurrected 3.1"},
		{"a repeated write beside its successor", "register", `
			w 1.1 0-5
			w 2.1 6-7 saw=1.1/t
			r 3.1 8-9 1.1/u 2.1
			r -1.1 9-10 final=1 2.1`, ""},
		{"beside its successor's successor", "sets", `
			w 1.1 0-5
			w 2.1 6-7 saw=1.1/t
			w 2.2 6-7 saw=2.1
			r -1.1 9-10 final=1 2.2 1.1/t e=1.1,2.1,2.2`, "resurrected -1.1"},

		{"the last write wins", "lww", `
			w 1.1 0-5 strict
			w 2.1 6-7 strict
			r 3.1 8-9 strict 2.1 e=2.1
			r -1.1 9-10 final=1 2.1 e=2.1`, ""},
		{"even there nobody may invent", "lww", `
			w 1.1 0-5
			r -1.1 9-10 final=1 9.9 e=9.9`, "unwritten -1.1, unwritten -1.1"},
	} {
		report, err := Judge(parse(t, c.load, c.history))
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		var got []string
		for _, v := range report.Violations {
			name := v.Kind
			if v.Seq > 0 {
				name += fmt.Sprintf(" %d.%d", v.Client, v.Seq)
			}
			got = append(got, name)
		}
		if text := strings.Join(got, ", "); text != c.want || report.Clean != (c.want == "") {
			t.Errorf("%s: got %q, clean %t, want %q\n%v", c.name, text, report.Clean, c.want, report.Violations)
		}
	}
}

func TestReportCounts(t *testing.T) {
	report, err := Judge(parse(t, "lww", `
		w 1.1 0-5
		w 2.1 6-7
		w 2.2 6-7 ?
		w 2.3 6-7 bad
		r 3.1 8-9 ?
		r 3.2 8-9 2.1 e=2.1
		r -1.1 9-10 final=1 2.1 e=2.1`))
	if err != nil {
		t.Fatal(err)
	}
	want := Workload{
		Name: "lww", Counts: Counts{Operations: 6, OK: 3, Unknown: 2, Failed: 1, Writes: 4, Acknowledged: 2}, Keys: 1, Lossy: true, Lost: 1,
	}
	if len(report.Workloads) != 1 || *report.Workloads[0] != want {
		t.Errorf("got %+v, want %+v", report.Workloads[0], want)
	}
}

// A list of violations is bounded, their number is not.
func TestReportIsBounded(t *testing.T) {
	r := newReport()
	for range maxViolations + 5 {
		r.add(Violation{Kind: "lost", Workload: "sets"})
	}
	r.conclude()
	if len(r.Violations) != maxViolations || r.Kinds["lost"] != maxViolations+5 || r.Workloads[0].Violations != r.Count || r.Clean {
		t.Errorf("listed %d, counted %v, %+v", len(r.Violations), r.Kinds, r.Workloads[0])
	}
}

// The account of a register against a naive one: a write is accounted for if it can be reached.
func TestAccountedNaively(t *testing.T) {
	for seed := range uint64(50) {
		rng := newTestRand(seed)
		l := newLedger()
		for i := 1; i <= 20; i++ {
			op := Op{Type: typeWrite, Workload: "register", Key: "k", Client: 1, Seq: i, Outcome: outcomeOK}
			op.ID = op.name()
			for range rng.IntN(3) {
				op.Saw = append(op.Saw, shown("1."+strconv.Itoa(1+rng.IntN(i))))
			}
			l.add(&op)
		}
		l.resolve()
		read := Op{Type: typeRead, Workload: "register", Key: "k", Values: []Shown{shown("1.20"), shown("1." + strconv.Itoa(1+rng.IntN(20))), shown("7.7")}}
		k := l.key(&read)
		want := make([]bool, len(k.writes))
		for _, v := range read.Values {
			reach(k, v.ID, want)
		}
		if got := k.accounted(&read, nil); !slices.Equal(got, want) {
			t.Fatalf("seed %d: got %v, want %v", seed, got, want)
		}
	}
}

func reach(k *keyLedger, id string, in []bool) {
	i, ok := k.byID[id]
	if !ok || in[i] {
		return
	}
	in[i] = true
	for _, s := range k.writes[i].saw {
		reach(k, s.ID, in)
	}
}

// Whatever a file holds, reading and judging it ends with a report or an error.
func FuzzJudge(f *testing.F) {
	f.Add(`{"type":"run","run":{"seed":1}}` + "\n" + `{"type":"write","workload":"sets","client":1,"seq":1,"id":"1.1","key":"k","start":0,"end":1,"outcome":"ok"}` +
		"\n" + `{"type":"read","workload":"sets","client":-1,"seq":1,"key":"k","start":2,"end":3,"outcome":"ok","final":true,"values":[{"tag":"t","id":"1.1","digest":""}],"elements":["1.1"]}` +
		"\n" + `{"type":"end"}`)
	f.Add(`{"type":"run"}`)
	f.Add(`{"type":"write","workload":"counter","id":"0.0","key":"k","outcome":"unknown","count":-1}` + "\n" + `{"type":"end"}`)
	f.Fuzz(func(t *testing.T, text string) {
		history := decodeHistory(strings.NewReader(text))
		var ops []Op
		for op, err := range history {
			if err != nil {
				return
			}
			ops = append(ops, op)
		}
		report, err := Judge(func(yield func(Op, error) bool) {
			for _, op := range ops {
				if !yield(op, nil) {
					return
				}
			}
		})
		if err == nil && report.Clean != (report.Count == 0) {
			t.Errorf("clean %t with %d violations", report.Clean, report.Count)
		}
	})
}
