package quorum

import (
	"cmp"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the results into testdata")

// Scenarios are text: a comment on what the case proves, a line of settings and votes, and
// below it what comes out, on a line that begins with "=". The first word of the line says
// what is tested:
//
//	levels n=3 members=1 r=quorum          the levels as numbers, of a read and of a write
//	read n=3 r=2 notfound_ok=true : v m x  the outcome after each vote
//	write n=3 w=2 : a d x
//
// Votes: v has a value, m has none, a acknowledges, d acknowledges and has it fsynced,
// x failed; with an f before it the vote of a fallback.
func TestScenarios(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no scenarios: %v", err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) { runScenarios(t, file) })
	}
}

func runScenarios(t *testing.T, file string) {
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	input, comment := "", false
	for i, line := range strings.Split(strings.TrimSuffix(string(text), "\n"), "\n") {
		switch {
		case strings.HasPrefix(line, "="):
			if got := "= " + scenario(t, input); !*update && line != got {
				t.Errorf("%s:%d: %s\ngot  %s\nwant %s", file, i+1, input, got, line)
			}
			continue
		case strings.HasPrefix(line, "#"):
			comment = true
		case line != "":
			if !comment {
				t.Errorf("%s:%d: no comment says what this proves", file, i+1)
			}
			input, comment = line, false
			line += "\n= " + scenario(t, input)
		}
		out.WriteString(line + "\n")
	}
	if *update {
		if err := os.WriteFile(file, []byte(out.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	} else if out.String() != string(text) {
		t.Errorf("%s: a case has no result; run with -update and review the difference", file)
	}
}

// settings are the key=value words of a scenario.
type settings struct {
	kind    string
	options Options
	members int
	votes   []string
}

func parseScenario(t *testing.T, line string) settings {
	head, votes, _ := strings.Cut(line, ":")
	words := strings.Fields(head)
	s := settings{kind: words[0], options: Options{N: 3, NotFoundOK: true}, votes: strings.Fields(votes)}
	for _, w := range words[1:] {
		name, v, _ := strings.Cut(w, "=")
		o := &s.options
		switch name {
		case "n":
			o.N = int(parseLevel(t, v))
		case "members":
			s.members = int(parseLevel(t, v))
		case "notfound_ok":
			o.NotFoundOK = v == "true"
		case "basic_quorum":
			o.BasicQuorum = v == "true"
		default:
			levels := map[string]*Level{"r": &o.R, "pr": &o.PR, "w": &o.W, "pw": &o.PW, "dw": &o.DW, "nc": &o.NodeConfirms}
			if levels[name] == nil {
				t.Fatalf("unknown word %q in %q", w, line)
			}
			*levels[name] = parseLevel(t, v)
		}
	}
	if s.members == 0 {
		s.members = s.options.N
	}
	return s
}

func parseLevel(t *testing.T, s string) Level {
	switch s {
	case "quorum":
		return LevelQuorum
	case "all":
		return LevelAll
	}
	v, err := strconv.Atoi(s)
	if err != nil {
		t.Fatal(err)
	}
	return Level(v)
}

func scenario(t *testing.T, line string) string {
	s := parseScenario(t, line)
	slots := min(s.options.N, s.members)
	read, err := s.options.readLevels(slots)
	write, werr := s.options.writeLevels(slots)
	if err = cmp.Or(err, werr); err != nil {
		return err.Error()
	}
	var words []string
	say := func(o outcome, detail string, short shortfall) {
		switch {
		case o == won:
			words = append(words, "won"+detail)
		case o == lost:
			words = append(words, fmt.Sprintf("lost(%s %d/%d)", short.level, short.got, short.want))
		default:
			words = append(words, o.String())
		}
	}
	switch s.kind {
	case "levels":
		return fmt.Sprintf("r=%d pr=%d nc=%d; w=%d pw=%d dw=%d nc=%d", read.r, read.pr, read.confirms, write.w, write.pw, write.dw, write.confirms)
	case "read":
		tally := readTally{slots: slots, levels: read, notFoundOK: s.options.NotFoundOK, basicQuorum: s.options.BasicQuorum}
		for i := range len(s.votes) + 1 {
			if i > 0 {
				voteRead(&tally, s.votes[i-1])
			}
			detail := ""
			if tally.values == 0 {
				detail = "(not found)"
			}
			say(tally.outcome(), detail, tally.shortfall())
		}
	case "write":
		tally := writeTally{slots: slots, levels: write}
		for i := range len(s.votes) + 1 {
			if i > 0 {
				voteWrite(&tally, s.votes[i-1])
			}
			say(tally.outcome(), "", tally.shortfall())
		}
	default:
		t.Fatalf("unknown scenario %q", line)
	}
	return strings.Join(words, " ")
}

func voteRead(t *readTally, vote string) {
	switch vote {
	case "v":
		t.values++
	case "m":
		t.missing++
	case "fv":
		t.values++
		t.fallbackValues++
	case "fm":
		t.missing++
		t.fallbackMissing++
	case "x":
		t.failed++
	default:
		panic("unknown vote " + vote)
	}
}

func voteWrite(t *writeTally, vote string) {
	switch vote {
	case "a":
		t.acks++
	case "d":
		t.acks++
		t.durable++
	case "fa":
		t.acks++
		t.fallbacks++
	case "fd":
		t.acks++
		t.durable++
		t.fallbacks++
	case "x":
		t.failed++
	default:
		panic("unknown vote " + vote)
	}
}
