package e2e

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
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
	script := filepath.Join(t.TempDir(), "session.sh")
	write(t, script, s.AtPort(d.port).Script(ownKill))
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

// TestReadme runs what the README tells newcomers to paste.
func TestReadme(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(lab.Root, "README.md"))
	if errors.Is(err, fs.ErrNotExist) {
		t.Skip("there is no README.md")
	}
	if err != nil {
		t.Fatal(err)
	}
	s, err := ParseSession(string(text))
	if err != nil {
		t.Fatalf("README.md: %v", err)
	}
	expectations := 0
	for _, step := range s {
		expectations += len(step.Expect)
	}
	if expectations == 0 {
		t.Fatal("README.md says nowhere what its session prints")
	}
	for _, problem := range runSession(t, s) {
		t.Errorf("README.md, %s", problem)
	}
	t.Attr("readme_steps", fmt.Sprint(len(s)))
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
