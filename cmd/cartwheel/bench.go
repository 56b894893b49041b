package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"strings"

	"cartwheel/bench"
	reports "cartwheel/bench/report"
	results "cartwheel/bench/result"
	"cartwheel/bench/workload"
	"cartwheel/client"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// benchOptions are the flags of "bench".
type benchOptions struct {
	cfg    bench.Config
	matrix []string
	json   string // file, "-" for stdout
	html   string // file
	png    string // directory
}

// onStdout is the file name that means the standard output.
const onStdout = "-"

func newBenchCmd(remote *remote) *cobra.Command {
	var o benchOptions
	cmd := &cobra.Command{
		Use:   "bench",
		Short: "Measure what N, R and W cost on a cluster, and how fresh the answers are",
		Long: `bench puts the same load on a running cluster once for each choice of N, R and W, and prints
throughput, latency, errors and the processor time that it took; with --staleness also how likely
a read is to see a write that was acknowledged before. Name all nodes: the clients are spread over them.

A cell of --matrix is a list of r, w, pr, pw, dw (1, 2, ..., one, quorum, all), sloppy (true, false) and
n, separated by commas; cells are separated by spaces. What a cell does not name is not sent, so the
bucket's own applies; only dw follows w. "default" is the bucket's own throughout, "all" every R and W
from 1 to N. A cell with n is for that N of --n only.

Workloads: put, get, mixed:SHARE of reads, and of YCSB ycsb-a, -b, -c, -d, -f. With --rate the load
is an open loop: latency counts from when an operation was due, so that a stall shows in all that it delays.

The buckets are new ones, named PREFIX-RANDOM-nN, with allow_mult=false so that objects keep their size; they
stay. Keys are written before the first cell if the workload reads or there are several cells.

Exit codes: 0 done, 1 no operation succeeded in some cell or the run could not be made, 2 wrong usage,
5 the bucket could not be made for want of a quorum.`,
		Example: `  export CARTWHEEL_ENDPOINT=http://10.0.0.1:8098,http://10.0.0.2:8098,http://10.0.0.3:8098
  cartwheel bench
  cartwheel bench --workload mixed:0.8 --matrix all --staleness --report report.html
  cartwheel bench --workload ycsb-b --keys 1000000 --value 100-4096 --rate 2000 --for 60s --json run.json
  cartwheel bench --n 3,5 --matrix "r=1,w=1 r=quorum,w=quorum r=quorum,w=quorum,sloppy=false"
  cartwheel bench --workload mixed:0.5 --for 30s --chaos http://127.0.0.1:8107 --during kill,pause,cut`,
		Args: arguments(0, 0),
	}
	f := cmd.Flags()
	addBenchFlags(f, &o)
	cmd.SetFlagErrorFunc(benchFlagError)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if err := o.complete(f, remote); err != nil {
			return err
		}
		o.cfg.Command = commandLine(cmd, o.cfg.Seed)
		return runBench(cmd, o)
	}
	return cmd
}

func addBenchFlags(f *pflag.FlagSet, o *benchOptions) {
	normal := bench.Config{}.WithDefaults()
	f.StringSliceVar(&o.cfg.Targets, "target", nil, "`URLs` of the nodes to load, http://HOST:PORT, repeated or separated by commas (default: those of --endpoint)")
	f.StringVar(&o.cfg.Workload, "workload", normal.Workload, "one of "+strings.Replace(strings.Join(workload.Names(), ", "), "mixed:0.8", "mixed:SHARE (of reads, 0 to 1, such as mixed:0.8)", 1))
	f.Int64Var(&o.cfg.Keys, "keys", normal.Keys, "number of keys")
	f.StringVar(&o.cfg.Distribution, "distribution", "", "how keys are chosen: "+strings.Join(workload.Distributions(), ", ")+" (default: the workload's own; uniform for put, get and mixed)")
	f.StringVar(&o.cfg.Value, "value", normal.Value, "bytes of a value, or a range such as 100-4096")
	f.IntVar(&o.cfg.Clients, "clients", normal.Clients, "connections, with one request under way each")
	f.Float64Var(&o.cfg.Rate, "rate", 0, "operations per second of all clients together, however long answers take; 0 means as many as they can")
	f.DurationVar(&o.cfg.WarmUp, "warm-up", bench.DefaultWarmUp, "load before each cell that is not measured")
	f.DurationVar(&o.cfg.For, "for", normal.For, "how long to measure each cell")
	f.DurationVar(&o.cfg.Timeout, "timeout", normal.Timeout, "how long a request may take before it counts as an error")
	f.StringArrayVar(&o.matrix, "matrix", []string{bench.DefaultCell}, "cells to measure, such as \"r=1,w=1 r=2,w=2\", or all")
	f.IntSliceVar(&o.cfg.N, "n", nil, "`numbers` of replicas of each key, such as 3,5, with a bucket for each (default: the cluster's)")
	f.BoolVar(&o.cfg.Staleness, "staleness", false, "after each cell measure how old the answers of reads are")
	f.DurationVar(&o.cfg.StalenessFor, "staleness-for", normal.StalenessFor, "how long to measure that")
	f.StringVar(&o.cfg.Chaos, "chaos", "", "`URL` that \"cartwheel dev --chaos\" prints, for --during")
	f.StringSliceVar(&o.cfg.During, "during", nil, "`faults` of one node in each cell, one after the other, out of "+strings.Join(bench.Faults(), ", "))
	f.StringVar(&o.cfg.Prefix, "bucket-prefix", normal.Prefix, "beginning of the buckets' names")
	f.Uint64Var(&o.cfg.Seed, "seed", 0, "`number` from which all random choices follow (default: a random one, which the result has)")
	f.StringVar(&o.json, "json", "", "`file` for the result as JSON; - is the standard output, without the table then")
	f.StringVar(&o.html, "report", "", "`file` for the report, one HTML page with charts")
	f.StringVar(&o.png, "png", "", "`directory` for the report's charts as PNG")
}

