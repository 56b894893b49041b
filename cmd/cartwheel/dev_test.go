package main

import (
	"bytes"
	"os"
	"os/exec"
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
