package httpapi

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"cartwheel/quorum"
	"cartwheel/ring"
	"cartwheel/vclock"
)

const batchPath = "/buckets/b/batch"

// sendBatch sends lines and returns the lines of the answer, which must be 200.
func sendBatch(t testing.TB, h http.Handler, path string, lines ...string) []batchAnswer {
	t.Helper()
	r := do(h, "POST", path, strings.Join(lines, "\n"), "Content-Type", "application/x-ndjson")
	body := text(t, r)
	if r.StatusCode != 200 || r.Header.Get("Content-Type") != "application/x-ndjson" {
		t.Fatalf("got %d %v %q", r.StatusCode, r.Header, body)
	}
	var answers []batchAnswer
	for line := range strings.Lines(body) {
		var b batchAnswer
		if err := json.Unmarshal([]byte(line), &b); err != nil || !strings.HasSuffix(line, "\n") {
			t.Fatalf("line %q: %v", line, err)
		}
		answers = append(answers, b)
	}
	return answers
}

// brief is an answer in a form that tables can hold: status, key, value, error.
func brief(b batchAnswer) string {
	s := fmt.Sprint(b.Status, " ", b.Key)
	if b.Status == 200 {
		b.Siblings = []batchValue{b.batchValue}
	}
	for _, v := range b.Siblings {
		if v.Value != nil {
			s += " " + *v.Value
		} else {
			s += " base64:" + base64.StdEncoding.EncodeToString(v.Base64)
		}
	}
	if b.Error != "" {
		s += " ! " + b.Error
	}
	return s
}

func wantBatch(t testing.TB, got []batchAnswer, want ...string) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%d answers to %d lines", len(got), len(want))
	}
	for i := range want {
		if b := brief(got[i]); b != want[i] {
			t.Errorf("line %d: got %q, want %q", i+1, b, want[i])
		}
	}
}

func TestBatch(t *testing.T) {
	a := newCluster(t).server(t)
	got := sendBatch(t, a, batchPath,
		`{"op":"put","key":"a","value":"1"}`,
		`{"op":"get","key":"a"}`,
		"", "  \r",
		`{"op":"get","key":"none"}`,
		`{"op":"put","key":"a","value":"2"}`,
		`{"op":"get","key":"a"}`,
		`{"op":"delete","key":"a"}`,
		`{"op":"get","key":"a"}`,
		`{"op":"delete","key":"a"}`,
		`{"op":"put","key":"raw","base64":"/wA="}`,
		`{"op":"get","key":"raw"}`,
		`{"op":"put","key":"ü/<&>","value":""}`,
		`{"op":"get","key":"\u00fc/<&>"}`)
	wantBatch(t, got, "204 a", "200 a 1", "404 none ! not found", "204 a", "300 a 1 2", "204 a",
		"404 a ! not found", "404 a ! not found", "204 raw", "200 raw base64:/wA=", "204 ü/<&>", "200 ü/<&> ")
	for i, b := range got {
		if !strings.HasPrefix(b.Receipt, "replicas=2 ") {
			t.Errorf("line %d: receipt %q", i+1, b.Receipt)
		}
	}
	if got[2].Deleted || !got[6].Deleted || got[6].Context == "" {
		t.Error("missing and deleted look alike")
	}
	// What a batch wrote is there for everybody, and the other way round.
	want(t, do(a, "GET", "/buckets/b/keys/%C3%BC%2F%3C&%3E", ""), 200, "")
	put(t, a, at, "single")
	wantBatch(t, sendBatch(t, a, batchPath, `{"op":"get","key":"k"}`), "200 k single")
	if got := sendBatch(t, a, batchPath); got != nil {
		t.Errorf("an empty batch is answered with %v", got)
	}
}

