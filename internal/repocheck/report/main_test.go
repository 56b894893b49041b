package main

import (
	"strings"
	"testing"
)

func TestReport(t *testing.T) {
	for _, c := range []struct {
		name, events, want string
		ok                 bool
	}{
		{
			name: "a package that passes: skips with reasons, attributes, then its line",
			ok:   true,
			events: `{"Action":"start","Package":"m/a"}
{"Action":"output","Package":"m/a","Output":"-test.shuffle 17\n"}
{"Action":"run","Package":"m/a","Test":"TestA"}
{"Action":"output","Package":"m/a","Test":"TestA","Output":"=== RUN   TestA\n"}
{"Action":"output","Package":"m/a","Test":"TestA","Output":"    a_test.go:5: talk\n"}
{"Action":"attr","Package":"m/a","Test":"TestA","Key":"histories","Value":"62"}
{"Action":"pass","Package":"m/a","Test":"TestA"}
{"Action":"output","Package":"m/a","Test":"TestB","Output":"    a_test.go:9: needs a small\n"}
{"Action":"output","Package":"m/a","Test":"TestB","Output":"        filesystem\n"}
{"Action":"output","Package":"m/a","Test":"TestB","Output":"--- SKIP: TestB (0.00s)\n"}
{"Action":"skip","Package":"m/a","Test":"TestB"}
{"Action":"output","Package":"m/a","Output":"PASS\n"}
{"Action":"output","Package":"m/a","Output":"ok  \tm/a\t0.015s\n"}
{"Action":"pass","Package":"m/a"}
`,
			want: "skipped TestB: needs a small filesystem\nTestA: histories 62\nok  \tm/a\t0.015s\n",
		},
		{
			name: "a package that fails: all that failing tests said, nothing of the others",
			events: `{"Action":"output","Package":"m/a","Test":"TestGood","Output":"    a_test.go:1: fine\n"}
{"Action":"pass","Package":"m/a","Test":"TestGood"}
{"Action":"output","Package":"m/a","Test":"TestAway","Output":"    a_test.go:8: no disk\n"}
{"Action":"skip","Package":"m/a","Test":"TestAway"}
{"Action":"output","Package":"m/a","Test":"TestBad","Output":"    a_test.go:2: got 1, want 2\n"}
{"Action":"output","Package":"m/a","Test":"TestBad","Output":"--- FAIL: TestBad (0.00s)\n"}
{"Action":"fail","Package":"m/a","Test":"TestBad"}
{"Action":"output","Package":"m/a","Test":"TestCut","Output":"panic: in the middle\n"}
{"Action":"output","Package":"m/a","Output":"FAIL\n"}
{"Action":"output","Package":"m/a","Output":"FAIL\tm/a\t0.1s\n"}
{"Action":"fail","Package":"m/a"}
{"Action":"output","Package":"m/b","Output":"ok  \tm/b\t0.1s\n"}
{"Action":"pass","Package":"m/b"}
`,
			want: "skipped TestAway: no disk\n    a_test.go:2: got 1, want 2\n--- FAIL: TestBad (0.00s)\npanic: in the middle\nFAIL\nFAIL\tm/a\t0.1s\nok  \tm/b\t0.1s\n",
		},
		{
			name: "a package that does not build",
			events: `{"ImportPath":"m/a","Action":"build-output","Output":"a.go:3: undefined: x\n"}
{"ImportPath":"m/a","Action":"build-fail"}
{"Action":"output","Package":"m/a","Output":"FAIL\tm/a [build failed]\n"}
{"Action":"fail","Package":"m/a","FailedBuild":"m/a"}
`,
			want: "a.go:3: undefined: x\nFAIL\tm/a [build failed]\n",
		},
		{
			name: "a benchmark that is skipped",
			ok:   true,
			events: `{"Action":"output","Package":"m/a","Test":"BenchmarkA","Output":"BenchmarkA\n"}
{"Action":"output","Package":"m/a","Test":"BenchmarkA","Output":"    a_test.go:9: one core\n"}
{"Action":"output","Package":"m/a","Test":"BenchmarkA","Output":"--- SKIP: BenchmarkA\n"}
{"Action":"skip","Package":"m/a","Test":"BenchmarkA"}
{"Action":"pass","Package":"m/a"}
`,
			want: "skipped BenchmarkA: one core\n",
		},
		{
			name: "a package without tests, and a line that is no event",
			ok:   true,
			events: `warning: something
{"Action":"output","Package":"m/a","Output":"?   \tm/a\t[no test files]\n"}
{"Action":"skip","Package":"m/a"}
`,
			want: "warning: something\n?   \tm/a\t[no test files]\n",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			var out strings.Builder
			ok, _, err := report(strings.NewReader(c.events), &out, false)
			if err != nil {
				t.Fatal(err)
			}
			if ok != c.ok || out.String() != c.want {
				t.Errorf("ok = %v, want %v; printed\n%swant\n%s", ok, c.ok, out.String(), c.want)
			}
		})
	}
}

func TestReportOfNothing(t *testing.T) {
	if ok, _, err := report(strings.NewReader("go: no such tool\n"), new(strings.Builder), true); ok || err == nil {
		t.Errorf("ok = %v, err = %v: a run that tested nothing must not pass", ok, err)
	}
}

// A package whose detector crashed is tested again; one with a failed test, or that crashed
// elsewhere, is not.
func TestCrashedDetector(t *testing.T) {
	const died = `{"Action":"output","Package":"m/a","Test":"TestA","Output":"SIGSEGV: segmentation violation\n"}
{"Action":"output","Package":"m/a","Test":"TestA","Output":"PC=0x437870 m=0 sigcode=2 addr=0x7f\n"}
{"Action":"output","Package":"m/a","Test":"TestA","Output":"internal/synctest.Run(0xc0000b4ce0)\n"}
`
	const end = `{"Action":"output","Package":"m/a","Output":"FAIL\tm/a\t0.1s\n"}
{"Action":"fail","Package":"m/a"}
`
	for _, c := range []struct {
		name, events string
		forgive, ok  bool
	}{
		{"the detector", died + end, true, true},
		{"the detector, at the second time", died + end, false, false},
		{"a failed test before", `{"Action":"fail","Package":"m/a","Test":"TestB"}` + "\n" + died + end, true, false},
		{"a panic in a bubble", strings.Replace(died, "SIGSEGV", "panic", 1) + end, true, false},
		{"a crash outside a bubble", strings.Replace(died, "internal/synctest", "main", 1) + end, true, false},
	} {
		ok, crashed, err := report(strings.NewReader(c.events), new(strings.Builder), c.forgive)
		if err != nil || ok != c.ok || (len(crashed) == 1) != c.ok {
			t.Errorf("%s: %v, %v, %v", c.name, ok, crashed, err)
		}
	}
}
