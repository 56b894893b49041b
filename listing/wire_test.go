package listing

import (
	"bytes"
	"strings"
	"testing"
)

func someRequest() request {
	return request{
		mode: keysSorted, version: 7, n: 3, typ: "default", bucket: "b", prefix: "p", start: "q", from: "pq\x00",
		pageBytes: 4096, names: 10, partitions: []uint16{0, 3, 65535},
	}
}

// FuzzRequest: a request is refused or is exactly what its encoder writes.
func FuzzRequest(f *testing.F) {
	q := someRequest()
	f.Add(q.encode())
	q.mode, q.bucket, q.names = buckets, "", 0
	f.Add(q.encode())
	f.Add([]byte{format, byte(countKeys), 0x80, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		q, err := decodeRequest(b)
		if err == nil && !bytes.Equal(q.encode(), b) {
			t.Errorf("decoded %x, encoded %x", b, q.encode())
		}
	})
}

// FuzzAnswer: an answer is refused, or is what its encoder writes and lets the list go on.
func FuzzAnswer(f *testing.F) {
	for _, m := range []mode{keysInTurn, keysSorted, countKeys} {
		for _, a := range []answer{
			{from: "pz", count: 2, names: []byte("\x02pq\x02pr")}, {finished: 3}, {finished: 1, from: "x"},
			{refused: []refusal{{0, "why"}, {2, ""}}}, {verdict: busy}, {verdict: refused, text: "another ring"},
		} {
			f.Add(byte(m), a.encode())
		}
	}
	f.Fuzz(func(t *testing.T, m byte, b []byte) {
		q := someRequest()
		q.mode = mode(m % byte(modes))
		a, err := decodeAnswer(b, &q)
		if err != nil {
			return
		}
		a.names = []byte(a.list)
		if again := a.encode(); !bytes.Equal(again, b) {
			// Only texts for people are not kept to the byte.
			if a.text = ""; strings.ToValidUTF8(string(b), "") == string(b) {
				t.Errorf("decoded %x, encoded %x", b, again)
			}
		}
		if a.verdict == answered && len(a.refused) == 0 && a.finished == 0 && a.from <= q.from {
			t.Errorf("%+v gets nowhere", a)
		}
		for rest, ok := a.list, true; rest != ""; {
			if _, rest, ok = cutName(rest); !ok {
				t.Fatalf("names %x", a.list)
			}
		}
	})
}

// An answer that would make a list endless, disordered or wrong is refused.
func TestAnswersThatCannotBe(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		what string
		mode mode
		a    answer
	}{
		{"nowhere", keysSorted, answer{from: "pq\x00"}},
		{"backwards", keysInTurn, answer{from: "a"}},
		{"some of the merged", keysSorted, answer{finished: 1, from: "z"}},
		{"done, and not", keysInTurn, answer{finished: 3, from: "z"}},
		{"out of order", keysSorted, answer{from: "z", count: 2, names: []byte("\x02ps\x02pr")}},
		{"twice", keysSorted, answer{from: "z", count: 2, names: []byte("\x02ps\x02ps")}},
		{"below the bound", keysSorted, answer{from: "z", count: 1, names: []byte("\x01a")}},
		{"beyond the bound", keysSorted, answer{from: "ps", count: 1, names: []byte("\x02ps")}},
		{"miscounted", keysInTurn, answer{finished: 3, count: 2, names: []byte("\x01a")}},
		{"cut short", keysInTurn, answer{finished: 3, count: 1, names: []byte("\x02a")}},
		{"counted names", countKeys, answer{finished: 3, count: 1, names: []byte("\x01a")}},
		{"refused with names", keysInTurn, answer{refused: []refusal{{0, ""}}, count: 1, names: []byte("\x01a")}},
		{"busy with an end", keysInTurn, answer{verdict: busy, finished: 3}},
		{"more than there are", keysInTurn, answer{finished: 4}},
		{"refused twice", keysInTurn, answer{refused: []refusal{{1, ""}, {1, ""}}}},
		{"too large", keysInTurn, answer{finished: 3, count: 1, names: make([]byte, maxAnswerBytes)}},
	} {
		q := someRequest()
		q.mode = c.mode
		if a, err := decodeAnswer(c.a.encode(), &q); err == nil {
			t.Errorf("%s: %+v", c.what, a)
		}
	}
}