func TestBatchValueIsWholeAndComesBack(t *testing.T) {
	a := newCluster(t).server(t)
	line := `{"op":"put","key":"k","value":"<b>","content_type":"text/html; charset=utf-8; x=y","content_encoding":"x-none",` +
		`"link":"</buckets/b/keys/j>; riaktag=\"t\"","meta":{"Color":"blue, green"},"indexes":{"age_int":9007199254740993,"tag_bin":["a","b"]}}`
	wantBatch(t, sendBatch(t, a, batchPath, line), "204 k")
	r := want(t, do(a, "GET", at, ""), 200, "<b>")
	for name, v := range map[string]string{"Content-Type": "text/html; charset=utf-8", "Content-Encoding": "x-none", "x-riak-meta-color": "blue, green",
		"x-riak-index-age_int": "9007199254740993", "x-riak-index-tag_bin": "a, b", "Link": `</buckets/b>; rel="up", </buckets/b/keys/j>; riaktag="t"`} {
		if got := strings.Join(headerOf(r, name), "|"); got != v {
			t.Errorf("%s: %q, want %q", name, got, v)
		}
	}
	got := sendBatch(t, a, batchPath, `{"op":"get","key":"k"}`)[0]
	b, err := json.Marshal(got)
	if err != nil {
		t.Fatal(err)
	}
	for _, part := range []string{`"content_encoding":"x-none"`, `"link":"\u003c/buckets/b/keys/j\u003e; riaktag=\"t\""`, `"meta":{"color":"blue, green"}`,
		`"indexes":{"age_int":["9007199254740993"],"tag_bin":["a","b"]}`} {
		if !strings.Contains(string(b), part) {
			t.Errorf("%s lacks %s", b, part)
		}
	}
	if got.Context != r.Header.Get("X-Riak-Vclock") || got.ETag != strings.Join(headerOf(r, "ETag"), "|") || got.LastModified != r.Header.Get("Last-Modified") {
		t.Errorf("the batch says %+v, the object %v", got, r.Header)
	}
}

func TestBatchContextOfAPut(t *testing.T) {
	c := newCluster(t)
	a := c.server(t)
	id := strings.Repeat("1", 32)
	first := sendBatch(t, a, batchPath, `{"op":"put","key":"k","value":"1","request_id":"`+id+`"}`)[0]
	if first.Context == "" {
		t.Fatal("no context of a value that stands alone")
	}
	next := func(value, context string) batchAnswer {
		return sendBatch(t, a, batchPath, `{"op":"put","key":"k","value":"`+value+`","context":"`+context+`"}`)[0]
	}
	if second := next("2", first.Context); second.Status != 204 || second.Context == "" {
		t.Fatalf("second: %+v", second)
	}
	wantBatch(t, sendBatch(t, a, batchPath, `{"op":"get","key":"k"}`), "200 k 2")
	// A retry of the first stores nothing, and must not get the context of the value that
	// replaced it: a write with it would hide a value that nobody here has seen.
	retry := sendBatch(t, a, batchPath, `{"op":"put","key":"k","value":"1","context":"`+first.Context+`","request_id":"`+strings.Repeat("2", 32)+`"}`)[0]
	if retry.Context != "" {
		t.Error("a value beside another has a context")
	}
	dot := vclock.Dot{Actor: vclock.Actor{Run: 1, Epoch: 1}, Counter: 2}
	lone := vclock.Object{Clock: vclock.Clock{dot}, Siblings: []vclock.Sibling{{Dot: dot, RequestID: vclock.RequestID{2}}}}
	beside := vclock.Object{Clock: lone.Clock, Siblings: []vclock.Sibling{lone.Siblings[0], {}}}
	if contextAfter(beside, vclock.RequestID{2}, 7) != "" || contextAfter(lone, vclock.RequestID{1}, 7) != "" || contextAfter(vclock.Object{}, vclock.RequestID{1}, 7) != "" {
		t.Error("a context covers values that the put did not see")
	}
	if contextAfter(lone, vclock.RequestID{2}, 7) == "" {
		t.Error("no context of a value that stands alone")
	}
	wantBatch(t, sendBatch(t, a, batchPath+"?returnbody=true", `{"op":"put","key":"k","value":"3"}`), "300 k 2 1 3")
	whole := sendBatch(t, a, batchPath, `{"op":"get","key":"k"}`)[0]
	wantBatch(t, sendBatch(t, a, batchPath+"?returnbody=true", `{"op":"put","key":"k","value":"4","context":"`+whole.Context+`"}`), "200 k 4")
	wantBatch(t, sendBatch(t, a, batchPath, `{"op":"delete","key":"k","context":"`+whole.Context+`"}`, `{"op":"get","key":"k"}`), "204 k", "200 k 4")
}

