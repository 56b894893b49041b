package main

import (
	"fmt"
	"io"
	"math"
	"strings"
	"time"

	"cartwheel/bench"

	"github.com/schollz/progressbar/v3"
)

// showBenchProgress shows how far a run is until the returned function is called.
func showBenchProgress(w io.Writer, progress func() bench.Progress) (stop func()) {
	line := func(p bench.Progress) { warn(w, "%s", benchLine(p)) }
	return follow(w, line, func() (func(bench.Progress), func()) { return benchBar(w) }, progress)
}

// benchBar draws a bar over all cells, or over the keys that are written before. That it cannot be
// drawn is no reason to end a run.
func benchBar(w io.Writer) (show func(bench.Progress), finish func()) {
	const whole = 1000
	bar := progressbar.NewOptions64(whole,
		progressbar.OptionSetWriter(w),
		progressbar.OptionSetWidth(20),
		progressbar.OptionSetPredictTime(false), // the run knows it better
		progressbar.OptionSetElapsedTime(false),
		progressbar.OptionSetSpinnerChangeInterval(0), // or it starts a goroutine of its own
		progressbar.OptionClearOnFinish(),
	)
	show = func(p bench.Progress) {
		bar.Describe(benchLine(p))
		_ = bar.Set64(min(int64(whole*benchShare(p)), whole-1)) // a full bar would clear itself
	}
	return show, func() { _ = bar.Clear() }
}

// benchShare is how much is done, 0 to 1.
func benchShare(p bench.Progress) float64 {
	if p.Keys > 0 {
		return float64(p.Filled) / float64(p.Keys)
	}
	return p.Share
}

// benchLine is the progress in one line.
func benchLine(p bench.Progress) string {
	if p.Keys > 0 {
		return fmt.Sprintf("%s: %d of %d", p.Phase, p.Filled, p.Keys)
	}
	if p.Cell == 0 {
		return p.Phase
	}
	words := []string{fmt.Sprintf("cell %d of %d, %s, %s", p.Cell, p.Cells, p.Name, p.Phase)}
	if p.Ops+p.Errors > 0 {
		words[0] += fmt.Sprintf(": %.0f/s", p.Rate)
		words = append(words, "p50 "+roundTime(p.P50), "p99 "+roundTime(p.P99), fmt.Sprintf("%d errors", p.Errors))
	}
	words = append(words, fmt.Sprintf("%.0f%%", 100*p.Share))
	if p.Left > 0 {
		words = append(words, fmt.Sprintf("about %v left", p.Left.Round(time.Second)))
	}
	if p.Fault != "" {
		words = append(words, "fault: "+p.Fault)
	}
	return strings.Join(words, ", ")
}

// roundTime prints a time with three digits.
func roundTime(d time.Duration) string {
	if d <= 0 {
		return "-"
	}
	unit := time.Duration(math.Pow10(max(0, int(math.Log10(float64(d)))-2)))
	return d.Round(unit).String()
}
