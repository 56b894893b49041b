package check

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"cartwheel/client"
)

// What surely had no effect, what may have had one, and what is an answer.
func TestOutcomes(t *testing.T) {
	quorum := &client.QuorumError{Message: "W-value unsatisfied: 1/2"}
	for _, c := range []struct {
		err     error
		outcome string
		status  int
	}{
		{nil, outcomeOK, 0},
		{quorum, outcomeUnknown, 503},
		{fmt.Errorf("wrapped: %w", quorum), outcomeUnknown, 503},
		{&client.NotFoundError{}, outcomeUnknown, 404},
		{&client.StatusError{Status: 400}, outcomeFail, 400},
		{&client.StatusError{Status: 413}, outcomeFail, 413},
		{&client.StatusError{Status: 409}, outcomeUnknown, 409},
		{&client.StatusError{Status: 500}, outcomeUnknown, 500},
		{fmt.Errorf("%w: dial", client.ErrUnreachable), outcomeFail, 0},
		{&client.IndeterminateError{Err: client.ErrUnreachable}, outcomeUnknown, 0},
		{context.DeadlineExceeded, outcomeUnknown, 0},
		{errors.New("other"), outcomeUnknown, 0},
	} {
		if outcome, status := outcomeOf(c.err); outcome != c.outcome || status != c.status {
			t.Errorf("%v: got %s %d, want %s %d", c.err, outcome, status, c.outcome, c.status)
		}
	}
}

// A history keeps what the servers said of failures: their text, in one line of bounded length,
// and their receipt.
func TestFailuresAreWrittenDown(t *testing.T) {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("X-Cartwheel-Receipt", "replicas=1 primaries=1")
		w.WriteHeader(http.StatusServiceUnavailable)
		fmt.Fprintf(w, "PW-value unsatisfied: 1/2 %s\nmore", strings.Repeat("é", 300))
	}))
	defer srv.Close()
	r, err := New(Config{Endpoints: []string{srv.URL}, Workloads: []string{"sets"}})
	if err != nil {
		t.Fatal(err)
	}
	defer r.closeClients()
	op := &Op{Type: typeRead, Key: "k", Level: levelStrict}
	if v := r.read(t.Context(), r.loads[0], op, r.endpoints[0]); v != nil {
		t.Errorf("a view %+v of no answer", v)
	}
	if op.Outcome != outcomeUnknown || op.Status != 503 || op.Receipt != "replicas=1 primaries=1" || op.Endpoint != srv.URL ||
		!strings.Contains(op.Error, "PW-value unsatisfied: 1/2") || strings.Contains(op.Error, "more") || len(op.Error) > 200 {
		t.Errorf("got %+v", op)
	}
}

// Keys are replaced when they are full, and stay readable.
func TestKeys(t *testing.T) {
	rng := newTestRand(1)
	k := &keys{limit: 10}
	writes := map[string]int{}
	for range 5000 {
		key, slot := k.pick(rng, true)
		if writes[key]++; slot < 0 || writes[key] > 10 {
			t.Fatalf("key %s: slot %d, %d writes", key, slot, writes[key])
		}
	}
	old := 0
	for range 1000 {
		if key, slot := k.pick(rng, false); slot < 0 {
			old++
			if writes[key] != 10 {
				t.Errorf("%s is not full: %d", key, writes[key])
			}
		}
	}
	if old < 150 || old > 250 {
		t.Errorf("%d of 1000 reads went to full keys, want about 200", old)
	}
}

// Levels are what their names say.
func TestLevels(t *testing.T) {
	for _, c := range []struct {
		got  client.Quorum
		want client.Quorum
	}{
		{readQuorum(levelDefault, 1), client.Quorum{Timeout: 1}},
		{readQuorum(levelWeak, 1), client.Quorum{R: "1", Timeout: 1}},
		{readQuorum(levelStrict, 1), client.Quorum{R: "quorum", PR: "quorum", ReadRepair: "before", Timeout: 1}},
		{readQuorum(levelOwners, 1), client.Quorum{R: "quorum", SloppyQuorum: "false", Timeout: 1}},
		{readQuorum(levelFinal, 1), client.Quorum{R: "all", PR: "all", SloppyQuorum: "false", ReadRepair: "before", Timeout: 1}},
		{writeQuorum(levelDefault, 1), client.Quorum{Timeout: 1}},
		{writeQuorum(levelWeak, 1), client.Quorum{W: "1", DW: "1", Timeout: 1}},
		{writeQuorum(levelStrict, 1), client.Quorum{W: "quorum", PW: "quorum", Timeout: 1}},
		{writeQuorum(levelOwners, 1), client.Quorum{W: "quorum", SloppyQuorum: "false", Timeout: 1}},
	} {
		if c.got != c.want {
			t.Errorf("got %+v, want %+v", c.got, c.want)
		}
	}
}
