package main

import (
	"os"
	"runtime"
	"slices"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// timerSlack is how late the kernel may end a wait of a node's thread, to serve several at
	// once. Go's scheduler keeps a thread that looks around every 20 us while anything runs; with
	// the usual 50 us of slack its wake-ups alone took a tenth of a busy node's processor time.
	// Nothing in a node depends on less: Go's own timers are rounded to a millisecond by epoll.
	timerSlack = time.Millisecond

	// slackMark stands in the environment of a process that has been started anew.
	slackMark = "CARTWHEEL_TIMER_SLACK=set"
)

// relaxTimers gives all threads of this process the slack. A thread takes it over from the one
// that made it, and the scheduler's was there before main: so the program is executed anew, in
// the same process. Where that is not allowed it goes on as it is, only slower.
func relaxTimers() {
	environ := os.Environ()
	if i := slices.Index(environ, slackMark); i >= 0 {
		_ = os.Unsetenv("CARTWHEEL_TIMER_SLACK") // the name is valid; not for children
		return
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	slack, err := unix.PrctlRetInt(unix.PR_GET_TIMERSLACK, 0, 0, 0, 0)
	if err != nil || time.Duration(slack) >= timerSlack {
		return // who started this process has chosen
	}
	self, err := os.Executable()
	if err != nil || unix.Prctl(unix.PR_SET_TIMERSLACK, uintptr(timerSlack), 0, 0, 0) != nil {
		return
	}
	_ = syscall.Exec(self, os.Args, append(environ, slackMark)) // returns only if it is refused
}