func TestBatchLinesThatAreRefused(t *testing.T) {
	c := newCluster(t)
	a := c.server(t)
	foreign := sendBatch(t, a, batchPath, `{"op":"put","key":"other","value":"1"}`)[0].Context
	big := strings.Repeat("x", 1<<20+1)
	for _, l := range []struct{ line, want string }{
		{`nonsense`, `400  ! the line is not a JSON object`},
		{`[]`, `400  ! the line is not a JSON object`},
		{`{"op":"get","key":"k"`, `400 k ! the line is not a whole JSON object`},
		{`{"op":"put","key":"k","value":"v`, `400 k ! the line is not a whole JSON object`},
		{`{"op":"get","key":"k"} {}`, `400 k ! something follows the JSON object: one line, one object`},
		{`{"op":"get"}`, `400  ! the line has no "key"`},
		{`{"op":"get","key":""}`, `400  ! the line has no "key"`},
		{`{"key":"k"}`, `400 k ! the line has no "op": use get, put or delete`},
		{`{"op":"push","key":"k"}`, `400 k ! the op "push" is unknown: use get, put or delete`},
		{`{"op":"get","key":"k","vaule":"v"}`, `400 k ! the field "vaule" is unknown`},
		{`{"op":"get","Key":"k"}`, `400  ! the field "Key" is unknown`},
		{`{"op":"put","key":"k","value":"1","value":"2"}`, `400 k ! the field "value" occurs twice`},
		{`{"op":"put","key":"k","value":1}`, `400 k ! value must be a string`},
		{`{"op":"put","key":"k"}`, `400 k ! a put needs one of "value" and "base64"`},
		{`{"op":"put","key":"k","value":null}`, `400 k ! a put needs one of "value" and "base64"`},
		{`{"op":"put","key":"k","value":"","base64":""}`, `400 k ! a put needs one of "value" and "base64"`},
		{`{"op":"put","key":"k","base64":"_w"}`, `400 k ! "base64" is not base64 (standard alphabet, with padding)`},
		{`{"op":"put","key":"k","value":"","content_type":"text"}`, `400 k ! "text" is no media type`},
		{`{"op":"put","key":"k","value":"","meta":{"a b":"c"}}`, `400 k ! "a b" is no name of metadata: use letters, digits and dashes`},
		{`{"op":"put","key":"k","value":"","meta":{"a":"b\r\nX: c"}}`, `400 k ! meta.a has control characters, or blanks at its ends`},
		{`{"op":"put","key":"k","value":"","meta":{"a":"1","a":"2"}}`, `400 k ! the field "a" occurs twice`},
		{`{"op":"put","key":"k","value":"","meta":{"a":"1","A":"2"}}`, `400 k ! the field "A" occurs twice`},
		{`{"op":"put","key":"k","value":"","meta":{"a":null}}`, `400 k ! meta must be an object of strings`},
		{`{"op":"put","key":"k","value":"","indexes":{"a_int":1,"A_int":2}}`, `400 k ! the field "A_int" occurs twice`},
		{`{"op":"put","key":"k","value":"","indexes":{"a_int":null}}`, `400 k ! indexes must be an object of strings, whole numbers, or lists of them`},
		{`{"op":"put","key":"k","value":"","meta":["a"]}`, `400 k ! meta must be an object of strings`},
		{`{"op":"put","key":"k","value":"","indexes":{"a":"b"}}`, `400 k ! Unknown field type for field: 'a'.`},
		{`{"op":"put","key":"k","value":"","indexes":{"a_int":1.5}}`, `400 k ! Could not parse field 'a_int', value '1.5'.`},
		{`{"op":"put","key":"k","value":"","indexes":{"a_int":true}}`, `400 k ! indexes must be an object of strings, whole numbers, or lists of them`},
		{`{"op":"put","key":"k","value":"","link":"x"}`, "400 k ! Invalid Link header. Links must be of the form\n" + `</buckets/BUCKET/keys/KEY>; riaktag="TAG"`},
		{`{"op":"put","key":"k","value":"","request_id":"12"}`, `400 k ! X-Cartwheel-Request-Id must be 32 hexadecimal digits, not all of them zero`},
		{`{"op":"put","key":"k","value":"","context":"AAAA"}`, `400 k ! X-Riak-Vclock is damaged; send back the one that was read, unchanged`},
		{`{"op":"put","key":"k","value":"","context":"` + foreign + `"}`, `400 k ! X-Riak-Vclock belongs to another key or another cluster; read this key and send back its own`},
		{`{"op":"delete","key":"k","context":"` + foreign + `"}`, `400 k ! X-Riak-Vclock belongs to another key or another cluster; read this key and send back its own`},
		{`{"op":"get","key":"k","value":"v"}`, `400 k ! a get takes no value, metadata, context or request_id`},
		{`{"op":"delete","key":"k","value":"v"}`, `400 k ! a delete takes no value or metadata`},
		{"{\"op\":\"get\",\"key\":\"\xff\"}", `400  ! the line is not UTF-8: give bytes as base64`},
		{`{"op":"put","key":"k","value":"\ud800"}`, `400  ! the line has half of a pair of \u escapes: give bytes as base64`},
		{`{"op":"put","key":"k","value":"\udc00\ud800"}`, `400  ! the line has half of a pair of \u escapes: give bytes as base64`},
		{`{"op":"put","key":"k","value":"` + big + `"}`, `413 k ! the value is longer than 1048576 bytes`},
		{`{"op":"put","key":"k","value":"` + big + big + big + `"}`, `413  ! the line is longer than 2162688 bytes`},
		{`{"op":"put","key":"k","value":"","meta":{"a":"` + big[:70000] + `"}}`, `431 k ! the metadata takes 70013 bytes, the limit is 65536`},
		{`{"op":"get","key":"` + big[:4096] + `"}`, `414 ` + big[:4096] + ` ! type, bucket and key together are longer than 4096 bytes`},
	} {
		c.puts, c.deletes = nil, nil
		got := sendBatch(t, a, batchPath, `{"op":"put","key":"before","value":"1"}`, l.line, `{"op":"put","key":"after","value":"1"}`)
		if b := brief(got[1]); b != l.want {
			t.Errorf("%.100s: got %q, want %q", l.line, b, l.want)
		}
		// The others are done, and nothing of this one is.
		if len(got) != 3 || got[0].Status != 204 || got[2].Status != 204 || len(c.puts) != 2 || len(c.deletes) != 0 {
			t.Errorf("%.100s: %d puts, %d deletes, answers %+v", l.line, len(c.puts), len(c.deletes), got)
		}
	}
	wantBatch(t, sendBatch(t, a, batchPath, `{"op":"put","key":"k","value":"\ud83d\ude00\\ud800\n"}`, `{"op":"get","key":"k"}`), "204 k", "200 k \U0001F600\\ud800\n")
}

