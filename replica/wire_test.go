package replica

import (
	"bytes"
	"errors"
	"reflect"
	"testing"
	"time"

	"cartwheel/quorum"
	"cartwheel/ring"
	"cartwheel/vclock"
)

var target = quorum.Target{Name: ring.Key{Bucket: "b", Key: "k"}.Name(), Partition: 65535, N: 3, Ring: 4}

// standIn is a target that asks a fallback.
func standIn(t quorum.Target, owner string) quorum.Target {
	t.For = owner
	return t
}

func TestReadSurvivesTheWire(t *testing.T) {
	q, err := decodeRead(encodeRead(quorum.Read{Target: standIn(target, "o"), Owners: []string{"o"}}), 4)
	if err != nil || q.Target != standIn(target, "o") || q.Owners != nil {
		t.Errorf("for an owner: %+v, %v", q, err)
	}
	for i := range 8 {
		digest, asked, did := i&1 != 0, i&2 != 0, i&6 == 6
		var id vclock.RequestID
		if asked {
			id[15] = 1
		}
		q, err := decodeRead(encodeRead(quorum.Read{Target: target, Digest: digest, Did: id}), 4)
		if err != nil || q.Target != target || q.Digest != digest || q.Did != id {
			t.Errorf("request: %+v, %v", q, err)
		}
		for _, o := range []vclock.Object{{}, object("a"), object("a", "b")} {
			want := quorum.ReadReply{Object: o, Missing: o.Missing(), Did: did, Digest: o.Digest()}
			got, err := decodeReadReply(encodeReadReply(want, digest, asked), digest, asked)
			if err != nil || got.Digest != want.Digest || got.Missing != want.Missing || got.Did != did {
				t.Errorf("digest=%v: %+v, %v; want %+v", digest, got, err, want)
			}
			if !digest && !got.Object.Equal(o) {
				t.Errorf("object %+v, want %+v", got.Object, o)
			}
		}
	}
}

func TestMergeSurvivesTheWire(t *testing.T) {
	o := object("a", "b")
	for _, want := range []quorum.Target{target, standIn(target, "o")} {
		m, err := decodeMerge(encodeMerge(quorum.Merge{Target: want, Object: o, Encoded: o.Append(nil)}), 4)
		if err != nil || m.Target != want || !m.Object.Equal(o) {
			t.Errorf("%+v, %v", m, err)
		}
	}
}

func forwarded() quorum.PutRequest {
	return quorum.PutRequest{
		Key: ring.Key{Type: "default", Bucket: "b", Key: "k"}, Context: object("x", "y").Clock,
		RequestID: vclock.RequestID{1, 2}, ContentType: "a/b", Meta: []vclock.Pair{{Name: "n", Value: "v"}},
		Value: []byte("hello"), Expiry: 9, ReturnBody: true,
		Options: quorum.Options{N: 3, R: quorum.LevelAll, PR: 1, W: quorum.LevelQuorum, PW: 2, DW: 3, NodeConfirms: 0,
			NotFoundOK: true, BasicQuorum: true, RepairBefore: true, Sloppy: true, Lossy: true, Timeout: time.Second},
	}
}

func TestForwardSurvivesTheWire(t *testing.T) {
	tombstone := forwarded()
	tombstone.Deleted, tombstone.Value, tombstone.Meta, tombstone.Context = true, []byte{}, nil, nil
	strict := forwarded()
	strict.Sloppy = false
	for _, p := range []quorum.PutRequest{forwarded(), tombstone, strict} {
		for _, want := range []bool{false, true} {
			got, standIn, err := decodeForward(encodeForward(&p, want), time.Second)
			if err != nil || !reflect.DeepEqual(got, p) || standIn != want {
				t.Errorf("got  %+v, %v, %v\nwant %+v, %v", got, standIn, err, p, want)
			}
		}
	}
}

