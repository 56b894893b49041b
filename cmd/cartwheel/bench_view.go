package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"cartwheel/bench"
	reports "cartwheel/bench/report"

	"github.com/schollz/progressbar/v3"
	"golang.org/x/term"
)

// showBenchProgress shows how far a run is until the returned function is called.
func showBenchProgress(w io.Writer, progress func() bench.Progress) (stop func()) {
	line := func(p bench.Progress) { warn(w, "%s", benchLine(p, true)) }
	return follow(w, line, func() (func(bench.Progress), func()) {
		return benchBar(w, func() int { return terminalWidth(w) })
	}, progress)
}

// terminalWidth is how many characters a line of the terminal has.
func terminalWidth(w io.Writer) int {
	const usual = 80
	if f, ok := w.(*os.File); ok {
		if width, _, err := term.GetSize(int(f.Fd())); err == nil && width > 0 {
			return width
		}
	}
	return usual
}

// benchBar draws a bar over all cells, or over the keys that are written before, and the progress
// beside it, on one line of the given width: a longer one could not be cleared. That it cannot be drawn
// is no reason to end a run.
func benchBar(w io.Writer, width func() int) (show func(bench.Progress), finish func()) {
	const (
		whole  = 1000
		barLen = 10
		beside = barLen + 12 // the bar, its ends, its percentage, spaces, and a last column that stays empty
	)
	// The bar draws at each of its changes; only the last drawing of a tick is passed on.
	var drawn bytes.Buffer
	bar := progressbar.NewOptions64(whole,
		progressbar.OptionSetWriter(&drawn),
		progressbar.OptionSetWidth(barLen),
		progressbar.OptionShowDescriptionAtLineEnd(),
		progressbar.OptionUseANSICodes(true),    // to clear the rest of the line whatever its width was
		progressbar.OptionSetPredictTime(false), // the run knows it better
		progressbar.OptionSetElapsedTime(false),
		progressbar.OptionSetSpinnerChangeInterval(0), // or it starts a goroutine of its own
		progressbar.OptionClearOnFinish(),
	)
	show = func(p bench.Progress) {
		_ = bar.Set64(min(int64(whole*benchShare(p)), whole-1)) // a full bar would clear itself
		drawn.Reset()
		bar.Describe(cut(benchLine(p, false), width()-beside))
		_, _ = w.Write(drawn.Bytes())
	}
	return show, func() {
		drawn.Reset()
		_ = bar.Clear()
		_, _ = w.Write(drawn.Bytes())
	}
}

// cut returns at most n characters of a line.
func cut(line string, n int) string {
	if runes := []rune(line); len(runes) > n {
		return string(runes[:max(n-1, 0)]) + "…"
	}
	return line
}

// benchShare is how much is done, 0 to 1.
func benchShare(p bench.Progress) float64 {
	if p.Keys > 0 {
		return float64(p.Filled) / float64(p.Keys)
	}
	return p.Share
}

// benchLine is the progress in one line. The share stands in it if no bar shows it.
func benchLine(p bench.Progress, share bool) string {
	if p.Keys > 0 {
		return fmt.Sprintf("%s: %d of %d", p.Phase, p.Filled, p.Keys)
	}
	if p.Cell == 0 {
		return p.Phase
	}
	words := []string{fmt.Sprintf("cell %d of %d, %s, %s", p.Cell, p.Cells, p.Name, p.Phase)}
	if p.Fault != "" {
		words[0] += " during " + p.Fault // early: a narrow terminal cuts the end
	}
	if p.Ops+p.Errors > 0 {
		words[0] += fmt.Sprintf(": %.0f/s", p.Rate)
		words = append(words, "p50 "+reports.Time(p.P50), "p99 "+reports.Time(p.P99), fmt.Sprintf("%d errors", p.Errors))
	}
	if share {
		words = append(words, fmt.Sprintf("%.0f%%", 100*p.Share))
	}
	if left := p.Left.Round(time.Second); left > 0 {
		words = append(words, fmt.Sprintf("about %v left", left))
	}
	return strings.Join(words, ", ")
}