func TestBatchAsAWholeIsRefused(t *testing.T) {
	c := newCluster(t)
	a := c.server(t)
	line := `{"op":"put","key":"k","value":"v"}` + "\n"
	for _, v := range []struct {
		path, kind, body string
		status           int
		want             string
	}{
		{batchPath, "", line, 415, `{"error":"Content-Type must be application/x-ndjson"}`},
		{batchPath, "application/json", line, 415, `{"error":"Content-Type must be application/x-ndjson"}`},
		{batchPath + "?w=many&timeout=x", "application/x-ndjson", line, 400, `{"error":"Bad timeout value \"x\"\nw query parameter must be an integer or one of the following words: 'one', 'quorum' or 'all'"}`},
		{"/types/unknown/buckets/b/batch", "application/x-ndjson", line, 404, `{"error":"Unknown bucket type: unknown"}`},
		{batchPath, "application/x-ndjson", strings.Repeat(line, 1001), 413, `{"error":"the batch has more than 1000 lines"}`},
		{batchPath, "application/x-ndjson", line + strings.Repeat(" ", 8<<20), 413, `{"error":"the batch is longer than 8388608 bytes"}`},
		{"/buckets/" + strings.Repeat("b", 4096) + "/batch", "application/x-ndjson", line, 414, `{"error":"type, bucket and key together are longer than 4096 bytes"}`},
	} {
		want(t, do(a, "POST", v.path, v.body, "Content-Type", v.kind), v.status, v.want+"\n")
	}
	for _, h := range [][2]string{{"If-None-Match", "*"}, {"X-Riak-Vclock", "AA"}, {"X-Cartwheel-Request-Id", strings.Repeat("1", 32)}} {
		want(t, do(a, "POST", batchPath, line, "Content-Type", "application/x-ndjson", h[0], h[1]), 400,
			`{"error":"a batch takes no `+h[0]+`: it would hold for one object; lines have \"context\" and \"request_id\""}`+"\n")
	}
	want(t, do(a, "POST", batchPath, line, "Content-Type", "application/x-ndjson", "Content-Encoding", "gzip"), 415, `{"error":"a batch must come without a Content-Encoding"}`+"\n")
	r := want(t, do(a, "GET", batchPath, ""), 405, "-")
	if allow := r.Header.Get("Allow"); allow != "POST" {
		t.Errorf("Allow: %q", allow)
	}
	a.batches.Store(maxBatches)
	r = want(t, do(a, "POST", batchPath, line, "Content-Type", "application/x-ndjson"), 503, `{"error":"too many batches are under way; try again later"}`+"\n")
	if r.Header.Get("Retry-After") != "1" {
		t.Error("no Retry-After")
	}
	a.batches.Store(0)
	if len(c.puts) != 0 {
		t.Errorf("%d puts of refused batches", len(c.puts))
	}
	// As many as are allowed, and the count of batches under way is right again.
	got := sendBatch(t, a, "/types/default/buckets/b/batch", strings.Repeat(line, 1000))
	if len(got) != 1000 || a.batches.Load() != 0 {
		t.Errorf("%d answers, %d batches left", len(got), a.batches.Load())
	}
}

