// Report reads the output of "go test -json" and prints what a reader needs: go
// test's own line for each package as it finishes, before it the tests that were
// skipped with their reasons and the attributes that tests set (T.Attr, for
// example how many histories a simulation ran), and of a package that fails
// everything its failing tests said.
//
// It exits with status 1 if anything failed, or if no package was tested.
//
// With -crashed FILE, a package whose process died in the race detector's own runtime, without
// any test having failed, is not a failure: its name goes to FILE, so that it can be tested again.
// Go 1.26's detector does that in about one of a hundred processes that run several synctest
// bubbles (a SIGSEGV in racegostart below internal/synctest.Run); without it they never die.
//
//	go test -json ./... | go run ./internal/repocheck/report -crashed FILE
package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"regexp"
	"strings"
)

func main() {
	file := flag.String("crashed", "", "file for the names of packages that are to be tested again, one per line")
	flag.Parse()
	ok, crashed, err := report(os.Stdin, os.Stdout, *file != "")
	if err == nil && *file != "" {
		err = os.WriteFile(*file, []byte(strings.Join(crashed, "\n")), 0o644)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "report:", err)
	}
	if err != nil || !ok {
		os.Exit(1)
	}
}

// event is one line of "go test -json"; see "go doc test2json".
type event struct {
	Action  string
	Package string
	Test    string
	Output  string
	Key     string // of an attribute
	Value   string
}

// run is one package that is being tested.
type run struct {
	name    string
	lines   []event           // output, in order
	results map[string]string // test name to pass, fail or skip
	ended   []string          // tests in the order in which they ended
	attrs   []event
}

// report copies what matters from in to out until in ends. ok is false if a
// package failed; that nothing was tested is an error. With forgive, packages whose
// detector crashed are returned and are no failures.
func report(in io.Reader, out io.Writer, forgive bool) (ok bool, crashed []string, err error) {
	runs := map[string]*run{}
	tested, failed := 0, false
	w := bufio.NewWriter(out)
	r := bufio.NewReader(in)
	for {
		line, readErr := r.ReadString('\n')
		if line != "" {
			ended, bad := step(w, runs, line)
			if ended != nil {
				tested++
			}
			if bad && forgive && ended != nil && ended.detectorCrashed() {
				crashed, bad = append(crashed, ended.name), false
				fmt.Fprintf(w, "%s: the race detector itself crashed; no test of the package has failed, it is tested again\n", ended.name)
			}
			failed = failed || bad
			if err := w.Flush(); err != nil {
				return false, nil, fmt.Errorf("write the report: %w", err)
			}
		}
		if errors.Is(readErr, io.EOF) {
			break
		}
		if readErr != nil {
			return false, nil, fmt.Errorf("read test events: %w", readErr)
		}
	}
	if tested == 0 {
		return false, nil, errors.New("no package was tested")
	}
	return !failed, crashed, nil
}

// step takes one line. ended is the package that ended with it, if any. bad: something failed.
func step(w io.Writer, runs map[string]*run, line string) (ended *run, bad bool) {
	var e event
	if err := json.Unmarshal([]byte(line), &e); err != nil {
		fmt.Fprint(w, line) // not an event: something else wrote to the same pipe
		return nil, false
	}
	if e.Package == "" { // a build, which has an import path instead; its package fails by itself
		fmt.Fprint(w, e.Output)
		return nil, false
	}
	r := runs[e.Package]
	if r == nil {
		r = &run{name: e.Package, results: map[string]string{}}
		runs[e.Package] = r
	}
	switch e.Action {
	case "output":
		if !strings.HasPrefix(e.Output, "=== ") {
			r.lines = append(r.lines, e)
		}
	case "attr":
		r.attrs = append(r.attrs, e)
	case "pass", "fail", "skip":
		if e.Test != "" {
			r.results[e.Test] = e.Action
			r.ended = append(r.ended, e.Test)
			break
		}
		r.print(w, e.Action == "fail")
		delete(runs, e.Package)
		return r, e.Action == "fail"
	}
	return nil, false
}

// detectorCrashed reports whether the package's process died in the race detector's runtime and
// no test had failed before.
func (r *run) detectorCrashed() bool {
	for _, result := range r.results {
		if result == "fail" {
			return false
		}
	}
	signal, bubble := false, false
	for _, e := range r.lines {
		signal = signal || strings.HasPrefix(e.Output, "SIGSEGV: segmentation violation")
		bubble = bubble || strings.HasPrefix(e.Output, "internal/synctest.Run(")
	}
	return signal && bubble
}

// print writes the account of a package that has ended.
func (r *run) print(w io.Writer, failed bool) {
	for _, test := range r.ended {
		if r.results[test] == "skip" {
			fmt.Fprintf(w, "skipped %s: %s\n", test, r.reason(test))
		}
	}
	for _, a := range r.attrs {
		fmt.Fprintf(w, "%s: %s %s\n", a.Test, a.Key, a.Value)
	}
	for _, e := range r.lines {
		switch {
		case failed && (e.Test == "" || r.results[e.Test] != "pass" && r.results[e.Test] != "skip"):
			// A test without a result was running when the process died.
			fmt.Fprint(w, e.Output)
		case e.Test == "" && isPackageLine(e.Output):
			fmt.Fprint(w, e.Output)
		}
	}
}

// place is the file and line that testing puts before a logged text.
var place = regexp.MustCompile(`^\s*\S+\.go:\d+: `)

// reason joins what a skipped test said. Benchmarks also print their own name.
func (r *run) reason(test string) string {
	var said []string
	for _, e := range r.lines {
		text := strings.TrimSpace(place.ReplaceAllString(e.Output, ""))
		if e.Test != test || text == "" || text == test || strings.HasPrefix(text, "--- ") {
			continue
		}
		said = append(said, text)
	}
	if len(said) == 0 {
		return "no reason given"
	}
	return strings.Join(said, " ")
}

func isPackageLine(s string) bool {
	return strings.HasPrefix(s, "ok  \t") || strings.HasPrefix(s, "?   \t")
}
