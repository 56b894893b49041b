package sim

import (
	"fmt"
	"os"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// regressions are seeds that once found a bug; each says which.
var regressions = []struct {
	seed  uint64
	found string
}{
	{1, "a put retried with its id reached only the node that had minted it, and timed out"},
	{3, "five nodes: a put forwarded to an owner carried no ring version, and was refused"},
	{1795386110794793031, "a write was repeated at a node that reached no owner, and stored once more in the place of one"},
}

func history(t *testing.T, seed uint64) (out Outcome) {
	t.Run(fmt.Sprintf("seed=%d", seed), func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) { out = Run(t, seed) })
	})
	return out
}

func TestRegressions(t *testing.T) {
	for _, r := range regressions {
		history(t, r.seed)
	}
}

// minHistories is how many histories TestHistories runs at least, however long they take.
const minHistories = 50

// TestHistories runs new seeds for CARTWHEEL_SIM_FOR (default 10 s), or the one of
// CARTWHEEL_SIM_SEED.
func TestHistories(t *testing.T) {
	if text := os.Getenv("CARTWHEEL_SIM_SEED"); text != "" {
		seed, err := strconv.ParseUint(text, 10, 64)
		if err != nil {
			t.Fatalf("CARTWHEEL_SIM_SEED=%s is no number", text)
		}
		history(t, seed)
		return
	}
	budget, least := 10*time.Second, 1
	if text := os.Getenv("CARTWHEEL_SIM_FOR"); text != "" {
		var err error
		if budget, err = time.ParseDuration(text); err != nil {
			t.Fatalf("CARTWHEEL_SIM_FOR=%s is no duration", text)
		}
		least = minHistories
	}
	if testing.Short() {
		t.Skip("simulated histories take their time; not with -short")
	}
	first := uint64(time.Now().UnixNano())
	t.Logf("first seed %d", first)
	deadline := time.Now().Add(budget)
	var next atomic.Int64
	var mu sync.Mutex
	var total Outcome // guarded by mu
	t.Run("workers", func(t *testing.T) {
		for w := range runtime.GOMAXPROCS(0) {
			t.Run(fmt.Sprint(w), func(t *testing.T) {
				t.Parallel()
				for {
					i := next.Add(1) - 1
					if i >= int64(least) && time.Now().After(deadline) {
						next.Add(-1)
						return
					}
					out := history(t, first+uint64(i))
					mu.Lock()
					total.add(out)
					mu.Unlock()
				}
			})
		}
	})
	t.Attr("histories", fmt.Sprint(next.Load()))
	t.Logf("%d histories from seed %d: %v", next.Load(), first, total)
	if total.Acknowledged == 0 || total.Compared == 0 || total.Listed <= total.NotListed/10 || total.Repeated == 0 {
		t.Error("no write was acknowledged or repeated in any history, no read came after one, or hardly a list was complete: nothing was tried")
	}
}
