package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"cartwheel/bench/peers/drive"
	"cartwheel/bench/peers/system"
)

// plan is what a comparison does.
type plan struct {
	systems []*system.System
	tail    map[string]bool // systems that also get the tail phase
	clients int
	keys    int
	bytes   int
	warmUp  time.Duration
	measure time.Duration
	tailFor time.Duration // 0: no tail phase
	rounds  int
	dir     string // below which each system gets a directory
	seed    uint64
	log     io.Writer // one line per step
}

// order returns the systems' turn in a round, counted from 0: each round begins with the next.
func (p *plan) order(round int) []*system.System {
	var turn []*system.System
	for i := range p.systems {
		turn = append(turn, p.systems[(i+round)%len(p.systems)])
	}
	return turn
}

// compare runs all rounds. A system that fails has no further samples in that round; the others
// go on. When ctx ends, it returns its cause. The report is complete in any case.
func (p *plan) compare(ctx context.Context, report *Report) error {
	commands := map[string][]string{}
	for round := range p.rounds {
		for _, s := range p.order(round) {
			if ctx.Err() != nil {
				break
			}
			samples, used, err := p.visit(ctx, round, s)
			report.Samples = append(report.Samples, samples...)
			if len(used) > 0 {
				commands[s.Name] = used
			}
			if err != nil && ctx.Err() == nil {
				report.Missing = append(report.Missing, fmt.Sprintf("round %d: %v", round+1, err))
				fmt.Fprintln(p.log, err)
			}
		}
	}
	for _, s := range p.systems {
		report.Systems = append(report.Systems, SystemReport{s.Name, s.Version, s.Setting, commands[s.Name]})
	}
	report.Rows = rows(report.Samples, p.skeleton())
	if ctx.Err() != nil {
		report.Missing = append(report.Missing, "not complete: "+context.Cause(ctx).Error())
	}
	return context.Cause(ctx)
}

// visitOverhead is about how long a system takes to start, to be filled and to stop.
const visitOverhead = 6 * time.Second

// takes is about how long a comparison takes.
func (p *plan) takes() time.Duration {
	var round time.Duration
	for _, s := range p.systems {
		round += visitOverhead
		for _, phase := range p.phases(s) {
			each := p.measure
			if phase == phaseTail {
				each = p.tailFor
			}
			round += time.Duration(len(phaseOps(s, phase))) * (p.warmUp + each)
		}
	}
	return round * time.Duration(p.rounds)
}

// phases are those that a system gets, in their order.
func (p *plan) phases(s *system.System) []string {
	if p.tailFor > 0 && p.tail[s.Name] {
		return []string{phaseMax, phaseTail}
	}
	return []string{phaseMax}
}

// phaseOps are the operations of a phase. The tail is asked of writes and of the freshest reads.
func phaseOps(s *system.System, phase string) []system.Op {
	if phase == phaseMax {
		return s.Ops
	}
	var ops []system.Op
	for _, op := range s.Ops {
		if op.Name != system.GetOne {
			ops = append(ops, op)
		}
	}
	return ops
}

// skeleton lists the rows of the final table.
func (p *plan) skeleton() []Row {
	var all []Row
	for _, phase := range []string{phaseMax, phaseTail} {
		for _, op := range []string{system.Put, system.GetQuorum, system.GetOne} {
			for _, s := range p.systems {
				for _, o := range s.Ops {
					if o.Name == op {
						all = append(all, Row{System: s.Name, Op: op, Label: o.Label, Promises: o.Promises, Phase: phase})
					}
				}
			}
		}
	}
	return all
}

// visit runs one system once: start, fill, each operation, the tails, stop, remove.
func (p *plan) visit(ctx context.Context, round int, s *system.System) (samples []Sample, commands []string, err error) {
	value := bytes.Repeat([]byte("0123456789abcdef"), p.bytes/16+1)[:p.bytes]
	dir := filepath.Join(p.dir, fmt.Sprintf("round%d", round+1))
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	fmt.Fprintf(p.log, "round %d of %d: %s starts\n", round+1, p.rounds, s.Name)
	cluster, err := s.Start(ctx, dir, system.Work{Keys: p.keys, Value: value})
	if err != nil {
		return nil, nil, err
	}
	defer func() { err = errors.Join(err, cluster.Close()) }()
	if err := p.fill(ctx, cluster); err != nil {
		return nil, cluster.Commands, fmt.Errorf("fill %s: %w", s.Name, err)
	}
	half := map[string]float64{}
	for _, phase := range p.phases(s) {
		for _, op := range phaseOps(s, phase) {
			sample, err := p.measureOp(ctx, cluster, op, phase, half[op.Name])
			if err != nil {
				return samples, cluster.Commands, fmt.Errorf("measure %s %s: %w", s.Name, op.Label, err)
			}
			sample.Round, sample.System = round+1, s.Name
			if phase == phaseMax {
				half[op.Name] = sample.Rate / 2
			}
			samples = append(samples, sample)
			fmt.Fprintln(p.log, "  "+sample.line())
			if err := cluster.Died(); err != nil {
				return samples, cluster.Commands, err
			}
		}
	}
	return samples, cluster.Commands, nil
}

func (p *plan) fill(ctx context.Context, c *system.Cluster) error {
	clients, err := c.Clients(p.clients, system.Put)
	if err != nil {
		return err
	}
	return drive.Fill(ctx, clients, p.keys)
}

// measureOp drives one operation. Half is the rate of the open loop.
func (p *plan) measureOp(ctx context.Context, c *system.Cluster, op system.Op, phase string, half float64) (Sample, error) {
	clients, err := c.Clients(p.clients, op.Name)
	if err != nil {
		return Sample{}, err
	}
	load := drive.Load{
		Clients: clients, Keys: p.keys, WarmUp: p.warmUp, For: p.measure, Seed: p.seed,
		Meter: func() []float64 { return []float64{c.CPU(), system.OwnCPU()} },
	}
	if phase == phaseTail {
		if half <= 0 {
			return Sample{}, errors.New("its highest rate is 0: nothing to take half of")
		}
		load.Rate, load.For = half, p.tailFor
	}
	o, err := drive.Run(ctx, load)
	if err != nil {
		return Sample{}, err
	}
	s := Sample{
		Op: op.Name, Label: op.Label, Phase: phase, Wanted: load.Rate, Rate: o.Rate(), Count: o.Count, Errors: o.Errors, Unfinished: o.Unfinished,
		P50: float64(o.Latency.ValueAtQuantile(50)), P99: float64(o.Latency.ValueAtQuantile(99)), P999: float64(o.Latency.ValueAtQuantile(99.9)),
	}
	if o.Count > 0 {
		s.ServerCPU = o.Metered[0] * 1e6 / float64(o.Count)
		s.GeneratorCPU = o.Metered[1] * 1e6 / float64(o.Count)
	}
	if o.First != nil {
		s.Error = o.First.Error()
	}
	return s, nil
}

// line is a sample while the comparison runs.
func (s Sample) line() string {
	text := fmt.Sprintf("%-22s %-4s %8.0f ops/s  p50 %s  p99 %s  p99.9 %s  CPU/op: servers %.0f us, generator %.0f us",
		s.Label, s.Phase, s.Rate, millis(s.P50), millis(s.P99), millis(s.P999), s.ServerCPU, s.GeneratorCPU)
	if s.Errors+s.Unfinished > 0 {
		text += fmt.Sprintf("  errors %d (%s), unfinished %d", s.Errors, s.Error, s.Unfinished)
	}
	return text
}

func millis(us float64) string { return fmt.Sprintf("%.2f ms", us/1000) }
