package bench

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"cartwheel/chaos/control"
)

func TestWindows(t *testing.T) {
	for count := range 6 {
		const length = 11 * time.Second
		all := windows(count, length)
		if len(all) != count {
			t.Fatalf("%d windows, want %d", len(all), count)
		}
		// Calm and fault have equal lengths, in turn, and calm comes first and last.
		last, part := time.Duration(0), length/time.Duration(2*count+1)
		for _, w := range all {
			for _, d := range []time.Duration{w.begin - last, w.end - w.begin} {
				if (d - part).Abs() > time.Microsecond {
					t.Errorf("%d faults: %v, parts of %v", count, all, part)
				}
			}
			last = w.end
		}
		if (length - last - part).Abs() > time.Microsecond {
			t.Errorf("%d faults: %v, no calm at the end", count, all)
		}
	}
}

// clock is a measured part that began just now.
func clock() func() time.Duration {
	began := time.Now()
	return func() time.Duration { return time.Since(began) }
}

func TestFaultsAreMadeAndUndone(t *testing.T) {
	c := startControl(t)
	f, err := newFaults(t.Context(), c.url, Faults())
	if err != nil {
		t.Fatal(err)
	}
	defer f.close()
	const length = 700 * time.Millisecond
	var shown []string
	events, err := f.drive(t.Context(), length, clock(), func(words string) { shown = append(shown, words) })
	if err != nil || len(events) != 3 {
		t.Fatalf("%v, %v", events, err)
	}
	want := []string{"kill n3", "start n3", "pause n3", "resume n3", "cut n3 n1", "cut n3 n2", "heal"}
	if got := c.asked(); !slices.Equal(got, want) {
		t.Errorf("asked %q, want %q", got, want)
	}
	if want := []string{"kill n3", "", "pause n3", "", "cut n3", "", ""}; !slices.Equal(shown, want) {
		t.Errorf("shown %q", shown)
	}
	c.whole(t)
	for i, w := range windows(3, length) {
		e := events[i]
		if e.Name != f.kinds[i] || !slices.Equal(e.Nodes, []string{"n3"}) || e.Begin < w.begin.Seconds() || e.End < w.end.Seconds() || e.End <= e.Begin {
			t.Errorf("event %+v, window %v", e, w)
		}
	}
}

// However a cell ends, nothing stays broken.
func TestFaultsLeaveNothingBehind(t *testing.T) {
	for _, kind := range Faults() {
		t.Run(kind, func(t *testing.T) {
			c := startControl(t)
			f, err := newFaults(t.Context(), c.url, []string{kind})
			if err != nil {
				t.Fatal(err)
			}
			defer f.close()
			ctx, cancel := context.WithCancel(t.Context())
			events, err := f.drive(ctx, 30*time.Second, clockAt(11*time.Second), func(words string) {
				if words != "" {
					time.AfterFunc(50*time.Millisecond, cancel)
				}
			})
			if err != nil || len(events) != 1 || events[0].End == 0 {
				t.Errorf("%v, %v", events, err)
			}
			c.whole(t)
		})
	}
	t.Run("half made", func(t *testing.T) {
		c := startControl(t)
		c.broken = "kill"
		f, err := newFaults(t.Context(), c.url, []string{"pause", "kill"})
		if err != nil {
			t.Fatal(err)
		}
		defer f.close()
		_, err = f.drive(t.Context(), 100*time.Millisecond, clock(), func(string) {})
		if err == nil || !strings.Contains(err.Error(), "make a fault: kill: ") {
			t.Errorf("got %v", err)
		}
		if got := c.asked(); got[len(got)-1] != "heal" {
			t.Errorf("not undone: %q", got)
		}
		c.whole(t)
	})
	t.Run("cannot be undone", func(t *testing.T) {
		c := startControl(t)
		c.broken = "resume"
		f, err := newFaults(t.Context(), c.url, []string{"pause"})
		if err != nil {
			t.Fatal(err)
		}
		defer f.close()
		if _, err = f.drive(t.Context(), 100*time.Millisecond, clock(), func(string) {}); err == nil || !strings.Contains(err.Error(), "undo the faults") {
			t.Errorf("got %v", err)
		}
	})
	t.Run("before the load", func(t *testing.T) {
		c := startControl(t)
		f, err := newFaults(t.Context(), c.url, Faults())
		if err != nil {
			t.Fatal(err)
		}
		defer f.close()
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		if events, err := f.drive(ctx, time.Millisecond, func() time.Duration { return 0 }, func(string) {}); err != nil || len(events) > 0 || len(c.asked()) > 0 {
			t.Errorf("%v, %v, %q", events, err, c.asked())
		}
	})
}

// clockAt is a measured part that began some time ago.
func clockAt(ago time.Duration) func() time.Duration {
	now := clock()
	return func() time.Duration { return ago + now() }
}

// A cluster that is broken already is not measured.
func TestFaultsNeedAWholeCluster(t *testing.T) {
	for want, breakIt := range map[string]func(*fakeControl){
		"n2 is dead":       func(c *fakeControl) { c.state["n2"] = "dead" },
		"1 links are cut":  func(c *fakeControl) { c.cuts = append(c.cuts, control.Cut{From: "n1", To: "n2"}) },
		"no answer":        func(c *fakeControl) { c.url = "http://127.0.0.1:1" },
		"use http://HOST:": func(c *fakeControl) { c.url = "x" },
	} {
		c := startControl(t)
		breakIt(c)
		if f, err := newFaults(t.Context(), c.url, Faults()); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, %v", want, f, err)
		}
	}
}
