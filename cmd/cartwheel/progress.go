package main

import (
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/schollz/progressbar/v3"
)

const (
	barInterval  = 200 * time.Millisecond
	lineInterval = 5 * time.Second
	// maxWaiting is how many characters of an error stand beside the bar, which has one line.
	maxWaiting = 40
)

// showProgress shows the progress of a load on w until the returned function is called. The size
// of the input is -1 when it is unknown.
func showProgress(w io.Writer, size int64, progress func() counts) (stop func()) {
	return follow(w, plainLines(w, size), func() (func(counts), func()) { return progressBar(w, size) }, progress)
}

// follow shows a progress on w until the returned function is called: by a bar on a terminal,
// otherwise by a line every few seconds.
func follow[T any](w io.Writer, line func(T), bar func() (show func(T), finish func()), progress func() T) (stop func()) {
	show, finish, interval := line, func() {}, lineInterval
	if isTerminal(w) {
		show, finish = bar()
		interval = barInterval
	}
	done := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		tick := time.NewTicker(interval)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				show(progress())
			case <-done:
				return
			}
		}
	})
	return func() {
		close(done)
		wg.Wait()
		finish()
	}
}

func plainLines(w io.Writer, size int64) func(counts) {
	return func(c counts) { warn(w, "%s", c.line(size)) }
}

// progressBar draws a bar over the bytes of the input. A bar that cannot be drawn is no reason
// to end a load, so its errors are dropped.
func progressBar(w io.Writer, size int64) (show func(counts), finish func()) {
	bar := progressbar.NewOptions64(size,
		progressbar.OptionSetWriter(w),
		progressbar.OptionSetWidth(30),
		progressbar.OptionSetPredictTime(true),
		progressbar.OptionShowBytes(true),
		progressbar.OptionSetSpinnerChangeInterval(0), // or it starts a goroutine of its own
		progressbar.OptionClearOnFinish(),
	)
	show = func(c counts) {
		c.waiting = fmt.Sprintf("%.*s", maxWaiting, c.waiting)
		bar.Describe(c.summary() + c.trouble())
		if c.stored > 0 { // or the bar would guess the time left from lines that wait
			_ = bar.Set64(c.bytes)
		}
	}
	return show, func() { _ = bar.Clear() }
}

// rate returns the lines stored per second.
func (c counts) rate() float64 {
	if c.took <= 0 {
		return 0
	}
	return float64(c.stored) / c.took.Seconds()
}

// pace says how long it took and how fast it was.
func (c counts) pace() string {
	return fmt.Sprintf("%v, %.0f lines/s", c.took.Round(10*time.Millisecond), c.rate())
}

// summary says what was done, with the rate once there is one.
func (c counts) summary() string {
	s := fmt.Sprintf("%d stored, %d failed", c.stored, c.failed)
	if c.stored == 0 {
		return s
	}
	return fmt.Sprintf("%s, %.0f lines/s", s, c.rate())
}

// trouble says what lines wait for, if any do.
func (c counts) trouble() string {
	if c.waiting == "" {
		return ""
	}
	return ", waiting: " + c.waiting
}

// line is the progress in one line, with the time left when the size is known. Before anything
// was stored the time left is not known: what was read only waits.
func (c counts) line(size int64) string {
	if size <= 0 || c.bytes <= 0 || c.stored == 0 {
		return c.summary() + c.trouble()
	}
	left := time.Duration(float64(c.took) * float64(size-c.bytes) / float64(c.bytes))
	return fmt.Sprintf("%s, %d%%, about %v left%s", c.summary(), 100*c.bytes/size, left.Round(time.Second), c.trouble())
}