func TestBatchPassesParametersAndErrors(t *testing.T) {
	c := newCluster(t)
	a := c.server(t)
	sendBatch(t, a, batchPath+"?r=1&w=3&rw=all&pw=2&timeout=5000&sloppy_quorum=false", `{"op":"put","key":"k","value":"v"}`, `{"op":"get","key":"k"}`, `{"op":"delete","key":"k"}`)
	if o := c.puts[0].Options; o.W != 3 || o.PW != 2 || o.Sloppy || o.Timeout > 5*time.Second || o.Timeout < time.Second {
		t.Errorf("put: %+v", o)
	}
	if o := c.gets[0].Options; o.R != 1 {
		t.Errorf("get: %+v", o)
	}
	wantBatch(t, sendBatch(t, a, batchPath+"?w=4", `{"op":"put","key":"k","value":"v"}`, `{"op":"get","key":"k2"}`),
		"400 k ! Specified w/dw/pw/node_confirms values invalid for bucket n value of 3", "404 k2 ! not found")
	wantBatch(t, sendBatch(t, a, batchPath+"?timeout=0", `{"op":"put","key":"k","value":"v"}`, `{"op":"get","key":"k"}`), "503 k ! request timed out", "503 k ! request timed out")
	c.put = func(quorum.PutRequest) (quorum.PutResult, error) {
		return quorum.PutResult{}, &quorum.UnsatisfiedError{Level: "DW", Got: 1, Want: 2, Written: true, Receipt: quorum.Receipt{Replicas: 1, N: 3}}
	}
	got := sendBatch(t, a, batchPath, `{"op":"put","key":"k","value":"v"}`)
	wantBatch(t, got, "503 k ! DW-value unsatisfied: 1/2\nThe write may have been stored on fewer replicas than asked for and may still become visible.")
	if got[0].Receipt == "" {
		t.Error("no receipt beside the error")
	}
	c.put = func(quorum.PutRequest) (quorum.PutResult, error) { return quorum.PutResult{}, quorum.ErrTimeout }
	wantBatch(t, sendBatch(t, a, batchPath, `{"op":"put","key":"k","value":"v"}`), "503 k ! request timed out\nThe write may still become visible.")
	c.put = func(quorum.PutRequest) (quorum.PutResult, error) { return quorum.PutResult{}, errors.New("broken") }
	wantBatch(t, sendBatch(t, a, batchPath, `{"op":"put","key":"k","value":"v"}`), "500 k ! Error:\nbroken")
}

