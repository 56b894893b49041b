package load

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// Every end of an operation is counted under its name.
func TestFates(t *testing.T) {
	cases := []struct {
		name, workload string
		answer         reply
		want           string // counts of 10 operations
	}{
		{"value", "get", reply{}, "notfound=0 errors=[]"},
		{"siblings", "get", reply{raw: status(300)}, "notfound=0 errors=[]"},
		{"missing", "get", reply{raw: status(404)}, "notfound=10 errors=[]"},
		{"stored", "put", reply{}, "notfound=0 errors=[]"},
		{"missing on a write", "put", reply{raw: status(404)}, "notfound=0 errors=[404:10]"},
		{"siblings on a write", "put", reply{raw: status(300)}, "notfound=0 errors=[300:10]"},
		{"too few replicas", "put", reply{raw: status(503)}, "notfound=0 errors=[503:10]"},
		{"refused", "get", reply{raw: status(400)}, "notfound=0 errors=[400:10]"},
		{"refused update", "ycsb-f", reply{raw: status(500)}, "notfound=0 errors=[500:10]"},
		{"no answer", "get", reply{hang: true}, "notfound=0 errors=[timeout:10]"},
		{"late answer", "put", reply{after: 300 * time.Millisecond}, "notfound=0 errors=[timeout:10]"},
		{"closed", "get", reply{raw: drop}, "notfound=0 errors=[connection:10]"},
		{"cut off", "get", reply{raw: okGet[:len(okGet)-2], last: true}, "notfound=0 errors=[connection:10]"},
		{"nonsense", "get", reply{raw: "SSH-2.0-OpenSSH_9.2\r\n", last: true}, "notfound=0 errors=[malformed:10]"},
		{"more than an answer", "get", reply{raw: okGet + "x"}, "notfound=0 errors=[malformed:5]"},
		{"closed after the answer", "get", reply{raw: strings.Replace(okGet, "\r\n", "\r\nConnection: close\r\n", 1), last: true}, "notfound=0 errors=[]"},
	}
	for _, c := range cases {
		synctest.Test(t, func(t *testing.T) {
			f := newFakes(func(string, int, request) reply { return c.answer })
			config := testLoad(t, c.workload, "a:1")
			config.Clients, config.Operations, config.Timeout = 1, 10, 200*time.Millisecond
			_, o := f.run(t, t.Context(), config)
			all := o.Ops[0]
			if got := fmt.Sprintf("notfound=%d errors=%s", all.NotFound, errorsOf(all.Errors)); got != c.want || all.Count != 10 {
				t.Errorf("%s: %d operations, %s; want 10, %s", c.name, all.Count, got, c.want)
			}
			failed := int64(0)
			for _, n := range all.Errors {
				failed += n
			}
			if recorded := o.All.TotalCount(); recorded != all.Count-failed {
				t.Errorf("%s: %d latencies of %d operations, %d failed", c.name, recorded, all.Count, failed)
			}
		})
	}
}

// A request ends after its timeout, or at most a twentieth later.
func TestTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFakes(func(_ string, seq int, _ request) reply {
			return reply{hang: seq%3 == 0, after: 30 * time.Millisecond}
		})
		c := testLoad(t, "put", "a:1", "b:1")
		c.Clients, c.Operations, c.Timeout = 1, 30, time.Second
		began := time.Now()
		_, o := f.run(t, t.Context(), c)
		took := time.Since(began) - 20*30*time.Millisecond
		if took < 10*time.Second || took > 10*time.Second+500*time.Millisecond+10*lastPause {
			t.Errorf("ten timeouts took %v", took)
		}
		if o.Ops[0].Errors["timeout"] != 10 || o.Reconnects != 9 && o.Reconnects != 10 {
			t.Errorf("errors %v, %d reconnects", o.Ops[0].Errors, o.Reconnects)
		}
		if f.dials["a:1"] < 5 || f.dials["b:1"] < 5 {
			t.Errorf("connections %v: after a timeout the other node has its turn", f.dials)
		}
	})
}

