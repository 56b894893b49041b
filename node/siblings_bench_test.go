//go:build unix

package node

import (
	"testing"
	"time"
)

const (
	// benchSiblings is how many values a contested object has.
	benchSiblings = 20
	// plainKeys is where the keys of objects with one value begin.
	plainKeys = 500_000
	// benchTurn is how many requests the two kinds of objects get in turn.
	benchTurn = 256
)

// BenchmarkSiblings is what objects with 20 values of 1 KiB cost, next to objects with one, on the same
// three nodes, N=3, in turns: a GET with r=2 of all values, and a PUT that resolves them with the
// context of such a read. cpu-us/op is user and system time of the servers and latency-us how long a
// request took with 64 under way, both of the objects with siblings; plain-us/op and plain-latency-us
// are those of the others, and the x are the ratios. Making the objects (20 writes for each PUT that is
// measured) is not in these figures but in the benchmark's time: so -benchtime 1000x is better than a
// duration.
func BenchmarkSiblings(b *testing.B) {
	s := siblingBench{g: startGenerator(b)}
	_, s.cluster = startBenchCluster(b)
	setBenchProps(b, s.cluster[0], "many", `{"props":{"allow_mult":true,"last_write_wins":false}}`)
	// Every connection gets something to do: a server that stops waits long for one that never spoke.
	if err := s.g.run("PUT", s.cluster, 0, benchKeys); err != nil {
		b.Fatal(err)
	}
	b.Run("op=GET", func(b *testing.B) {
		var plain, many cost
		keys := min(b.N, benchTurn)
		s.make(b, keys)
		for done := 0; done < b.N; done += benchTurn {
			n := min(benchTurn, b.N-done)
			plain.add(s.measure(b, "PLAIN", plainKeys+s.first, keys, n))
			many.add(s.measure(b, "SIBLINGS", s.first, keys, n))
		}
		report(b, plain, many)
	})
	b.Run("op=PUT", func(b *testing.B) {
		var plain, many cost
		for done := 0; done < b.N; done += benchTurn {
			n := min(benchTurn, b.N-done)
			s.make(b, n)
			s.measure(b, "PLAIN", plainKeys+s.first, n, n) // for their contexts
			s.measure(b, "SIBLINGS", s.first, n, n)
			plain.add(s.measure(b, "RESOLVE", plainKeys+s.first, n, n))
			many.add(s.measure(b, "RESOLVE", s.first, n, n))
			s.measure(b, "PLAIN", s.first, n, n) // they are resolved
		}
		report(b, plain, many)
	})
}

type siblingBench struct {
	g       *generator
	cluster []string
	first   int // of the keys made last
	keys    int // how many of them
}

// make makes n new objects with siblings, from the key first on, and as many plain ones.
func (s *siblingBench) make(b *testing.B, n int) {
	s.first, s.keys = s.first+s.keys, n
	s.measure(b, "ADD", plainKeys+s.first, n, n)
	s.measure(b, "ADD", s.first, n, n*benchSiblings)
}

// cost is what n requests took.
type cost struct {
	n            int
	cpu, latency time.Duration // of all of them together
}

func (c *cost) add(d cost) { *c = cost{c.n + d.n, c.cpu + d.cpu, c.latency + d.latency} }

func (s *siblingBench) measure(b *testing.B, op string, first, span, n int) cost {
	b.Helper()
	before := cpuTime(b)
	mean, err := s.g.timed(op, s.cluster, first, span, n)
	if err != nil {
		b.Fatalf("%s: %v", op, err)
	}
	return cost{n, cpuTime(b) - before, mean * time.Duration(n)}
}

func report(b *testing.B, plain, many cost) {
	each := func(d time.Duration) float64 { return microseconds(d) / float64(many.n) }
	b.ReportMetric(0, "ns/op") // of both kinds of objects and their making: it says nothing
	b.ReportMetric(each(many.cpu), "cpu-us/op")
	b.ReportMetric(each(many.latency), "latency-us")
	b.ReportMetric(each(plain.cpu), "plain-us/op")
	b.ReportMetric(each(plain.latency), "plain-latency-us")
	b.ReportMetric(float64(many.cpu)/float64(max(plain.cpu, 1)), "x-of-plain")
	b.ReportMetric(float64(many.latency)/float64(max(plain.latency, 1)), "x-of-plain-latency")
}
