// Command peers compares Cartwheel with etcd and Redis: the same keys, values,
// clients and counts, three server processes each, on this machine.
//
// Model: each system in turn is started in an empty directory, filled, measured and
// stopped; only one runs at a time. A round visits every system, and each round
// begins with another one. The generator is this process, so its processor time is
// told apart from the servers'. Per operation there is a closed loop, and for
// writes and the freshest reads an open loop at half of the rate that the same
// system just reached.
//
// Promises: figures are medians over the rounds, ratios compare within a round, and
// the least and the most stand beside them. Beside the figures stands what each
// system promises at that setting: without that they cannot be compared. Servers run with
// their programs' defaults except for what their command lines show, which are printed.
// Processes are ended by their ids and directories removed, also on Ctrl-C.
//
// Bounds: a comparison takes a known time, which it says at its begin: warm-up and
// measurement of each operation, times the rounds. It keeps one sample of each.
//
// Use:
//
//	go run ./bench/peers --rounds 3 --json peers.json --markdown peers.md
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"
)

// options are the flags.
type options struct {
	plan
	only           string
	cartwheel      string
	json, markdown string
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

func parse(args []string, stderr io.Writer) (*options, error) {
	o := &options{}
	f := flag.NewFlagSet("peers", flag.ContinueOnError)
	f.SetOutput(stderr)
	f.StringVar(&o.only, "systems", allSystems, "which, separated by commas")
	f.StringVar(&o.cartwheel, "cartwheel", "", "Cartwheel's binary (default: build it from this module)")
	f.IntVar(&o.clients, "clients", 64, "clients, each with one request outstanding")
	f.IntVar(&o.keys, "keys", 10_000, "keys, drawn uniformly")
	f.IntVar(&o.bytes, "bytes", 1024, "size of a value")
	f.DurationVar(&o.warmUp, "warm-up", 3*time.Second, "before each measurement")
	f.DurationVar(&o.measure, "for", 10*time.Second, "each operation")
	f.DurationVar(&o.tailFor, "tail", 20*time.Second, "each tail; 0: none")
	f.IntVar(&o.rounds, "rounds", 3, "how often each system has its turn")
	f.StringVar(&o.dir, "dir", "", "where data directories are made (default: the system's temporary directory)")
	f.Uint64Var(&o.seed, "seed", 1, "of the keys' order")
	f.StringVar(&o.json, "json", "", "file for all figures")
	f.StringVar(&o.markdown, "markdown", "", "file for the table as markdown")
	if err := f.Parse(args); err != nil {
		return nil, err
	}
	if f.NArg() > 0 {
		return nil, fmt.Errorf("argument %q: only flags are known", f.Arg(0))
	}
	if o.clients < 1 || o.clients > 10_000 || o.keys < 1 || o.bytes < 1 || o.bytes > 1<<20 || o.rounds < 1 || o.measure <= 0 || o.warmUp < 0 || o.tailFor < 0 {
		return nil, errors.New("use at least one client (at most 10000), key, byte (at most 1 MiB) and round, and times above 0")
	}
	return o, nil
}

// run returns the exit code: 0 if at least two systems were measured, 1 if not, 2 for wrong usage.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	o, err := parse(args, stderr)
	if errors.Is(err, flag.ErrHelp) {
		return 0
	}
	if err != nil {
		fmt.Fprintln(stderr, "peers:", err)
		return 2
	}
	report, err := o.run(ctx, stderr)
	if report != nil { // what there is, if it was interrupted
		report.Command = strings.TrimSpace("go run ./bench/peers " + strings.Join(args, " "))
		err = errors.Join(err, o.write(report, stdout))
	}
	if err != nil {
		fmt.Fprintln(stderr, "peers:", err)
		return 1
	}
	if report.compared() < 2 {
		fmt.Fprintln(stderr, "peers: nothing to compare: fewer than two systems were measured")
		return 1
	}
	return 0
}

// run makes the comparison. With an error there may be a report of what was done before.
func (o *options) run(ctx context.Context, log io.Writer) (*Report, error) {
	began := time.Now()
	dir, err := os.MkdirTemp(o.dir, "cartwheel-peers-")
	if err != nil {
		return nil, fmt.Errorf("make a directory for the data: %w", err)
	}
	defer os.RemoveAll(dir)
	o.dir, o.log = dir, log
	missing, err := o.find(ctx)
	if err != nil {
		return nil, err
	}
	fsync, err := fsyncMicros(dir)
	if err != nil {
		return nil, err
	}
	report := &Report{
		Schema: reportSchema, Began: began, Machine: machine(), FileSystem: fileSystem(dir), FsyncMicros: fsync, Missing: missing,
		Load: Settings{o.clients, o.keys, o.bytes, o.warmUp.Seconds(), o.measure.Seconds(), o.tailFor.Seconds(), o.rounds},
	}
	fmt.Fprintf(log, "%d systems, %d rounds: about %v\n", len(o.systems), o.rounds, o.takes().Round(time.Second))
	err = o.compare(ctx, report)
	report.Seconds = time.Since(began).Seconds()
	return report, err
}

// compared is how many systems have figures.
func (r *Report) compared() int {
	names := map[string]bool{}
	for _, row := range r.Rows {
		names[row.System] = true
	}
	return len(names)
}

func (o *options) write(report *Report, stdout io.Writer) error {
	if err := report.text(stdout); err != nil {
		return fmt.Errorf("print the table: %w", err)
	}
	if o.json != "" {
		text, err := json.MarshalIndent(report, "", "  ")
		if err == nil {
			err = os.WriteFile(o.json, append(text, '\n'), 0o644)
		}
		if err != nil {
			return fmt.Errorf("write --json: %w", err)
		}
	}
	if o.markdown == "" {
		return nil
	}
	f, err := os.Create(o.markdown)
	if err != nil {
		return fmt.Errorf("write --markdown: %w", err)
	}
	if err := errors.Join(report.markdown(f), f.Close()); err != nil {
		return fmt.Errorf("write --markdown: %w", err)
	}
	return nil
}
