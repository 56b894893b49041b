package main

import (
	"context"
	"fmt"
	"maps"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"cartwheel/bench/peers/system"
)

// kind is a system that --systems can name.
type kind struct {
	program string // its server; empty: Cartwheel's, which is built
	debian  string // the package that has it
	tail    bool   // it also gets the tail phase
	open    func(ctx context.Context, name, program string) (*system.System, error)
}

func cartwheelKind(durability string, goClient, tail bool) kind {
	return kind{tail: tail, open: func(ctx context.Context, name, program string) (*system.System, error) {
		return system.Cartwheel(ctx, system.CartwheelConfig{Name: name, Program: program, Durability: durability, GoClient: goClient})
	}}
}

func etcdKind(shared bool) kind {
	return kind{"etcd", "etcd-server", true, func(ctx context.Context, name, program string) (*system.System, error) {
		return system.Etcd(ctx, system.EtcdConfig{Name: name, Program: program, Shared: shared})
	}}
}

func kinds() map[string]kind {
	return map[string]kind{
		"cartwheel":    cartwheelKind("fsync", false, true),
		"cartwheel-go": cartwheelKind("fsync", true, false),
		"cartwheel-os": cartwheelKind("os", false, false),
		"etcd":         etcdKind(false),
		"etcd-shared":  etcdKind(true),
		"redis": {"redis-server", "redis-server", true, func(ctx context.Context, name, program string) (*system.System, error) {
			return system.Redis(ctx, name, program)
		}},
	}
}

// absent says that the program is not there, nil if it is.
func (k kind) absent() error {
	if k.program == "" {
		return nil
	}
	if _, err := exec.LookPath(k.program); err != nil {
		return fmt.Errorf("%s is not installed; on Debian: apt-get install %s", k.program, k.debian)
	}
	return nil
}

const allSystems = "cartwheel,cartwheel-go,cartwheel-os,etcd,etcd-shared,redis"

// find sets the systems that can be run, and returns why the others of the wanted ones cannot.
func (o *options) find(ctx context.Context) (missing []string, err error) {
	o.tail = map[string]bool{}
	known := kinds()
	wanted := strings.Split(o.only, ",")
	var need []kind
	for i, name := range wanted {
		k, ok := known[name]
		if !ok || slices.Contains(wanted[:i], name) {
			return nil, fmt.Errorf("--systems %q: name each once, of %s", name, strings.Join(slices.Sorted(maps.Keys(known)), ", "))
		}
		need = append(need, k)
	}
	for i, name := range wanted {
		k := need[i]
		program, err := k.program, k.absent()
		if program == "" {
			program, err = o.binary(ctx)
		}
		var s *system.System
		if err == nil {
			s, err = k.open(ctx, name, program)
		}
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		if err != nil {
			missing = append(missing, name+": "+err.Error())
			fmt.Fprintln(o.log, missing[len(missing)-1])
			continue
		}
		o.systems, o.tail[name] = append(o.systems, s), k.tail
	}
	return missing, nil
}

// binary returns the path of Cartwheel's binary, which it builds unless one was given.
func (o *options) binary(ctx context.Context) (string, error) {
	if o.cartwheel == "" {
		to := filepath.Join(o.dir, "cartwheel-binary")
		fmt.Fprintln(o.log, "building cartwheel")
		out, err := exec.CommandContext(ctx, "go", "build", "-trimpath", "-o", to, "cartwheel/cmd/cartwheel").CombinedOutput()
		if err != nil {
			return "", fmt.Errorf("build cartwheel (or give a binary with --cartwheel): %w\n%s", err, out)
		}
		o.cartwheel = to
	}
	return filepath.Abs(o.cartwheel) // servers run in directories of their own
}
