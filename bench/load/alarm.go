package load

import "time"

// alarm wakes one client. wait blocks until a moment and returns false, perhaps earlier, if the
// alarm was cut. cut may be called by any goroutine; close by the one that waits, at the end.
type alarm interface {
	wait(d time.Duration) bool
	cut()
	close()
}

// timerAlarm is an alarm of the runtime's timers. On Linux these round up to a millisecond when
// the process has nothing else to do, so there it only stands in where the other one cannot be had.
type timerAlarm struct {
	timer *time.Timer
	ended chan struct{}
}

func newTimerAlarm() alarm {
	t := time.NewTimer(time.Hour)
	t.Stop()
	return &timerAlarm{t, make(chan struct{})}
}

func (a *timerAlarm) wait(d time.Duration) bool {
	a.timer.Reset(d)
	select {
	case <-a.timer.C:
		return true
	case <-a.ended:
		return false
	}
}

func (a *timerAlarm) cut()   { close(a.ended) }
func (a *timerAlarm) close() { a.timer.Stop() }
