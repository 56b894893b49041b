package bench

import (
	"strconv"
	"strings"
	"testing"

	"cartwheel/bench/result"
)

// shape is the cells in few words: names, and what is sent.
func shape(cells []result.Levels) string {
	var out []string
	for _, l := range cells {
		get, put := Queries(l)
		out = append(out, Name(l)+" ["+get+"|"+put+"]")
	}
	return strings.Join(out, "; ")
}

func TestMatrix(t *testing.T) {
	for _, tc := range []struct {
		text string
		n    int
		want string
	}{
		{"default", 3, "N=3 default [|]"},
		{"r=1,w=1", 3, "N=3 R=1 W=1 [r=1|dw=1&w=1]"},
		{" r=1,w=1\n\tr=2,w=3 ", 3, "N=3 R=1 W=1 [r=1|dw=1&w=1]; N=3 R=2 W=3 [r=2|dw=3&w=3]"},
		{"r=one,w=quorum", 3, "N=3 R=1 W=2 [r=1|dw=2&w=2]"},
		{"r=quorum,w=all", 5, "N=5 R=3 W=5 [r=3|dw=5&w=5]"},
		{"r=quorum,w=quorum", 4, "N=4 R=3 W=3 [r=3|dw=3&w=3]"},
		{"r=2", 3, "N=3 R=2 [r=2|]"},
		{"dw=1", 3, "N=3 DW=1 [|dw=1]"},
		{"w=2,dw=1", 3, "N=3 W=2 DW=1 [|dw=1&w=2]"},
		{"w=2,dw=quorum", 3, "N=3 W=2 [|dw=2&w=2]"},
		{"r=02,w=1", 3, "N=3 R=2 W=1 [r=2|dw=1&w=1]"},
		{"r=1,pr=1,w=2,pw=0", 3, "N=3 R=1 W=2 PR=1 PW=0 [pr=1&r=1|dw=2&pw=0&w=2]"},
		{"r=2,w=2,sloppy=false", 3, "N=3 R=2 W=2 strict [r=2&sloppy_quorum=false|dw=2&sloppy_quorum=false&w=2]"},
		{"r=2,w=2,sloppy=true", 3, "N=3 R=2 W=2 [r=2|dw=2&w=2]"},
		{"default sloppy=false", 3, "N=3 default [|]; N=3 default strict [sloppy_quorum=false|sloppy_quorum=false]"},
		{"r=1,w=1 r=5,w=1,n=5", 3, "N=3 R=1 W=1 [r=1|dw=1&w=1]"},
		{"r=1,w=1 r=5,w=1,n=5", 5, "N=5 R=1 W=1 [r=1|dw=1&w=1]; N=5 R=5 W=1 [r=5|dw=1&w=1]"},
		{"n=5", 3, ""},
		{"all", 1, "N=1 R=1 W=1 [r=1|dw=1&w=1]"},
		{"all", 2, "N=2 R=1 W=1 [r=1|dw=1&w=1]; N=2 R=1 W=2 [r=1|dw=2&w=2]; N=2 R=2 W=1 [r=2|dw=1&w=1]; N=2 R=2 W=2 [r=2|dw=2&w=2]"},
	} {
		m, err := ParseMatrix(tc.text)
		if err != nil {
			t.Errorf("%q: %v", tc.text, err)
			continue
		}
		if cells, err := m.Cells(tc.n); err != nil || shape(cells) != tc.want {
			t.Errorf("%q for n=%d:\n got %s, %v\nwant %s", tc.text, tc.n, shape(cells), err, tc.want)
		}
	}
}

// All for three replicas is the nine cells of R and W, each once.
func TestMatrixAll(t *testing.T) {
	for n := 1; n <= MaxN; n++ {
		m, err := ParseMatrix(AllCells)
		if err != nil {
			t.Fatal(err)
		}
		cells, err := m.Cells(n)
		if err != nil || len(cells) != n*n {
			t.Fatalf("n=%d: %d cells, %v", n, len(cells), err)
		}
		names := map[string]bool{}
		for _, l := range cells {
			r, _ := strconv.Atoi(l.R)
			w, _ := strconv.Atoi(l.W)
			if r < 1 || r > n || w < 1 || w > n || l.DW != "" || l.N != n || !l.Sloppy {
				t.Errorf("n=%d: %+v", n, l)
			}
			names[Name(l)] = true
		}
		if len(names) != n*n {
			t.Errorf("n=%d: %d different names", n, len(names))
		}
	}
}

