package report

import (
	"bytes"
	"encoding/json"
	"errors"
	"image"
	"image/png"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"cartwheel/bench/result"

	"golang.org/x/net/html"
)

func pageOf(t testing.TB, run *result.Run) string {
	t.Helper()
	var b bytes.Buffer
	if err := HTML(&b, run); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// strayTags reads a page and returns what is wrong with its markup: elements that are closed in
// another order than opened, elements that the report never makes, and attributes that load or
// run something.
func strayTags(page string) []string {
	void := []string{"meta", "link", "br"}
	ours := append(void, strings.Fields(`html head title style body header main section footer h1 h2 p pre dl div dt dd details summary figure svg desc
		g path text table caption thead tbody tr th td`)...)
	var problems, open []string
	z := html.NewTokenizer(strings.NewReader(page))
	for {
		switch z.Next() {
		case html.ErrorToken:
			for _, name := range open {
				problems = append(problems, name+" is not closed")
			}
			return problems
		case html.StartTagToken, html.SelfClosingTagToken:
			token := z.Token()
			if !slices.Contains(ours, token.Data) {
				problems = append(problems, "element "+token.Data)
			}
			for _, a := range token.Attr {
				if strings.HasPrefix(a.Key, "on") || a.Key == "src" || strings.HasSuffix(a.Key, "href") && a.Val != "data:," || strings.Contains(a.Val, "url(") {
					problems = append(problems, token.Data+" has "+a.Key+"="+a.Val)
				}
			}
			if token.Type == html.StartTagToken && !slices.Contains(void, token.Data) {
				open = append(open, token.Data)
			}
		case html.EndTagToken:
			name := z.Token().Data
			if len(open) == 0 || open[len(open)-1] != name {
				return append(problems, name+" closes "+strings.Join(open, " "))
			}
			open = open[:len(open)-1]
		}
	}
}

func TestPage(t *testing.T) {
	for name, run := range map[string]*result.Run{"sample": sampleRun(), "large": largeRun(), "empty": {}} {
		page := pageOf(t, run)
		if problems := strayTags(page); len(problems) > 0 {
			t.Errorf("%s: %q", name, problems)
		}
		if tree, err := html.Parse(strings.NewReader(page)); err != nil || tree == nil {
			t.Errorf("%s: parse: %v", name, err)
		}
	}
	text := pageOf(t, sampleRun())
	if pageOf(t, sampleRun()) != text {
		t.Error("two pages of the same run differ")
	}
	for _, want := range []string{
		"cartwheel bench --target 10.0.0.1:8098", "2026-03-14 09:26 UTC", "v0.4.0", "Xeon E-2388G", "8 cores", "32 GiB", "fsync: acknowledged writes are on disk",
		"N=3: R 1, 2, 3 by W 1, 2, 3", "1,024 bytes", "zipfian", "closed loop: 64 clients", "get 50 %, put 50 %", "kill", "during kill, pause", "97.55 %",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("the page does not say %q", want)
		}
	}
	open := sampleRun()
	open.Load.Rate = 5000
	if text := pageOf(t, open); !strings.Contains(text, "open loop: 5,000 operations/s") || strings.Contains(text, "closed loop") {
		t.Error("the page of an open loop does not say so")
	}
}

// ids of charts are ids of the page, so each may be there only once.
func TestIDs(t *testing.T) {
	for name, run := range map[string]*result.Run{"sample": sampleRun(), "large": largeRun()} {
		seen := map[string]bool{}
		for part := range strings.SplitSeq(pageOf(t, run), ` id="`) {
			id, _, _ := strings.Cut(part, `"`)
			if seen[id] {
				t.Errorf("%s: the id %q is there twice", name, id)
			}
			seen[id] = true
		}
	}
}

