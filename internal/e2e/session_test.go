package e2e

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// sessionWithin bounds a whole session.
const sessionWithin = 90 * time.Second

// ownKill stands in for pkill within a session: it reaches the nodes of the session's own
// cluster and nothing else that may run on this machine.
const ownKill = `pkill() {
	local signal=$1 pid found=1
	shift
	for pid in $(pgrep "$@"); do
		case " $SESSION_PIDS " in *" $pid "*) kill "$signal" "$pid" && found=0 ;; esac
	done
	return $found
}
`

// runSession runs a session against a cluster of "cartwheel dev" of its own and returns what
// differs. It is in a directory that has the binary and the examples, and nothing else.
func runSession(t *testing.T, s Session) []string {
	t.Helper()
	needTools(t, "bash", "curl", "pgrep")
	d := startDev(t)
	d.awaitReady(t)
	dir := t.TempDir()
	for name, target := range map[string]string{"bin": filepath.Dir(lab.Binary), "examples": filepath.Join(lab.Root, "examples")} {
		if err := os.Symlink(target, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	return d.runSession(t, s, dir, "http://"+d.http(0))
}

// needTools skips the test if this machine lacks one of the programs.
func needTools(t *testing.T, tools ...string) {
	t.Helper()
	for _, tool := range tools {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("the session needs %s: %v", tool, err)
		}
	}
}

// runSession runs a session in a directory, with these endpoints in its environment.
func (d *dev) runSession(t *testing.T, s Session, dir, endpoints string) []string {
	t.Helper()
	s = s.AtPort(d.port)
	script := filepath.Join(t.TempDir(), "session.sh")
	write(t, script, s.Script(ownKill))
	ctx, cancel := context.WithTimeout(t.Context(), sessionWithin)
	defer cancel()
	bash := exec.CommandContext(ctx, "bash", "-e", script)
	bash.Dir = dir
	bash.WaitDelay = outputAfterEnd
	bash.Env = append(lab.environment(), "PATH="+filepath.Dir(lab.Binary)+":"+os.Getenv("PATH"),
		"CARTWHEEL_ENDPOINT="+endpoints, "SESSION_PIDS="+strings.Join(d.pids(), " "))
	out, err := bash.CombinedOutput()
	if ctx.Err() != nil {
		t.Fatalf("the session took longer than %v:\n%s", sessionWithin, out)
	}
	problems := s.Check(string(out))
	if err != nil && len(problems) == 0 {
		problems = append(problems, err.Error())
	}
	return problems
}

// TestReadme runs what the README tells newcomers to paste, and the commands of its table.
func TestReadme(t *testing.T) {
	text := readFile(t, "README.md")
	s, err := ParseSession(text)
	if err != nil {
		t.Fatalf("README.md: %v", err)
	}
	if !slices.ContainsFunc(s, func(step Step) bool { return len(step.Expect) > 0 }) {
		t.Fatal("README.md says nowhere what its session prints")
	}
	table := ParseTable(text)
	if rows := strings.Count(text, "| `curl "); rows == 0 || rows != len(table) {
		t.Fatalf("README.md has %d lines of tables with curl, %d with a status", rows, len(table))
	}
	for _, problem := range runSession(t, slices.Concat(table, s)) { // the session ends with a node killed
		t.Errorf("README.md, %s", problem)
	}
	t.Attr("readme_steps", fmt.Sprint(len(table)+len(s)))
}

const fence = "```"

func TestSessionFindsProblems(t *testing.T) {
	t.Parallel()
	s, err := ParseSession(`# Doc
` + fence + `sh
curl http://127.0.0.1:8098/not/part/of/it
` + fence + `
` + fence + `sh session
curl -s http://127.0.0.1:8098/ping; V=kept
# => OK
# => not that
` + fence + `
` + fence + `sh session
echo "$V" $(printf '8%s' 118) http 127[.]0[.]0[.]1:8118 localhost:8109
# => kept 8118
cartwheel put b k v
bin/cartwheel get b \
	k
# => v
cartwheel get b missing
# => never reached
` + fence + `
`)
	if err != nil {
		t.Fatal(err)
	}
	if len(s) != 4 || s[0].Line != 6 || s[3].Line != 17 {
		t.Fatalf("parsed %+v", s)
	}
	if moved := s.AtPort(20000)[1].Commands; !strings.Contains(moved, "127[.]0[.]0[.]1:20020 localhost:20011") {
		t.Errorf("with other ports: %s", moved)
	}
	problems := runSession(t, s)
	if len(problems) != 2 || !strings.Contains(problems[0], `line 6: the output has no "not that"`) ||
		!strings.Contains(problems[1], "line 17: it failed") || !strings.Contains(problems[1], "not found") {
		t.Errorf("problems: %q", problems)
	}
}

func TestSessionRefused(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		"", "```sh\nls\n```\n", "```sh session\nls\n", "```sh session\n# => x\n```\n", "```sh session\nls\n# =>\n```\n",
	} {
		if s, err := ParseSession(text); err == nil {
			t.Errorf("%q: %+v, want an error", text, s)
		}
	}
}

