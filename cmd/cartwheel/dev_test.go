package main

import (
	"bytes"
	"os"
	"os/exec"
	"slices"
	"testing"
)

// A death comes with the command that brings the node back, alone and ready to paste.
func TestDevNamesTheRestart(t *testing.T) {
	n := &devNode{name: "n2", cmd: exec.Command("/opt/a b/cartwheel", "serve", "--name", "n2", "--data", "/d/it's/n2", "--http", "127.0.0.1:1", untilStdinCloses, "--join", ""), done: make(chan struct{})}
	n.cmd.Process = &os.Process{Pid: 7}
	close(n.done)
	var out bytes.Buffer
	if err := watchNodes(t.Context(), []*devNode{n}, &out); err == nil {
		t.Error("no error although all nodes have died")
	}
	want := `n2 pid=7 died: exit status 0; the others go on
  to start it again: '/opt/a b/cartwheel' serve --name n2 --data '/d/it'\''s/n2' --http 127.0.0.1:1 --join ''
  dev does not watch a node started so: stop it by hand
`
	if out.String() != want {
		t.Errorf("got\n%s\nwant\n%s", out.String(), want)
	}
}

// The nodes are told of the cluster's default only if it is not the program's.
func TestDevPassesOnAllowMult(t *testing.T) {
	cmd := newDevCmd()
	if v := cmd.Flags().Lookup("default-allow-mult").DefValue; v != "true" {
		t.Errorf("default-allow-mult is %s by default", v)
	}
	for i := range 2 {
		for _, keep := range []bool{true, false} {
			args := devOptions{port: 1000, allowMult: keep}.serveArgs(&devNode{}, i)
			if got := slices.Contains(args, "--default-allow-mult=false"); got == keep {
				t.Errorf("node %d, allow_mult %v: %q", i, keep, args)
			}
		}
	}
}
