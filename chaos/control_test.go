package chaos

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"cartwheel/transport"
)

// childVariable makes the test binary a child that follows its switches.
const childVariable = "CARTWHEEL_CHAOS_TEST_CHILD"

func TestMain(m *testing.M) {
	if os.Getenv(childVariable) != "" {
		os.Exit(child())
	}
	os.Exit(m.Run())
}

// child prints, for each line on its standard input, which peers it is cut from now.
func child() int {
	in, err := Inherit(os.Getenv(Variable), "127.0.0.1:1")
	if err != nil {
		fmt.Println(err)
		return 1
	}
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		var cut []string
		for _, peer := range []string{"a:1", "b:1", "c:1"} {
			if in.Network().blocked(peer) != nil {
				cut = append(cut, peer)
			}
		}
		fmt.Println(strings.Join(cut, " "))
	}
	if err := errors.Join(in.Close(), in.Close()); err != nil {
		fmt.Println(err)
		return 1
	}
	return 0
}

// A state is in force in the child when Set returns.
func TestControl(t *testing.T) {
	if testing.Short() {
		t.Skip("starts a process")
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), childVariable+"=1")
	c, err := Attach(cmd)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	err = cmd.Start()
	c.Started()
	if err != nil {
		t.Fatal(err)
	}
	defer cmd.Process.Kill()
	answers := bufio.NewReader(stdout)
	for _, peers := range [][]string{{"b:1"}, {"a:1", "c:1"}, nil, {"c:1"}} {
		if err := c.Set(peers, 10*time.Second); err != nil {
			t.Fatal(err)
		}
		if _, err := stdin.Write([]byte("?\n")); err != nil {
			t.Fatal(err)
		}
		if got, err := answers.ReadString('\n'); err != nil || strings.TrimSpace(got) != strings.Join(peers, " ") {
			t.Errorf("cut from %q, %v; want %q", got, err, peers)
		}
	}
	stdin.Close()
	if err := cmd.Wait(); err != nil {
		t.Errorf("the child: %v", err)
	}
	if err := c.Set(nil, 10*time.Second); err == nil {
		t.Error("Set succeeds in a child that has ended")
	}
	if err := errors.Join(c.Close(), c.Close()); err != nil {
		t.Error(err)
	}
}

// pipes returns a controller whose child is the test itself.
func pipes(t *testing.T) (c *Controller, states *bufio.Reader, receipts *os.File) {
	t.Helper()
	cmd := exec.Command("unused")
	c, err := Attach(cmd)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	want := Variable + "=3,4"
	if len(cmd.ExtraFiles) != 2 || !slices.Contains(cmd.Env, want) {
		t.Fatalf("%d files, environment without %s", len(cmd.ExtraFiles), want)
	}
	return c, bufio.NewReader(cmd.ExtraFiles[0]), cmd.ExtraFiles[1]
}

// A child that does not answer is waited for so long and no longer; what it answers
// later is not taken for the answer to something else.
func TestControllerLateReceipt(t *testing.T) {
	c, states, receipts := pipes(t)
	if err := c.Set([]string{"a:1"}, time.Millisecond); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("Set = %v, want a timeout", err)
	}
	answer := func(seq uint64, cut ...string) {
		line, err := states.ReadBytes('\n')
		var s state
		if err != nil || json.Unmarshal(line, &s) != nil || s.Seq != seq || !slices.Equal(s.Cut, cut) {
			t.Errorf("state %s, %v; want number %d, %v", line, err, seq, cut)
		}
		fmt.Fprintf(receipts, `{"seq":%d}`+"\n", seq)
	}
	answer(1, "a:1")
	if err := c.Set([]string{"b:1"}, 10*time.Millisecond); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("the receipt of another state is taken: %v", err)
	}
	answer(2, "b:1")
	got := make(chan error, 1)
	go func() { got <- c.Set([]string{"c:1"}, 10*time.Second) }()
	answer(3, "c:1")
	if err := <-got; err != nil {
		t.Error(err)
	}
}

func TestControllerRefusal(t *testing.T) {
	c, _, receipts := pipes(t)
	fmt.Fprintln(receipts, `{"seq":0,"error":"no"}`)
	if err := c.Set(nil, 10*time.Second); err == nil || !strings.Contains(err.Error(), "no") {
		t.Errorf("Set = %v", err)
	}
	fmt.Fprintln(receipts, "gibberish")
	if err := c.Set(nil, 10*time.Second); err == nil {
		t.Error("gibberish is taken for a receipt")
	}
	fmt.Fprint(receipts, `{"seq":`)
	if err := c.Set(nil, 10*time.Millisecond); err == nil {
		t.Error("half a line is taken for a receipt")
	}
	fmt.Fprint(receipts, "4}\n")
	if err := c.Set(nil, 10*time.Second); err == nil {
		t.Error("half a line is forgotten")
	}
}

func TestInheritRefuses(t *testing.T) {
	file, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	const noNumber = "is not the number of an inherited descriptor"
	for fds, why := range map[string]string{
		"": noNumber, "3": "", "x,y": noNumber, "0,1": noNumber, "-1,-2": noNumber, "9998,9999": "bad file descriptor",
		fmt.Sprintf("%d,%d", file.Fd(), file.Fd()): "is not a pipe",
	} {
		in, err := Inherit(fds, "127.0.0.1:1")
		if err == nil {
			in.Close()
			t.Errorf("Inherit(%q) succeeds", fds)
			continue
		}
		for _, want := range []string{Variable + "=" + fds, "unset it", why} {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("Inherit(%q) = %v: it lacks %q", fds, err, want)
			}
		}
	}
}

func FuzzObey(f *testing.F) {
	for _, s := range []string{`{"seq":1,"cut":["a:1"]}`, `{"seq":2}`, `{}`, `{"seq":-1}`, `[`, ``, `null`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, line []byte) {
		n, err := New(transport.TCP(), "127.0.0.1:1")
		if err != nil {
			t.Fatal(err)
		}
		n.Set([]string{"before:1"})
		answer, err := n.obey(line)
		var r receipt
		if json.Unmarshal(answer, &r) != nil || !strings.HasSuffix(string(answer), "\n") || strings.Count(string(answer), "\n") != 1 {
			t.Fatalf("answer %q is not one line of JSON", answer)
		}
		if (err == nil) != (r.Seq > 0) || (err == nil) != (r.Error == "") {
			t.Errorf("%v, answer %s", err, answer)
		}
		if err != nil && n.blocked("before:1") == nil {
			t.Error("a line that cannot be read changed something")
		}
	})
}
