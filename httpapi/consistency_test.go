package httpapi

import (
	"strings"
	"testing"
	"time"

	"cartwheel/props"
	"cartwheel/quorum"
)

func TestConsistencyLevels(t *testing.T) {
	const majority = quorum.LevelQuorum
	bucket := props.Properties{NVal: 5, R: 4, PR: 4, W: 4, PW: 4, DW: 4, RW: 5, NodeConfirms: 2, NotFoundOK: true, SloppyQuorum: true}
	rest := quorum.Options{N: 5, NodeConfirms: 2, NotFoundOK: true, Lossy: true, Sloppy: true, Timeout: time.Minute}
	for query, want := range map[string]struct {
		r, pr, w, pw, dw quorum.Level
		notSloppy        bool
		deleteR, deleteW quorum.Level
	}{
		"":                                      {4, 4, 4, 4, 4, false, 5, 5},
		"consistency=default":                   {4, 4, 4, 4, 4, false, 5, 5},
		"consistency=fast":                      {1, 0, 1, 0, 1, false, 1, 1},
		"consistency=safe":                      {majority, 1, majority, 1, majority, false, majority, majority},
		"consistency=strict":                    {majority, majority, majority, majority, majority, true, majority, majority},
		"r=2&consistency=strict&pw=3":           {2, majority, majority, 3, majority, true, 2, majority},
		"consistency=fast&dw=all":               {1, 0, 1, 0, quorum.LevelAll, false, 1, 1},
		"consistency=fast&dw=0&w=0":             {1, 0, 0, 0, 1, false, 1, 0},
		"consistency=fast&rw=3":                 {1, 0, 1, 0, 1, false, 3, 3},
		"consistency=strict&r=default":          {majority, majority, majority, majority, majority, true, majority, majority},
		"consistency=strict&sloppy_quorum=true": {majority, majority, majority, majority, majority, false, majority, majority},
	} {
		p, problems := parseParams(query)
		if problems != nil {
			t.Fatal(query, problems)
		}
		wanted := rest
		wanted.R, wanted.PR, wanted.W, wanted.PW, wanted.DW, wanted.Sloppy = want.r, want.pr, want.w, want.pw, want.dw, !want.notSloppy
		if got := fold(&p, bucket, time.Minute, time.Hour); got != wanted {
			t.Errorf("%q: got %+v, want %+v", query, got, wanted)
		}
		wanted.R, wanted.W = want.deleteR, want.deleteW
		if got := foldDelete(&p, bucket, time.Minute, time.Hour); got != wanted {
			t.Errorf("%q, delete: got %+v, want %+v", query, got, wanted)
		}
	}
}

func TestConsistencyOverHTTP(t *testing.T) {
	c := newCluster(t)
	a := c.server(t)
	const unknown = "consistency query parameter must be one of the following words: 'fast', 'default', 'safe' or 'strict'\n"
	for _, word := range []string{"", "FAST", "eventual", "fast,strict", "strict%00"} {
		for _, method := range []string{"GET", "PUT", "DELETE"} {
			want(t, do(a, method, at+"?consistency="+word, "x", "Content-Type", "a/b"), 400, unknown)
		}
	}
	if len(c.gets)+len(c.puts)+len(c.deletes) > 0 {
		t.Fatal("a refused request was carried out")
	}
	for word, note := range map[string]string{"": "", "?consistency=fast": " consistency=fast", "?consistency=strict": " consistency=strict", "?consistency=default": " consistency=default"} {
		for _, step := range []struct {
			method, headers string
			status          int
		}{
			{"GET", "", 404}, {"PUT", "", 204}, {"GET", "", 200}, {"GET", `If-None-Match: *`, 304}, {"GET", `If-Match: "x"`, 412}, {"GET", "Accept: a/c", 406},
			{"PUT", "If-Match: *", 204}, {"GET", "", 300}, {"DELETE", "", 204}, {"DELETE", "", 404},
		} {
			headers := []string{"Content-Type", "a/b"}
			if name, value, ok := strings.Cut(step.headers, ": "); ok {
				headers = append(headers, name, value)
			}
			r := want(t, do(a, step.method, at+strings.TrimPrefix(note, " consistency=")+word, "x", headers...), step.status, "-")
			got := r.Header.Get("X-Cartwheel-Receipt")
			if _, after, _ := strings.Cut(got, " ring=17"); after != note {
				t.Errorf("%s%s: receipt %q", step.method, word, got)
			}
		}
	}
	c.get = func(r quorum.GetRequest) (quorum.GetResult, error) {
		return quorum.GetResult{}, &quorum.UnsatisfiedError{Level: "PR", Got: 1, Want: 2, Receipt: c.receipt(r.Options, 0)}
	}
	r := want(t, do(a, "GET", at+"?consistency=strict", ""), 503, "PR-value unsatisfied: 1/2\n")
	if got := r.Header.Get("X-Cartwheel-Receipt"); !strings.HasSuffix(got, " consistency=strict") {
		t.Errorf("receipt %q", got)
	}
}
