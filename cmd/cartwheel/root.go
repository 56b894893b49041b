package main

import (
	"fmt"
	"io"
	"os"
	"strings"

	"cartwheel/client"

	"github.com/spf13/cobra"
	"golang.org/x/term"
)

// endpointVariable names the environment variable behind --endpoint.
const endpointVariable = "CARTWHEEL_ENDPOINT"

// newRootCmd builds the command line. Every command comes from a constructor of its own;
// those that talk to a running cluster get remote, which is filled in when the flags are read.
func newRootCmd() *cobra.Command {
	remote := &remote{}
	root := &cobra.Command{
		Use:   "cartwheel",
		Short: "An always-writable, leaderless key-value store",
		// Gives the flag --version.
		Version: version,
		Long: `cartwheel runs the nodes of a Cartwheel cluster and talks to running ones.

Exit codes: 0 done, 1 failed, 2 wrong usage, 3 not found, 4 siblings, 5 quorum not reached.`,
		SilenceErrors: true, // reported once, by report
		SilenceUsage:  true,
		// Letters that may be wrong in a command for which another is suggested.
		SuggestionsMinimumDistance: 2,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return unknownCommand(cmd, args[0])
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := cmd.Help(); err != nil {
				return err
			}
			return usagef("name a command")
		},
	}
	root.CompletionOptions.HiddenDefaultCmd = true
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return usagef("%v; see %q", err, cmd.CommandPath()+" --help")
	})
	root.PersistentFlags().StringSliceVar(&remote.endpoints, "endpoint", endpointDefault(),
		"URLs of running nodes for the commands that talk to one, repeated or separated by commas (environment: "+endpointVariable+")")
	root.AddCommand(
		newGetCmd(remote),
		newPutCmd(remote),
		newDeleteCmd(remote),
		newLoadCmd(remote),
		newKeysCmd(remote),
		newBucketsCmd(remote),
		newCountCmd(remote),
		newTypeCmd(remote),
		newStatusCmd(remote),
		newExplainCmd(remote),
		newCheckCmd(remote),
		newBenchCmd(remote),
		newServeCmd(),
		newDevCmd(),
		newChaosCmd(),
		newVersionCmd(),
	)
	root.SetVersionTemplate("cartwheel {{.Version}}\n")
	refuseUnknownTopics(root)
	return root
}

// refuseUnknownTopics makes "help nope" a usage error like "nope".
func refuseUnknownTopics(root *cobra.Command) {
	root.InitDefaultHelpCmd()
	for _, c := range root.Commands() {
		if c.Name() != "help" {
			continue
		}
		c.Args = func(_ *cobra.Command, topic []string) error {
			if _, rest, err := root.Find(topic); err != nil || len(rest) > 0 {
				return unknownCommand(root, strings.Join(topic, " "))
			}
			return nil
		}
	}
}

// unknownCommand says which command may have been meant.
func unknownCommand(root *cobra.Command, name string) error {
	if near := root.SuggestionsFor(name); len(near) > 0 {
		return usagef("there is no command %q; did you mean %s?", name, strings.Join(near, " or "))
	}
	return usagef("there is no command %q; \"cartwheel --help\" lists them", name)
}

func endpointDefault() []string {
	if v := os.Getenv(endpointVariable); v != "" {
		return strings.Split(v, ",")
	}
	return []string{client.DefaultEndpoint}
}

// remote is the cluster that the global flags name.
type remote struct{ endpoints []string }

// with calls do with a client of the cluster, and returns its error.
func (r *remote) with(do func(*client.Client) error) error {
	c, err := r.client()
	if err != nil {
		return err
	}
	defer c.Close()
	return do(c)
}

// client returns a client of the cluster; the caller closes it.
func (r *remote) client() (*client.Client, error) {
	c, err := client.New(client.Config{Endpoints: r.endpoints})
	if err != nil {
		return nil, usagef("%v", plain(err))
	}
	return c, nil
}

// arguments checks the number of arguments, as a usage error that shows the right form.
func arguments(low, high int) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		switch {
		case len(args) < low:
			return usagef("arguments are missing; usage: %s", cmd.UseLine())
		case len(args) > high:
			return usagef("too many arguments, the first extra one is %q; usage: %s", args[high], cmd.UseLine())
		}
		return nil
	}
}

// isTerminal reports whether w is a terminal.
func isTerminal(w any) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// warn writes a line to the command's error output. That output failing is nothing to act on.
func warn(w io.Writer, format string, args ...any) { _, _ = fmt.Fprintf(w, format+"\n", args...) }
