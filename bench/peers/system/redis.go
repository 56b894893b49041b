package system

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"cartwheel/bench/peers/drive"
)

// waitFor is how long WAIT may take for the replica's acknowledgement. On a disk that others keep busy one
// fsync took more than 100 ms.
const waitFor = time.Second

var errNoReplica = errors.New("no replica acknowledged in time")

// Redis returns the system whose server is program.
func Redis(ctx context.Context, name, program string) (*System, error) {
	version, err := firstLine(ctx, program, "--version")
	if err != nil {
		return nil, err
	}
	return &System{
		Name: name, Version: version, Setting: "1 primary, 2 replicas, appendonly yes, appendfsync always; its Go client, one connection per client",
		Ops: []Op{
			{Put, "SET + WAIT 1", "fsynced by the primary and in the memory of 1 replica; replication and failover are asynchronous, so a failover can lose acknowledged writes; all writes on one primary"},
			{GetQuorum, "GET from the primary", "the primary's copy: newest, except on a primary that was replaced and does not know it yet"},
		},
		start: func(ctx context.Context, c *Cluster) error { return startRedis(ctx, c, program) },
	}, nil
}

func startRedis(ctx context.Context, c *Cluster, program string) error {
	addrs, err := freePorts(3)
	if err != nil {
		return err
	}
	primary := addrs[0]
	host, primaryPort, err := net.SplitHostPort(primary)
	if err != nil {
		return err
	}
	for i, addr := range addrs {
		name := fmt.Sprintf("r%d", i+1)
		_, port, err := net.SplitHostPort(addr)
		if err != nil {
			return err
		}
		dir := filepath.Join(c.dir, name)
		if err := os.Mkdir(dir, 0o700); err != nil {
			return fmt.Errorf("make a directory for %s: %w", name, err)
		}
		args := []string{"--bind", host, "--port", port, "--dir", dir, "--appendonly", "yes", "--appendfsync", "always",
			"--repl-diskless-sync-delay", "0"} // of the start alone: replicas need not wait for each other
		if i > 0 {
			args = append(args, "--replicaof", host, primaryPort)
		}
		if err := c.launch(name, program, args...); err != nil {
			return err
		}
	}
	var probes []*redis.Client
	for _, addr := range addrs {
		probe := redis.NewClient(redisOptions(addr))
		defer probe.Close()
		probes = append(probes, probe)
	}
	c.connect = func(int) (session, error) {
		return &redisSession{redis.NewClient(redisOptions(primary)), c.work}, nil
	}
	return await(ctx, c.processes, func(ctx context.Context) error { return redisReady(ctx, probes) })
}

// redisReady returns nil once every replica acknowledges writes. A replica that has just
// copied its primary rewrites its log, and fsyncs nothing else meanwhile.
func redisReady(ctx context.Context, servers []*redis.Client) error {
	for _, s := range servers {
		info, err := s.Info(ctx, "persistence").Result()
		if err != nil {
			return err
		}
		if !strings.Contains(info, "aof_rewrite_in_progress:0") || !strings.Contains(info, "aof_rewrite_scheduled:0") || !strings.Contains(info, "loading:0") {
			return errors.New("a server still loads or rewrites its log")
		}
	}
	replicas := len(servers) - 1
	both := servers[0].Pipeline()
	both.Set(ctx, "ready", "?", 0)
	acknowledged := both.Do(ctx, "wait", replicas, time.Second.Milliseconds())
	if _, err := both.Exec(ctx); err != nil {
		return err
	}
	if n, err := acknowledged.Int(); err != nil || n < replicas {
		return errors.Join(fmt.Errorf("%d of %d replicas acknowledge writes", n, replicas), err)
	}
	return nil
}

// redisOptions are those of one connection that never repeats a request by itself.
func redisOptions(addr string) *redis.Options {
	return &redis.Options{Addr: addr, PoolSize: 1, MaxRetries: -1}
}

type redisSession struct {
	*redis.Client
	work Work
}

func (r *redisSession) do(op string) (drive.Client, error) {
	switch op {
	case Put:
		// One round trip for both, as its users would.
		return func(ctx context.Context, key int) error {
			both := r.Pipeline()
			both.Set(ctx, Key(key), r.work.Value, 0)
			replicas := both.Do(ctx, "wait", 1, waitFor.Milliseconds())
			if _, err := both.Exec(ctx); err != nil {
				return err
			}
			if n, err := replicas.Int(); err != nil || n < 1 {
				return errors.Join(errNoReplica, err)
			}
			return nil
		}, nil
	case GetQuorum:
		return func(ctx context.Context, key int) error {
			value, err := r.Get(ctx, Key(key)).Bytes()
			if err == nil && len(value) != len(r.work.Value) {
				err = fmt.Errorf("a value of %d bytes, want %d", len(value), len(r.work.Value))
			}
			return err
		}, nil
	}
	return nil, errNoOp("redis", op)
}
