package httpapi

import (
	"testing"
	"time"

	"cartwheel/quorum"
)

// A look for an earlier try must not cost a write: without an answer it goes on.
func TestLookThatFails(t *testing.T) {
	c := newCluster(t)
	a := c.server(t)
	c.get = func(quorum.GetRequest) (quorum.GetResult, error) {
		return quorum.GetResult{}, &quorum.UnsatisfiedError{Level: "R", Got: 0, Want: 2}
	}
	put(t, a, at, "x", "Idempotency-Key", "1")
	want(t, do(a, "PUT", at, "x", "Content-Type", "a/b", "Idempotency-Key", "2", "If-None-Match", "*"), 503, "-")
	want(t, do(a, "POST", "/buckets/b/keys", "x", "Content-Type", "a/b", "Idempotency-Key", "3"), 201, "-")
	if len(c.puts) != 2 {
		t.Errorf("%d writes", len(c.puts))
	}
}

func TestLookOptions(t *testing.T) {
	o := quorum.Options{N: 5, R: 1, W: 2, Timeout: time.Minute}
	for _, test := range []struct {
		need    need
		r, want quorum.Level
		before  bool
		timeout time.Duration
	}{
		{need{conditions: true}, 1, 1, false, time.Minute},
		{need{context: true}, 1, 1, false, time.Minute},
		{need{named: true}, 1, quorum.LevelQuorum, true, time.Second},
		{need{named: true, conditions: true}, 2, quorum.LevelQuorum, true, time.Minute},
		{need{named: true, context: true}, quorum.LevelQuorum, quorum.LevelQuorum, true, time.Minute},
		{need{named: true}, 4, 4, true, time.Second},
		{need{named: true}, quorum.LevelAll, quorum.LevelAll, true, time.Second},
	} {
		wanted := o
		wanted.R, wanted.RepairBefore, wanted.Timeout = test.want, test.before, test.timeout
		given := o
		given.R = test.r
		if got := lookOptions(given, test.need); got != wanted {
			t.Errorf("%+v, r=%v: got %+v", test.need, test.r, got)
		}
	}
	o.Timeout = time.Second
	if got := lookOptions(o, need{named: true}).Timeout; got != time.Second/2 {
		t.Errorf("half of the time is the write's, the look has %v", got)
	}
}