func TestMatrixErrors(t *testing.T) {
	for text, want := range map[string]string{
		"":                             "has no cell",
		" \t":                          "has no cell",
		"r":                            `"r" is not of the form name=value`,
		"r=1,,w=1":                     `"" is not of the form`,
		"r=":                           "r=: use a number from 1 to 16, one, quorum or all",
		"r=0":                          "r=0: use a number from 1",
		"w=0":                          "w=0: use a number from 1",
		"dw=0":                         "dw=0: use a number from 1",
		"pr=-1":                        "pr=-1: use a number from 0",
		"r=17":                         "r=17: use a number",
		"r=1.5":                        "r=1.5: use a number",
		"r=default":                    "r=default: use a number",
		"r=1,r=2":                      "r is there twice",
		"x=1":                          `there is no "x"`,
		"R=1":                          `there is no "R"`,
		"sloppy=no":                    "sloppy=no: use true or false",
		"n=0":                          "n=0: use a number from 1 to 16",
		"n=99999999999999999999":       "use a number from 1 to 16",
		"r=4 w=9":                      "", // see below
		strings.Repeat("r=1 ", 1<<15):  "longer than",
		strings.Repeat("r=1 ", 300):    "has 300 cells; up to 256",
		"r=1,x=2 y=3":                  `the cell "y=3"`,
		strings.Repeat("x", 200) + "=": "...",
	} {
		_, err := ParseMatrix(text)
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%.40q: %v, want %s", text, err, want)
		}
	}
	for text, want := range map[string]string{
		"r=4 w=9":                     `the cell "r=4" of the matrix: r=4 is above n=3`,
		"r=2,w=2 r=quorum,w=quorum":   "is there twice, as N=3 R=2 W=2",
		"all r=1,w=1":                 "is there twice, as N=3 R=1 W=1",
		"default default":             "is there twice, as N=3 default",
		"r=1,w=2,dw=2 r=1,w=2 pr=4":   "pr=4 is above n=3",
		"r=1,w=1,n=3 r=1,w=1":         "is there twice",
		"r=1,w=1 r=1,w=1,sloppy=true": "is there twice",
	} {
		m, err := ParseMatrix(text)
		if err != nil {
			t.Errorf("%q: %v", text, err)
			continue
		}
		if cells, err := m.Cells(3); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %s, %v, want %s", text, shape(cells), err, want)
		}
	}
	for _, n := range []int{-1, 0, MaxN + 1} {
		if _, err := (Matrix{}).Cells(n); err == nil {
			t.Errorf("n=%d is taken", n)
		}
	}
}

// Whatever is parsed has cells that can be sent: every level a number from 0 to n, names that tell
// cells apart, and a text that means the same again.
func FuzzMatrix(f *testing.F) {
	for _, seed := range []string{"all", "default", "r=1,w=1 r=2,w=2", "r=quorum,w=all,pr=1,pw=0,dw=1,sloppy=false,n=5", "r=01,w=1", "r=,=", "all n=2"} {
		f.Add(seed, 3)
	}
	f.Fuzz(func(t *testing.T, text string, n int) {
		m, err := ParseMatrix(text)
		if err != nil {
			return
		}
		cells, err := m.Cells(n)
		if err != nil {
			return
		}
		names := map[string]bool{}
		var again []string
		for _, l := range cells {
			if names[Name(l)] {
				t.Errorf("%q: two cells %s", text, Name(l))
			}
			names[Name(l)] = true
			word := []string{"sloppy=" + strconv.FormatBool(l.Sloppy)}
			for _, field := range levelFields(l) {
				if field.value == "" {
					continue
				}
				if v, err := strconv.Atoi(field.value); err != nil || v < 0 || v > n || strconv.Itoa(v) != field.value {
					t.Errorf("%q: %s=%s for n=%d", text, field.name, field.value, n)
				}
				word = append(word, field.name+"="+field.value)
			}
			again = append(again, strings.Join(word, ","))
		}
		if len(again) == 0 {
			return
		}
		second, err := ParseMatrix(strings.Join(again, " "))
		if err != nil && len(again) <= MaxCells {
			t.Fatalf("%q became %q: %v", text, again, err)
		}
		if same, err := second.Cells(n); len(again) <= MaxCells && (err != nil || shape(same) != shape(cells)) {
			t.Errorf("%q: %s, then %s, %v", text, shape(cells), shape(same), err)
		}
	})
}
