//go:build unix

package node

import (
	"context"
	"net"
	"runtime"
	"testing"
	"time"

	"cartwheel/httpapi"
	"cartwheel/props"
	"cartwheel/quorum"
	"cartwheel/ring"
	"cartwheel/vclock"
)

// BenchmarkFront is what the HTTP interface costs over real sockets when its coordinator
// answers at once, next to a server that routes and does nothing else. They take turns, for
// the same number of requests; cpu-us/op and front-allocs/op are those of the interface, x-of-bare
// is the ratio of its processor time to the other's. Some 40,000 requests make it steady.
func BenchmarkFront(b *testing.B) {
	g := startGenerator(b)
	bare, front := startBareHTTP(b), startFront(b)
	const turn = 2000
	for _, method := range []string{"PUT", "GET"} {
		b.Run("op="+method, func(b *testing.B) {
			var cost [2]time.Duration
			var allocs [2]uint64
			for done := 0; done < b.N; done += turn {
				for i, addrs := range [][]string{bare, front} {
					var m0, m1 runtime.MemStats
					runtime.ReadMemStats(&m0)
					before := cpuTime(b)
					if err := g.run(method, addrs, 0, min(turn, b.N-done)); err != nil {
						b.Fatal(err)
					}
					cost[i] += cpuTime(b) - before
					runtime.ReadMemStats(&m1)
					allocs[i] += m1.Mallocs - m0.Mallocs
				}
			}
			b.ReportMetric(microseconds(cost[1])/float64(b.N), "cpu-us/op")
			b.ReportMetric(float64(allocs[1])/float64(b.N), "front-allocs/op")
			b.ReportMetric(float64(allocs[0])/float64(b.N), "bare-allocs/op")
			b.ReportMetric(float64(cost[1])/float64(max(cost[0], 1)), "x-of-bare")
		})
	}
}

// The parts of a node that the interface asks for an object; the methods that it does not
// call then are nil.
type (
	instantCoordinator struct {
		httpapi.Coordinator
		object  vclock.Object
		receipt quorum.Receipt
	}
	fixedProperties struct {
		httpapi.Properties
		table *props.Table
	}
	fixedNode struct {
		httpapi.Node
		ring *ring.Ring
	}
)

func (c *instantCoordinator) Get(context.Context, quorum.GetRequest) (quorum.GetResult, error) {
	return quorum.GetResult{Object: c.object, Receipt: c.receipt}, nil
}

func (c *instantCoordinator) Put(context.Context, quorum.PutRequest) (quorum.PutResult, error) {
	return quorum.PutResult{Object: c.object, Receipt: c.receipt}, nil
}

func (p *fixedProperties) Set() *props.Set     { return p.table.Set() }
func (n *fixedNode) Ring() *ring.Ring          { return n.ring }
func (n *fixedNode) Samples() []httpapi.Sample { return nil }

// startFront returns the address of the HTTP interface, served as a node serves it.
func startFront(b *testing.B) []string {
	uuid := "00000000-0000-4000-8000-000000000001"
	r, err := ring.New(ring.Document{
		Cluster: "6ba7b810-9dad-41d1-80b4-00c04fd430c8", Version: 1, Partitions: 16, N: 1, Tokens: 16,
		Members: []ring.Member{{UUID: uuid, Name: "n1", HTTP: "127.0.0.1:1", Peer: "127.0.0.1:2", Weight: 1, Status: ring.StatusMember}},
	})
	if err != nil {
		b.Fatal(err)
	}
	table, err := props.NewTable(props.Config{Node: uuid, Defaults: props.Defaults{N: 3}, Save: func([]byte) error { return nil }}, nil)
	if err != nil {
		b.Fatal(err)
	}
	written := vclock.Record{}.Put(vclock.Write{
		ContentType: "application/octet-stream", Value: benchValue(), Time: vclock.TimeOf(time.Now()),
	}, vclock.NewActors(1))
	api, err := httpapi.New(httpapi.Config{
		Coordinator: &instantCoordinator{object: written.Object, receipt: quorum.Receipt{Replicas: 2, Primaries: 2, Durable: 2, N: 3, Ring: 1}},
		Properties:  &fixedProperties{table: table}, Node: &fixedNode{ring: r},
	})
	if err != nil {
		b.Fatal(err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	s := httpapi.NewServer(api, httpapi.ServerConfig{})
	done := make(chan struct{})
	go func() { defer close(done); s.Serve(httpapi.NewListener(ln, 0)) }()
	b.Cleanup(func() { s.Close(); <-done })
	return []string{ln.Addr().String()}
}
