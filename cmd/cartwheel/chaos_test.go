package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"cartwheel/chaos/control"
)

// fakeSwitches keep what they are set to.
type fakeSwitches struct {
	busy *atomic.Bool // while any operation is under way

	mu  sync.Mutex
	cut []string
	err error
}

func (f *fakeSwitches) Set(peers []string, _ time.Duration) error {
	if f.busy.Swap(true) {
		return errors.New("two operations at once")
	}
	defer f.busy.Store(false)
	runtime.Gosched() // another one could begin now
	f.mu.Lock()
	defer f.mu.Unlock()
	f.cut = slices.Clone(peers)
	return f.err
}

func (f *fakeSwitches) Close() error { return nil }

// chaosLab is a "dev --chaos" whose nodes only sleep.
type chaosLab struct {
	*devChaos
	text bytes.Buffer // see printed
	all  []*devNode   // every process ever
	url  string
}

func (l *chaosLab) printed() string {
	w := l.out.(*lockedWriter)
	w.mu.Lock()
	defer w.mu.Unlock()
	return l.text.String()
}

// sleepers starts n nodes and the control, and makes it the one that commands talk to.
func sleepers(t *testing.T, n int) *chaosLab {
	t.Helper()
	if testing.Short() {
		t.Skip("starts processes")
	}
	l := &chaosLab{}
	busy := &atomic.Bool{}
	start := func(i int) (*devNode, error) {
		if busy.Swap(true) {
			return nil, errors.New("two operations at once")
		}
		defer busy.Store(false)
		n, err := sleeper(i, busy)
		if err == nil {
			l.all = append(l.all, n)
		}
		return n, err
	}
	var nodes []*devNode
	t.Cleanup(func() { stopAll(l.all) })
	for i := range n {
		node, err := start(i)
		if err != nil {
			t.Fatal(err)
		}
		nodes = append(nodes, node)
	}
	l.devChaos = newDevChaos(nodes, start, &lockedWriter{w: &l.text})
	control, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.url = "http://" + control.Addr().String()
	t.Setenv(chaosVariable, l.url)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- l.run(ctx, control) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		for _, n := range l.all {
			select {
			case <-n.done:
				if !n.asked && n.err.Error() != "signal: terminated" {
					t.Errorf("process %d of %s was not stopped in order: %v", n.cmd.Process.Pid, n.name, n.err)
				}
			default:
				t.Errorf("process %d of %s is left", n.cmd.Process.Pid, n.name)
			}
		}
	})
	return l
}

func sleeper(i int, busy *atomic.Bool) (*devNode, error) {
	n := &devNode{
		name: fmt.Sprintf("n%d", i+1), http: fmt.Sprintf("127.0.0.1:%d", 10*i), peer: fmt.Sprintf("127.0.0.1:%d", 10*i+1),
		dir: filepath.Join(os.TempDir(), "cartwheel-no-such-directory"), cmd: exec.Command("sleep", "600"), done: make(chan struct{}), in: io.NopCloser(nil), switches: &fakeSwitches{busy: busy},
	}
	if err := n.cmd.Start(); err != nil {
		return nil, err
	}
	go func() { // ends with the process
		defer close(n.done)
		n.err = n.cmd.Wait()
	}()
	return n, nil
}

// shape is the state in few words: "n1 running, n2 dead; n1>n2".
func shape(s control.State) string {
	var nodes, cuts []string
	for _, n := range s.Nodes {
		nodes = append(nodes, n.Name+" "+n.State)
	}
	for _, c := range s.Cuts {
		cuts = append(cuts, c.From+">"+c.To)
	}
	return strings.TrimSuffix(strings.Join(nodes, ", ")+"; "+strings.Join(cuts, " "), "; ")
}

// inForce is what the switches of the latest processes are set to.
func (l *chaosLab) inForce() string {
	var cuts []string
	for _, from := range l.nodes {
		f := from.switches.(*fakeSwitches)
		f.mu.Lock()
		for _, to := range l.nodes {
			if slices.Contains(f.cut, to.peer) {
				cuts = append(cuts, from.name+">"+to.name)
			}
		}
		f.mu.Unlock()
	}
	return strings.Join(cuts, " ")
}

