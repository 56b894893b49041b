package httpapi

import (
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"cartwheel/props"
	"cartwheel/quorum"
)

const quorumWords = " query parameter must be an integer or one of the following words: 'one', 'quorum' or 'all'"

func TestParseParams(t *testing.T) {
	lvl := func(l quorum.Level) optional[quorum.Level] { return optional[quorum.Level]{l, true} }
	yes, no := optional[bool]{true, true}, optional[bool]{false, true}
	for _, test := range []struct {
		query    string
		want     params
		problems []string
	}{
		{"", params{}, nil},
		{"&&", params{}, nil},
		{"r=1&pr=one&w=quorum&dw=all&pw=0&rw=3&node_confirms=2", params{r: lvl(1), pr: lvl(1), w: lvl(quorum.LevelQuorum),
			dw: lvl(quorum.LevelAll), pw: lvl(0), rw: lvl(3), nodeConfirms: lvl(2)}, nil},
		{"r=default&notfound_ok=DEFAULT&basic_quorum=default&read_repair=default&asis=default&sync_on_write=default", params{}, nil},
		{"notfound_ok=FALSE&basic_quorum=True", params{notFoundOK: no, basicQuorum: yes}, nil},
		{"returnbody=true", params{returnBody: true}, nil},
		{"returnbody=TRUE", params{}, nil},
		{"returnbody", params{}, nil},
		{"timeout=1500", params{timeout: optional[time.Duration]{1500 * time.Millisecond, true}}, nil},
		{"timeout=0", params{timeout: optional[time.Duration]{0, true}}, nil},
		{"timeout=-5", params{timeout: optional[time.Duration]{-5 * time.Millisecond, true}}, nil},
		{"vtag=a%2Bb", params{vtag: optional[string]{"a+b", true}}, nil},
		{"vtag=", params{vtag: optional[string]{"", true}}, nil},
		{"read_repair=before&sloppy_quorum=true&sync_on_write=Backend", params{repairBefore: yes, sloppy: yes}, nil},
		{"read_repair=after&sloppy_quorum=false", params{repairBefore: no, sloppy: no}, nil},
		{"r=1&r=foo", params{r: lvl(1)}, nil},
		{"r=default&r=2", params{}, nil},
		{"%72=1", params{r: lvl(1)}, nil},
		{"n_val=x&unknown=%20&R=x", params{}, nil},

		{"r=", params{}, []string{"r" + quorumWords}},
		{"r", params{}, []string{"r" + quorumWords}},
		{"r=-1", params{}, []string{"r" + quorumWords}},
		{"r=1.5", params{}, []string{"r" + quorumWords}},
		{"r=99999999999999999999", params{}, []string{"r" + quorumWords}},
		{"r=ONE", params{}, []string{"r" + quorumWords}},
		{"pw=backend", params{}, []string{"pw" + quorumWords}},
		{"basic_quorum=1&w=x&r=y&timeout=abc", params{}, []string{`Bad timeout value "abc"`, "r" + quorumWords, "w" + quorumWords,
			"basic_quorum query parameter must be true or false"}},
		{"timeout=", params{}, []string{`Bad timeout value ""`}},
		{"timeout=1e3", params{}, []string{`Bad timeout value "1e3"`}},
		{"timeout=%22%0a", params{}, []string{`Bad timeout value "\"\n"`}},
		{"asis=true", params{}, []string{"asis=true is not possible: every write gets an identity of its own"}},
		{"asis=x", params{}, []string{"asis query parameter must be true or false"}},
		{"sloppy_quorum=yes", params{}, []string{"sloppy_quorum query parameter must be true or false"}},
		{"read_repair=never", params{}, []string{"read_repair query parameter must be 'before' or 'after'"}},
		{"sync_on_write=two", params{}, []string{"sync_on_write query parameter must be one of the following words: [default,backend,one,all]"}},
		{"x=%zz", params{}, []string{"Malformed percent-encoding in the query"}},
	} {
		got, problems := parseParams(test.query)
		if !slices.Equal(problems, test.problems) {
			t.Errorf("%q: problems %q, want %q", test.query, problems, test.problems)
		}
		if problems == nil && !reflect.DeepEqual(got, test.want) {
			t.Errorf("%q: got %+v, want %+v", test.query, got, test.want)
		}
	}
}

