package load

import (
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// fdAlarm is an alarm of the kernel's high resolution timers, which wake the runtime's poller
// like a socket. One costs a file descriptor.
type fdAlarm struct {
	file  *os.File
	fd    int // open as long as file is
	fired [8]byte
}

// newAlarm returns the most precise alarm there is.
func newAlarm() alarm {
	fd, err := unix.TimerfdCreate(unix.CLOCK_MONOTONIC, unix.TFD_NONBLOCK|unix.TFD_CLOEXEC)
	if err != nil {
		return newTimerAlarm()
	}
	file := os.NewFile(uintptr(fd), "timer") // not blocking, so the poller takes it
	if file.SetReadDeadline(time.Time{}) != nil {
		file.Close()
		return newTimerAlarm() // and so cannot be cut
	}
	return &fdAlarm{file: file, fd: fd}
}

func (a *fdAlarm) wait(d time.Duration) bool {
	spec := unix.ItimerSpec{Value: unix.NsecToTimespec(max(int64(d), 1))} // 0 would be never
	if unix.TimerfdSettime(a.fd, 0, &spec, nil) != nil {
		return false
	}
	_, err := a.file.Read(a.fired[:])
	return err == nil
}

// cut makes the read end, now or later. The file stays open for its owner: its number must not be
// given to another one while the owner may set it.
func (a *fdAlarm) cut()   { a.file.SetReadDeadline(time.Unix(1, 0)) }
func (a *fdAlarm) close() { a.file.Close() }
