package system

import (
	"context"
	"fmt"
	"net/http"

	"cartwheel/bench/load"
	"cartwheel/bench/peers/drive"
	"cartwheel/client"
)

const (
	cartwheelBucket = "peers"
	// cartwheelProps keeps one value per key, so that objects keep their size.
	cartwheelProps = `{"props":{"allow_mult":false}}`
)

// CartwheelConfig says which Cartwheel.
type CartwheelConfig struct {
	Name       string // in tables
	Program    string
	Durability string // "fsync" or "os"
	// GoClient takes the Go client, shared by all clients, instead of a plain HTTP/1.1
	// connection each.
	GoClient bool
}

// Cartwheel returns the system.
func Cartwheel(ctx context.Context, cfg CartwheelConfig) (*System, error) {
	version, err := firstLine(ctx, cfg.Program, "version")
	if err != nil {
		return nil, err
	}
	clients := "one plain HTTP/1.1 connection per client"
	if cfg.GoClient {
		clients = "its Go client, one for all clients"
	}
	acked := "fsynced by 2 of 3 replicas"
	if cfg.Durability != "fsync" {
		acked = "in the page cache of 2 of 3 replicas, so a power cut can lose it"
	}
	return &System{
		Name: cfg.Name, Version: version,
		Setting: "3 nodes, N=3, durability=" + cfg.Durability + ", bucket with allow_mult=false; " + clients,
		Ops: []Op{
			{Put, "PUT W=2", acked + "; eventually consistent, not linearizable; of concurrent writes the last one wins (allow_mult=false); no leader, any node takes it"},
			{GetQuorum, "GET R=2", "newest of 2 of 3 replicas: with W=2 sees every acknowledged write, unless a fallback stood in for a replica; not linearizable"},
			{GetOne, "GET R=1", "one replica's copy: may be stale"},
		},
		start: func(ctx context.Context, c *Cluster) error { return startCartwheel(ctx, c, cfg) },
	}, nil
}

func startCartwheel(ctx context.Context, c *Cluster, cfg CartwheelConfig) error {
	ports, err := freePorts(6)
	if err != nil {
		return err
	}
	web, peers := ports[:3], ports[3:]
	for i := range web {
		name := fmt.Sprintf("n%d", i+1)
		args := []string{"serve", "--name", name, "--data", c.dir + "/" + name, "--http", web[i], "--peer", peers[i],
			"--expect", "3", "--durability", cfg.Durability}
		if i > 0 {
			args = append(args, "--join", peers[0])
		}
		if err := c.launch(name, cfg.Program, args...); err != nil {
			return err
		}
	}
	for _, addr := range web {
		if err := await(ctx, c.processes, says("http://"+addr+"/readyz", "")); err != nil {
			return err
		}
	}
	const props = "/buckets/" + cartwheelBucket + "/props"
	if _, err := ask(ctx, http.MethodPut, "http://"+web[0]+props, cartwheelProps); err != nil {
		return fmt.Errorf("set the bucket's properties: %w", err)
	}
	for _, addr := range web { // every node has to know them before the first write
		if err := await(ctx, c.processes, says("http://"+addr+props, `"allow_mult":false`)); err != nil {
			return err
		}
	}
	if !cfg.GoClient {
		c.connect = func(i int) (session, error) {
			return &rawSession{ctx: ctx, addr: web[i%len(web)], work: c.work}, nil
		}
		return nil
	}
	shared, err := client.New(client.Config{Endpoints: web, Retries: -1})
	if err != nil {
		return err
	}
	c.closers = append(c.closers, func() error { shared.Close(); return nil })
	c.connect = func(int) (session, error) { return &goSession{shared, c.work}, nil }
	return nil
}

// rawSession has one connection, for one operation at a time.
type rawSession struct {
	ctx  context.Context // of dialing; ends with the cluster's user
	addr string
	work Work
	conn *load.Conn
}

func (r *rawSession) do(op string) (drive.Client, error) {
	config := load.ConnConfig{Bucket: cartwheelBucket}
	switch op {
	case Put:
		config.PutQuery = "w=2"
	case GetQuorum:
		config.GetQuery = "r=2"
	case GetOne:
		config.GetQuery = "r=1"
	default:
		return nil, errNoOp("cartwheel", op)
	}
	if err := r.dial(config); err != nil {
		return nil, err
	}
	return func(_ context.Context, key int) error {
		if !r.conn.Usable() {
			if err := r.dial(config); err != nil {
				return err
			}
		}
		if op == Put {
			answer, err := r.conn.Put(Key(key), r.work.Value, nil)
			return expect(answer, err, http.StatusNoContent, 0)
		}
		answer, err := r.conn.Get(Key(key))
		return expect(answer, err, http.StatusOK, len(r.work.Value))
	}, nil
}

// dial replaces the connection.
func (r *rawSession) dial(config load.ConnConfig) error {
	if err := r.Close(); err != nil {
		return err
	}
	conn, err := load.Dial(r.ctx, r.addr, config)
	if err == nil {
		r.conn = conn
	}
	return err
}

func (r *rawSession) Close() error {
	if r.conn == nil {
		return nil
	}
	return r.conn.Close()
}

func expect(a load.Answer, err error, status, size int) error {
	if err == nil && (a.Status != status || len(a.Body) != size) {
		err = fmt.Errorf("status %d with %d bytes, want %d with %d", a.Status, len(a.Body), status, size)
	}
	return err
}

// goSession is the Go client.
type goSession struct {
	shared *client.Client
	work   Work
}

func (g *goSession) do(op string) (drive.Client, error) {
	name := func(key int) client.Key { return client.Key{Bucket: cartwheelBucket, Key: Key(key)} }
	var quorum client.Quorum
	switch op {
	case Put:
		return func(ctx context.Context, key int) error {
			_, err := g.shared.Put(ctx, name(key), client.Value{Body: g.work.Value}, client.PutOptions{Quorum: client.Quorum{W: "2"}})
			return err
		}, nil
	case GetQuorum:
		quorum.R = "2"
	case GetOne:
		quorum.R = "1"
	default:
		return nil, errNoOp("cartwheel", op)
	}
	return func(ctx context.Context, key int) error {
		object, err := g.shared.Get(ctx, name(key), client.GetOptions{Quorum: quorum})
		if err == nil && (len(object.Values) != 1 || len(object.Values[0].Body) != len(g.work.Value)) {
			err = fmt.Errorf("%d values or one of another size than %d", len(object.Values), len(g.work.Value))
		}
		return err
	}, nil
}

func (g *goSession) Close() error { return nil } // the cluster closes the shared client