// A history of operations, each seen in the state and at the switches.
func TestChaosCommands(t *testing.T) {
	l := sleepers(t, 3)
	const alive = "n1 running, n2 running, n3 running"
	for _, step := range []struct {
		command string
		code    int
		words   string // of the error
		state   string
		inForce string
	}{
		{"cut n1 n3", 0, "", alive + "; n1>n3 n3>n1", "n1>n3 n3>n1"},
		{"cut n1 n3 --one-way", 0, "", alive + "; n1>n3 n3>n1", "n1>n3 n3>n1"},
		{"heal", 0, "", alive, ""},
		{"heal", 0, "", alive, ""},
		{"cut n1 n3 --one-way", 0, "", alive + "; n1>n3", "n1>n3"},
		{"cut n2 n2", 1, "n2 has no link to itself", alive + "; n1>n3", "n1>n3"},
		{"cut n2 n9", 3, `there is no node "n9"; the nodes are n1 to n3`, alive + "; n1>n3", "n1>n3"},
		{"cut n8 n2", 3, `there is no node "n8"`, alive + "; n1>n3", "n1>n3"},

		{"pause n1", 0, "", "n1 paused, n2 running, n3 running; n1>n3", "n1>n3"},
		{"pause n1", 1, "n1 is paused", "n1 paused, n2 running, n3 running; n1>n3", "n1>n3"},
		{"stop n1", 1, "n1 is paused and cannot stop in order; resume it first, or kill it", "n1 paused, n2 running, n3 running; n1>n3", "n1>n3"},
		{"restart n1", 1, "n1 is paused", "n1 paused, n2 running, n3 running; n1>n3", "n1>n3"},
		{"cut n2 n1", 0, "", "n1 paused, n2 running, n3 running; n1>n2 n1>n3 n2>n1", "n1>n3 n2>n1"},
		{"resume n1", 0, "", alive + "; n1>n2 n1>n3 n2>n1", "n1>n2 n1>n3 n2>n1"},
		{"resume n1", 1, "n1 is not paused but running", alive + "; n1>n2 n1>n3 n2>n1", "n1>n2 n1>n3 n2>n1"},

		{"kill n2", 0, "", "n1 running, n2 dead, n3 running; n1>n2 n1>n3 n2>n1", "n1>n2 n1>n3 n2>n1"},
		{"kill n2", 1, "n2 is dead already", "n1 running, n2 dead, n3 running; n1>n2 n1>n3 n2>n1", "n1>n2 n1>n3 n2>n1"},
		{"stop n2", 1, "n2 is dead already", "n1 running, n2 dead, n3 running; n1>n2 n1>n3 n2>n1", "n1>n2 n1>n3 n2>n1"},
		{"pause n2", 1, "n2 is dead", "n1 running, n2 dead, n3 running; n1>n2 n1>n3 n2>n1", "n1>n2 n1>n3 n2>n1"},
		{"resume n2", 1, "n2 is not paused but dead", "n1 running, n2 dead, n3 running; n1>n2 n1>n3 n2>n1", "n1>n2 n1>n3 n2>n1"},
		{"cut n2 n3 --one-way", 0, "", "n1 running, n2 dead, n3 running; n1>n2 n1>n3 n2>n1 n2>n3", "n1>n2 n1>n3 n2>n1"},
		{"start n2", 0, "", alive + "; n1>n2 n1>n3 n2>n1 n2>n3", "n1>n2 n1>n3 n2>n1 n2>n3"},
		{"start n2", 1, "n2 is not dead: it is running as process", alive + "; n1>n2 n1>n3 n2>n1 n2>n3", "n1>n2 n1>n3 n2>n1 n2>n3"},
		{"heal", 0, "", alive, ""},

		{"stop n3", 0, "", "n1 running, n2 running, n3 dead", ""},
		{"restart n3", 0, "", alive, ""},
		{"restart n3", 0, "", alive, ""},
		{"pause n3", 0, "", "n1 running, n2 running, n3 paused", ""},
		{"kill n3", 0, "", "n1 running, n2 running, n3 dead", ""},
		{"kill n1", 0, "", "n1 dead, n2 running, n3 dead", ""},
		{"kill n2", 0, "", "n1 dead, n2 dead, n3 dead", ""}, // goes on without any node
		{"start n1", 0, "", "n1 running, n2 dead, n3 dead", ""},
		{"kill n9", 3, `there is no node "n9"`, "n1 running, n2 dead, n3 dead", ""},
		{"pause n1", 0, "", "n1 paused, n2 dead, n3 dead", ""}, // the end stops a paused node too
	} {
		var words []string
		if step.words != "" {
			words = []string{"cartwheel: " + step.words}
		}
		cartwheel(t, "", append([]string{"chaos"}, strings.Fields(step.command)...)...).expect(t, step.command, step.code, "", words...)
		if got := shape(l.state()); got != step.state {
			t.Fatalf("after %s: %s, want %s", step.command, got, step.state)
		}
		if got := l.inForce(); got != step.inForce {
			t.Fatalf("after %s the switches are %q, want %q", step.command, got, step.inForce)
		}
	}
}

