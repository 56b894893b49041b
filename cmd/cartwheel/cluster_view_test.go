package main

import (
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
)

// startAnswering serves one JSON text for a path.
func startAnswering(t *testing.T, path, body string) {
	t.Helper()
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		// The timeout and, after it, the type are not looked at.
		got, _, _ := strings.Cut(r.RequestURI, "&timeout=")
		if got, _, _ = strings.Cut(got, "?timeout="); got != path {
			w.WriteHeader(http.StatusNotFound)
			_, _ = io.WriteString(w, `{"error":"there is no `+got+`"}`)
			return
		}
		_, _ = io.WriteString(w, body)
	}))
	t.Cleanup(srv.Close)
	t.Setenv(endpointVariable, srv.URL)
}

// What is left to repair stands below the table.
func TestStatusOfRepair(t *testing.T) {
	startAnswering(t, "/cluster", `{"ring_version":1,"settled":true,"node":"n1","ready":true,"members":[
		{"name":"n2","uuid":"2","status":"member","alive":true,"storage":"ok","calls":"open","partitions":16,"share":1}],
		"repair":{"hints_pending":7,"hints":[{"owner":"n2","uuid":"2","count":7,"bytes":900,"error":"no answer"}],
		"dirty":[{"owner":"n3","uuid":"3","partitions":[1,9]}],"unsure":[4],"rebuilding":2,"exchanges":0,
		"verified":[{"peer":"n2","uuid":"2","partitions":16,"never":0,"oldest_seconds":12.4},{"peer":"n3","uuid":"3","partitions":16,"never":3,"oldest_seconds":1}]}}`)
	want := `ring version 1, settled; 1 of 1 members alive

NAME  UUID  STATUS  ALIVE   STORAGE  ZONE  REPLICAS  SHARE   HTTP
n2    2     member  silent  ok       -     16        100.0%  -

n1 keeps 7 hints for n2; not delivered: no answer
n3 lacks writes in 2 partitions, to be compared with it first
n1 may lack acknowledged writes in 1 partitions and does not vote on reads of them
n1 is scanning 2 partitions before they can be compared
n1 and n2 compare 16 partitions: all within the last 12 s
n1 and n3 compare 16 partitions: 3 not yet since n1 started
`
	cartwheel(t, "", "status").expect(t, "repair", 0, want)
}

func TestStatus(t *testing.T) {
	startAnswering(t, "/cluster", `{"ring_version":17,"settled":true,"cluster":"c","node":"n1","fenced":"the disk is full","members":[
		{"name":"node-\u001b[31m2","uuid":"77","status":"leaving","alive":false,"storage":"ok","zone":"","partitions":0,"share":0},
		{"name":"n1","uuid":"0123456789ab-cdef","status":"member","alive":true,"storage":"down","http":"127.0.0.1:8098","zone":"a","partitions":256,"share":0.3333}]}`)
	want := `ring version 17, settled; 1 of 2 members alive

NAME            UUID      STATUS   ALIVE  STORAGE  ZONE  REPLICAS  SHARE  HTTP
n1              01234567  member   yes    down     a     256       33.3%  127.0.0.1:8098
node-\x1b[31m2  77        leaving  no     -        -     0         0.0%   -

n1 takes no writes: the disk is full
`
	cartwheel(t, "", "status").expect(t, "status", 0, want)
	got := cartwheel(t, "", "status", "--json")
	if got.code != 0 || !strings.Contains(got.stdout, "  \"cluster\": \"c\",\n") {
		t.Errorf("--json: %+v", got)
	}
	startAnswering(t, "/cluster", `{"ring_version":18,"settled":false,"members":[{"name":"n1","status":"member","alive":true}]}`)
	got = cartwheel(t, "", "status")
	if !strings.Contains(got.stdout, "ring version 18, not settled") || strings.Contains(got.stdout, "writes") {
		t.Errorf("not settled: %+v", got)
	}
	startAnswering(t, "/cluster", `{"node":"n1","ready":false,"not_ready":"it waits for 2 more nodes","members":[]}`)
	cartwheel(t, "", "status").expect(t, "no ring", 1, "", "cartwheel: n1 is not ready: it waits for 2 more nodes\n")
	startAnswering(t, "/cluster", `{"node":"n1","ready":false,"members":[]}`)
	cartwheel(t, "", "status").expect(t, "no ring, no reason", 1, "", "cartwheel: n1 is not ready: the ring is not known yet\n")
	startAnswering(t, "/elsewhere", ``)
	cartwheel(t, "", "status").expect(t, "no such page", 1, "", "there is no /cluster")
	startAnswering(t, "/cluster", `no JSON`)
	cartwheel(t, "", "status").expect(t, "no JSON", 1, "", "decode the answer")
}

const explainBody = `{"type":"default","bucket":"b/1","key":"k&2","partition":173,"n_val":3,"n":3,"ring_version":17,
	"preference":["n1","n2","n3","n4"],"owners":[
	{"name":"n1","uuid":"0123456789","alive":true,"digest":"aa","clock":[{"run":"0123456789abcdef","epoch":1,"counter":2}],
	 "siblings":[{"vtag":"T1","content_type":"text/plain","bytes":12,"time":"2023-11-22T09:30:00Z","dot":{"run":"0123456789abcdef","epoch":1,"counter":2}}]},
	{"name":"n2","uuid":"u2","alive":true,"digest":"bb","clock":[{"run":"0123456789abcdef","epoch":1,"counter":1}],
	 "siblings":[{"vtag":"T0","deleted":true,"bytes":0,"time":"2023-11-22T09:29:00Z","dot":{"run":"0123456789abcdef","epoch":1,"counter":1}}]},
	{"name":"n3","uuid":"u3","alive":false,"error":"cannot be reached"}]}`

