package httpapi

import (
	"maps"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/gorilla/mux"
)

// Templates match what the router's own patterns match, and find the same variables.
func TestTemplate(t *testing.T) {
	patterns := []string{"/buckets/{bucket}/keys/{key}", "/buckets/{bucket}/keys", "/types/{type}/buckets/{bucket}/props"}
	segments := []string{"buckets", "b%2Fc", "keys", "types", "t", "props", "", "k", "%00", "."}
	rng := rand.New(rand.NewPCG(1, 2))
	matched := 0
	for _, pattern := range patterns {
		own, theirs := mux.NewRouter().UseEncodedPath().SkipClean(true), mux.NewRouter().UseEncodedPath().SkipClean(true)
		own.MatcherFunc(newTemplate(pattern).matcher).Handler(http.NotFoundHandler())
		theirs.Handle(pattern, http.NotFoundHandler())
		for range 5000 {
			parts := strings.Split(pattern, "/")
			for i := range parts {
				if i > 0 && (parts[i][0] == '{' || rng.IntN(10) == 0) {
					parts[i] = segments[rng.IntN(len(segments))]
				}
			}
			path := strings.Join(parts[:len(parts)-rng.IntN(7)/6], "/") + [...]string{"", "", "", "/", "/more"}[rng.IntN(5)]
			u, err := url.ParseRequestURI("http://host" + path)
			if err != nil {
				t.Fatal(err)
			}
			var a, b mux.RouteMatch
			r := &http.Request{Method: "GET", URL: u}
			if own.Match(r, &a) != theirs.Match(r, &b) || !maps.Equal(a.Vars, b.Vars) {
				t.Fatalf("%s against %q: got %v, want %v", path, pattern, a.Vars, b.Vars)
			}
			if b.Route != nil {
				matched++
			}
		}
	}
	if matched < 1000 {
		t.Fatalf("only %d paths matched: the test shows nothing", matched)
	}
}

// What the router found for one request is not seen by the next one, which may get its exchange.
func TestExchangeUsedAgain(t *testing.T) {
	s := newCluster(t).server(t)
	for range 20 {
		r := do(s, "POST", "/types/default/buckets/b/keys", "v", "Content-Type", "text/plain")
		if l := r.Header.Get("Location"); !strings.HasPrefix(l, "/types/default/buckets/b/keys/") {
			t.Fatalf("location %q", l)
		}
		r = do(s, "POST", "/buckets/c/keys", "v", "Content-Type", "text/plain")
		if l := r.Header.Get("Location"); !strings.HasPrefix(l, "/buckets/c/keys/") {
			t.Fatalf("location %q", l)
		}
		want(t, do(s, "GET", "/nowhere", ""), 404, "-")
	}
}