func TestChaosStatus(t *testing.T) {
	l := sleepers(t, 2)
	for _, args := range []string{"cut n1 n2 --one-way", "kill n2"} {
		cartwheel(t, "", append([]string{"chaos"}, strings.Fields(args)...)...).expect(t, args, exitDone, "")
	}
	pid := l.nodes[0].cmd.Process.Pid
	width := max(len("PID"), len(fmt.Sprint(pid)))
	cartwheel(t, "", "chaos", "status").expect(t, "status", exitDone, fmt.Sprintf(`NAME  STATE    %-*s  HTTP          PEER
n1    running  %-*d  127.0.0.1:0   127.0.0.1:1
n2    dead     %-*s  127.0.0.1:10  127.0.0.1:11

cut: nothing from n1 reaches n2
`, width, "PID", width, pid, width, "-"))
	r := cartwheel(t, "", "chaos", "status", "--json")
	var s control.State
	if err := json.Unmarshal([]byte(r.stdout), &s); err != nil || shape(s) != "n1 running, n2 dead; n1>n2" || s.Nodes[0].PID != pid {
		t.Errorf("--json: %v\n%s", err, r.stdout)
	}
	r = cartwheel(t, "", "chaos", "heal")
	r.expect(t, "heal", exitDone, "")
	if r = cartwheel(t, "", "chaos", "status", "--json"); !strings.Contains(r.stdout, `"cuts": []`) {
		t.Errorf("no cut is not an empty list:\n%s", r.stdout)
	}
}

func TestChaosUsage(t *testing.T) {
	t.Setenv(chaosVariable, "")
	for _, tc := range []struct {
		args  []string
		code  int
		words string
	}{
		{[]string{"kill"}, exitUsage, "arguments are missing"},
		{[]string{"kill", "n1", "n2"}, exitUsage, "too many arguments"},
		{[]string{"cut", "n1"}, exitUsage, "arguments are missing"},
		{[]string{"smash", "n1"}, exitUsage, `there is no chaos command "smash"`},
		{[]string{"heal", "--chaos-url", "localhost:1"}, exitUsage, `--chaos-url "localhost:1": use http://HOST:PORT`},
		{[]string{"heal", "--chaos-url", "http://127.0.0.1:1"}, exitFailed, "start a cluster with \"cartwheel dev --chaos\", or name what it printed as chaos with --chaos-url or CARTWHEEL_CHAOS"},
	} {
		cartwheel(t, "", append([]string{"chaos"}, tc.args...)...).expect(t, fmt.Sprint(tc.args), tc.code, "", "cartwheel: ", tc.words)
	}
	if r := cartwheel(t, "", "chaos"); r.code != exitUsage || !strings.Contains(r.stdout, "(default \"http://127.0.0.1:8107\")") {
		t.Errorf("exit code %d:\n%s", r.code, r.stdout)
	}
	// A node in its place is told apart.
	srv := httptest.NewServer(http.NotFoundHandler())
	defer srv.Close()
	cartwheel(t, "", "chaos", "kill", "n1", "--chaos-url", srv.URL).expect(t, "a node", exitFailed, "", "answered status 404, but is not what")
}

