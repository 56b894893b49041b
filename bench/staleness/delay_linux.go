package staleness

import (
	"syscall"
	"time"
)

// coarse is how late the runtime's timers may be: in a process with nothing else to do it waits
// for the kernel in whole milliseconds.
const coarse = 1200 * time.Microsecond

// slack is how late the kernel is, about. Its own part is 50 us, so that it can wake more than
// one at once; the rest is the way back.
const slack = 65 * time.Microsecond

// fine waits for less than coarse, about as long as it should.
func fine(d time.Duration) {
	if d <= slack {
		return
	}
	d -= slack
	spec := syscall.NsecToTimespec(int64(d))
	_ = syscall.Nanosleep(&spec, nil) // a signal ends it early: what counts is the time that passed
}