// complete fills in what flags alone do not say, and refuses what makes no sense.
func (o *benchOptions) complete(f *pflag.FlagSet, remote *remote) error {
	if len(o.cfg.Targets) == 0 {
		o.cfg.Targets = remote.endpoints
	}
	if !f.Changed("seed") {
		o.cfg.Seed = rand.Uint64()
	}
	o.cfg.Version = version
	o.cfg.Matrix = strings.Join(o.matrix, " ")
	// Here, because a zero is a default for the run, and a mistake on the command line.
	errs := []error{o.cfg.Validate()}
	if f.Changed("staleness-for") && !o.cfg.Staleness {
		errs = append(errs, errors.New("--staleness-for has no meaning without --staleness"))
	}
	// Now, rather than after the measurement.
	if o.json != onStdout {
		errs = append(errs, checkFile(f, "json", o.json))
	}
	errs = append(errs, checkFile(f, "report", o.html), checkDirectory(f, "png", o.png))
	if err := errors.Join(errs...); err != nil {
		return usagef("%v", plain(err))
	}
	return nil
}

// commandLine is the command that makes this run again, but for what the environment says.
func commandLine(cmd *cobra.Command, seed uint64) string {
	words := []string{cmd.CommandPath()}
	add := func(name, value string) {
		words = append(words, "--"+name+"="+shellWord(value))
	}
	cmd.Flags().Visit(func(f *pflag.Flag) {
		switch v := f.Value.(type) {
		case pflag.SliceValue:
			// The values of --matrix have commas of their own, and are separated by spaces.
			add(f.Name, strings.Join(v.GetSlice(), map[bool]string{true: " ", false: ","}[f.Name == "matrix"]))
		default:
			add(f.Name, v.String())
		}
	})
	if !cmd.Flags().Changed("seed") {
		add("seed", fmt.Sprint(seed))
	}
	return strings.Join(words, " ")
}

// shellWord quotes what a shell would cut or change.
func shellWord(s string) string {
	plainRune := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("-_./:,=@%+", r)
	}
	if s != "" && strings.TrimFunc(s, plainRune) == "" {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

// runBench makes a run, showing progress, and hands out what it found, also when it was broken off.
func runBench(cmd *cobra.Command, o benchOptions) error {
	run, err := bench.New(o.cfg)
	if err != nil {
		return usagef("%v", plain(err))
	}
	stderr := cmd.ErrOrStderr()
	stop := showBenchProgress(stderr, run.Progress)
	found, err := run.Do(cmd.Context())
	stop()
	if found == nil {
		if errors.Is(err, client.ErrUnreachable) && cmd.Flags().Changed("target") {
			return fmt.Errorf("no answer (%s); start this node, or name only running ones with --target", cause(err))
		}
		return err
	}
	if got := len(found.Cluster.Nodes); got < found.Cluster.Members {
		warn(stderr, "requests went to %d of %d members; name the others with --target to load all", got, found.Cluster.Members)
	}
	if err != nil {
		warn(stderr, "broken off; these cells were complete:")
	}
	if handErr := handOut(cmd, o, found); handErr != nil {
		if err == nil {
			return handErr
		}
		warn(stderr, "%s", sentence(handErr))
	}
	switch barren := bench.Barren(found); {
	case err != nil:
		return err
	case barren != nil:
		return fmt.Errorf("%s; see \"cartwheel status\", and whether the levels can be met", plain(barren))
	}
	return nil
}

// handOut writes the result to all places that were asked for.
func handOut(cmd *cobra.Command, o benchOptions, found *results.Run) error {
	out, stderr := cmd.OutOrStdout(), cmd.ErrOrStderr()
	asJSON := func(w io.Writer) error {
		e := json.NewEncoder(w)
		e.SetIndent("", " ")
		return e.Encode(found)
	}
	var errs []error
	wrote := func(path string, err error) {
		if err == nil {
			warn(stderr, "wrote %s", path)
		}
		errs = append(errs, err)
	}
	if o.json == onStdout {
		errs = append(errs, asJSON(out))
	} else {
		errs = append(errs, reports.Table(out, found, coloured(out)))
	}
	if o.json != "" && o.json != onStdout {
		wrote(o.json, writeFile(o.json, asJSON))
	}
	if o.html != "" {
		wrote(o.html, writeFile(o.html, func(w io.Writer) error { return reports.HTML(w, found) }))
	}
	if o.png != "" {
		files, err := makeCharts(o.png, found)
		wrote(fmt.Sprintf("%d charts in %s", len(files), o.png), err)
	}
	return errors.Join(errs...)
}

func makeCharts(dir string, found *results.Run) ([]string, error) {
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return nil, fmt.Errorf("make the directory of --png: %w", err)
	}
	return reports.PNG(dir, found)
}

// writeFile writes a file whole, or leaves none that looks so.
func writeFile(path string, content func(io.Writer) error) error {
	f, err := os.Create(path)
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	if err := errors.Join(content(f), f.Close()); err != nil {
		return fmt.Errorf("write %s: %w", path, errors.Join(err, os.Remove(path)))
	}
	return nil
}
