package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// Lines go in batches, and each has an outcome of its own.
func TestLoadStoresBatches(t *testing.T) {
	f := start(t)
	f.fault = func(w http.ResponseWriter, r *http.Request, _ []byte) bool {
		refuse := strings.HasSuffix(r.URL.Path, "/k7")
		if refuse {
			w.WriteHeader(http.StatusConflict)
			_, _ = io.WriteString(w, "the object has too many siblings\n")
		}
		return refuse
	}
	var in strings.Builder
	for i := range 250 {
		fmt.Fprintf(&in, "{\"key\":\"k%d\",\"value\":\"v%d\"}\n", i, i)
	}
	got := cartwheel(t, in.String(), "load", "b", "-", "--batch", "100", "--clients", "1")
	if got.code != exitFailed || !strings.HasPrefix(got.stdout, "stored 249, failed 1 (") || !strings.HasPrefix(got.stderr, "line 8: key \"k7\": ") {
		t.Errorf("got %+v", got)
	}
	if !slices.Equal(f.batches, []int{100, 100, 50}) {
		t.Errorf("batches of %v lines", f.batches)
	}
	for i := range 250 {
		if v := f.values(fmt.Sprintf("/buckets/b/keys/k%d", i)); i != 7 && (len(v) != 1 || v[0] != fmt.Sprintf("v%d", i)) {
			t.Errorf("k%d holds %q", i, v)
		}
	}
	cartwheel(t, "", "load", "b", "-", "--batch", "0").expect(t, "--batch", exitUsage, "", "--batch 0 is not between 1 and 1000")
}

// Of a batch only the lines that failed for a passing reason are sent again, under their request ids.
func TestLoadRepeatsOnlyWhatFailed(t *testing.T) {
	f := start(t)
	tries, ids := map[string]int{}, map[string]string{}
	f.fault = func(w http.ResponseWriter, r *http.Request, _ []byte) bool {
		if r.URL.Path == "/ping" {
			return false
		}
		tries[r.URL.Path]++
		id := r.Header.Get("X-Cartwheel-Request-Id")
		if before := ids[r.URL.Path]; before != "" && before != id {
			t.Errorf("%s has a new request id", r.URL.Path)
		}
		ids[r.URL.Path] = id
		again := strings.HasSuffix(r.URL.Path, "5") && tries[r.URL.Path] < 3
		if again {
			w.WriteHeader(http.StatusServiceUnavailable)
			_, _ = io.WriteString(w, "W-value unsatisfied: 1/2\n")
		}
		return again
	}
	var in strings.Builder
	for i := range 20 {
		fmt.Fprintf(&in, "{\"key\":\"k%d\",\"value\":\"v\"}\n", i)
	}
	if got := cartwheel(t, in.String(), "load", "b", "-"); got.code != 0 || !strings.HasPrefix(got.stdout, "stored 20, failed 0 (") {
		t.Errorf("got %+v", got)
	}
	if !slices.Equal(f.batches, []int{20, 2, 2}) {
		t.Errorf("batches of %v lines", f.batches)
	}
}

// A line that no batch can carry keeps the others from nothing.
func TestLoadWithLineThatCannotBeSent(t *testing.T) {
	start(t)
	in := `{"key":"a","value":"1"}
{"key":"b","value":"1","meta":{"not a name":"x"}}
{"key":"c","value":"1"}
`
	got := cartwheel(t, in, "load", "b", "-")
	if got.code != exitFailed || !strings.HasPrefix(got.stdout, "stored 2, failed 1 (") || !strings.HasPrefix(got.stderr, "line 2: key \"b\": ") || !strings.Contains(got.stderr, "not a name") {
		t.Errorf("got %+v", got)
	}
}

// Lines that have come are stored while the input is silent, though there is no whole batch of them.
func TestLoaderStoresWhatThereIs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		in, pipe := io.Pipe()
		var sizes []int
		store := each(func(string) error { return nil })
		l := &loader{clients: 1, batch: 100}
		l.store = func(ctx context.Context, items []*item) {
			sizes = append(sizes, len(items))
			store(ctx, items)
		}
		done := make(chan error)
		go func() { done <- l.run(t.Context(), in) }()
		write := func(s string) {
			if _, err := io.WriteString(pipe, s); err != nil {
				t.Error(err)
			}
			time.Sleep(time.Minute)
		}
		line := `{"key":"k","value":"v"}` + "\n"
		write(line + line + line + line[:9])
		if got := l.progress(); got.stored != 3 {
			t.Errorf("%d lines are stored", got.stored)
		}
		write(line[9:] + "\n\n" + strings.Repeat(line, 150))
		if err := pipe.Close(); err != nil {
			t.Error(err)
		}
		if err := <-done; err != nil || l.progress().stored != 154 || !slices.Equal(sizes, []int{3, 100, 51}) {
			t.Errorf("%v, %+v, batches of %v", err, l.progress(), sizes)
		}
	})
}