func TestBatchHoldsToTheBucket(t *testing.T) {
	c := newCluster(t)
	a := c.server(t)
	want(t, do(a, "PUT", "/buckets/b/props", `{"props":{"require_context":true,"resolve":"union"}}`, "Content-Type", "application/json"), 204, "")
	sibling := func(v string) {
		c.stored(ring.Key{Bucket: "b", Key: "set"}, vclock.Write{ContentType: "application/json", Value: []byte(v)})
	}
	first := `{"op":"put","key":"k","value":"1","request_id":"` + strings.Repeat("1", 32) + `"}`
	wantBatch(t, sendBatch(t, a, batchPath, first, first), "204 k", "204 k") // the repetition is no blind write
	got := sendBatch(t, a, batchPath, `{"op":"put","key":"k","value":"2"}`, `{"op":"get","key":"k"}`)
	wantBatch(t, got, "428 k ! "+strings.TrimSuffix(contextMissing, "\n"), "200 k 1")
	if got[0].Receipt == "" {
		t.Error("no receipt beside 428")
	}
	wantBatch(t, sendBatch(t, a, batchPath, `{"op":"put","key":"k","value":"2","context":"`+got[1].Context+`"}`, `{"op":"delete","key":"k"}`, `{"op":"put","key":"k","value":"3"}`, `{"op":"get","key":"k"}`),
		"204 k", "204 k", "204 k", "200 k 3")
	c.get = func(quorum.GetRequest) (quorum.GetResult, error) { return quorum.GetResult{}, quorum.ErrTimeout }
	wantBatch(t, sendBatch(t, a, batchPath, `{"op":"put","key":"k","value":"4"}`), "503 k ! request timed out")
	c.get = nil

	sibling(`["a"]`)
	sibling(`["b"]`)
	got = sendBatch(t, a, batchPath+"?consistency=safe", `{"op":"get","key":"set"}`)
	wantBatch(t, got, `200 set ["a","b"]`)
	alone := do(a, "GET", "/buckets/b/keys/set?consistency=safe", "")
	if got[0].ETag != strings.Join(headerOf(alone, "ETag"), "|") || got[0].VTag != "" || got[0].Receipt != alone.Header.Get("X-Cartwheel-Receipt") || !strings.HasSuffix(got[0].Receipt, " resolved=union") {
		t.Errorf("the batch says %+v, the object %v", got[0], alone.Header)
	}
	wantBatch(t, sendBatch(t, a, batchPath+"?resolve=siblings", `{"op":"get","key":"set"}`), `300 set ["a"] ["b"]`)
}

func TestBatchIdempotencyKey(t *testing.T) {
	c := newCluster(t)
	a := c.server(t)
	put(t, a, "/buckets/b/keys/gone", "0")
	named := func(a *API, name string, lines ...string) string {
		t.Helper()
		return text(t, do(a, "POST", batchPath, strings.Join(lines, "\n"), "Content-Type", "application/x-ndjson", "Idempotency-Key", name))
	}
	send := func(a *API) {
		t.Helper()
		named(a, "batch-1", `{"op":"put","key":"k","value":"1"}`, `{"op":"put","key":"l","value":"2"}`, `{"op":"delete","key":"gone"}`)
	}
	object := func(key string) vclock.Object {
		return c.records[ring.Key{Bucket: "b", Key: key}.Name()].Object
	}
	send(a)
	clocks := []vclock.Clock{object("k").Clock, object("l").Clock, object("gone").Clock}
	for name, again := range map[string]*API{"the same": a, "another": c.server(t)} {
		send(again)
		for i, key := range []string{"k", "l", "gone"} {
			if !object(key).Clock.Equal(clocks[i]) {
				t.Errorf("a repetition at %s node changed %s: %+v", name, key, object(key))
			}
		}
	}
	named(a, "batch-2", `{"op":"put","key":"k","value":"1"}`)
	wantBatch(t, sendBatch(t, a, batchPath, `{"op":"get","key":"k"}`, `{"op":"get","key":"gone"}`), "300 k 1 1", "404 gone ! not found")
	for _, v := range []struct{ lines, want string }{
		{`{"op":"put","key":"k","value":"1","request_id":"` + strings.Repeat("1", 32) + `"}`, "request_id and Idempotency-Key both name the write; send one of them"},
		{`{"op":"delete","key":"none"}` + "\n" + `{"op":"put","key":"none","value":"1"}`, "under an Idempotency-Key a batch writes a key only once"},
	} {
		if got := named(a, "x", v.lines); !strings.HasSuffix(got, `"status":400,"error":"`+v.want+`"}`+"\n") {
			t.Errorf("%s: %s", v.lines, got)
		}
	}
}

