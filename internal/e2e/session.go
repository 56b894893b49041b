package e2e

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// Session is the part of a Markdown document that readers paste into a shell: all fenced blocks
// marked "sh session", in order. In a block, lines that begin with "# => " say what the output
// of the commands before them contains.
type Session []Step

// Step is some lines of a session and what they print.
type Step struct {
	Line     int      // of its first command in the document, from 1
	Commands string   // whole lines
	Expect   []string // each is somewhere in the output
	Shows    []string // lines of the output in this order, others may be between; "..." is any text
}

const (
	sessionFence = "```sh session"
	expectation  = "# =>"
)

// ParseSession finds the session of a document. A document without one is an error, and so is
// an expectation that nothing could fail.
func ParseSession(markdown string) (Session, error) {
	var s Session
	inside, number := false, 0
	for line := range strings.Lines(markdown) {
		number++
		line = strings.TrimRight(line, "\r\n")
		text := strings.TrimSpace(line)
		switch {
		case !inside:
			if inside = text == sessionFence; inside {
				s = append(s, Step{})
			}
		case text == "```":
			inside = false
		case strings.HasPrefix(text, expectation):
			last := &s[len(s)-1]
			want := strings.TrimSpace(strings.TrimPrefix(text, expectation))
			if want == "" || last.Commands == "" {
				return nil, fmt.Errorf("line %d: an expectation needs a command before it, and a text", number)
			}
			last.Expect = append(last.Expect, want)
		case text != "":
			last := &s[len(s)-1]
			if len(last.Expect) > 0 {
				s = append(s, Step{})
				last = &s[len(s)-1]
			}
			if last.Commands == "" {
				last.Line = number
			}
			last.Commands += line + "\n"
		}
	}
	if inside {
		return nil, fmt.Errorf("the last %q has no end", sessionFence)
	}
	if len(s) == 0 {
		return nil, fmt.Errorf("no block is marked %q", sessionFence)
	}
	return s, nil
}

const (
	consoleFence = "```console"
	prompt       = "$ "
)

// ParseConsole finds the commands of a document that shows what they print: all blocks marked
// "console", in order. A line that begins with a prompt is a command, the lines up to the next one
// are its output. A document without any is an error, and so is output of no command.
func ParseConsole(markdown string) (Session, error) {
	var s Session
	inside, number := false, 0
	for line := range strings.Lines(markdown) {
		number++
		line = strings.TrimRight(line, " \r\n")
		switch {
		case !inside:
			inside = line == consoleFence
		case line == "```":
			inside = false
		case strings.HasPrefix(line, prompt):
			s = append(s, Step{Line: number, Commands: strings.TrimPrefix(line, prompt) + "\n"})
		case len(s) == 0:
			return nil, fmt.Errorf("line %d: output without a command", number)
		case strings.HasSuffix(s[len(s)-1].Commands, "\\\n") && s[len(s)-1].Shows == nil:
			s[len(s)-1].Commands += line + "\n"
		case line != "":
			s[len(s)-1].Shows = append(s[len(s)-1].Shows, line)
		}
	}
	if inside {
		return nil, fmt.Errorf("the last %q has no end", consoleFence)
	}
	if len(s) == 0 {
		return nil, fmt.Errorf("no block is marked %q", consoleFence)
	}
	return s, nil
}

// tableRow is a row of a table that says what a curl command does: the command, and the status
// of its answer.
var tableRow = regexp.MustCompile("^\\|.*\\| `(curl [^`]+)` \\| (\\d{3}) \\|$")

// ParseTable finds the commands of a document's tables.
func ParseTable(markdown string) (s Session) {
	number := 0
	for line := range strings.Lines(markdown) {
		number++
		if row := tableRow.FindStringSubmatch(strings.TrimRight(line, "\r\n")); row != nil {
			s = append(s, Step{Line: number, Commands: row[1] + " -si\n", Shows: []string{"HTTP/1.1 " + row[2] + " ..."}})
		}
	}
	return s
}

// The ports of "cartwheel dev" as documents name them, after a colon.
var devPort = regexp.MustCompile(`:8(09|10|11)[89]\b`)

// AtPort returns the session for a cluster whose first node is at another port than 8098.
func (s Session) AtPort(port int) Session {
	const documented = 8098
	move := func(text string) string {
		return devPort.ReplaceAllStringFunc(text, func(found string) string {
			var p int
			if _, err := fmt.Sscanf(found, ":%d", &p); err != nil {
				return found // not reached: the expression matches digits only
			}
			return fmt.Sprintf(":%d", p-documented+port)
		})
	}
	moved := make(Session, len(s))
	for i, step := range s {
		step.Commands = move(step.Commands)
		step.Shows = slices.Clone(step.Shows)
		for j, line := range step.Shows {
			step.Shows[j] = move(line)
		}
		moved[i] = step
	}
	return moved
}

// marker ends the output of each step. No command of a document prints it by chance.
const marker = "=== e2e: this was step "

// Script returns the session for "bash -e", with a prelude before it.
func (s Session) Script(prelude string) string {
	var b strings.Builder
	b.WriteString("exec 2>&1\n" + prelude)
	for i, step := range s {
		fmt.Fprintf(&b, "%sprintf '\\n%s%d\\n'\n", step.Commands, marker, i)
	}
	return b.String()
}

// Check compares what the script has printed with what the document says, and returns one line
// for each difference.
func (s Session) Check(output string) (problems []string) {
	for i, step := range s {
		printed, rest, ended := strings.Cut(output, fmt.Sprintf("\n%s%d\n", marker, i))
		if !ended {
			return append(problems, fmt.Sprintf("line %d: it failed:\n%s%s", step.Line, step.Commands, printed))
		}
		for _, want := range step.Expect {
			if !strings.Contains(printed, want) {
				problems = append(problems, fmt.Sprintf("line %d: the output has no %q:\n%s%s", step.Line, want, step.Commands, printed))
			}
		}
		if line, ok := missing(printed, step.Shows); ok {
			problems = append(problems, fmt.Sprintf("line %d: the output has no line %q (or not in this order):\n%s%s", step.Line, line, step.Commands, printed))
		}
		output = rest
	}
	return problems
}

// missing returns the first of the lines that does not stand in the text after the ones before it.
func missing(text string, lines []string) (string, bool) {
	printed := strings.Split(strings.ReplaceAll(text, "\r\n", "\n"), "\n")
	for _, line := range lines {
		parts := strings.Split(line, "...")
		for i, part := range parts {
			parts[i] = regexp.QuoteMeta(part)
		}
		shown := regexp.MustCompile("^" + strings.Join(parts, ".*") + "$")
		at := slices.IndexFunc(printed, shown.MatchString)
		if at < 0 {
			return line, true
		}
		printed = printed[at+1:]
	}
	return "", false
}
