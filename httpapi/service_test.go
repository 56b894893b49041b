package httpapi

import (
	"encoding/json"
	"errors"
	"runtime"
	"slices"
	"strings"
	"testing"

	"cartwheel/quorum"
	"cartwheel/ring"
	"cartwheel/vclock"
)

func getJSON(t *testing.T, a *API, path string, to any, headers ...string) {
	t.Helper()
	r := do(a, "GET", path, "", headers...)
	if r.StatusCode != 200 || r.Header.Get("Content-Type") != "application/json" {
		t.Fatalf("GET %s: %d %v %s", path, r.StatusCode, r.Header, text(t, r))
	}
	if err := json.Unmarshal([]byte(text(t, r)), to); err != nil {
		t.Fatal(err)
	}
}

func TestServicePages(t *testing.T) {
	c := newCluster(t)
	a := c.server(t)
	want(t, do(a, "GET", "/ping", ""), 200, "OK")
	want(t, do(a, "HEAD", "/ping/", ""), 200, "")
	want(t, do(a, "GET", "/livez", ""), 200, "OK\n")
	for _, path := range []string{"/", "/ping", "/stats", "/livez", "/readyz", "/metrics", "/cluster", "/cluster/explain"} {
		r := want(t, do(a, "DELETE", path, ""), 405, "-")
		if r.Header.Get("Allow") != "HEAD, GET" {
			t.Errorf("%s: Allow %q", path, r.Header.Get("Allow"))
		}
	}
	r := want(t, do(a, "OPTIONS", at, ""), 405, "-")
	if r.Header.Get("Allow") != "HEAD, GET, POST, PUT, DELETE" {
		t.Errorf("Allow: %q", r.Header.Get("Allow"))
	}
	want(t, do(a, "GET", "/nosuch", ""), 404, `{"error":"there is no such resource"}`+"\n")
	c.ring = nil
	want(t, do(a, "GET", "/livez", ""), 200, "OK\n")
}

func TestReady(t *testing.T) {
	c := newCluster(t)
	a := c.server(t)
	want(t, do(a, "GET", "/readyz", ""), 200, "OK\n")
	c.status.Fenced = "no space left"
	want(t, do(a, "GET", "/readyz", ""), 503, `{"error":"the store takes no writes: no space left"}`+"\n")
	c.status.NotReady = "it catches up"
	want(t, do(a, "GET", "/readyz", ""), 503, `{"error":"it catches up"}`+"\n")
	c.status, c.ring = Status{}, nil
	want(t, do(a, "GET", "/readyz", ""), 503, `{"error":"the node has no ring yet"}`+"\n")
}

// Whatever "/" advertises is there: the paths that clients make from it do not end in "no
// such resource".
func TestRoot(t *testing.T) {
	a := newCluster(t).server(t)
	var list map[string]string
	getJSON(t, a, "/", &list, "Accept", "application/json")
	below := map[string]string{"/buckets": "/b/props", "/types": "/default/buckets/b/props"}
	for name, path := range list {
		if r := do(a, "GET", path+below[path], ""); r.StatusCode != 200 {
			t.Errorf("%s: GET %s: %d", name, path+below[path], r.StatusCode)
		}
	}
	r := do(a, "GET", "/", "", "Accept", "*/*")
	if r.Header.Get("Content-Type") != "text/html" {
		t.Errorf("Content-Type %q", r.Header.Get("Content-Type"))
	}
	links := strings.Split(r.Header.Get("Link"), ",")
	if len(links) != len(list) || !slices.Contains(links, `</buckets>; rel="riak_kv_wm_object"`) {
		t.Errorf("Link %q", links)
	}
}

