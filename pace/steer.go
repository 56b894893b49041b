package pace

import (
	"math"
	"time"
)

const (
	// window is how long operations are gathered before they are judged: long enough for
	// some at any load that could be disturbed, short enough to yield within a second.
	window = 100 * time.Millisecond
	// enough operations make a mean. With fewer, a window lasts up to patience.
	enough   = 8
	patience = time.Second

	// A window is slow if its mean is more than slower times the usual one and slack above
	// it: below that lies the noise of a scheduler.
	slower = 1.5
	slack  = 200 * time.Microsecond
	// busyRate is how many operations per second make the clients busy: then the rate stays below
	// the limit for that, however well they seem to fare. Before latency tells, throughput is lost.
	busyRate = 100

	// decrease and steps are the two sides of the rate's movement. See the package comment.
	decrease = 0.7
	steps    = 50
	// learning is the share of a new mean in the usual one, after the first few.
	learning = 1.0 / 32

	// After loudFor above the floor the rate rests there for restFor, to learn what is usual.
	loudFor = 10 * time.Second
	restFor = time.Second
)

// sample is one window.
type sample struct {
	operations int64
	mean       time.Duration // of the operations
	lasted     time.Duration
	worked     bool // the background took something
}

// steering turns samples into a rate. It is pure and not safe for concurrent use.
// Invariant: floor <= rate <= ceiling, and rate <= busy after a window with busy clients.
type steering struct {
	floor, busy, ceiling float64

	rate    float64       // where increase and decrease have led
	usual   time.Duration // mean of an operation while the background rests; 0 unknown
	samples int           // that usual was learned from, up to 1/learning
	loud    time.Duration // for how long the rate has been above the floor
	rest    time.Duration // for how much longer it stays at the floor; 0 no rest
	slow    bool          // the last window was slow
}

// effective is the rate that is in force.
func (s *steering) effective() float64 {
	if s.rest > 0 {
		return s.floor
	}
	return s.rate
}

// judge takes the window that has just ended.
func (s *steering) judge(w sample) {
	if w.operations == 0 {
		s.rate, s.loud, s.rest, s.slow = s.ceiling, 0, 0, false
		return
	}
	atFloor := s.effective() <= s.floor
	quiet := atFloor || !w.worked
	s.slow = s.usual > 0 && w.mean > time.Duration(slower*float64(s.usual)) && w.mean > s.usual+slack
	if quiet {
		s.learn(w.mean)
	}
	s.breathe(quiet, w.lasted)
	limit := s.ceiling
	if float64(w.operations) >= busyRate*w.lasted.Seconds() {
		limit = s.busy
	}
	switch {
	case s.slow:
		s.rate = max(s.floor, min(limit, s.rate*decrease))
	case s.rest == 0:
		s.rate = min(limit, s.rate+(s.ceiling-s.floor)/steps)
	}
}

// learn moves the usual mean toward m; the first samples weigh as much as each other.
func (s *steering) learn(m time.Duration) {
	s.samples = min(s.samples+1, int(math.Round(1/learning)))
	s.usual += time.Duration(float64(m-s.usual) / float64(s.samples))
}

// breathe ends a rest that has lasted long enough and begins one that is due: after a long
// time of work, or at once when nothing is known about the load.
func (s *steering) breathe(quiet bool, lasted time.Duration) {
	switch {
	case s.rest > 0:
		s.rest, s.loud = max(0, s.rest-lasted), 0
	case quiet:
		s.loud = 0
	default:
		s.loud += lasted
		if s.loud >= loudFor || s.usual == 0 {
			s.rest = restFor
		}
	}
}
