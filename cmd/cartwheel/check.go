package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"

	"cartwheel/check"

	"github.com/spf13/cobra"
)

// checkOptions are the flags of "check" beside those of the run.
type checkOptions struct {
	cfg    check.Config
	judge  string
	asJSON bool
}

// allWorkloads is the word for every workload.
const allWorkloads = "all"

func newCheckCmd(remote *remote) *cobra.Command {
	var o checkOptions
	cmd := &cobra.Command{
		Use:   "check",
		Short: "Find out whether a cluster loses, forgets or resurrects anything",
		Long: `check writes to and reads from a running cluster as many clients at once, through all endpoints
that are named, and writes down what each client did and saw. Then it waits until the nodes serve and
their answers agree, reads everything once more with r=all, and judges the history.

  sets      unique elements are added to sets, siblings merged by union: none may be missing in the end
  register  values replaced by clients that had read them, and blind writes: each is there or was replaced
  counter   increments by reading and writing, siblings merged by writer: none may be missing
  session   with quorums of owners: nobody reads less than what he has read or written before
  lww       sets on a bucket where the last write wins: what is lost there is counted, not held against it

Some reads and writes of all workloads need a quorum of owners (pr, pw, or sloppy_quorum=false): such a
read must see every such write that was acknowledged before it began, and never answer "not found" to it.

The buckets are new ones, named PREFIX-RANDOM-WORKLOAD; they stay. The exit code is 1 if anything was
violated, or could not be read in the end. With --judge a saved history is judged again, without a cluster.`,
		Args: arguments(0, 0),
	}
	f := cmd.Flags()
	normal := check.Config{}.WithDefaults()
	f.DurationVar(&o.cfg.For, "for", normal.For, "how long to load")
	f.DurationVar(&o.cfg.Settle, "settle", normal.Settle, "how long to wait in the end for equal and complete answers")
	f.DurationVar(&o.cfg.Timeout, "timeout", normal.Timeout, "of one operation")
	f.IntVar(&o.cfg.Clients, "clients", normal.Clients, "clients at the same time")
	f.Float64Var(&o.cfg.Rate, "rate", normal.Rate, "operations per second of each client")
	f.Uint64Var(&o.cfg.Seed, "seed", 0, "of all choices of the clients and of the faults (default: a random one, which is printed)")
	f.StringSliceVar(&o.cfg.Workloads, "workload", []string{allWorkloads}, "all, or some of sets, register, counter, session, lww, repeated or separated by commas")
	f.StringVar(&o.cfg.Prefix, "bucket-prefix", normal.Prefix, "beginning of the buckets' names")
	f.StringVar(&o.cfg.History, "history", "", "file for the history, one JSON object per line (default: a temporary one, kept if there is a violation)")
	f.BoolVar(&o.cfg.Weak, "weak", false, "let some writes need one replica only (w=1, dw=1); with its disk such a write may be lost")
	f.StringVar(&o.cfg.Chaos, "chaos", "", "URL that \"cartwheel dev --chaos\" prints: its nodes are killed, paused and cut off meanwhile")
	f.BoolVar(&o.cfg.Wipe, "wipe", false, "with --chaos: nodes also lose their objects, one node at a time")
	f.StringVar(&o.judge, "judge", "", "judge this history instead of making one")
	addJSONFlag(cmd, &o.asJSON)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if o.judge != "" {
			return judgeHistory(cmd, o)
		}
		if !f.Changed("seed") {
			o.cfg.Seed = rand.Uint64()
		}
		o.cfg.Endpoints = remote.endpoints
		if slices.Contains(o.cfg.Workloads, allWorkloads) {
			o.cfg.Workloads = check.Workloads()
		}
		// Here, because a zero is a default for the run, and a mistake on the command line.
		if err := o.cfg.Validate(); err != nil {
			return usagef("%v", plain(err))
		}
		if err := remote.reach(cmd.Context()); err != nil {
			return err
		}
		return runCheck(cmd, o)
	}
	return cmd
}

// judgeHistory judges a saved history.
func judgeHistory(cmd *cobra.Command, o checkOptions) error {
	var clash error
	for _, name := range []string{"for", "settle", "seed", "workload", "history", "chaos"} {
		if cmd.Flags().Changed(name) {
			clash = errors.Join(clash, fmt.Errorf("--%s has no meaning with --judge", name))
		}
	}
	if clash != nil {
		return usageError{clash}
	}
	report, err := check.Judge(check.ReadHistory(o.judge))
	if err != nil {
		return err
	}
	return printReport(cmd, o, report, o.judge)
}

// runCheck makes a run, showing progress, and prints its report.
func runCheck(cmd *cobra.Command, o checkOptions) error {
	run, err := check.New(o.cfg)
	if err != nil {
		return usagef("%v", plain(err))
	}
	stderr := cmd.ErrOrStderr()
	if !o.asJSON {
		warn(stderr, "seed %d", o.cfg.Seed)
	}
	stop := showCheckProgress(stderr, run.Progress)
	report, path, err := run.Do(cmd.Context())
	stop()
	if err != nil {
		if path != "" && !errors.Is(err, context.Canceled) {
			warn(stderr, "the history until then is in %s", path)
		}
		return err
	}
	return printReport(cmd, o, report, path)
}

// checkResult is the report as JSON.
type checkResult struct {
	*check.Report
	History string `json:"history,omitempty"` // the file; empty: it was a temporary one
}

// printReport prints the report; its error is the verdict.
func printReport(cmd *cobra.Command, o checkOptions, report *check.Report, path string) error {
	out := cmd.OutOrStdout()
	var err error
	if o.asJSON {
		err = json.NewEncoder(out).Encode(checkResult{report, path})
	} else {
		_, err = fmt.Fprint(out, renderCheck(newPalette(out), report, path))
	}
	if err != nil {
		return err
	}
	if !report.Clean {
		return codeError(exitFailed) // all has been said
	}
	return nil
}
