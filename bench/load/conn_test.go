//go:build unix

package load

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

func noSocketsInShort(t *testing.T) {
	t.Helper()
	if testing.Short() {
		t.Skip("-short: this test uses real sockets")
	}
}

// store is a handler that keeps values as a node would.
type store struct {
	mu     sync.Mutex
	values map[string]string
}

func (s *store) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	name := r.URL.EscapedPath() + "?" + r.URL.RawQuery
	if r.Method == http.MethodPut {
		value, err := io.ReadAll(r.Body)
		if err != nil || r.Header.Get("Content-Type") == "" {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		s.values[r.URL.EscapedPath()] = string(value) + r.Header.Get("X-Riak-Vclock")
		w.Header().Set("X-Cartwheel-Receipt", name)
		w.WriteHeader(http.StatusNoContent)
		return
	}
	value, ok := s.values[r.URL.EscapedPath()]
	if !ok {
		http.Error(w, "not found", http.StatusNotFound)
		return
	}
	w.Header().Set("X-Riak-Vclock", "clock")
	w.Header().Set("X-Cartwheel-Receipt", name)
	io.WriteString(w, value[:len(value)/2])
	if len(value) > 100 {
		w.(http.Flusher).Flush() // in chunks
	}
	io.WriteString(w, value[len(value)/2:])
}

func TestConn(t *testing.T) {
	noSocketsInShort(t)
	server := httptest.NewServer(&store{values: map[string]string{}})
	defer server.Close()
	c, err := Dial(t.Context(), server.Listener.Addr().String(), ConnConfig{Bucket: "b", Type: "t", GetQuery: "r=1", PutQuery: "w=3"})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for _, key := range []string{"plain", "a/b", "mit Leer", "%2F?#", "ü"} {
		for _, value := range []string{"", "short", strings.Repeat("long", 1000), strings.Repeat("longer", 100_000)} {
			put, err := c.Put(key, []byte(value), nil)
			if err != nil || put.Status != 204 || !strings.HasSuffix(string(put.Receipt), "?w=3") || len(put.Body) > 0 || len(put.Vclock) > 0 {
				t.Fatalf("put %q: %+v, %v", key, put, err)
			}
			got, err := c.Get(key)
			if err != nil || got.Status != 200 || string(got.Body) != value || string(got.Vclock) != "clock" || !strings.HasPrefix(string(got.Receipt), "/types/t/buckets/b/keys/") {
				t.Fatalf("get %q: status %d, %d bytes, %v", key, got.Status, len(got.Body), err)
			}
			if put, err = c.Put(key, []byte("x"), got.Vclock); err != nil || put.Status != 204 {
				t.Fatalf("put with a context: %+v, %v", put, err)
			}
			if got, err = c.Get(key); err != nil || string(got.Body) != "xclock" {
				t.Fatalf("get after it: %q, %v", got.Body, err)
			}
		}
	}
	if a, err := c.Get("missing"); err != nil || a.Status != 404 || !c.Usable() {
		t.Errorf("a missing key: %+v, %v", a, err)
	}
	if _, err := c.Put("k", nil, []byte("a\r\nEvil: 1")); err == nil {
		t.Error("a context with a line break was sent")
	}
	if err := errors.Join(c.Close(), c.Close()); err != nil {
		t.Error(err)
	}
	if _, err := c.Get("plain"); err == nil || c.Usable() {
		t.Errorf("a closed connection was used: %v", err)
	}
}

func TestConnEnds(t *testing.T) {
	noSocketsInShort(t)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case strings.HasSuffix(r.URL.Path, "/slow"):
			<-r.Context().Done()
		case strings.HasSuffix(r.URL.Path, "/last"):
			w.Header().Set("Connection", "close")
		}
	}))
	defer server.Close()
	addr := server.Listener.Addr().String()
	dial := func(timeout time.Duration) *Conn {
		c, err := Dial(t.Context(), addr, ConnConfig{Bucket: "b", Timeout: timeout})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		return c
	}
	c := dial(100 * time.Millisecond)
	if _, err := c.Get("slow"); !errors.Is(err, ErrTimeout) || c.Usable() {
		t.Errorf("slow: %v", err)
	}
	if _, err := c.Get("k"); err == nil {
		t.Error("a connection was used after a timeout")
	}
	c = dial(0)
	if a, err := c.Get("last"); err != nil || a.Status != 200 || c.Usable() {
		t.Errorf("last: %+v, %v", a, err)
	}
	if _, err := Dial(t.Context(), "nowhere", ConnConfig{Bucket: "b"}); err == nil {
		t.Error("an address without a port was dialed")
	}
	if _, err := Dial(t.Context(), addr, ConnConfig{GetQuery: "r=1 HTTP/1.1\r\n"}); err == nil || !strings.Contains(err.Error(), "no bucket") || !strings.Contains(err.Error(), "query") {
		t.Errorf("a dial without a bucket: %v", err)
	}
}

