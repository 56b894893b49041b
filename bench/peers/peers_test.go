package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"cartwheel/bench/peers/system"
)

// scratch is a directory for all tests; TestMain makes and removes it.
var scratch string

// build returns a Cartwheel binary, made once, when the first test wants it.
var build = sync.OnceValues(func() (string, error) {
	o := options{plan: plan{dir: scratch, log: os.Stderr}}
	return o.binary(context.Background())
})

func TestMain(m *testing.M) {
	var err error
	if scratch, err = os.MkdirTemp("", "cartwheel-peers-test-"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	code := m.Run()
	os.RemoveAll(scratch)
	os.Exit(code)
}

// A short comparison with the real servers: every operation of every system has figures,
// without errors, and nothing is left behind.
func TestComparison(t *testing.T) {
	if testing.Short() {
		t.Skip("-short: real servers take seconds to start")
	}
	systems := "cartwheel"
	for _, peer := range []string{"etcd", "redis"} {
		if k := kinds()[peer]; installed(k.program) {
			systems += "," + peer
		} else {
			t.Logf("without %s: install %s", peer, k.debian)
		}
	}
	if systems == "cartwheel" {
		t.Skip("neither etcd nor redis-server is installed; on Debian: apt-get install etcd-server redis-server")
	}
	binary, err := build()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	file := filepath.Join(t.TempDir(), "peers.json")
	var stdout, stderr bytes.Buffer
	code := run(t.Context(), []string{"--cartwheel", binary, "--systems", systems, "--rounds", "1", "--for", "300ms", "--warm-up", "50ms",
		"--tail", "200ms", "--clients", "4", "--keys", "50", "--bytes", "100", "--dir", dir, "--json", file}, &stdout, &stderr)
	if code != 0 {
		t.Fatalf("exit code %d\n%s%s", code, stdout.String(), stderr.String())
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var r Report
	if err := json.Unmarshal(text, &r); err != nil {
		t.Fatal(err)
	}
	_, statErr := os.Stat("/proc/self/stat")
	want := map[string]int{"cartwheel": 5, "etcd": 5, "redis": 4}
	for _, s := range r.Systems {
		mine := 0
		for _, sample := range r.Samples {
			if sample.System != s.Name {
				continue
			}
			mine++
			if sample.Count == 0 || sample.Rate <= 0 || sample.P50 <= 0 || sample.P99 < sample.P50 || sample.Errors != 0 {
				t.Errorf("%+v", sample)
			}
		}
		if mine != want[s.Name] {
			t.Errorf("%s has %d samples, want %d", s.Name, mine, want[s.Name])
		}
		if len(s.Commands) != 3 || s.Version == "" {
			t.Errorf("%s was run as %q, version %q", s.Name, s.Commands, s.Version)
		}
		put := pick(r.Samples, s.Name, system.Put, phaseMax)
		if statErr == nil && len(put) == 1 && put[0].ServerCPU <= 0 {
			t.Errorf("%s used no processor time", s.Name)
		}
	}
	if len(r.Missing) > 0 || len(r.Systems) != strings.Count(systems, ",")+1 {
		t.Errorf("missing: %v", r.Missing)
	}
	empty(t, dir)
}

// When the program is interrupted, servers end and directories go.
func TestInterrupted(t *testing.T) {
	if testing.Short() {
		t.Skip("-short: real servers take seconds to start")
	}
	binary, err := build()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	o, err := parse([]string{"--cartwheel", binary, "--systems", "cartwheel", "--for", "1m", "--warm-up", "0s", "--clients", "4", "--keys", "10", "--dir", dir}, os.Stderr)
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	var log bytes.Buffer
	go func() {
		_, err := o.run(ctx, &log)
		ended <- err
	}()
	nodes := filepath.Join(dir, "cartwheel-peers-*", "round1", "cartwheel", "n3", "*")
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	limit := time.After(20 * time.Second)
	for started := false; !started; {
		select {
		case <-tick.C:
			files, err := filepath.Glob(nodes)
			started = err != nil || len(files) > 0
		case err := <-ended:
			t.Fatalf("ended by itself: %v\n%s", err, log.String())
		case <-limit:
			cancel()
			t.Fatalf("no server started: %v\n%s", <-ended, log.String())
		}
	}
	cancel()
	select {
	case err := <-ended:
		if err == nil {
			t.Error("no error although it was interrupted")
		}
	case <-time.After(20 * time.Second):
		t.Fatal("it goes on after it was interrupted")
	}
	empty(t, dir)
	if out, err := exec.Command("pgrep", "-f", dir).Output(); err == nil && len(out) > 0 {
		t.Errorf("servers are left: %s", out)
	}
}

func installed(program string) bool { _, err := exec.LookPath(program); return err == nil }

func empty(t *testing.T, dir string) {
	t.Helper()
	left, err := os.ReadDir(dir)
	if err != nil || len(left) > 0 {
		t.Errorf("left in the data directory: %v, %v", left, err)
	}
}
