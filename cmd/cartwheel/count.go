package main

import (
	"cmp"
	"fmt"

	"cartwheel/client"

	"github.com/spf13/cobra"
)

// countJSON is the form of count --json.
type countJSON struct {
	Type   string `json:"type"`
	Bucket string `json:"bucket"`
	Count  int64  `json:"count"`
}

func newCountCmd(remote *remote) *cobra.Command {
	var (
		bucket client.Bucket
		opts   client.ListOptions
		asJSON bool
	)
	cmd := &cobra.Command{
		Use:   "count BUCKET",
		Short: "Count the keys of a bucket",
		Long: `count prints how many keys a bucket holds. The nodes scan all that they store in the bucket, but send
no keys. If some part cannot be counted, it fails and prints no number.`,
		Example: `  cartwheel count fruit
  cartwheel count fruit --prefix a --json`,
		Args: arguments(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			bucket.Name = args[0]
			return remote.with(func(c *client.Client) error {
				n, err := c.Count(cmd.Context(), bucket, opts)
				if err != nil {
					return err
				}
				if asJSON {
					return printJSON(cmd.OutOrStdout(), countJSON{cmp.Or(bucket.Type, "default"), bucket.Name, n})
				}
				_, err = fmt.Fprintln(cmd.OutOrStdout(), n)
				return err
			})
		},
	}
	addJSONFlag(cmd, &asJSON)
	addCountFlags(cmd.Flags(), &bucket.Type, &opts)
	return cmd
}
