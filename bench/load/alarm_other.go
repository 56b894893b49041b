//go:build !linux

package load

// newAlarm returns the most precise alarm there is. Elsewhere than on Linux the poller waits in
// nanoseconds, so that the runtime's timers are precise.
func newAlarm() alarm { return newTimerAlarm() }