func TestChaosHTTP(t *testing.T) {
	l := sleepers(t, 2)
	port := l.url[strings.LastIndex(l.url, ":"):]
	for _, tc := range []struct {
		name, method, path, body string
		host, origin             string
		status                   int
		words                    string // of the error
	}{
		{"state", "GET", "/chaos", "", "", "", 200, ""},
		{"by name", "GET", "/chaos", "", "localhost" + port, "http://localhost" + port, 200, ""},
		{"without a body", "POST", "/chaos/heal", "", "", "", 200, ""},
		{"empty object", "POST", "/chaos/heal", "{}", "", "", 200, ""},
		{"foreign host", "GET", "/chaos", "", "evil.example" + port, "", 403, `for host \"evil.example`},
		{"foreign host on another port", "GET", "/chaos", "", "127.0.0.1:80", "", 403, "refused"},
		{"foreign page", "POST", "/chaos/kill", `{"node":"n1"}`, "", "http://evil.example", 403, "refused"},
		{"no page in particular", "POST", "/chaos/heal", "", "", "null", 403, "refused"},
		{"GET of an operation", "GET", "/chaos/heal", "", "", "", 405, "use POST for /chaos/heal"},
		{"POST of the state", "POST", "/chaos", "", "", "", 405, "use GET for /chaos"},
		{"other path", "GET", "/", "", "", "", 404, "see GET /chaos"},
		{"other operation", "POST", "/chaos/smash", "", "", "", 404, `there is no operation \"smash\"`},
		{"no node", "POST", "/chaos/kill", "", "", "", 400, "name the node"},
		{"unknown node", "POST", "/chaos/kill", `{"node":"n9"}`, "", "", 404, `there is no node \"n9\"`},
		{"wrong state", "POST", "/chaos/resume", `{"node":"n1"}`, "", "", 409, "n1 is not paused but running"},
		{"field of another operation", "POST", "/chaos/kill", `{"node":"n1","oneway":true}`, "", "", 400, "kill takes other fields"},
		{"cut with a node", "POST", "/chaos/cut", `{"node":"n1","from":"n1","to":"n2"}`, "", "", 400, "cut takes other fields"},
		{"heal with a link", "POST", "/chaos/heal", `{"from":"n1","to":"n2"}`, "", "", 400, "heal takes other fields"},
		{"unknown field", "POST", "/chaos/kill", `{"name":"n1"}`, "", "", 400, "unknown field"},
		{"no JSON", "POST", "/chaos/kill", `n1`, "", "", 400, "the body is not"},
		{"two values", "POST", "/chaos/kill", `{"node":"n1"}{"node":"n2"}`, "", "", 400, "more than one value"},
		{"too long", "POST", "/chaos/kill", `{"node":"` + strings.Repeat("x", maxChaosBody) + `"}`, "", "", 400, "too large"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			req, err := http.NewRequestWithContext(t.Context(), tc.method, l.url+tc.path, strings.NewReader(tc.body))
			if err != nil {
				t.Fatal(err)
			}
			req.Host = tc.host
			if tc.origin != "" {
				req.Header.Set("Origin", tc.origin)
			}
			resp, err := http.DefaultClient.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			body, err := io.ReadAll(resp.Body)
			if err != nil || resp.StatusCode != tc.status || resp.Header.Get("Content-Type") != "application/json" || !json.Valid(body) {
				t.Errorf("status %d, %v: %s; want %d", resp.StatusCode, err, body, tc.status)
			}
			if isError := bytes.HasPrefix(body, []byte(`{"error":"`)); isError != (tc.status != 200) || !bytes.Contains(body, []byte(tc.words)) {
				t.Errorf("answered %s, want %q", body, tc.words)
			}
			if allow := resp.Header.Get("Allow"); (tc.status == 405) != (allow != "") {
				t.Errorf("Allow: %q", allow)
			}
		})
	}
	if got := shape(l.state()); got != "n1 running, n2 running" {
		t.Errorf("a refused request did something: %s", got)
	}
}

