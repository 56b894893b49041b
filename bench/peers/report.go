package main

import (
	"slices"
	"time"

	"cartwheel/bench/result"
)

// reportSchema names the layout of the JSON. Within one schema, fields are added and never
// renamed, removed or given another meaning.
const reportSchema = "cartwheel-peers/1"

// Report is all of a comparison.
type Report struct {
	Schema     string         `json:"schema"`
	Began      time.Time      `json:"began"`
	Seconds    float64        `json:"seconds"`
	Command    string         `json:"command"`
	Machine    result.Machine `json:"machine"`
	FileSystem string         `json:"file_system"` // of the data directories
	// FsyncMicros is how long one fsync took there before the first round, with nothing else
	// running: the median of some. 0: not known.
	FsyncMicros float64        `json:"fsync_us"`
	Load        Settings       `json:"load"`
	Systems     []SystemReport `json:"systems"`
	Rows        []Row          `json:"rows"`
	Samples     []Sample       `json:"samples"` // what the rows were made from
	Missing     []string       `json:"missing,omitempty"`
}

// Settings are the same for all systems.
type Settings struct {
	Clients int     `json:"clients"`
	Keys    int     `json:"keys"`
	Bytes   int     `json:"value_bytes"`
	WarmUp  float64 `json:"warm_up_seconds"`
	For     float64 `json:"for_seconds"`
	Tail    float64 `json:"tail_seconds"`
	Rounds  int     `json:"rounds"`
}

// SystemReport says what a system is and how it was run.
type SystemReport struct {
	Name     string   `json:"name"`
	Version  string   `json:"version"`
	Setting  string   `json:"setting"`
	Commands []string `json:"commands"` // of the servers in the last round; DIR: the data directory
}

// Phases of a sample.
const (
	phaseMax  = "max"  // closed loop: as many as the clients can
	phaseTail = "tail" // open loop at half of what the closed loop reached in the same round
)

// Sample is one operation of one system in one round.
type Sample struct {
	Round        int     `json:"round"` // from 1
	System       string  `json:"system"`
	Op           string  `json:"op"`
	Label        string  `json:"label"`
	Phase        string  `json:"phase"`
	Wanted       float64 `json:"wanted_rate,omitempty"` // of the open loop
	Rate         float64 `json:"rate"`                  // successful operations per second
	Count        int64   `json:"count"`
	Errors       int64   `json:"errors"`
	Error        string  `json:"error,omitempty"` // the first one
	Unfinished   int64   `json:"unfinished"`
	P50          float64 `json:"p50_us"`
	P99          float64 `json:"p99_us"`
	P999         float64 `json:"p999_us"`
	ServerCPU    float64 `json:"server_cpu_us"`    // processor time per operation, all server processes
	GeneratorCPU float64 `json:"generator_cpu_us"` // processor time per operation, the client side
}

// Spread is what the rounds found: the median, the least and the most.
type Spread struct {
	Median float64 `json:"median"`
	Min    float64 `json:"min"`
	Max    float64 `json:"max"`
}

// Row is one operation of one system over all rounds.
type Row struct {
	System       string `json:"system"`
	Op           string `json:"op"`
	Label        string `json:"label"`
	Promises     string `json:"promises"`
	Phase        string `json:"phase"`
	Rounds       int    `json:"rounds"`
	Errors       int64  `json:"errors"`
	Unfinished   int64  `json:"unfinished"`
	Rate         Spread `json:"rate"`
	P50          Spread `json:"p50_us"`
	P99          Spread `json:"p99_us"`
	P999         Spread `json:"p999_us"`
	ServerCPU    Spread `json:"server_cpu_us"`
	GeneratorCPU Spread `json:"generator_cpu_us"`
	// Against the base systems that have the same operation, in the order of bases.
	Against []Against `json:"against,omitempty"`
}

// Against is a row divided by the row of another system: round by round, since the machine's
// other work changes between rounds, and then over the rounds.
type Against struct {
	System    string `json:"system"`
	Rate      Spread `json:"rate"`
	P99       Spread `json:"p99"`
	P999      Spread `json:"p999"`
	ServerCPU Spread `json:"server_cpu"` // zero: not known
}

// bases are the systems that the others are compared with.
func bases() []string { return []string{"etcd", "etcd-shared"} }

// spread returns the zero Spread for no values. The median of an even number is the mean of
// the two in the middle.
func spread(values []float64) Spread {
	if len(values) == 0 {
		return Spread{}
	}
	v := slices.Sorted(slices.Values(values))
	n := len(v)
	return Spread{(v[(n-1)/2] + v[n/2]) / 2, v[0], v[n-1]}
}

// rows fills in the rows of which there are samples, and leaves out the others.
func rows(samples []Sample, order []Row) []Row {
	var all []Row
	for _, row := range order {
		mine := pick(samples, row.System, row.Op, row.Phase)
		if len(mine) == 0 {
			continue
		}
		over := func(value func(Sample) float64) Spread {
			var values []float64
			for _, s := range mine {
				values = append(values, value(s))
			}
			return spread(values)
		}
		row.Rounds = len(mine)
		for _, s := range mine {
			row.Errors += s.Errors
			row.Unfinished += s.Unfinished
		}
		row.Rate, row.P50, row.P99, row.P999 = over(rate), over(p50), over(p99), over(p999)
		row.ServerCPU, row.GeneratorCPU = over(serverCPU), over(generatorCPU)
		for _, base := range bases() {
			against := pick(samples, base, row.Op, row.Phase)
			if base == row.System || len(against) == 0 {
				continue
			}
			row.Against = append(row.Against, Against{
				base, ratio(mine, against, rate), ratio(mine, against, p99), ratio(mine, against, p999), ratio(mine, against, serverCPU)})
		}
		all = append(all, row)
	}
	return all
}

func rate(s Sample) float64         { return s.Rate }
func p50(s Sample) float64          { return s.P50 }
func p99(s Sample) float64          { return s.P99 }
func p999(s Sample) float64         { return s.P999 }
func serverCPU(s Sample) float64    { return s.ServerCPU }
func generatorCPU(s Sample) float64 { return s.GeneratorCPU }

func pick(samples []Sample, system, op, phase string) []Sample {
	var found []Sample
	for _, s := range samples {
		if s.System == system && s.Op == op && s.Phase == phase {
			found = append(found, s)
		}
	}
	return found
}

// ratio compares within rounds; it is zero if no round has both.
func ratio(mine, against []Sample, value func(Sample) float64) Spread {
	var ratios []float64
	for _, m := range mine {
		for _, a := range against {
			if a.Round == m.Round && value(a) > 0 {
				ratios = append(ratios, value(m)/value(a))
			}
		}
	}
	return spread(ratios)
}
