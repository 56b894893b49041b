package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"iter"
	"time"
	"unicode/utf8"

	"cartwheel/client"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

func newKeysCmd(remote *remote) *cobra.Command {
	var (
		bucket client.Bucket
		opts   client.ListOptions
		asJSON bool
	)
	cmd := &cobra.Command{
		Use:   "keys BUCKET",
		Short: "List the keys of a bucket",
		Long: `keys prints the keys of a bucket, one on each line, as the nodes find them. It scans all that the
cluster stores in the bucket. If some part cannot be listed, it says so at the end and fails; what it
printed is true then, but not all.

Keys may hold any bytes, line breaks too. With --json they are strings; a key that is not UTF-8 is an
object instead, {"base64":"..."}.`,
		Example: `  cartwheel keys fruit
  cartwheel keys fruit --prefix a --sort --json
  cartwheel keys fruit --start b --limit 100`,
		Args: arguments(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			bucket.Name = args[0]
			return remote.list(cmd, opts, asJSON, "keys", func(c *client.Client) iter.Seq2[string, error] {
				return c.Keys(cmd.Context(), bucket, opts)
			})
		},
	}
	addJSONFlag(cmd, &asJSON)
	addListFlags(cmd.Flags(), &bucket.Type, &opts)
	return cmd
}

// addListFlags adds what lists of keys and of buckets share.
func addListFlags(f *pflag.FlagSet, typ *string, opts *client.ListOptions) {
	addCountFlags(f, typ, opts)
	f.IntVar(&opts.Limit, "limit", 0, "at most so many, the first ones, sorted (default: all)")
	f.BoolVar(&opts.Sorted, "sort", false, "sort by bytes")
}

// addCountFlags adds what chooses the names to list or to count.
func addCountFlags(f *pflag.FlagSet, typ *string, opts *client.ListOptions) {
	f.StringVar(typ, "type", "", "bucket type; none means the default type")
	f.StringVar(&opts.Prefix, "prefix", "", "only names that begin with this")
	f.StringVar(&opts.Start, "start", "", "only names that do not come before this one")
	f.DurationVar(&opts.Timeout, "timeout", 0, "how long the whole may take, such as 30m (default: 8m, 5m for buckets)")
}

// list prints the names that from finds; noun is the member that holds them in JSON.
func (r *remote) list(cmd *cobra.Command, opts client.ListOptions, asJSON bool, noun string, from func(*client.Client) iter.Seq2[string, error]) error {
	if opts.Limit < 0 {
		return usagef("--limit %d is negative", opts.Limit)
	}
	return r.with(func(c *client.Client) error {
		p := newNamePrinter(cmd.OutOrStdout(), noun, asJSON)
		for name, err := range from(c) {
			if err == nil {
				err = p.print(name)
			}
			if err != nil {
				// What came so far is printed; a JSON document that does not end is no complete list.
				_ = p.out.Flush()
				return err
			}
		}
		return p.end()
	})
}

// namePrinter prints names as they come.
type namePrinter struct {
	out      *bufio.Writer
	json     bool
	terminal bool
	noun     string
	count    int64
	flushed  time.Time
}

// flushAfter is how long names are kept back to be written together, while more of them come.
const flushAfter = 100 * time.Millisecond

func newNamePrinter(w io.Writer, noun string, asJSON bool) *namePrinter {
	return &namePrinter{out: bufio.NewWriterSize(w, 64<<10), json: asJSON, terminal: isTerminal(w), noun: noun}
}

func (p *namePrinter) print(name string) error {
	var err error
	switch {
	case p.json:
		err = p.printJSON(name)
	case p.terminal:
		_, err = fmt.Fprintln(p.out, printable(name))
	default:
		_, err = p.out.WriteString(name + "\n")
	}
	p.count++
	if now := time.Now(); err == nil && now.Sub(p.flushed) > flushAfter {
		p.flushed = now
		err = p.out.Flush()
	}
	return err
}

// printJSON writes one element of the document {"keys":[...]}, each on a line of its own.
func (p *namePrinter) printJSON(name string) error {
	before := ",\n  "
	if p.count == 0 {
		before = "{\"" + p.noun + "\": [\n  "
	}
	if _, err := p.out.WriteString(before); err != nil {
		return err
	}
	text, err := nameJSON(name)
	if err == nil {
		_, err = p.out.Write(text)
	}
	return err
}

// nameJSON returns a name as JSON. A string would alter one that is not UTF-8.
func nameJSON(name string) ([]byte, error) {
	var v any = name
	if !utf8.ValidString(name) {
		v = map[string][]byte{"base64": []byte(name)}
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	err := enc.Encode(v)
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), err
}

// end completes the output.
func (p *namePrinter) end() error {
	if p.json {
		text := "\n]}\n"
		if p.count == 0 {
			text = "{\"" + p.noun + "\": []}\n"
		}
		if _, err := p.out.WriteString(text); err != nil {
			return err
		}
	}
	return p.out.Flush()
}
