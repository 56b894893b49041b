package load

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"cartwheel/bench/workload"
)

func fillConfig(keys int64, targets ...string) FillConfig {
	return FillConfig{Targets: targets, Bucket: "b", Keys: keys, Sizes: workload.Sizes{Min: 10, Max: 20}, Clients: 8, PutQuery: "w=2"}
}

// fill is Fill on fakes.
func (f *fakes) fill(ctx context.Context, c FillConfig) error {
	c = c.WithDefaults()
	g := &filling{
		config: c,
		places: newPlaces(c.Targets, c.Type, c.Bucket, "", c.PutQuery, c.Timeout),
		values: c.Sizes.Values(c.Seed),
	}
	g.places.dial = f.dial
	err := g.run(ctx)
	f.wg.Wait()
	return err
}

// Each key is written, whatever goes wrong now and then.
func TestFill(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		stored := map[string]int{}
		f := newFakes(nil)
		f.answer = func(_ string, seq int, r request) reply {
			switch {
			case seq%11 == 3, seq%11 == 4:
				return reply{raw: status(503)}
			case seq%11 == 7:
				return reply{raw: drop}
			case seq%110 == 9:
				return reply{hang: true}
			}
			f.mu.Lock()
			defer f.mu.Unlock()
			stored[strings.TrimPrefix(r.URL.Path, "/buckets/b/keys/")] = len(r.body)
			return reply{after: time.Millisecond}
		}
		var told []int64
		c := fillConfig(1000, "a:1", "b:1")
		c.Progress = func(done int64) { told = append(told, done) }
		if err := f.fill(t.Context(), c); err != nil {
			t.Fatal(err)
		}
		for i := range int64(1000) {
			if n, ok := stored[KeyName(i)]; !ok || n < 10 || n > 20 {
				t.Errorf("%s: stored %v, %d bytes", KeyName(i), ok, n)
			}
		}
		if len(stored) != 1000 || len(told) < 2 || told[len(told)-1] != 1000 {
			t.Errorf("%d keys stored, progress %v", len(stored), told)
		}
	})
}

func TestFillGivesUp(t *testing.T) {
	cases := []struct {
		name   string
		answer reply
		want   string
		took   time.Duration
	}{
		{"refused", reply{raw: status(400)}, `status 400: "text"`, 0},
		{"never enough replicas", reply{raw: status(503)}, "gave up after 30s", 31 * time.Second},
		{"never an answer", reply{hang: true}, "gave up after 30s", 43 * time.Second},
	}
	for _, c := range cases {
		synctest.Test(t, func(t *testing.T) {
			f := newFakes(func(string, int, request) reply { return c.answer })
			began := time.Now()
			err := f.fill(t.Context(), fillConfig(100, "a:1"))
			if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), "user00000000") {
				t.Errorf("%s: %v", c.name, err)
			}
			if took := time.Since(began); took > c.took {
				t.Errorf("%s: took %v", c.name, took)
			}
			// 30 s at half a second each, for 8 clients.
			if f.seq > 8*100 {
				t.Errorf("%s: %d requests", c.name, f.seq)
			}
		})
	}
	synctest.Test(t, func(t *testing.T) {
		f := newFakes(func(string, int, request) reply { return reply{hang: true} })
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		began := time.Now()
		if err := f.fill(ctx, fillConfig(100, "a:1")); err != context.DeadlineExceeded || time.Since(began) != time.Second {
			t.Errorf("after %v: %v", time.Since(began), err)
		}
	})
	if err := Fill(t.Context(), FillConfig{Clients: -1, Keys: -1, PutQuery: "?w=1"}); err == nil || strings.Count(err.Error(), "\n") < 4 {
		t.Errorf("an impossible filling: %v", err)
	}
}