func TestConsole(t *testing.T) {
	t.Parallel()
	s, err := ParseConsole("# Doc\n" + fence + "console\n$ curl a http://127.0.0.1:8118/ \\\n    -d b\nHTTP/1.1 200 OK\nETag: \"...\"\n\nx.y\n$ quiet\n" + fence + "\ntext\n" + fence + "json\n$ no\n" + fence + "\n")
	if err != nil {
		t.Fatal(err)
	}
	if len(s) != 2 || s[0].Line != 3 || s[0].Commands != "curl a http://127.0.0.1:8118/ \\\n    -d b\n" || len(s[0].Shows) != 3 || s[1].Commands != "quiet\n" {
		t.Fatalf("parsed %+v", s)
	}
	for printed, wrong := range map[string]string{
		"HTTP/1.1 200 OK\r\nDate: now\r\nETag: \"q\"\r\n\r\nx.y": "",
		"ETag: \"q\"\nHTTP/1.1 200 OK\nx.y":                      `no line "ETag`,
		"HTTP/1.1 200 OK\nETag: \"q\"\nxzy":                      `no line "x.y"`,
		"HTTP/1.1 200 OK\nETag: \"q\"\nx.yz":                     `no line "x.y"`,
		"HTTP/1.1 404 Not Found\n":                               `no line "HTTP/1.1 200 OK"`,
	} {
		problems := strings.Join(s.Check(printed+"\n"+marker+"0\n\n"+marker+"1\n"), "\n")
		if (problems == "") != (wrong == "") || !strings.Contains(problems, wrong) {
			t.Errorf("%q: problems %q, want %q", printed, problems, wrong)
		}
	}
	moved := Session{{Commands: "x\n", Shows: []string{"at 127.0.0.1:8119"}}}.AtPort(20000)
	if moved[0].Shows[0] != "at 127.0.0.1:20021" {
		t.Errorf("with other ports it shows %q", moved[0].Shows[0])
	}
	for _, text := range []string{"", fence + "console\n$ ls\n", fence + "console\nls\n" + fence + "\n"} {
		if s, err := ParseConsole(text); err == nil {
			t.Errorf("%q: %+v, want an error", text, s)
		}
	}
	table := ParseTable("| to | send | answer |\n|---|---|---|\n| read | `curl 'http://127.0.0.1:8098/a?b'` | 200 |\n")
	if len(table) != 1 || table[0].Line != 3 || len(table.Check("HTTP/1.1 200 OK\n\n"+marker+"0\n")) != 0 || len(table.Check("HTTP/1.1 204 No Content\n\n"+marker+"0\n")) != 1 {
		t.Errorf("the table is %+v", table)
	}
}
