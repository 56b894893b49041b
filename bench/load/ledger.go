package load

import (
	"strconv"
	"sync"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"cartwheel/bench/workload"
)

// fate is what became of an operation: one of these, or the status of a refusal.
type fate uint16

const (
	fine fate = iota
	notFound
	timedOut
	disconnected
	garbled
	unfinished
	fates = 1000 // all statuses are below
)

var fateNames = [...]string{timedOut: "timeout", disconnected: "connection", garbled: "malformed", unfinished: "unfinished"}

func (f fate) success() bool { return f <= notFound }

func (f fate) String() string {
	if int(f) < len(fateNames) {
		return fateNames[f]
	}
	return strconv.Itoa(int(f))
}

// record is one operation of the measured time.
type record struct {
	micros uint32
	fate   fate
	kind   workload.Kind
	late   bool // ended after the measured time
}

// maxMicros is the largest latency that is told from larger ones.
const maxMicros = int64(time.Hour / time.Microsecond)

// micros returns a latency in whole microseconds, rounded, from 1 to maxMicros.
func micros(d time.Duration) int64 {
	return min(max(int64((d+time.Microsecond/2)/time.Microsecond), 1), maxMicros)
}

// newHistogram returns a histogram of microseconds with three digits.
func newHistogram() *hdrhistogram.Histogram { return hdrhistogram.New(1, maxMicros, 3) }

// ledger is what all clients recorded. They hand in full batches, so its lock is taken once in some
// hundred operations, and there is one histogram for each kind however many clients there are.
type ledger struct {
	mu       sync.Mutex
	counts   [workload.Kinds][fates]int64
	inTime   [workload.Kinds]int64 // successful ones that ended in the measured time
	latency  [workload.Kinds]*hdrhistogram.Histogram
	unsent   int64
	redials  int64
	dialFail int64
	last     time.Duration // when the last client ended its last operation, from the start
}

func (l *ledger) take(batch []record) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, r := range batch {
		l.counts[r.kind][r.fate]++
		if !r.fate.success() {
			continue
		}
		if !r.late {
			l.inTime[r.kind]++
		}
		if l.latency[r.kind] == nil {
			l.latency[r.kind] = newHistogram()
		}
		// It cannot fail: micros is within the histogram's bounds.
		_ = l.latency[r.kind].RecordValue(int64(r.micros))
	}
}

// leave takes the counters of a client that has ended.
func (l *ledger) leave(unsent, redials, dialFail int64, last time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.unsent += unsent
	l.redials += redials
	l.dialFail += dialFail
	l.last = max(l.last, last)
}