// named returns a run in which everything that can have a name has this one.
func named(name string) *result.Run {
	run := sampleRun()
	run.Cells = append(run.Cells[:1:1], run.Cells[9])
	run.Command, run.Schema, run.Software = name, name, result.Software{Version: name, Go: name, OS: name, Arch: name}
	run.Machine.CPU, run.Cluster.Durability = name, name
	run.Cluster.Nodes = []result.Node{{Name: name, URL: name, Version: name, Durability: name, Zone: name}}
	run.Load.Workload, run.Load.Bucket, run.Load.Distribution = name, name, name
	run.Load.Mix, run.Load.Properties = map[string]float64{name: 1}, map[string]any{name: name}
	for i := range run.Cells {
		c := &run.Cells[i]
		c.Name = name
		c.Levels = result.Levels{N: 3, R: name, W: name, PR: name, PW: name, DW: name}
		c.Ops[0].Errors = map[string]int64{name: 3}
		c.Ops[1].Kind = name
		c.Nodes[0].Name, c.Generator.Name = name, name
		for j := range c.Events {
			c.Events[j].Name, c.Events[j].Nodes = name, []string{name}
		}
	}
	return run
}

var hostile = []string{
	`<script>alert(1)</script>`, `</title></svg></style><img src=x onerror=alert(1)>`, `" onload="alert(1)`, `'><a href="http://example.com">`,
	`]]><script>`, `{{.Command}}`, `style="fill:#0063A6"`, "#0063A6", "../../etc/passwd", "a\x00b\x1b[31m\n\r\u202e", "\xff\xfe", strings.Repeat("long ", 400), "",
}

func TestNamesCannotBreakOut(t *testing.T) {
	for _, name := range hostile {
		checkName(t, name)
	}
	if page := pageOf(t, named("#0063A6")); strings.Contains(page, ">var(--") || !strings.Contains(page, ">#0063A6 during") {
		t.Error("a name that looks like a colour was replaced in the text of a chart")
	}
}

func FuzzNames(f *testing.F) {
	for _, name := range hostile {
		f.Add(name)
	}
	f.Fuzz(func(t *testing.T, name string) {
		if len(name) > 1000 {
			return
		}
		checkName(t, name)
	})
}

func checkName(t *testing.T, name string) {
	t.Helper()
	run := named(name)
	page := pageOf(t, run)
	if problems := strayTags(page); len(problems) > 0 {
		t.Errorf("%q: %q", name, problems)
	}
	for _, s := range sections(run) {
		for _, c := range s.charts {
			if strings.Trim(c.id, "abcdefghijklmnopqrstuvwxyz0123456789-") != "" || len(c.id) > 80 {
				t.Errorf("%q: a chart has the id %q", name, c.id)
			}
		}
	}
	var b bytes.Buffer
	if err := Table(&b, run, false); err != nil {
		t.Fatal(err)
	}
	if lines := strings.Count(b.String(), "\n"); lines != 3+len(notes(run)) || strings.ContainsAny(b.String(), "\x1b\x00\r\u202e") || !utf8.ValidString(b.String()) {
		t.Errorf("%q: the table has %d lines, or control characters: %q", name, lines, b.String())
	}
}

// TestSenseless shows runs with values that make no sense: everything is drawn or left out,
// nothing panics.
func TestSenseless(t *testing.T) {
	runs := map[string]*result.Run{"zero": {}, "no cells": sampleRun(), "empty cells": {Cells: make([]result.Cell, 4)}}
	runs["no cells"].Cells = nil
	for _, v := range []float64{0, -1, math.NaN(), math.Inf(1), math.Inf(-1), math.MaxFloat64, math.SmallestNonzeroFloat64} {
		run := sampleRun()
		setFloats(reflect.ValueOf(run), v)
		runs["all "+threeDigitsOrName(v)] = run
	}
	for _, n := range []int64{0, -1, math.MaxInt64} {
		run := sampleRun()
		setInts(reflect.ValueOf(run), n)
		runs["all counts "+thousands(n)] = run
	}
	for name, run := range runs {
		t.Run(name, func(t *testing.T) {
			page := pageOf(t, run)
			for _, bad := range []string{"NaN", "Inf", "+Inf", "e+"} {
				if i := strings.Index(page, bad); i >= 0 {
					t.Errorf("the page has %q: …%s…", bad, page[max(i-80, 0):i+20])
				}
			}
			if err := Table(&bytes.Buffer{}, run, true); err != nil {
				t.Error(err)
			}
		})
	}
}