func TestBatchPanicEndsOneLine(t *testing.T) {
	c := newCluster(t)
	a := c.server(t)
	c.delete = func(quorum.DeleteRequest) (quorum.DeleteResult, error) { panic("planted") }
	wantBatch(t, sendBatch(t, a, batchPath, `{"op":"delete","key":"k"}`, `{"op":"put","key":"k","value":"v"}`), "500 k ! Error:\ninternal error", "204 k")
	if !c.panicked {
		t.Error("the panic is not logged")
	}
	c.panicked = false
}

func TestBatchCounts(t *testing.T) {
	a := newCluster(t).server(t)
	sendBatch(t, a, batchPath, `{"op":"put","key":"k","value":"v"}`, `{"op":"get","key":"k"}`, `{"op":"get","key":"none"}`, `{"op":"delete","key":"k"}`, `x`)
	page := text(t, do(a, "GET", "/metrics", ""))
	for _, line := range []string{`cartwheel_requests_total{code="200",op="batch"} 1`, `cartwheel_requests_total{code="200",op="get"} 1`, `cartwheel_requests_total{code="404",op="get"} 1`,
		`cartwheel_requests_total{code="204",op="put"} 1`, `cartwheel_requests_total{code="204",op="delete"} 1`, `cartwheel_rejected_total{reason="body"} 1`, `cartwheel_siblings_count 1`} {
		if !strings.Contains(page, line+"\n") {
			t.Errorf("/metrics lacks %s", line)
		}
	}
}

func FuzzParseBatchLine(f *testing.F) {
	for _, seed := range []string{`{"op":"put","key":"k","value":"v","meta":{"a":"b"},"indexes":{"a_int":[1,"2"]}}`, `{"op":"get","key":"\ud83d\ude00"}`, `{"op":"put","key":"k","base64":"/w=="}`, `{"key":1}`, "{", `{"a":"\ud800"}`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		l, err := parseBatchLine(b)
		if err != nil {
			if err.Error() == "" || strings.ContainsAny(err.Error(), "\n\x00") {
				t.Errorf("the error is no sentence: %q", err)
			}
			return
		}
		if l.key == "" || l.op != batchPut && l.value != nil {
			t.Errorf("%q passes as %+v", b, l)
		}
		// encoding/json, which is laxer, must find the same.
		var lax struct {
			Op, Key string
			Value   *string
			Base64  []byte
			Meta    map[string]string
		}
		if err := json.Unmarshal(b, &lax); err != nil || lax.Op != l.op || lax.Key != l.key {
			t.Errorf("%q: %+v, encoding/json: %+v %v", b, l, lax, err)
		}
		if l.op == batchPut && (lax.Value != nil && *lax.Value != string(l.value) || lax.Value == nil && string(lax.Base64) != string(l.value)) {
			t.Errorf("%q: value %q, encoding/json: %+v", b, l.value, lax)
		}
		for name, value := range lax.Meta {
			if got := l.header.Values(metaUser + name); len(got) != 1 || got[0] != value {
				t.Errorf("%q: meta %s is %q, encoding/json: %q", b, name, got, value)
			}
		}
		for name, values := range l.header {
			for _, v := range values {
				if strings.ContainsAny(v, "\r\n\x00") || strings.ContainsAny(name, " \r\n:") {
					t.Errorf("%q makes the header %q: %q", b, name, v)
				}
			}
		}
	})
}