// Who kills a node behind dev's back is reported, and how to bring the node back; what dev was
// told to do is not a death.
func TestChaosTellsDeaths(t *testing.T) {
	l := sleepers(t, 2)
	cartwheel(t, "", "chaos", "kill", "n1").expect(t, "kill", exitDone, "")
	n2 := l.nodes[1]
	if err := n2.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	<-n2.done
	cartwheel(t, "", "chaos", "start", "n2").expect(t, "start after the death", exitDone, "")
	death := fmt.Sprintf("n2 pid=%d died: signal: terminated; the others go on\n  to start it again: cartwheel chaos start n2\n", n2.cmd.Process.Pid)
	for end := time.Now().Add(10 * time.Second); !strings.Contains(l.printed(), death) && time.Now().Before(end); {
		time.Sleep(time.Millisecond) // sleep-ok: another goroutine prints, and nothing tells when
	}
	if got := strings.Replace(l.printed(), death, "", 1); got != "chaos: kill n1\nchaos: start n2\n" || got == l.printed() {
		t.Errorf("printed:\n%s", l.printed())
	}
}

// What fails at the switches is told, and tried again by the next operation.
func TestChaosSwitchesFail(t *testing.T) {
	l := sleepers(t, 2)
	f := l.nodes[0].switches.(*fakeSwitches)
	f.mu.Lock()
	f.err = fmt.Errorf("await the switches: %w", os.ErrDeadlineExceeded)
	f.mu.Unlock()
	cartwheel(t, "", "chaos", "cut", "n1", "n2").expect(t, "cut", exitFailed, "", "cartwheel: set the switches of n1: await the switches: i/o timeout")
	f.mu.Lock()
	f.err = nil
	f.mu.Unlock()
	cartwheel(t, "", "chaos", "heal").expect(t, "heal", exitDone, "")
	if got := l.inForce(); got != "" {
		t.Errorf("in force: %s", got)
	}
}

// Many clients at once: each operation is done or refused as a whole, and in the end the
// switches are what the state says.
func TestChaosConcurrently(t *testing.T) {
	l := sleepers(t, 3)
	operations := []string{"kill n1", "start n1", "restart n2", "pause n2", "resume n2", "cut n1 n2", "cut n3 n1 --one-way", "heal"}
	var wg sync.WaitGroup
	for worker := range 4 {
		wg.Go(func() {
			rng := rand.New(rand.NewPCG(1, uint64(worker)))
			for range 12 {
				op := operations[rng.IntN(len(operations))]
				r := runIn(t.Context(), "", append([]string{"chaos"}, strings.Fields(op)...)...)
				if r.code != exitDone && (r.code != exitFailed || !strings.Contains(r.stderr, " is ")) {
					t.Errorf("%s: exit code %d, %s", op, r.code, r.stderr)
				}
			}
		})
	}
	wg.Wait()
	for _, n := range l.state().Nodes {
		switch n.State {
		case control.Paused:
			cartwheel(t, "", "chaos", "resume", n.Name).expect(t, "resume", exitDone, "")
		case control.Dead:
			cartwheel(t, "", "chaos", "start", n.Name).expect(t, "start", exitDone, "")
		}
	}
	_, want, _ := strings.Cut(shape(l.state()), "; ")
	if got := l.inForce(); got != want {
		t.Errorf("in force %q, want %q", got, want)
	}
}

// A node that ends while its switches are set is said to have ended.
func TestChaosNodeEndsAtItsStart(t *testing.T) {
	l := sleepers(t, 1)
	cartwheel(t, "", "chaos", "kill", "n1").expect(t, "kill", exitDone, "")
	good := l.start
	l.start = func(i int) (*devNode, error) {
		n, err := good(i)
		if err == nil {
			n.switches = &fakeSwitches{busy: &atomic.Bool{}, err: errors.New("broken pipe")}
			err = n.cmd.Process.Signal(syscall.SIGTERM)
		}
		return n, err
	}
	cartwheel(t, "", "chaos", "start", "n1").expect(t, "start", exitFailed, "", "cartwheel: n1 has ended (signal: terminated); its messages say why")
}