func threeDigitsOrName(v float64) string {
	b, err := json.Marshal(v)
	if err != nil {
		return err.Error()
	}
	return string(b)
}

// walk calls f for every value inside of v that can be set.
func walk(v reflect.Value, f func(reflect.Value)) {
	switch v.Kind() {
	case reflect.Pointer:
		if !v.IsNil() {
			walk(v.Elem(), f)
		}
	case reflect.Struct:
		for i := range v.NumField() {
			if v.Type().Field(i).IsExported() {
				walk(v.Field(i), f)
			}
		}
	case reflect.Slice:
		for i := range v.Len() {
			walk(v.Index(i), f)
		}
	default:
		if v.CanSet() {
			f(v)
		}
	}
}

func setFloats(v reflect.Value, x float64) {
	walk(v, func(v reflect.Value) {
		if v.CanFloat() {
			v.SetFloat(x)
		}
	})
}

func setInts(v reflect.Value, x int64) {
	walk(v, func(v reflect.Value) {
		if v.CanInt() {
			v.SetInt(x)
		}
	})
}

// TestPictures decodes every picture and looks whether something is drawn in it.
func TestPictures(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "new", "pictures")
	run := smallRun()
	files, err := PNG(dir, run)
	if err != nil {
		t.Fatal(err)
	}
	charts := 0
	for _, s := range sections(run) {
		charts += len(s.charts)
	}
	if len(files) != charts || charts < 9 {
		t.Errorf("%d pictures of %d charts", len(files), charts)
	}
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		picture, err := png.Decode(bytes.NewReader(b))
		if err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		colors, drawn := variety(picture)
		if size := picture.Bounds(); size.Dx() < 700 || size.Dy() < 200 || colors < 4 || drawn < 0.01 {
			t.Errorf("%s: %v pixels, %d colours, %.3f of it drawn", filepath.Base(file), size, colors, drawn)
		}
	}
	if _, err := PNG(files[0], run); err == nil || !strings.Contains(err.Error(), "make directory") {
		t.Errorf("a file instead of a directory: %v", err)
	}
}

// variety returns how many colours a picture has, and which share of it is not the first one.
func variety(picture image.Image) (colors int, drawn float64) {
	seen := map[[3]uint32]int{}
	at := func(x, y int) [3]uint32 {
		r, g, b, _ := picture.At(x, y).RGBA()
		return [3]uint32{r, g, b}
	}
	b := picture.Bounds()
	for y := b.Min.Y; y < b.Max.Y; y += 4 {
		for x := b.Min.X; x < b.Max.X; x += 4 {
			seen[at(x, y)]++
		}
	}
	background := seen[at(b.Min.X, b.Min.Y)]
	sum := 0
	for _, n := range seen {
		sum += n
	}
	return len(seen), 1 - float64(background)/float64(sum)
}

func TestTable(t *testing.T) {
	run := sampleRun()
	run.Cells = []result.Cell{run.Cells[0], run.Cells[9]}
	var plain, colored bytes.Buffer
	if err := errors.Join(Table(&plain, run, false), Table(&colored, run, true)); err != nil {
		t.Fatal(err)
	}
	want := "" +
		"cell                             ops/s  get p50  get p99  put p50  put p99  errors  CPU/op  P(fresh at 0)\n" +
		"N=3 R=1 W=1                     49,460   420 µs  1.52 ms  1.90 ms  6.26 ms       0  143 µs         89.3 %\n" +
		"N=3 R=2 W=2 during kill, pause  32,494   680 µs  2.76 ms  2.75 ms  10.4 ms     307  169 µs              –\n" +
		"P(fresh at 0): share of reads that saw a write just acknowledged; of 2,000 or more\n" +
		"errors of N=3 R=2 W=2 during kill, pause: 503 212, timeout 64, connection 31\n"
	if plain.String() != want {
		t.Errorf("got\n%swant\n%s", plain.String(), want)
	}
	if stripped := strings.NewReplacer(bold, "", red, "", reset, "").Replace(colored.String()); stripped != want || strings.Count(colored.String(), red) != 1 {
		t.Errorf("with colours: %q", colored.String())
	}
	plain.Reset()
	if err := Table(&plain, &result.Run{}, false); err != nil || !strings.Contains(plain.String(), "no cell") {
		t.Errorf("no cells: %q, %v", plain.String(), err)
	}
	if err := Table(broken{}, run, false); !errors.Is(err, os.ErrClosed) {
		t.Errorf("table to a closed file: %v", err)
	}
	if err := HTML(broken{}, run); !errors.Is(err, os.ErrClosed) {
		t.Errorf("page to a closed file: %v", err)
	}
}