func TestStats(t *testing.T) {
	c := newCluster(t)
	c.status.Quorum = quorum.Stats{Gets: 5, Puts: 2, Deletes: 1, ReadRepairs: 9}
	a := c.server(t)
	var s map[string]any
	getJSON(t, a, "/stats", &s)
	if s["nodename"] != "n1" || s["riak_kv_version"] != "2.2.0" || s["node_gets_total"] != 5.0 || s["node_puts_total"] != 3.0 ||
		s["read_repairs_total"] != 9.0 || len(s["ring_members"].([]any)) != 3 {
		t.Errorf("stats %v", s)
	}
	plain := text(t, do(a, "GET", "/stats", "", "Accept", "text/plain"))
	if !strings.Contains(plain, "ring_members : [n1,n2,n3]\n") || !strings.Contains(plain, "nodename : n1\n") {
		t.Errorf("stats as text: %q", plain)
	}
}

func TestClusterPage(t *testing.T) {
	c := newCluster(t)
	a := c.server(t)
	var v clusterView
	getJSON(t, a, "/cluster", &v)
	if v.RingVersion != 17 || !v.Settled || !v.Ready || len(v.Members) != 3 || v.Cluster != clusterUUID {
		t.Fatalf("cluster %+v", v)
	}
	if v.Node != "n1" || v.Version != "dev" || v.Durability != "fsync" || v.Cores != runtime.GOMAXPROCS(0) {
		t.Errorf("node %+v", v)
	}
	partitions, share := 0, 0.0
	for _, m := range v.Members {
		partitions += m.Partitions
		share += m.Share
	}
	if partitions != 48 || share < 0.999 || share > 1.001 || !v.Members[0].Alive || v.Members[2].Alive || v.Members[1].Status != "member" {
		t.Errorf("members %+v", v.Members)
	}
	// What gossip knows beats what the ring document has.
	if m := v.Members[1]; m.HTTP != "elsewhere:1" || m.Storage != "down" || v.Members[0].Storage != "ok" || v.Members[0].HTTP == "" {
		t.Errorf("members %+v", v.Members)
	}
	c.ring = nil
	v = clusterView{}
	getJSON(t, a, "/cluster", &v)
	if v.RingVersion != 0 || v.Settled || v.Ready || v.Members == nil {
		t.Errorf("without a ring: %+v", v)
	}
}

// Samples may ask the disk. A probe must be answered even when the disk hangs.
func TestProbesDoNotSample(t *testing.T) {
	c := newCluster(t)
	a := c.server(t)
	before := c.sampled.Load() // the collector was described
	for _, path := range []string{"/readyz", "/livez", "/ping", "/cluster", "/stats"} {
		do(a, "GET", path, "")
	}
	if n := c.sampled.Load() - before; n != 0 {
		t.Errorf("Samples was called %d times", n)
	}
	do(a, "GET", "/metrics", "")
	if c.sampled.Load() == before {
		t.Error("Samples was not called for /metrics")
	}
}

func TestExplain(t *testing.T) {
	c := newCluster(t)
	a := c.server(t)
	put(t, a, "/buckets/b/keys/a%2Fb", "x")
	put(t, a, "/buckets/b/keys/a%2Fb", "y")
	var v explainView
	getJSON(t, a, "/cluster/explain?bucket=b&key=a%2Fb", &v)
	key := ring.Key{Bucket: "b", Key: "a/b"}
	if v.Key != "a/b" || v.Partition != c.ring.Partition(key.Name()) || v.N != 3 || len(v.Preference) != 3 || len(v.Owners) != 3 {
		t.Fatalf("explain %+v", v)
	}
	if o := v.Owners[0]; o.Name != v.Preference[0] || len(o.Siblings) != 2 || o.Siblings[0].VTag != tags(t, a, "/buckets/b/keys/a%2Fb")[0] ||
		o.Clock[0].Run != "000000000000002a" || o.Clock[0].Counter != 2 || o.Siblings[1].Bytes != 1 {
		t.Errorf("owner %+v", o)
	}
	c.explain = func() ([]quorum.Copy, error) {
		return []quorum.Copy{{Member: 1, Err: errors.New("away")}, {Member: 2}, {Member: 99, Object: vclock.Object{}}}, nil
	}
	v = explainView{}
	getJSON(t, a, "/cluster/explain?bucket=b&key=k", &v)
	if len(v.Owners) != 2 || v.Owners[0].Error != "away" || v.Owners[0].Missing || !v.Owners[1].Missing {
		t.Errorf("owners %+v", v.Owners)
	}
	for _, query := range []string{"", "?bucket=b", "?key=k", "?bucket=%zz&key=k"} {
		want(t, do(a, "GET", "/cluster/explain"+query, ""), 400, `{"error":"give the key as ?bucket=B&key=K"}`+"\n")
	}
	want(t, do(a, "GET", "/cluster/explain?bucket=b&key=k&type=nope", ""), 404, "-")
	want(t, do(a, "GET", "/cluster/explain?bucket=b&key="+strings.Repeat("k", 4096), ""), 414, "-")
	c.explain = func() ([]quorum.Copy, error) { return nil, quorum.ErrOverloaded }
	want(t, do(a, "GET", "/cluster/explain?bucket=b&key=k", ""), 503, "-")
	c.ring = nil
	want(t, do(a, "GET", "/cluster/explain?bucket=b&key=k", ""), 503, "-")
}

