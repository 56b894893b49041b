package check

import (
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// simulate makes a run against a simulated store, in a bubble.
func simulate(t *testing.T, s *simStore, cfg Config) (*Report, string) {
	t.Helper()
	r, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	r.endpoints, r.clients = nil, nil
	for i := range simReplicas {
		r.endpoints = append(r.endpoints, &endpoint{store: simEndpoint{s, i}, name: "sim" + string(rune('1'+i))})
	}
	report, path, err := r.measure(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return report, path
}

func simConfig(t *testing.T, seed uint64) Config {
	return Config{
		For: 2 * time.Second, Settle: 2 * time.Second, Clients: 8, Seed: seed, Weak: true,
		History: filepath.Join(t.TempDir(), "h.ndjson"),
	}
}

// A store that keeps its promises is never accused, whatever else goes wrong.
func TestCorrectStoreIsNeverAccused(t *testing.T) {
	for seed := range uint64(10) {
		synctest.Test(t, func(t *testing.T) {
			s := newSimStore(seed)
			s.trouble = float64(seed%4) * .05
			report, _ := simulate(t, s, simConfig(t, seed))
			for _, v := range report.Violations {
				t.Errorf("seed %d: %s", seed, v)
			}
			for _, w := range report.Workloads {
				if w.Acknowledged == 0 || w.Keys == 0 || w.Lossy != (w.Lost > 0) || (w.Sum > 0) != (w.Name == "counter") {
					t.Errorf("seed %d: %+v", seed, w)
				}
				if s.trouble > 0 != (w.Unknown > 0) {
					t.Errorf("seed %d: trouble %v, unknown %d", seed, s.trouble, w.Unknown)
				}
			}
		})
	}
}

// Writes that are still on their way to their owners when the load ends are not lost: the final
// reads wait for them, and for no longer than they were told.
func TestFinalReadsWait(t *testing.T) {
	for settle, clean := range map[time.Duration]bool{2 * time.Second: true, 500 * time.Millisecond: false} {
		synctest.Test(t, func(t *testing.T) {
			s := newSimStore(1)
			s.plant = "delivers hints late"
			cfg := simConfig(t, 1)
			cfg.Settle = settle
			began := time.Now()
			report, _ := simulate(t, s, cfg)
			if report.Clean != clean || s.planted == 0 {
				t.Errorf("settling for %v: clean %t, %d planted, %v", settle, report.Clean, s.planted, report.Kinds)
			}
			if took := time.Since(began); took > cfg.For+settle+time.Second {
				t.Errorf("settling for %v: it took %v", settle, took)
			}
		})
	}
}

// finding is a kind of violation, and what the text of one such says.
type finding struct{ kind, tells string }

// Every fault is found, as what it is.
func TestPlantedFaultsAreFound(t *testing.T) {
	const seeds = 12 // at most: one that finds all is enough
	for plant, want := range map[string][]finding{
		"loses a write": {{"lost", "acknowledged 204 by sim"}, {"stale", "does not have"}},
		"forgets a key": {
			{"lost", "value(s)"}, {"stale", "not found"}, {"vanished", "was shown by the read"}, {"session", "which the same client"},
		},
		"says not found too early":           {{"stale", "not found"}},
		"answers a quorum from one replica":  {{"stale", "strict read"}, {"stale", "owners read"}, {"session", "with its operation"}},
		"skips the repair before the answer": {{"session", "never acknowledged"}},
		"uses a dot twice":                   {{"tag", "a dot was used twice"}, {"lost", "client"}},
		"sends a clock without its siblings": {{"lost", "client"}},
		"resurrects a value":                 {{"resurrected", "beside one that replaced it"}},
		"alters a value":                     {{"altered", "other content"}},
		"shows what nobody wrote":            {{"unwritten", "nobody wrote"}},
		"stores what it refuses":             {{"refused", "refused with status 400"}},
		"endpoints disagree":                 {{"diverged", "different states"}},
		"cannot be read in the end":          {{"unverified", "2/3"}},
	} {
		t.Run(plant, func(t *testing.T) {
			for seed := uint64(0); seed < seeds && len(want) > 0; seed++ {
				synctest.Test(t, func(t *testing.T) {
					s := newSimStore(seed)
					s.plant, s.trouble = plant, .15
					report, path := simulate(t, s, simConfig(t, seed))
					t.Logf("seed %d: %d planted: %v", seed, s.planted, report.Kinds)
					if report.Clean != (report.Count == 0) || path == "" {
						t.Errorf("seed %d: clean %t with %d violations, history %q", seed, report.Clean, report.Count, path)
					}
					want = slices.DeleteFunc(want, func(f finding) bool {
						return slices.ContainsFunc(report.Violations, func(v Violation) bool {
							return v.Kind == f.kind && strings.Contains(v.Text, f.tells)
						})
					})
				})
			}
			if len(want) > 0 {
				t.Errorf("no run found %q", want)
			}
		})
	}
}

// Judging a saved history again gives the same report, and what is not complete has none.
func TestJudgeAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSimStore(1)
		s.plant, s.trouble = "loses a write", .05
		cfg := simConfig(t, 1)
		report, path := simulate(t, s, cfg)
		if path != cfg.History {
			t.Errorf("the history is in %q, want %q", path, cfg.History)
		}
		again, err := Judge(ReadHistory(path))
		if err != nil || !reflect.DeepEqual(again.Violations, report.Violations) || again.Count != report.Count || report.Count == 0 {
			t.Errorf("again: %v, %+v", err, again)
		}
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		lines := strings.SplitAfter(string(text), "\n")
		for what, text := range map[string]string{
			"cut at a line":   strings.Join(lines[:len(lines)/2], ""),
			"cut in a line":   string(text[:len(text)/2]),
			"empty":           "",
			"other":           "hello\n",
			"out of order":    lines[0] + lines[3] + lines[3] + lines[len(lines)-2],
			"without its end": strings.Join(lines[:len(lines)-2], ""),
		} {
			if r, err := Judge(decodeHistory(strings.NewReader(text))); err == nil {
				t.Errorf("%s: judged, %+v", what, r)
			}
		}
	})
}

// A run over which a clean verdict stands leaves no file unless it was asked for one.
func TestTemporaryHistory(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	for _, plant := range []string{"", "loses a write"} {
		synctest.Test(t, func(t *testing.T) {
			s := newSimStore(5)
			s.plant = plant
			cfg := simConfig(t, 5)
			cfg.History = ""
			report, path := simulate(t, s, cfg)
			left, err := filepath.Glob(filepath.Join(os.TempDir(), "cartwheel-check-*"))
			if err != nil {
				t.Fatal(err)
			}
			if report.Clean != (plant == "") || report.Clean != (path == "") || report.Clean != (len(left) == 0) {
				t.Errorf("%q: clean %t, path %q, left %v", plant, report.Clean, path, left)
			}
		})
	}
}
