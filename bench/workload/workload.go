package workload

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
)

// Kind is a kind of operation.
type Kind uint8

const (
	Get    Kind = iota // read a key
	Put                // write a key without having read it
	Update             // read a key, then write it with the context of the read
	Insert             // write a key that was not there before
	Kinds              // how many kinds there are
)

var kindNames = [Kinds]string{"get", "put", "update", "insert"}

// String returns the name that reports use: get, put, update, insert.
func (k Kind) String() string {
	if k < Kinds {
		return kindNames[k]
	}
	return "kind(" + strconv.Itoa(int(k)) + ")"
}

// Workload is a mix of operations. The zero value is not valid; [Parse] makes one.
type Workload struct {
	name         string
	shares       [Kinds]float64 // sum to 1
	distribution string
}

// known are the workloads without a parameter. Those of YCSB follow the table of its paper; its
// workload e needs range scans, which a hashed store has not. YCSB's update is a write without a
// read, which is Put here; its read-modify-write is Update.
var known = []Workload{
	{"put", [Kinds]float64{Put: 1}, Uniform},
	{"get", [Kinds]float64{Get: 1}, Uniform},
	{"ycsb-a", [Kinds]float64{Get: .5, Put: .5}, Zipfian},
	{"ycsb-b", [Kinds]float64{Get: .95, Put: .05}, Zipfian},
	{"ycsb-c", [Kinds]float64{Get: 1}, Zipfian},
	{"ycsb-d", [Kinds]float64{Get: .95, Insert: .05}, Latest},
	{"ycsb-f", [Kinds]float64{Get: .5, Update: .5}, Zipfian},
}

// mixedPrefix begins a mix by ratio: the share of reads follows.
const mixedPrefix = "mixed:"

// Names returns what [Parse] takes, for a help text.
func Names() []string {
	names := make([]string, 0, len(known)+1)
	for _, w := range known[:2] {
		names = append(names, w.name)
	}
	names = append(names, mixedPrefix+"0.8")
	for _, w := range known[2:] {
		names = append(names, w.name)
	}
	return names
}

// Parse returns the workload of a name: "put", "get", "mixed:R" with the share R of reads from 0
// to 1 (the rest are puts), or "ycsb-a" to "ycsb-f" without "ycsb-e".
func Parse(name string) (Workload, error) {
	for _, w := range known {
		if w.name == name {
			return w, nil
		}
	}
	if text, ok := strings.CutPrefix(name, mixedPrefix); ok {
		reads, err := strconv.ParseFloat(text, 64)
		if err != nil || !(reads >= 0 && reads <= 1) {
			return Workload{}, fmt.Errorf("workload %q: the share of reads is a number from 0 to 1, as in %s0.8", name, mixedPrefix)
		}
		return Workload{name, [Kinds]float64{Get: reads, Put: 1 - reads}, Uniform}, nil
	}
	if name == "ycsb-e" {
		return Workload{}, fmt.Errorf("workload %q: it scans ranges of keys, which a hashed store has not; choose another", name)
	}
	return Workload{}, fmt.Errorf("no workload %q; there are %s", name, strings.Join(Names(), ", "))
}

// String returns the name that Parse took.
func (w Workload) String() string { return w.name }

// Share returns the share of a kind, 0 to 1.
func (w Workload) Share(k Kind) float64 {
	if k < Kinds {
		return w.shares[k]
	}
	return 0
}

// Mix returns the shares of the kinds that occur, by name. They sum to 1. The map is the caller's.
func (w Workload) Mix() map[string]float64 {
	mix := make(map[string]float64, Kinds)
	for k, share := range w.shares {
		if share > 0 {
			mix[Kind(k).String()] = share
		}
	}
	return mix
}

// Distribution returns how the workload's definition chooses keys: a name for [ParseKeys]. Another
// one may be taken.
func (w Workload) Distribution() string { return w.distribution }

// Valid tells a workload that Parse returned from the zero value.
func (w Workload) Valid() bool { return w.name != "" }

// pick draws a kind.
func (w *Workload) pick(r *rand.Rand) Kind {
	u := r.Float64()
	last := Get
	for k, share := range w.shares {
		if share == 0 {
			continue
		}
		if u < share {
			return Kind(k)
		}
		u -= share
		last = Kind(k) // what rounding leaves over belongs to a kind that occurs
	}
	return last
}

// Rand returns the random numbers of one client: the same for the same seed and number.
func Rand(seed uint64, client int) *rand.Rand {
	return rand.New(rand.NewPCG(seed, uint64(client)*0x9e3779b97f4a7c15+1))
}