func TestResultSurvivesTheWire(t *testing.T) {
	receipt := quorum.Receipt{Replicas: 3, Primaries: 2, Fallbacks: 1, Durable: 2, N: 3, Ring: 17, Lossy: true}
	o := object("a")
	for _, body := range []bool{true, false} {
		got, err, malformed := decodeResult(encodeResult(quorum.PutResult{Object: o, Receipt: receipt}, nil, body))
		if err != nil || malformed != nil || got.Receipt != receipt || got.Object.Missing() == body {
			t.Errorf("body=%v: %+v, %v, %v", body, got, err, malformed)
		}
	}
	for _, want := range []error{
		quorum.ErrTimeout, quorum.ErrNotReady, quorum.ErrOverloaded, quorum.ErrClosed,
		&quorum.UnsatisfiedError{Level: "PW", Got: 1, Want: 2, Written: true, Receipt: receipt},
		&quorum.UnsatisfiedError{Level: "DW", Want: 1, Receipt: receipt, Causes: []error{
			&quorum.RefusedError{Reason: quorum.StorageDown, Text: "the disk is full"}, &quorum.RefusedError{Reason: quorum.Unreachable, Text: "gone"},
		}},
		&quorum.LevelError{Level: "w", Value: 7, N: 3},
		&quorum.RefusedError{Reason: quorum.TooManySiblings, Text: "too many"},
		&quorum.RefusedError{Reason: quorum.Unsure, Text: "unsure"},
		&quorum.RefusedError{Reason: quorum.HintsFull, Text: "full"},
	} {
		_, got, malformed := decodeResult(encodeResult(quorum.PutResult{}, want, true))
		if malformed != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("got %#v (%v), want %#v", got, malformed, want)
		}
	}
	_, got, malformed := decodeResult(encodeResult(quorum.PutResult{}, errors.New("odd"), true))
	if e, ok := errors.AsType[*quorum.RefusedError](got); malformed != nil || !ok || e.Reason != quorum.Failed || e.Text != "odd" {
		t.Errorf("an error without a form of its own: %#v (%v)", got, malformed)
	}
}

// Every decoder refuses whatever no encoder writes, and never panics.
func FuzzDecoders(f *testing.F) {
	p, o := forwarded(), object("a")
	f.Add(encodeRead(quorum.Read{Target: target}))
	f.Add(encodeMerge(quorum.Merge{Target: target, Object: o, Encoded: o.Append(nil)}))
	f.Add(encodeForward(&p, false))
	f.Add(encodeForward(&p, true))
	f.Add(encodeRead(quorum.Read{Target: standIn(target, "o")}))
	f.Add(encodeResult(quorum.PutResult{Object: o}, nil, true))
	f.Add(encodeResult(quorum.PutResult{}, &quorum.UnsatisfiedError{Level: "W"}, true))
	f.Add(encodeResult(quorum.PutResult{}, quorum.ErrTimeout, true))
	f.Add(encodeReadReply(quorum.ReadReply{Object: o}, false, false))
	f.Add(encodeReadReply(quorum.ReadReply{Did: true, Digest: 7}, true, true))
	f.Add(encodeRead(quorum.Read{Target: target, Digest: true, Did: vclock.RequestID{1}}))
	f.Fuzz(func(t *testing.T, b []byte) {
		again := func(name string, enc []byte) {
			if !bytes.Equal(enc, b) {
				t.Fatalf("two encodings of one %s:\n%x\n%x", name, b, enc)
			}
		}
		if q, err := decodeRead(b, 1); err == nil {
			again("read", encodeRead(q))
		}
		if m, err := decodeMerge(b, 1); err == nil {
			again("merge", encodeMerge(m))
		}
		if p, standIn, err := decodeForward(b, time.Second); err == nil {
			again("forward", encodeForward(&p, standIn))
		}
		if res, err, malformed := decodeResult(b); malformed == nil && err == nil {
			again("result", encodeResult(res, nil, true))
		}
		for _, digest := range []bool{true, false} {
			for _, did := range []bool{true, false} {
				if a, err := decodeReadReply(b, digest, did); err == nil {
					again("read reply", encodeReadReply(a, digest, did))
				}
			}
		}
	})
}