func TestMetrics(t *testing.T) {
	c := newCluster(t)
	c.status.Fenced = "full"
	c.status.Quorum = quorum.Stats{ReadRepairs: 9, InFlight: 4}
	a := c.server(t)
	put(t, a, at, "x")
	put(t, a, at, "y")
	do(a, "GET", at, "")
	do(a, "HEAD", at, "")
	do(a, "GET", at+"?r=x", "")
	do(a, "GET", at+"2", "")
	do(a, "PUT", at, "x", "Content-Type", "a/b", "X-Riak-Vclock", "x")
	do(a, "GET", "/nosuch", "")
	page := text(t, do(a, "GET", "/metrics", ""))
	for _, line := range []string{
		`cartwheel_requests_total{code="204",op="put"} 2`,
		`cartwheel_requests_total{code="300",op="get"} 2`,
		`cartwheel_requests_total{code="400",op="get"} 1`,
		`cartwheel_requests_total{code="404",op="get"} 1`,
		`cartwheel_requests_total{code="404",op="other"} 1`,
		`cartwheel_request_seconds_count{op="get"} 4`,
		`cartwheel_siblings_bucket{le="1"} 0`,
		`cartwheel_siblings_bucket{le="2"} 2`,
		`cartwheel_siblings_sum 4`,
		`cartwheel_rejected_total{reason="parameter"} 1`,
		`cartwheel_rejected_total{reason="context"} 1`,
		`cartwheel_rejected_total{reason="value_too_large"} 0`,
		`cartwheel_read_repairs_total 9`,
		`cartwheel_requests_in_flight 4`,
		`cartwheel_ring_version 17`,
		`cartwheel_partitions_owned 16`,
		`cartwheel_storage_fenced 1`,
		`# TYPE cartwheel_malformed_frames_total counter`,
		`cartwheel_malformed_frames_total 7`,
		`# TYPE cartwheel_free_bytes gauge`,
		`cartwheel_members{state="alive"} 2`,
		`cartwheel_members{state="unreachable"} 1`,
	} {
		if !strings.Contains(page, line+"\n") {
			t.Errorf("no line %s", line)
		}
	}
	if t.Failed() {
		t.Log(page)
	}
	c.ring = nil
	if page := text(t, do(a, "GET", "/metrics", "")); !strings.Contains(page, "cartwheel_ring_version 0\n") {
		t.Error("no metrics without a ring")
	}
}

func TestConfig(t *testing.T) {
	c := newCluster(t)
	if _, err := New(Config{}); err == nil {
		t.Error("an API without parts was made")
	}
	if _, err := New(Config{Coordinator: c, Properties: c, Node: c, Timeout: -1, MaxValueBytes: -2}); err == nil ||
		!strings.Contains(err.Error(), "Timeout is negative: -1") || !strings.Contains(err.Error(), "MaxValueBytes is negative: -2") {
		t.Errorf("got %v", err)
	}
}