func TestExplain(t *testing.T) {
	startAnswering(t, "/cluster/explain?bucket=b%2F1&key=k%262", explainBody)
	want := `key k&2 in bucket b/1 of type default
partition 173, n_val 3, effective n 3, ring version 17
preference list: n1 n2 n3 n4

OWNER  UUID      ALIVE  COPY     CLOCK
n1     01234567  yes    same     01234567.1:2
n2     u2        yes    behind   01234567.1:1
n3     u3        no     unknown  -

n1 holds
  T1  text/plain  12 bytes  2023-11-22T09:30:00Z  written as 01234567.1:2

n2 holds
  T0  deleted  0 bytes  2023-11-22T09:29:00Z  written as 01234567.1:1

n3 gave no answer: cannot be reached

replicas differ: n2; a read with r=all repairs the owners; no answer from n3
`
	cartwheel(t, "", "explain", "b/1", "k&2").expect(t, "explain", 0, want)
	if got := cartwheel(t, "", "explain", "b/1", "k&2", "--json"); got.code != 0 || !strings.Contains(got.stdout, `"partition": 173,`) {
		t.Errorf("--json: %+v", got)
	}
	cartwheel(t, "", "explain", "b", "k").expect(t, "refused", 1, "", "there is no /cluster/explain?bucket=b&key=k")
	startAnswering(t, "/cluster/explain?bucket=b&key=k", `{"type":"default"}`)
	cartwheel(t, "", "explain", "b", "k").expect(t, "no owners", 1, "", "no owner")
	if got := cartwheel(t, "", "explain", "--help"); !strings.Contains(got.stdout, "229cb5f0.3:1 reads run.epoch:counter") {
		t.Errorf("help: %s", got.stdout)
	}
}

func TestCompare(t *testing.T) {
	at := func(digest string, entries ...clockEntry) replicaState {
		return replicaState{Digest: digest, Clock: entries}
	}
	a1, a2, b1 := clockEntry{actor{"a", 1}, 1}, clockEntry{actor{"a", 1}, 2}, clockEntry{actor{"a", 2}, 1}
	gone := replicaState{Missing: true}
	silent := replicaState{Error: "away"}
	for _, tc := range []struct {
		name     string
		replicas []replicaState
		want     []verdict
		says     string
	}{
		{"equal", []replicaState{at("x", a1), at("x", a1), at("x", a1)}, []verdict{same, same, same}, "all copies are equal"},
		{"nowhere", []replicaState{gone, gone}, []verdict{none, none}, "no replica that answered has this key"},
		{"one owner without", []replicaState{at("x", a1), gone}, []verdict{same, missing}, "replicas differ"},
		{"one behind", []replicaState{at("x", a2), at("y", a1)}, []verdict{same, behind}, "replicas differ"},
		{"the newest may be alone", []replicaState{at("y", a1), at("y", a1), at("x", a2)}, []verdict{behind, behind, same}, "replicas differ"},
		{"concurrent", []replicaState{at("x", a1), at("y", b1)}, []verdict{behind, behind}, "replicas differ"},
		{"same clock, other siblings", []replicaState{at("x", a1, b1), at("y", a1, b1), at("x", a1, b1)}, []verdict{same, differs, same}, "replicas differ"},
		{"silent", []replicaState{silent, at("x", a1), silent}, []verdict{unknown, same, unknown}, "no answer from"},
		{"all silent", []replicaState{silent}, []verdict{unknown}, "no answer from"},
		{"none", nil, []verdict{}, "no replica"},
	} {
		got := compare(tc.replicas)
		if !slices.Equal(got, tc.want) {
			t.Errorf("%s: got %v, want %v", tc.name, got, tc.want)
		}
		if says := conclusion(makePalette(false), tc.replicas, got); !strings.Contains(says, tc.says) {
			t.Errorf("%s: %q, want %q", tc.name, says, tc.says)
		}
	}
}

// Colours stand around the text and do not move the columns.
func TestColours(t *testing.T) {
	s := clusterStatus{Members: []memberStatus{{Name: "n1", Status: "member"}, {Name: "a-long-name", Status: "member", Alive: true}}}
	plain, coloured := s.render(makePalette(false)), s.render(makePalette(true))
	if !strings.Contains(coloured, "\x1b[31;1mno\x1b[") || strings.Contains(plain, "\x1b") {
		t.Errorf("coloured %q\nplain %q", coloured, plain)
	}
	var stripped strings.Builder
	for part := range strings.SplitSeq(coloured, "\x1b[") {
		if i := strings.IndexByte(part, 'm'); stripped.Len() > 0 && i >= 0 && i < 8 {
			part = part[i+1:]
		}
		stripped.WriteString(part)
	}
	if stripped.String() != plain {
		t.Errorf("without colours %q\nwant %q", stripped.String(), plain)
	}
}