// Clients of a node that dies go on at another one, after a pause and an error or two.
func TestReconnectsElsewhere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFakes(func(string, int, request) reply { return reply{after: 10 * time.Millisecond} })
		c := testLoad(t, "put", "a:1", "b:1")
		c.Clients, c.For = 4, 2*time.Second
		time.AfterFunc(505*time.Millisecond, func() { f.kill("a:1") })
		_, o := f.run(t, t.Context(), c)
		all := o.Ops[0]
		// All four lose their connection; those of the dead node are refused once more.
		if errs := all.Errors["connection"]; errs != 6 || len(all.Errors) > 1 {
			t.Errorf("errors %v, want 6 of connections", all.Errors)
		}
		if o.Reconnects != 4 || o.DialErrors != 2 {
			t.Errorf("%d reconnects, %d errors of dialing", o.Reconnects, o.DialErrors)
		}
		if all.Count < 4*195 {
			t.Errorf("%d operations, want about 800", all.Count)
		}
	})
}

// While no node is there, attempts become rare.
func TestPausesWhileNobodyAnswers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFakes(func(string, int, request) reply { return reply{after: 10 * time.Millisecond} })
		c := testLoad(t, "get", "a:1", "b:1")
		c.Clients, c.For = 2, 20*time.Second
		time.AfterFunc(time.Second, func() { f.kill("a:1"); f.kill("b:1") })
		_, o := f.run(t, t.Context(), c)
		// At half a second each, 40 for each client, and some short pauses before.
		if n := o.Ops[0].Errors["connection"]; n < 60 || n > 140 {
			t.Errorf("%d errors of connections", n)
		}
	})
}

// An update writes with the context that it has just read, and without one if it found nothing.
func TestUpdateSendsTheContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		lastGet := ""
		f := newFakes(func(_ string, seq int, r request) reply {
			if r.Method == "GET" {
				lastGet = fmt.Sprintf("context-%d", seq)
				if seq%4 == 1 {
					lastGet = ""
					return reply{raw: status(404), after: time.Millisecond}
				}
				return reply{raw: strings.Replace(okGet, "abc=", lastGet, 1), after: time.Millisecond}
			}
			if got := r.Header.Get("X-Riak-Vclock"); got != lastGet {
				t.Errorf("the write after %q has %q", lastGet, got)
			}
			if len(r.body) != 1024 {
				t.Errorf("a value of %d bytes", len(r.body))
			}
			return reply{after: 2 * time.Millisecond}
		})
		c := testLoad(t, "ycsb-f", "a:1")
		c.Clients, c.Operations = 1, 200
		_, o := f.run(t, t.Context(), c)
		for _, op := range o.Ops {
			if op.Kind == "update" && (op.Latency.Min < 2990 || op.Latency.Max > 3010) {
				t.Errorf("updates took %v to %v us, want 3 ms", op.Latency.Min, op.Latency.Max)
			}
		}
		if o.Ops[0].NotFound == 0 {
			t.Error("nothing was not found")
		}
	})
}

// What is sent is a request that the node understands.
func TestRequests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFakes(func(_ string, _ int, r request) reply {
			query, path := "r=1", r.URL.EscapedPath()
			if r.Method == "PUT" {
				query = "w=2&pw=1"
			}
			if !strings.HasPrefix(path, "/types/t%2Ft/buckets/a%2Fb%20c/keys/user0000") || len(path) != len("/types/t%2Ft/buckets/a%2Fb%20c/keys/user0000000001") ||
				r.URL.RawQuery != query || r.Host != "a:1" {
				t.Errorf("%s %s for %s", r.Method, r.URL, r.Host)
			}
			return reply{}
		})
		c := testLoad(t, "ycsb-a", "a:1")
		c.Bucket, c.Type, c.GetQuery, c.PutQuery, c.Clients, c.Operations = "a/b c", "t/t", "r=1", "w=2&pw=1", 2, 100
		if _, o := f.run(t, t.Context(), c); o.Ops[0].Count != 100 || len(o.Ops[0].Errors) > 0 {
			t.Errorf("%+v", o.Ops[0])
		}
	})
}
