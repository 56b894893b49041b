package node

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"cartwheel/internal/memnet"
	"cartwheel/storage"
)

// place is a network with machines, inside a bubble. Data directories have the names of nodes.
type place struct {
	t     *testing.T
	net   *memnet.Net
	disks string
	logs  *lines
	http  *http.Client
	up    []*machine
}

// machine is a node that runs.
type machine struct {
	*Node
	p      *place
	cancel context.CancelFunc
	ended  chan struct{}
	err    error // of Run, once ended is closed
}

// inPlace runs a test in a bubble and stops what still runs at its end.
func inPlace(t *testing.T, test func(t *testing.T, p *place)) {
	disks := t.TempDir() // outlives the bubble
	synctest.Test(t, func(t *testing.T) {
		p := &place{t: t, disks: disks, logs: new(lines), net: memnet.New(memnet.Config{
			Link: memnet.Link{Delay: 200 * time.Microsecond},
		})}
		client := p.net.Host("10.0.9.9")
		p.http = &http.Client{Transport: &http.Transport{
			DisableKeepAlives: true,
			DialContext:       func(ctx context.Context, _, addr string) (net.Conn, error) { return client.Dial(ctx, addr) },
		}}
		defer func() {
			for _, m := range p.up {
				m.stop()
			}
			// memberlist's probes under way outlive its shutdown by their timeouts.
			time.Sleep(time.Minute)
			if t.Failed() {
				t.Logf("log:\n%s", p.logs)
			}
		}()
		test(t, p)
	})
}

// config returns the configuration of the node of that name at 10.0.0.host, in a cluster of
// that many nodes at 10.0.0.1 and up.
func (p *place) config(name string, host, expect int) Config {
	addr := fmt.Sprintf("10.0.0.%d", host)
	cfg := Config{
		Name: name, DataDir: filepath.Join(p.disks, name), HTTP: addr + ":80", Peer: addr + ":7000", Insecure: true,
		Expect: expect, Partitions: 16, Network: p.net.Host(addr),
		Storage: storage.Config{MemTableBytes: 1 << 20},
		Logger:  slog.New(slog.NewTextHandler(p.logs, &slog.HandlerOptions{Level: slog.LevelInfo})),
	}
	if expect > 1 {
		for i := range expect {
			cfg.Join = append(cfg.Join, fmt.Sprintf("10.0.0.%d:7000", i+1))
		}
	}
	return cfg
}

func (p *place) start(cfg Config) *machine {
	p.t.Helper()
	n, err := New(cfg)
	if err != nil {
		p.t.Fatalf("start %s: %v", cfg.Name, err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	m := &machine{Node: n, p: p, cancel: cancel, ended: make(chan struct{})}
	go func() {
		defer close(m.ended)
		m.err = n.Run(ctx)
	}()
	p.up = append(p.up, m)
	return m
}

// cluster starts n nodes and waits until they serve.
func (p *place) cluster(n int, change ...func(*Config)) []*machine {
	p.t.Helper()
	var nodes []*machine
	for i := range n {
		cfg := p.config(fmt.Sprintf("n%d", i+1), i+1, n)
		for _, f := range change {
			f(&cfg)
		}
		nodes = append(nodes, p.start(cfg))
	}
	p.await("the nodes to see each other", func() bool { return together(nodes) })
	return nodes
}

func together(nodes []*machine) bool {
	for _, m := range nodes {
		if m.Ready() != nil {
			return false
		}
		for _, alive := range m.View().Alive {
			if !alive {
				return false
			}
		}
	}
	return true
}

// await waits for something that must come about.
func (p *place) await(what string, ok func() bool) {
	p.t.Helper()
	for limit := time.Now().Add(2 * time.Minute); !ok(); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(limit) {
			p.t.Fatalf("waited in vain for %s", what)
		}
	}
}

// stop ends the node in order and reports an error of it.
func (m *machine) stop() {
	m.p.t.Helper()
	m.cancel()
	<-m.ended
	if m.err != nil {
		m.p.t.Errorf("stop %s: %v", m.cfg.Name, m.err)
	}
	m.err = nil
}

// reply is what came of an HTTP request.
type reply struct {
	status int
	header http.Header
	body   string
}

func (a reply) String() string { return fmt.Sprintf("%d %q %v", a.status, a.body, a.header) }

// ask makes an HTTP request of the node; the headers are name, value, name, value.
func (m *machine) ask(method, path, body string, headers ...string) (reply, error) {
	req, err := http.NewRequest(method, "http://"+m.Self().HTTP+path, strings.NewReader(body))
	if err != nil {
		return reply{}, err
	}
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	resp, err := m.p.http.Do(req)
	if err != nil {
		return reply{}, err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	return reply{resp.StatusCode, resp.Header, string(b)}, err
}

// want is ask for a status that must come.
func (m *machine) want(status int, method, path, body string, headers ...string) reply {
	m.p.t.Helper()
	a, err := m.ask(method, path, body, headers...)
	if err != nil || a.status != status {
		m.p.t.Errorf("%s: %s %s: %v, %v; want status %d", m.cfg.Name, method, path, a, err, status)
	}
	return a
}

func (m *machine) put(key, value string) {
	m.p.t.Helper()
	m.want(http.StatusNoContent, "PUT", "/buckets/b/keys/"+key, value, "Content-Type", "text/plain")
}

func (m *machine) get(key, want string) {
	m.p.t.Helper()
	if a := m.want(http.StatusOK, "GET", "/buckets/b/keys/"+key, ""); a.body != want {
		m.p.t.Errorf("%s has %q under %s, want %q", m.cfg.Name, a.body, key, want)
	}
}

func (m *machine) setProps(status int, bucket, props string) reply {
	m.p.t.Helper()
	return m.want(status, "PUT", "/buckets/"+bucket+"/props", `{"props":`+props+`}`, "Content-Type", "application/json")
}

func (m *machine) prop(bucket, name string) any {
	m.p.t.Helper()
	a := m.want(http.StatusOK, "GET", "/buckets/"+bucket+"/props", "")
	var got struct{ Props map[string]any }
	if err := json.Unmarshal([]byte(a.body), &got); err != nil {
		m.p.t.Error(err)
	}
	return got.Props[name]
}

// copyDir makes a copy of a data directory, as an operator would clone a disk.
func copyDir(t *testing.T, from, to string) {
	t.Helper()
	if err := os.CopyFS(to, os.DirFS(from)); err != nil {
		t.Fatal(err)
	}
}

// lines is a log in memory.
type lines struct {
	mu sync.Mutex
	b  strings.Builder
}

func (l *lines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(b)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}
