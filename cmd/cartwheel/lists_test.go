package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
)

// listNames makes the cluster answer every list with names, and returns the queries that it saw.
func listNames(f *fakeCluster, ending string, names ...string) *[]string {
	var queries []string
	f.fault = func(w http.ResponseWriter, r *http.Request, _ []byte) bool {
		queries = append(queries, r.URL.Path+"?"+r.URL.RawQuery)
		noun := "keys"
		if strings.HasSuffix(r.URL.Path, "/buckets") {
			noun = "buckets"
		}
		if r.URL.Query().Get("keys") == "count" {
			_, _ = fmt.Fprintf(w, `{"count":%d}`, len(names))
			return true
		}
		list, _ := json.Marshal(names)
		if len(names) > 0 {
			_, _ = fmt.Fprintf(w, `{%q:%s}`, noun, list)
		}
		if ending == "" {
			ending = fmt.Sprintf(`{%q:[]}`, noun)
		}
		_, _ = io.WriteString(w, ending)
		return true
	}
	return &queries
}

func TestKeysPrintsALineForEach(t *testing.T) {
	f := start(t)
	seen := listNames(f, "", "a", "b%20c", "%FF", "<d>%0A")
	cartwheel(t, "", "keys", "b").expect(t, "keys", 0, "a\nb c\n\xff\n<d>\n\n")
	cartwheel(t, "", "keys", "b", "--json").expect(t, "JSON", 0, "{\"keys\": [\n  \"a\",\n  \"b c\",\n  {\"base64\":\"/w==\"},\n  \"<d>\\n\"\n]}\n")
	cartwheel(t, "", strings.Fields("keys b --type t --prefix p+ --start s --limit 3 --sort --timeout 30m")...).expect(t, "flags", 0, "a\nb c\n\xff\n")
	cartwheel(t, "", "count", "b", "--prefix", "p").expect(t, "count", 0, "4\n")
	cartwheel(t, "", "count", "b", "--json").expect(t, "count in JSON", 0, "{\n  \"type\": \"default\",\n  \"bucket\": \"b\",\n  \"count\": 4\n}\n")
	for i, want := range []string{
		"/buckets/b/keys?encoding=url&keys=stream&timeout=480000",
		"/buckets/b/keys?encoding=url&keys=stream&timeout=480000",
		"/types/t/buckets/b/keys?encoding=url&keys=stream&limit=3&prefix=p%2B&sort=true&start=s&timeout=1800000",
		"/buckets/b/keys?encoding=url&keys=count&prefix=p&timeout=480000",
	} {
		if (*seen)[i] != want {
			t.Errorf("request %d: %s, want %s", i, (*seen)[i], want)
		}
	}
}

func TestBucketsAndEmptyLists(t *testing.T) {
	f := start(t)
	seen := listNames(f, "", "x", "y")
	cartwheel(t, "", "buckets").expect(t, "buckets", 0, "x\ny\n")
	cartwheel(t, "", "buckets", "--type=t", "--json").expect(t, "JSON", 0, "{\"buckets\": [\n  \"x\",\n  \"y\"\n]}\n")
	if want := []string{"/buckets?buckets=stream&encoding=url&timeout=300000", "/types/t/buckets?buckets=stream&encoding=url&timeout=300000"}; !slices.Equal(*seen, want) {
		t.Errorf("requests %q", *seen)
	}
	listNames(f, "")
	cartwheel(t, "", "keys", "b").expect(t, "no key", 0, "")
	cartwheel(t, "", "keys", "b", "--json").expect(t, "no key in JSON", 0, "{\"keys\": []}\n")
	cartwheel(t, "", "count", "b").expect(t, "count of none", 0, "0\n")
}

// What is not the whole list never looks like one.
func TestListsThatAreNotComplete(t *testing.T) {
	f := start(t)
	listNames(f, `{"error":"no member can list partition 7 of 256 completely now"}`, "a", "c")
	cartwheel(t, "", "keys", "b").expect(t, "error at the end", 5, "a\nc\n", "not complete after 2 names", "partition 7", "cartwheel status")
	cartwheel(t, "", "keys", "b", "--json").expect(t, "error at the end, JSON", 5, "{\"keys\": [\n  \"a\",\n  \"c\"", "partition 7")
	listNames(f, `{"error":"timeout"}`, "a")
	cartwheel(t, "", "keys", "b").expect(t, "timeout", 5, "a\n", "time ran out", "--timeout")
	listNames(f, "{", "a")
	cartwheel(t, "", "keys", "b").expect(t, "broken off", 1, "a\n", "ends early")
	for _, tc := range []struct {
		status int
		body   string
		code   int
		words  string
	}{
		{503, `{"error":"no member can list partitions 3-5 of 256 completely now"}`, 5, "partitions 3-5"},
		{503, `{"error":"this node is not ready: it has no ring yet; wait until /readyz answers 200"}`, 1, "not ready"},
		{404, "Unknown bucket type: t", 1, "Unknown bucket type: t"},
		{400, `{"error":"prefix query parameter is longer than 4096 bytes"}`, 1, "refused"},
	} {
		f.fault = func(w http.ResponseWriter, r *http.Request, _ []byte) bool {
			if strings.HasPrefix(tc.body, "{") {
				w.Header().Set("Content-Type", "application/json")
			}
			w.WriteHeader(tc.status)
			_, _ = io.WriteString(w, tc.body)
			return true
		}
		for _, args := range [][]string{{"keys", "b"}, {"buckets"}, {"count", "b"}} {
			cartwheel(t, "", args...).expect(t, tc.words, tc.code, "", tc.words)
		}
	}
}

func TestListsAreUsedRightly(t *testing.T) {
	start(t)
	for _, args := range []string{"keys", "keys a b", "buckets a", "count", "keys b --limit=-1", "keys b --limit x", "count b --limit 3", "keys b --timeout 5"} {
		if got := cartwheel(t, "", strings.Fields(args)...); got.code != 2 || got.stdout != "" || got.stderr == "" {
			t.Errorf("%s: %+v", args, got)
		}
	}
}
