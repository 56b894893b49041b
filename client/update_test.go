package client_test

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"cartwheel/client"
)

// register is one key that keeps its conditions and contexts: a value is replaced by a write that
// has its context, and is a sibling of any other.
type register struct {
	mu      sync.Mutex
	version int
	values  []string
	deleted bool
	// before runs before each PUT, without the lock.
	before  func(put int)
	puts    int
	context string // of the last one
}

func (s *register) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	if r.Method == http.MethodPut {
		s.mu.Lock()
		s.puts++
		n := s.puts
		s.mu.Unlock()
		if s.before != nil {
			s.before(n)
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	etag := fmt.Sprintf("%q", "v"+strconv.Itoa(s.version))
	if r.Method == http.MethodPut {
		match, none := r.Header.Get("If-Match"), r.Header.Get("If-None-Match")
		if match != "" && (match != etag || len(s.values) == 0) || none == "*" && len(s.values) > 0 {
			w.WriteHeader(http.StatusPreconditionFailed)
			return
		}
		s.context = r.Header.Get("X-Riak-Vclock")
		s.store(string(body), s.context)
		etag = fmt.Sprintf("%q", "v"+strconv.Itoa(s.version))
	}
	if s.version > 0 {
		w.Header().Set("X-Riak-Vclock", strconv.Itoa(s.version))
	}
	w.Header().Set("Etag", etag)
	switch len(s.values) {
	case 0:
		w.Header().Set("X-Riak-Deleted", strconv.FormatBool(s.deleted))
		w.WriteHeader(http.StatusNotFound)
		_, _ = io.WriteString(w, "not found\n")
	case 1:
		_, _ = io.WriteString(w, s.values[0])
	default:
		w.Header().Set("Content-Type", "multipart/mixed; boundary=x")
		w.WriteHeader(http.StatusMultipleChoices)
		var parts []string
		for _, v := range s.values {
			parts = append(parts, "Content-Type: text/plain\r\n\r\n"+v)
		}
		parts = append(parts, "X-Riak-Deleted: true\r\n\r\n")
		_, _ = io.WriteString(w, multipartBody("x", parts...))
	}
}

func (s *register) store(value, context string) {
	if context == strconv.Itoa(s.version) || s.version == 0 {
		s.values = nil
	}
	s.version++
	s.values = append(s.values, value)
}

func increment(v client.Value, exists bool) (client.Value, error) {
	n, err := strconv.Atoi("0" + string(v.Body))
	if exists == (n == 0) {
		return v, fmt.Errorf("exists is %t with %q", exists, v.Body)
	}
	return client.Value{Body: []byte(strconv.Itoa(n + 1))}, err
}

// Many counters at once: nothing is lost, and the condition keeps siblings away.
func TestUpdatesAreNotLost(t *testing.T) {
	s := &register{}
	c := serve(t, s.ServeHTTP)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 5 {
				if _, err := c.Update(t.Context(), key, increment, client.UpdateOptions{Attempts: 1000}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if len(s.values) != 1 || s.values[0] != "40" {
		t.Errorf("40 increments made %q", s.values)
	}
}

func TestUpdateReturnsWhatItWrote(t *testing.T) {
	s := &register{deleted: true, version: 3}
	c := serve(t, s.ServeHTTP)
	obj, err := c.Update(t.Context(), key, increment, client.UpdateOptions{})
	if err != nil || string(obj.Values[0].Body) != "1" || obj.Context != "4" || s.context != "3" || s.puts != 1 {
		t.Errorf("%+v, %v after %d puts", obj, err, s.puts)
	}
}

// Siblings are merged first; without a way to merge them nothing is written.
func TestUpdateMergesSiblings(t *testing.T) {
	s := &register{version: 2, values: []string{"3", "4"}}
	c := serve(t, s.ServeHTTP)
	_, err := c.Update(t.Context(), key, increment, client.UpdateOptions{})
	if e, ok := errors.AsType[*client.SiblingsError](err); !ok || e.Object.Context != "2" || s.puts != 0 || !strings.Contains(err.Error(), "siblings") {
		t.Errorf("without a merge: %v", err)
	}
	add := func(siblings []client.Value) (client.Value, error) {
		sum := 0
		for _, v := range siblings {
			n, err := strconv.Atoi(string(v.Body))
			if sum += n; err != nil || v.Deleted {
				return v, fmt.Errorf("merge %+v: %w", v, err)
			}
		}
		return client.Value{Body: []byte(strconv.Itoa(sum))}, nil
	}
	obj, err := c.Update(t.Context(), key, increment, client.UpdateOptions{Merge: add})
	if err != nil || obj.Siblings || string(obj.Values[0].Body) != "8" {
		t.Errorf("%+v, %v", obj, err)
	}
	s.values = []string{"3", "4"}
	refused := errors.New("cannot merge")
	if _, err := c.Update(t.Context(), key, increment, client.UpdateOptions{Merge: func([]client.Value) (client.Value, error) { return client.Value{}, refused }}); err != refused {
		t.Errorf("the error of Merge: %v", err)
	}
}

// A writer in between is noticed, and with Unguarded becomes a sibling.
func TestUpdateMeetsAnotherWriter(t *testing.T) {
	intrude := func(s *register, until int) {
		s.before = func(put int) {
			if put <= until {
				s.mu.Lock()
				defer s.mu.Unlock()
				s.store("10", strconv.Itoa(s.version))
			}
		}
	}
	for _, tc := range []struct {
		name  string
		opts  client.UpdateOptions
		until int
		want  string // the values at the end
		err   error
		puts  int
	}{
		{"once", client.UpdateOptions{}, 1, "11", nil, 2},
		{"twice", client.UpdateOptions{Attempts: 3}, 2, "11", nil, 3},
		{"always", client.UpdateOptions{Attempts: 3}, 100, "10", client.ErrPrecondition, 3},
		{"unguarded", client.UpdateOptions{Unguarded: true}, 1, "10 6", nil, 1},
		{"negative", client.UpdateOptions{Attempts: -1}, 0, "5", client.ErrBadRequest, 0},
	} {
		s := &register{version: 1, values: []string{"5"}}
		intrude(s, tc.until)
		cluster(t, client.Config{}, map[string]func(*log) http.HandlerFunc{"a": func(*log) http.HandlerFunc { return s.ServeHTTP }}, func(t *testing.T, c *client.Client, _ *log) {
			start := time.Now()
			_, err := c.Update(t.Context(), key, increment, tc.opts)
			if got := strings.Join(s.values, " "); got != tc.want || !errors.Is(err, tc.err) || (err == nil) != (tc.err == nil) || s.puts != tc.puts {
				t.Errorf("%s: %q after %d puts, %v", tc.name, got, s.puts, err)
			}
			if s.puts > 1 && time.Since(start) == 0 {
				t.Errorf("%s: no pause between the attempts", tc.name)
			}
		})
	}
}

func TestChangeMayRefuse(t *testing.T) {
	s := &register{version: 1, values: []string{"5"}}
	c := serve(t, s.ServeHTTP)
	enough := errors.New("enough")
	_, err := c.Update(t.Context(), key, func(client.Value, bool) (client.Value, error) { return client.Value{}, enough }, client.UpdateOptions{})
	if err != enough || s.puts != 0 {
		t.Errorf("%v after %d puts", err, s.puts)
	}
	broken := serve(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusInternalServerError) })
	if _, err := broken.Update(t.Context(), key, increment, client.UpdateOptions{}); err == nil {
		t.Error("a failed read was taken for a missing key")
	}
}