func FuzzParseParams(f *testing.F) {
	f.Add("r=1&w=quorum&timeout=5&vtag=x%20y")
	f.Add("r=%&&=&w=-1&asis=true")
	f.Fuzz(func(t *testing.T, query string) {
		p, problems := parseParams(query)
		for _, s := range problems {
			if s == "" || strings.Contains(s, "\n") {
				t.Fatalf("%q: problem %q", query, s)
			}
		}
		for _, l := range []optional[quorum.Level]{p.r, p.pr, p.w, p.dw, p.pw, p.rw, p.nodeConfirms} {
			if l.value < quorum.LevelAll {
				t.Fatalf("%q: level %d", query, l.value)
			}
		}
	})
}

func TestFold(t *testing.T) {
	bucket := props.Properties{NVal: 3, AllowMult: true, NotFoundOK: true, R: props.Majority, W: props.Majority, DW: props.Majority, RW: props.All}
	base := quorum.Options{N: 3, R: quorum.LevelQuorum, W: quorum.LevelQuorum, DW: quorum.LevelQuorum, NotFoundOK: true, Timeout: time.Minute}
	for _, test := range []struct {
		name, query string
		bucket      func(*props.Properties)
		want        func(*quorum.Options)
		delete      bool
	}{
		{"defaults", "", nil, func(*quorum.Options) {}, false},
		{"each parameter has its place", "r=1&pr=2&w=3&pw=0&dw=all&node_confirms=2&notfound_ok=false&basic_quorum=true&read_repair=before&timeout=10", nil,
			func(o *quorum.Options) {
				*o = quorum.Options{N: 3, R: 1, PR: 2, W: 3, PW: 0, DW: quorum.LevelAll, NodeConfirms: 2, BasicQuorum: true, RepairBefore: true, Timeout: 10 * time.Millisecond}
			}, false},
		{"each property has its place", "", func(p *props.Properties) {
			*p = props.Properties{NVal: 5, LastWriteWins: true, AllowMult: true, R: 1, PR: 2, W: 3, PW: 4, DW: 5, NodeConfirms: props.All, BasicQuorum: true, ReadRepairBefore: true}
		}, func(o *quorum.Options) {
			*o = quorum.Options{N: 5, R: 1, PR: 2, W: 3, PW: 4, DW: 5, NodeConfirms: quorum.LevelAll, BasicQuorum: true, RepairBefore: true, Lossy: true, Timeout: time.Minute}
		}, false},
		{"no siblings: lossy", "", func(p *props.Properties) { p.AllowMult = false }, func(o *quorum.Options) { o.Lossy = true }, false},
		{"a parameter beats the property also where it says less", "notfound_ok=false&r=one", func(p *props.Properties) { p.R = props.All },
			func(o *quorum.Options) { o.NotFoundOK = false; o.R = 1 }, false},
		{"read_repair=after beats before", "read_repair=after", func(p *props.Properties) { p.ReadRepairBefore = true }, func(*quorum.Options) {}, false},
		{"dw=0 is 1", "dw=0", nil, func(o *quorum.Options) { o.DW = 1 }, false},
		{"the bucket's dw=0 is 1", "", func(p *props.Properties) { p.DW = 0 }, func(o *quorum.Options) { o.DW = 1 }, false},
		{"a long timeout is cut", "timeout=3600000", nil, func(o *quorum.Options) { o.Timeout = 5 * time.Minute }, false},
		{"no time is no time", "timeout=-1", nil, func(o *quorum.Options) { o.Timeout = -time.Millisecond }, false},
		{"rw is for deletes", "rw=1", nil, func(*quorum.Options) {}, false},
		{"a delete takes rw for both", "rw=1", nil, func(o *quorum.Options) { o.R, o.W = 1, 1 }, true},
		{"a delete takes the bucket's rw", "", nil, func(o *quorum.Options) { o.R, o.W = quorum.LevelAll, quorum.LevelAll }, true},
		{"unless it has r", "rw=1&r=2", nil, func(o *quorum.Options) { o.R = 2 }, true},
		{"unless it has w", "rw=1&w=2", nil, func(o *quorum.Options) { o.W = 2 }, true},
	} {
		p, problems := parseParams(test.query)
		if problems != nil {
			t.Fatal(problems)
		}
		b, wanted := bucket, base
		if test.bucket != nil {
			test.bucket(&b)
		}
		test.want(&wanted)
		got := fold(&p, b, time.Minute, 5*time.Minute)
		if test.delete {
			got = foldDelete(&p, b, time.Minute, 5*time.Minute)
		}
		if got != wanted {
			t.Errorf("%s: got %+v, want %+v", test.name, got, wanted)
		}
	}
}
