package main

import (
	"strings"

	"cartwheel/client"

	"github.com/spf13/cobra"
)

func newDeleteCmd(remote *remote) *cobra.Command {
	var (
		key     client.Key
		opts    client.DeleteOptions
		verbose bool
	)
	cmd := &cobra.Command{
		Use:   "delete BUCKET KEY",
		Short: "Delete a key",
		Long: `delete deletes a key. With --context, as printed by "get --context-only", only what that read
saw is deleted, and a write it did not see survives. Without it, the node reads the key first and
deletes what it finds.`,
		Example: `  cartwheel delete fruit plum
  cartwheel delete fruit pear --context "$(cartwheel get fruit pear --context-only)" -v`,
		Args: arguments(2, 2),
		RunE: func(cmd *cobra.Command, args []string) error {
			key.Bucket, key.Key = args[0], args[1]
			var err error
			if opts.RequestID, err = requestID(opts.RequestID); err != nil {
				return err
			}
			opts.Context = strings.TrimSpace(opts.Context)
			return remote.with(func(c *client.Client) error {
				receipt, err := c.Delete(cmd.Context(), key, opts)
				if err != nil {
					return writeError{err, opts.RequestID}
				}
				return printReceipt(cmd, verbose, receipt)
			})
		},
	}
	f := cmd.Flags()
	f.StringVar(&opts.Context, "context", "", "context of the read that this delete follows")
	f.StringVar(&opts.RW, "rw", "", "R and W when neither is given"+quorumWords)
	f.BoolVarP(&verbose, "verbose", "v", false, "print the receipt: what the delete really met")
	addRequestIDFlag(f, &opts.RequestID)
	addCommonFlags(f, &key, &opts.Quorum)
	addReadFlags(f, &opts.Quorum)
	addWriteFlags(f, &opts.Quorum)
	return cmd
}
