package e2e

import (
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
)

// relaxedSlack is the timer slack of a node's threads in nanoseconds, as the kernel prints it.
const relaxedSlack = "1000000"

// TestServeRelaxesItsTimers: every thread of a serving node has the slack, also those that the
// program had before it could ask for it, and the process is the one that was started: whoever
// supervises a node knows it by its id.
func TestServeRelaxesItsTimers(t *testing.T) {
	t.Parallel()
	if runtime.GOOS != "linux" {
		t.Skip("timer slack is of Linux only")
	}
	if _, err := os.ReadFile("/proc/self/timerslack_ns"); errors.Is(err, fs.ErrNotExist) {
		t.Skip("this kernel does not show timer slack: ", err)
	}
	n := lab.Node(t, "n1", filepath.Join(t.TempDir(), "n1"))
	n.Start(t)
	n.AwaitReady(t)
	// Work on several connections, so that there are threads that were made late.
	done := make(chan error)
	const clients = 8
	for i := range clients {
		go func() { done <- putOne(n, fmt.Sprint("key-", i)) }()
	}
	for range clients {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	threads, err := slackOf(n.Pid())
	if errors.Is(err, fs.ErrPermission) {
		t.Skip("timer slack of another process may not be read here: ", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	if len(threads) < 2 {
		t.Errorf("process %d has the threads %v, want several: is it the node?", n.Pid(), threads)
	}
	for tid, slack := range threads {
		if slack != relaxedSlack {
			t.Errorf("thread %s has a timer slack of %s ns, want %s", tid, slack, relaxedSlack)
		}
	}
	if _, ok := threads[strconv.Itoa(n.Pid())]; !ok {
		t.Errorf("process %d has no thread of its own id: %v", n.Pid(), threads)
	}
}

// slackOf returns the timer slack of each thread of a process, by the thread's id. A thread may end
// meanwhile; it is left out.
func slackOf(pid int) (map[string]string, error) {
	tasks, err := os.ReadDir(fmt.Sprintf("/proc/%d/task", pid))
	if err != nil {
		return nil, err
	}
	slack := map[string]string{}
	for _, task := range tasks {
		b, err := os.ReadFile("/proc/" + task.Name() + "/timerslack_ns")
		switch {
		case errors.Is(err, fs.ErrNotExist):
		case err != nil:
			return nil, err
		default:
			slack[task.Name()] = strings.TrimSpace(string(b))
		}
	}
	return slack, nil
}

func putOne(n *Node, key string) error {
	req, err := http.NewRequest(http.MethodPut, "http://"+n.HTTP+"/buckets/b/keys/"+key, strings.NewReader("v"))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "text/plain")
	resp, err := lab.HTTP.Do(req)
	if err != nil {
		return err
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusNoContent {
		return fmt.Errorf("write of %s: %s", key, resp.Status)
	}
	return nil
}
