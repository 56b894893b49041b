package main

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"cartwheel/client"

	"github.com/spf13/cobra"
)

const (
	textType   = "text/plain; charset=utf-8"
	binaryType = "application/octet-stream"
)

func newPutCmd(remote *remote) *cobra.Command {
	var (
		key     client.Key
		value   client.Value
		opts    client.PutOptions
		meta    []string
		verbose bool
	)
	cmd := &cobra.Command{
		Use:   "put BUCKET KEY [VALUE|-]",
		Short: "Store a value",
		Long: `put stores a value under a key. Without VALUE, or with -, the value is read from the standard
input, byte for byte.

With --context, as printed by "get --context-only", the write replaces what that read saw. Without
it, the value becomes a sibling of whatever the key holds. Put -- before a VALUE that begins with
a dash.`,
		Example: `  cartwheel put fruit apple 'green'
  cartwheel put fruit pear '{"colour":"yellow"}' --content-type application/json --meta origin=garden -v
  printf 'bytes' | cartwheel put fruit plum --w all`,
		Args: arguments(2, 3),
		RunE: func(cmd *cobra.Command, args []string) error {
			key.Bucket, key.Key = args[0], args[1]
			var err error
			if opts.RequestID, err = requestID(opts.RequestID); err != nil {
				return err
			}
			if value.Meta, err = pairs("meta", meta); err != nil {
				return err
			}
			guess := binaryType
			if len(args) == 3 && args[2] != "-" {
				value.Body = []byte(args[2])
				if utf8.ValidString(args[2]) {
					guess = textType
				}
			} else if value.Body, err = readInput(cmd); err != nil {
				return err
			}
			if value.ContentType == "" {
				value.ContentType = guess
			}
			opts.Context = strings.TrimSpace(opts.Context)
			return remote.with(func(c *client.Client) error {
				obj, err := c.Put(cmd.Context(), key, value, opts)
				if err != nil {
					return writeError{err, opts.RequestID}
				}
				return printReceipt(cmd, verbose, obj.Receipt)
			})
		},
	}
	f := cmd.Flags()
	f.StringVar(&value.ContentType, "content-type", "", "media type (default: "+textType+" for a VALUE argument, "+binaryType+" for the standard input)")
	f.StringVar(&value.ContentEncoding, "content-encoding", "", "encoding that the value already has, such as gzip")
	f.StringVar(&opts.Context, "context", "", "context of the read that this write replaces")
	f.StringArrayVar(&meta, "meta", nil, "metadata as name=value, may be repeated")
	f.BoolVarP(&verbose, "verbose", "v", false, "print the receipt: what the write really met")
	addRequestIDFlag(f, &opts.RequestID)
	addCommonFlags(f, &key, &opts.Quorum)
	addWriteFlags(f, &opts.Quorum)
	return cmd
}

// printReceipt prints the receipt of a write if it was asked for.
func printReceipt(cmd *cobra.Command, verbose bool, r client.Receipt) error {
	if !verbose {
		return nil
	}
	_, err := fmt.Fprintln(cmd.OutOrStdout(), r)
	return err
}
