package report

import (
	"fmt"
	"math"
	"math/rand/v2"
	"time"

	"cartwheel/bench/result"
)

// sampleRun returns a run as it could be: the full matrix of N=3 with staleness, and one cell
// with faults. It is the same at every call.
func sampleRun() *result.Run {
	run := &result.Run{
		Schema: result.Schema, Began: time.Date(2026, 3, 14, 9, 26, 53, 0, time.UTC), Seconds: 171.5,
		Command:  "cartwheel bench --target 10.0.0.1:8098,10.0.0.2:8098,10.0.0.3:8098 --workload mixed:0.5 --n 3 --matrix all --staleness --during kill,pause --for 15s --clients 64 --report report.html",
		Software: result.Software{Version: "v0.4.0", Go: "go1.26.8", OS: "linux", Arch: "amd64"},
		Machine:  result.Machine{CPU: "Xeon E-2388G at 3.2 GHz", Cores: 8, MemoryBytes: 32 << 30},
		Cluster:  result.Cluster{Members: 3, N: 3, Partitions: 64, Durability: "fsync"},
		Load: result.Load{Workload: "mixed:0.5", Mix: map[string]float64{"get": 0.5, "put": 0.5}, Bucket: "bench",
			Properties: map[string]any{"n_val": 3}, Keys: 100_000, Distribution: "zipfian", ValueMin: 1024, ValueMax: 1024, Clients: 64, WarmUp: 2, For: 15, Seed: 42},
	}
	for i := range 3 {
		run.Cluster.Nodes = append(run.Cluster.Nodes, result.Node{Name: fmt.Sprintf("n%d", i+1), URL: fmt.Sprintf("http://10.0.0.%d:8098", i+1),
			Version: "v0.4.0", Durability: "fsync", Cores: 8, Zone: string(rune('a' + i))})
	}
	for r := 1; r <= 3; r++ {
		for w := 1; w <= 3; w++ {
			run.Cells = append(run.Cells, sampleCell(3, r, w))
		}
	}
	fault := sampleCell(3, 2, 2)
	fault.Staleness = nil
	fault.Seconds = 60
	fault.Events = []result.Event{{Name: "kill", Nodes: []string{"n2"}, Begin: 15, End: 25}, {Name: "pause", Nodes: []string{"n3"}, Begin: 38, End: 45}}
	fault.Timeline = sampleTimeline(60, fault.Ops[0].Rate, fault.Ops[0].Latency, fault.Events)
	fault.Ops[0].Errors = map[string]int64{"503": 212, "timeout": 64, "connection": 31}
	run.Cells = append(run.Cells, fault)
	return run
}

func sampleCell(n, r, w int) result.Cell {
	rng := rand.New(rand.NewPCG(uint64(n), uint64(r*10+w)))
	get := sampleLatency(420+260*float64(r-1), 0.45+0.05*float64(r))
	put := sampleLatency(1900+850*float64(w-1), 0.4+0.06*float64(w))
	rate := 64e6 / ((get.Mean + put.Mean) / 2)
	const seconds = 15
	count := int64(rate * seconds)
	both := sampleLatency((get.P50+put.P50)/2, 0.75)
	c := result.Cell{Name: fmt.Sprintf("N=%d R=%d W=%d", n, r, w), Levels: result.Levels{N: n, R: fmt.Sprint(r), W: fmt.Sprint(w)}, Seconds: seconds,
		Ops: []result.Op{
			{Kind: "all", Count: count, Rate: rate, Latency: both},
			{Kind: "get", Count: count / 2, Rate: rate / 2, NotFound: 12, Latency: get},
			{Kind: "put", Count: count - count/2, Rate: rate / 2, Latency: put},
		},
		Timeline:  sampleTimeline(seconds, rate, both, nil),
		Generator: result.Use{Name: "generator", CPUSeconds: float64(count) * 14e-6, RSSBytes: 48 << 20},
		Staleness: sampleStaleness(n, r, w),
	}
	for i := range 3 {
		c.Nodes = append(c.Nodes, result.Use{Name: fmt.Sprintf("n%d", i+1), CPUSeconds: float64(count) * (38 + 4*float64(r+w) + 3*rng.Float64()) * 1e-6, RSSBytes: 210 << 20})
	}
	return c
}

