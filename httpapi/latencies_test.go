package httpapi

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"
	"time"

	"cartwheel/quorum"
)

func (c *cluster) Latencies() quorum.Latencies { return c.lately }
func (i *instant) Latencies() quorum.Latencies { return quorum.Latencies{} }

func TestLatencies(t *testing.T) {
	c := newCluster(t)
	get := func() (string, map[string]any) {
		t.Helper()
		w := httptest.NewRecorder()
		c.server(t).ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/cluster/latencies", nil))
		var v map[string]any
		if err := json.Unmarshal(w.Body.Bytes(), &v); err != nil || w.Code != http.StatusOK {
			t.Fatalf("%d %s: %v", w.Code, w.Body, err)
		}
		return w.Body.String(), v
	}
	// Without a sample there are empty lists, which readers need not tell from null.
	if body, _ := get(); strings.Contains(body, "null") {
		t.Errorf("no samples: %s", body)
	}
	c.lately = quorum.Latencies{
		Reads:       quorum.Sampled{Times: []time.Duration{1540 * time.Microsecond, 149}, Taken: 9000},
		Writes:      quorum.Sampled{Times: []time.Duration{time.Second}, Of: []uint32{4294967295}, Taken: 1},
		LocalWrites: quorum.Sampled{Times: []time.Duration{2500}, Taken: 2},
	}
	_, got := get()
	want := map[string]any{
		"node": "n1", "reads_us": []any{1540.0, 0.1}, "writes_us": []any{1e6}, "local_reads_us": []any{}, "local_writes_us": []any{2.5},
		"writes_of": []any{4294967295.0}, "local_writes_of": []any{},
		"taken": map[string]any{"reads": 9000.0, "writes": 1.0, "local_reads": 0.0, "local_writes": 2.0},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %v\nwant %v", got, want)
	}
}
