package main

import (
	"iter"

	"cartwheel/client"

	"github.com/spf13/cobra"
)

func newBucketsCmd(remote *remote) *cobra.Command {
	var (
		typ    string
		opts   client.ListOptions
		asJSON bool
	)
	cmd := &cobra.Command{
		Use:   "buckets",
		Short: "List the buckets that hold at least one key",
		Long: `buckets prints the buckets of a type that hold at least one key, one on each line, in the form of
"cartwheel keys". If some part of the cluster cannot be listed, it says so at the end and fails.`,
		Example: `  cartwheel buckets
  cartwheel buckets --type baskets --sort`,
		Args: arguments(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return remote.list(cmd, opts, asJSON, "buckets", func(c *client.Client) iter.Seq2[string, error] {
				return c.Buckets(cmd.Context(), typ, opts)
			})
		},
	}
	addJSONFlag(cmd, &asJSON)
	addListFlags(cmd.Flags(), &typ, &opts)
	return cmd
}
