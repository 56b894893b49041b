package main

import (
	"io"
	"strings"
	"testing"

	"cartwheel/bench/peers/system"
)

// In as many rounds as there are systems, each is first once, second once, and so on.
func TestOrderRotates(t *testing.T) {
	p := plan{}
	for _, name := range []string{"a", "b", "c", "d"} {
		p.systems = append(p.systems, &system.System{Name: name})
	}
	for place := range p.systems {
		seen := map[string]bool{}
		for round := range p.systems {
			turn := p.order(round)
			if len(turn) != len(p.systems) {
				t.Fatalf("round %d has %d systems", round, len(turn))
			}
			seen[turn[place].Name] = true
		}
		if len(seen) != len(p.systems) {
			t.Errorf("place %d was taken by %v only", place, seen)
		}
	}
}

func TestParse(t *testing.T) {
	o, err := parse([]string{"--rounds", "2"}, io.Discard)
	if err != nil || o.rounds != 2 || o.clients != 64 || o.keys != 10_000 || o.bytes != 1024 {
		t.Errorf("%+v, %v", o, err)
	}
	for _, args := range [][]string{{"--rounds", "0"}, {"--clients", "-1"}, {"--for", "0s"}, {"--tail", "-1s"}, {"extra"}, {"--nonsense"}} {
		if _, err := parse(args, io.Discard); err == nil {
			t.Errorf("%v: no error", args)
		}
	}
	for _, only := range []string{"mysql", "etcd,etcd", ""} {
		o := &options{only: only}
		o.log = io.Discard
		if _, err := o.find(t.Context()); err == nil {
			t.Errorf("--systems %q: no error", only)
		}
	}
}

// TestAbsent: a server that is not there is named with the package that has it.
func TestAbsent(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	if err := kinds()["etcd"].absent(); err == nil || !strings.Contains(err.Error(), "apt-get install etcd-server") {
		t.Errorf("etcd: %v", err)
	}
	if err := kinds()["cartwheel"].absent(); err != nil {
		t.Errorf("cartwheel is built, not looked for: %v", err)
	}
}

func TestMountType(t *testing.T) {
	const mounts = "/dev/a / ext4 rw 0 0\ntmpfs /tmp tmpfs rw 0 0\n/dev/b /tmp/x xfs rw 0 0\nbad\n/dev/c /tmp/x btrfs rw 0 0\n"
	for dir, want := range map[string]string{"/": "ext4", "/home": "ext4", "/tmp": "tmpfs", "/tmpfoo": "ext4", "/tmp/y": "tmpfs", "/tmp/x/z": "btrfs"} {
		if got := mountType(mounts, dir); got != want {
			t.Errorf("%s is on %s, want %s", dir, got, want)
		}
	}
	if got := mountType("", "/"); got != "" {
		t.Errorf("no mounts: %q", got)
	}
}

func TestField(t *testing.T) {
	const text = "processor\t: 0\nmodel name\t: A CPU: fast\nMemTotal:  12 kB\n"
	for name, want := range map[string]string{"model name": "A CPU: fast", "MemTotal": "12 kB", "flags": ""} {
		if got := field([]byte(text), name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
}