// TestTableOfFew has one kind of operation, a node that was restarted and reads that tell little.
func TestTableOfFew(t *testing.T) {
	run := sampleRun()
	run.Cells = []result.Cell{run.Cells[0], run.Cells[1]}
	for i := range run.Cells {
		run.Cells[i].Ops = run.Cells[i].Ops[:2]
	}
	run.Cells[0].Nodes[2].CPUSeconds = 0
	for i := range run.Cells {
		run.Cells[i].Staleness.Times[0] = result.Freshness{Reads: 17 + int64(i), Fresh: 7 + 11*int64(i)}
	}
	var b bytes.Buffer
	if err := Table(&b, run, false); err != nil {
		t.Fatal(err)
	}
	want := "" +
		"cell          ops/s      p50      p99    p99.9  errors  CPU/op  P(fresh at 0)\n" +
		"N=3 R=1 W=1  49,460  1.16 ms  7.51 ms  16.9 ms       0       –           41 %\n" +
		"N=3 R=1 W=2  35,320  1.58 ms  10.3 ms  23.1 ms       0  153 µs          100 %\n" +
		"P(fresh at 0): share of reads that saw a write just acknowledged; of 17 or more\n" +
		"CPU/op –: no processor time of n3 (restarted, or not reached)\n"
	if b.String() != want {
		t.Errorf("got\n%swant\n%s", b.String(), want)
	}
	// Many cells with errors have not a line each.
	for range 30 {
		c := sampleCell(3, 1, 1)
		c.Ops[0].Errors = map[string]int64{"503": 12, "unsent": 48627}
		run.Cells = append(run.Cells, c)
	}
	list := notes(run)
	if got := list[2]; got != "errors of N=3 R=1 W=1: unsent 48,627, 503 12" {
		t.Error(got)
	}
	if got := list[len(list)-1]; len(list) != maxErrorNotes+1 || got != "errors of 22 cells more: see the JSON" {
		t.Errorf("%d notes, the last: %s", len(list), got)
	}
}

// A section says why it does not show what it could.
func TestReasons(t *testing.T) {
	run := sampleRun()
	run.Cells = run.Cells[:2]
	for i := range run.Cells {
		c := &run.Cells[i]
		c.Nodes[1].CPUSeconds = 0
		for j := range c.Staleness.Versions {
			c.Staleness.Versions[j].Predicted = -1
		}
	}
	run.Cells[1].Staleness.Errors = map[string]int64{"timeout": 3}
	page := pageOf(t, run)
	for _, want := range []string{
		"Not drawn: N=3 R=1 W=1, N=3 R=1 W=2: no processor time of n2 (restarted, or not reached).",
		"So it is with N=3 R=1 W=1, N=3 R=1 W=2.", "neither fresh nor stale, of N=3 R=1 W=2: timeout 3.",
	} {
		if !strings.Contains(page, want) {
			t.Errorf("the page does not say %q", want)
		}
	}
	page = pageOf(t, sampleRun())
	for _, not := range []string{"Not drawn: ", "no predicted line", "without an answer"} {
		if strings.Contains(page, not) {
			t.Errorf("the page says %q for no reason", not)
		}
	}
}

type broken struct{}

func (broken) Write([]byte) (int, error) { return 0, os.ErrClosed }
