package system

import (
	"context"
	"fmt"
	"strings"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"cartwheel/bench/peers/drive"
)

// etcdDialTimeout is how long a first connection may take.
const etcdDialTimeout = 5 * time.Second

// EtcdConfig says which etcd.
type EtcdConfig struct {
	Name    string // in tables
	Program string
	// Shared has all clients of a member share one Go client, which puts their requests on one
	// connection: cheaper for both sides than a connection each.
	Shared bool
}

// Etcd returns the system.
func Etcd(ctx context.Context, cfg EtcdConfig) (*System, error) {
	version, err := firstLine(ctx, cfg.Program, "--version")
	if err != nil {
		return nil, err
	}
	clients := "its Go client, one connection per client"
	if cfg.Shared {
		clients = "its Go client, one connection per member, shared by the clients"
	}
	return &System{
		Name: cfg.Name, Version: version, Setting: "3 members; " + clients,
		Ops: []Op{
			{Put, "put", "fsynced in the raft log of 2 of 3 members and applied; linearizable, one order for all keys; needs a leader"},
			{GetQuorum, "get (linearizable)", "linearizable: a majority has confirmed that nothing newer is committed"},
			{GetOne, "get (serializable)", "one member's copy: may be stale"},
		},
		start: func(ctx context.Context, c *Cluster) error { return startEtcd(ctx, c, cfg) },
	}, nil
}

func startEtcd(ctx context.Context, c *Cluster, cfg EtcdConfig) error {
	ports, err := freePorts(6)
	if err != nil {
		return err
	}
	web, peers := ports[:3], ports[3:]
	var members []string
	for i, addr := range peers {
		members = append(members, fmt.Sprintf("e%d=http://%s", i+1, addr))
	}
	for i := range web {
		name := fmt.Sprintf("e%d", i+1)
		if err := c.launch(name, cfg.Program, "--name", name, "--data-dir", c.dir+"/"+name,
			"--listen-client-urls", "http://"+web[i], "--advertise-client-urls", "http://"+web[i],
			"--listen-peer-urls", "http://"+peers[i], "--initial-advertise-peer-urls", "http://"+peers[i],
			"--initial-cluster", strings.Join(members, ","), "--initial-cluster-state", "new"); err != nil {
			return err
		}
	}
	for _, addr := range web {
		if err := await(ctx, c.processes, says("http://"+addr+"/health", `"true"`)); err != nil {
			return err
		}
	}
	var opened []*clientv3.Client
	c.connect = func(i int) (session, error) {
		if !cfg.Shared || i < len(web) {
			one, err := clientv3.New(clientv3.Config{Endpoints: []string{"http://" + web[i%len(web)]}, DialTimeout: etcdDialTimeout})
			if err != nil {
				return nil, err
			}
			opened = append(opened, one)
			c.closers = append(c.closers, one.Close)
		}
		return &etcdSession{opened[i%len(opened)], c.work}, nil
	}
	return nil
}

// etcdSession is a Go client, perhaps shared.
type etcdSession struct {
	kv   clientv3.KV
	work Work
}

func (e *etcdSession) do(op string) (drive.Client, error) {
	value := string(e.work.Value)
	get := func(options ...clientv3.OpOption) drive.Client {
		return func(ctx context.Context, key int) error {
			resp, err := e.kv.Get(ctx, Key(key), options...)
			if err == nil && (len(resp.Kvs) != 1 || len(resp.Kvs[0].Value) != len(value)) {
				err = fmt.Errorf("%d values or one of another size than %d", len(resp.Kvs), len(value))
			}
			return err
		}
	}
	switch op {
	case Put:
		return func(ctx context.Context, key int) error {
			_, err := e.kv.Put(ctx, Key(key), value)
			return err
		}, nil
	case GetQuorum:
		return get(), nil
	case GetOne:
		return get(clientv3.WithSerializable()), nil
	}
	return nil, errNoOp("etcd", op)
}

func (e *etcdSession) Close() error { return nil } // the cluster closes the Go clients