// The whole of it works on real sockets too, with the alarms of this system.
func TestRunOnSockets(t *testing.T) {
	noSocketsInShort(t)
	server := httptest.NewServer(&store{values: map[string]string{}})
	defer server.Close()
	addr := server.Listener.Addr().String()
	told := int64(0)
	fill := fillConfig(300, addr)
	fill.Progress = func(done int64) { told = done }
	if err := Fill(t.Context(), fill); err != nil || told != 300 {
		t.Fatalf("fill: %v after %d", err, told)
	}
	for _, rate := range []float64{0, 500} {
		config := testLoad(t, "ycsb-d", addr, addr)
		config.Clients, config.Rate, config.For, config.WarmUp = 4, rate, 300*time.Millisecond, 50*time.Millisecond
		r, err := New(config)
		if err != nil {
			t.Fatal(err)
		}
		o, err := r.Do(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		all := o.Ops[0]
		if all.Count == 0 || all.NotFound == 0 || all.Count+all.Errors["unsent"] != 150 && rate > 0 {
			t.Errorf("rate %v: %+v", rate, all)
		}
		for name, n := range all.Errors {
			if name != "unsent" && name != "unfinished" { // which a busy machine may cause
				t.Errorf("rate %v: %d errors %q", rate, n, name)
			}
		}
	}
}

// In the steady state neither requests nor answers allocate.
func TestNoAllocations(t *testing.T) {
	near := &canned{answer: []byte(okGet)}
	w := newWire(near, time.Hour)
	q := newRequests("a:1", "", "b", "r=1", "w=1")
	value, i := make([]byte, 1000), int64(0)
	if n := testing.AllocsPerRun(200, func() {
		i++
		w.out = q.endGet(AppendKey(q.beginGet(w.out[:0]), i))
		if status, err := w.roundTrip(wantVclock); status != 200 || err != nil {
			t.Fatal(status, err)
		}
		w.out = q.endPut(AppendKey(q.beginPut(w.out[:0]), i), value, w.in.vclock)
		if _, err := w.roundTrip(0); err != nil {
			t.Fatal(err)
		}
	}); n > 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestKeyNames(t *testing.T) {
	for i, want := range map[int64]string{
		0: "user0000000000", 9: "user0000000009", 10: "user0000000010", 42: "user0000000042", 999_999_999: "user0999999999",
		1_000_000_000: "user1000000000", 9_999_999_999: "user9999999999", 10_000_000_000: "user10000000000",
	} {
		if got := KeyName(i); got != want || got != fmt.Sprintf("user%010d", i) {
			t.Errorf("key %d is %s, want %s", i, got, want)
		}
	}
}

func TestAlarms(t *testing.T) {
	noSocketsInShort(t) // it needs the kernel's time
	for name, a := range map[string]alarm{"default": newAlarm(), "timer": newTimerAlarm()} {
		for _, d := range []time.Duration{-1, 0, 1, 300 * time.Microsecond, 3 * time.Millisecond} {
			began := time.Now()
			if !a.wait(d) {
				t.Errorf("%s: a wait of %v was cut", name, d)
			}
			if took := time.Since(began); took < d {
				t.Errorf("%s: a wait of %v took %v", name, d, took)
			}
		}
		done := make(chan bool)
		go func() { done <- a.wait(time.Hour) }()
		a.cut()
		if <-done || a.wait(time.Hour) {
			t.Errorf("%s: an alarm that was cut went off", name)
		}
		a.close()
	}
}

// BenchmarkAlarm says how much too late a client wakes that has waited for a third of a
// millisecond, in a process that does nothing else, and what that costs.
func BenchmarkAlarm(b *testing.B) {
	for name, a := range map[string]alarm{"default": newAlarm(), "timer": newTimerAlarm()} {
		b.Run(name, func(b *testing.B) {
			const d = 333 * time.Microsecond
			var late []time.Duration
			used := processorTime(b)
			for b.Loop() {
				began := time.Now()
				a.wait(d)
				late = append(late, time.Since(began)-d)
			}
			used = processorTime(b) - used
			slices.Sort(late)
			b.ReportMetric(float64(late[len(late)/2])/1e3, "late-us")
			b.ReportMetric(float64(late[len(late)*99/100])/1e3, "late-p99-us")
			b.ReportMetric(float64(used)/1e3/float64(b.N), "cpu-us/op")
		})
		a.cut()
		a.close()
	}
}