// sampleLatency is a log-normal distribution with a heavier tail.
func sampleLatency(median, sigma float64) result.Latency {
	at := func(q float64) float64 {
		z := math.Sqrt2 * math.Erfinv(2*q-1)
		return median * math.Exp(sigma*z) * (1 + 0.4*max(0, z-2))
	}
	l := result.Latency{Mean: median * math.Exp(sigma*sigma/2), Min: at(0.00001), P50: at(0.5), P90: at(0.9), P99: at(0.99), P999: at(0.999), Max: at(0.999999)}
	for nines := 0.0; nines <= 4.6; nines += 0.1 {
		q := 1 - math.Pow(10, -nines)
		l.Curve = append(l.Curve, result.Quantile{Q: q, Micros: at(max(q, 0.00001))})
	}
	return l
}

func sampleTimeline(seconds int, rate float64, l result.Latency, events []result.Event) []result.Point {
	rng := rand.New(rand.NewPCG(7, uint64(rate)))
	var points []result.Point
	for s := range seconds {
		p := result.Point{At: float64(s), Seconds: 1, P50: l.P50 * (0.95 + 0.1*rng.Float64()), P99: l.P99 * (0.85 + 0.3*rng.Float64()), Max: l.Max}
		share := 0.93 + 0.12*rng.Float64()
		for _, e := range events {
			if t := float64(s) + 0.5; t > e.Begin && t < e.End {
				share *= 0.62
				p.P50 *= 1.4
				p.P99 *= 3
				if t-e.Begin < 2 {
					share, p.P99, p.Errors = share*0.3, p.P99*12, int64(100+rng.IntN(120))
				}
			}
		}
		p.Count = int64(rate * share)
		points = append(points, p)
	}
	return points
}

func sampleStaleness(n, r, w int) *result.Staleness {
	rng := rand.New(rand.NewPCG(11, uint64(r*10+w)))
	s := &result.Staleness{Writes: 2000, Samples: 24000}
	stale := 0.0
	if r+w <= n {
		stale = 0.11 / float64((r+w-1)*(r+w-1))
	}
	for _, delay := range []float64{0, 100, 200, 500, 1000, 2000, 5000, 10_000, 20_000, 50_000, 100_000} {
		p := 1 - stale*math.Exp(-delay/1500)
		fresh := int64(math.Round(2000 * p))
		if stale > 0 {
			fresh = min(fresh+int64(rng.IntN(15))-7, 2000)
		}
		s.Times = append(s.Times, result.Freshness{Delay: delay, Reads: 2000, Fresh: fresh, Predicted: p})
	}
	for k := range 5 {
		p := 1 - math.Pow(stale, float64(k+1))
		s.Versions = append(s.Versions, result.Age{K: k, Reads: 20_000, Fresh: int64(20_000*p) - int64(stale*20*float64(rng.IntN(3))), Predicted: p})
	}
	return s
}

// largeRun has the full matrix of N=5, two cells that form none, many faults at a time, and long
// names.
func largeRun() *result.Run {
	run := sampleRun()
	run.Cells = nil
	for r := 1; r <= 5; r++ {
		for w := 1; w <= 5; w++ {
			run.Cells = append(run.Cells, sampleCell(5, r, w))
		}
	}
	for _, name := range []string{"quorum", "all"} {
		c := sampleCell(3, 2, 2)
		c.Name = "N=3 R=" + name + " W=" + name + " PR=1 PW=1, from another place with a name that is much too long for any chart of this report"
		c.Levels = result.Levels{N: 3, R: name, W: name, PR: "1", PW: "1", Sloppy: true}
		run.Cells = append(run.Cells, c)
	}
	c := sampleCell(5, 3, 3)
	c.Name = "N=5 R=3 W=3 during everything"
	for i := range 6 {
		c.Events = append(c.Events, result.Event{Name: "cut", Nodes: []string{"n1", "n2", "n3"}, Begin: 4 + 0.2*float64(i), End: 9})
	}
	c.Nodes = nil
	for i := range 9 {
		c.Nodes = append(c.Nodes, result.Use{Name: fmt.Sprintf("node-with-a-long-name-%d", i+1), CPUSeconds: float64(1 + i%3)})
	}
	run.Cells = append(run.Cells, c)
	return run
}

// smallRun has one chart of each sort or a few: pictures are slow to make under the race detector.
func smallRun() *result.Run {
	run := sampleRun()
	all := run.Cells
	run.Cells = []result.Cell{all[0], all[1], all[3], all[4]}
	for i := range run.Cells {
		c := &run.Cells[i]
		c.Ops = c.Ops[:2]
		if i > 0 {
			c.Staleness, c.Timeline = nil, nil
		}
	}
	return run
}
