package main

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"
	"unicode/utf8"

	"cartwheel/client"

	"github.com/spf13/cobra"
)

func newGetCmd(remote *remote) *cobra.Command {
	var (
		key  client.Key
		opts client.GetOptions
		show getOutput
	)
	cmd := &cobra.Command{
		Use:   "get BUCKET KEY",
		Short: "Read a value",
		Long: `get writes the value of a key to the standard output, byte for byte.

A key that was written concurrently has several values, siblings. Then each is printed after a line
that describes it, the context goes to the standard error, and the exit code is 4. Settle them by
writing one value with that context:

  cartwheel put BUCKET KEY VALUE --context "$(cartwheel get BUCKET KEY --context-only)"

--context-only prints the context alone, also that of a deleted key (exit code 3), and nothing for a
key that was never written; put takes an empty context as none.`,
		Example: `  cartwheel get fruit apple
  cartwheel get fruit apple --r all --json
  cartwheel put fruit apple 'red' --context "$(cartwheel get fruit apple --context-only)"`,
		Args: arguments(2, 2),
		RunE: func(cmd *cobra.Command, args []string) error {
			key.Bucket, key.Key = args[0], args[1]
			if show.contextOnly && (show.json || opts.VTag != "") {
				return usagef("--context-only goes with neither --json nor --vtag")
			}
			return remote.with(func(c *client.Client) error {
				// Also for the context alone: an answer to HEAD could not say why it failed.
				obj, err := c.Get(cmd.Context(), key, opts)
				return show.print(cmd.OutOrStdout(), cmd.ErrOrStderr(), key, obj, err)
			})
		},
	}
	f := cmd.Flags()
	f.StringVar(&opts.VTag, "vtag", "", "only the sibling with this tag")
	f.BoolVar(&show.contextOnly, "context-only", false, "print the context only")
	f.BoolVarP(&show.verbose, "verbose", "v", false, "print context and receipt on the standard error")
	addJSONFlag(cmd, &show.json)
	addCommonFlags(f, &key, &opts.Quorum)
	addReadFlags(f, &opts.Quorum)
	return cmd
}

// getOutput says in which form the result of a read is printed.
type getOutput struct{ json, contextOnly, verbose bool }

// print prints what a read returned and returns the error that gives the exit code.
func (g getOutput) print(stdout, stderr io.Writer, key client.Key, obj *client.Object, err error) error {
	missing, isMissing := errors.AsType[*client.NotFoundError](err)
	if err != nil && !isMissing {
		return err
	}
	if isMissing {
		obj = &client.Object{Context: missing.Context, Receipt: missing.Receipt}
	}
	var printErr error
	switch {
	case g.json:
		printErr = printObjectJSON(stdout, key, obj, isMissing && missing.Deleted)
	case g.contextOnly:
		if obj.Context != "" {
			_, printErr = fmt.Fprintln(stdout, obj.Context)
		}
	case obj.Siblings:
		warn(stderr, "context: %s", obj.Context)
		printErr = printSiblings(stdout, obj.Values)
	case !isMissing:
		_, printErr = stdout.Write(obj.Values[0].Body)
	}
	if g.verbose {
		if !obj.Siblings {
			warn(stderr, "context: %s", obj.Context)
		}
		warn(stderr, "receipt: %s", obj.Receipt)
	}
	switch {
	case printErr != nil:
		return printErr
	case isMissing:
		return err
	case obj.Siblings:
		warn(stderr, "cartwheel: %s has siblings; write one value with this context to settle them", key)
		return codeError(exitSiblings)
	case obj.Values[0].Deleted:
		warn(stderr, "cartwheel: this sibling of %s is a deletion", key)
		return codeError(exitNotFound)
	}
	return nil
}

// printSiblings prints each value after a line about it. A line break is added to a value that
// does not end with one; the exact bytes are in --json and --vtag.
func printSiblings(w io.Writer, values []client.Value) error {
	var b bytes.Buffer
	p := newPalette(w)
	for i, v := range values {
		line := fmt.Sprintf("--- sibling %d of %d: vtag=%s content-type=%q bytes=%d", i+1, len(values), v.VTag, v.ContentType, len(v.Body))
		if !v.LastModified.IsZero() {
			line += " last-modified=" + v.LastModified.UTC().Format(time.RFC3339)
		}
		if v.Deleted {
			line += " deleted"
		}
		fmt.Fprintln(&b, p.head.Sprint(printable(line)))
		b.Write(v.Body)
		if len(v.Body) > 0 && !bytes.HasSuffix(v.Body, []byte("\n")) {
			b.WriteByte('\n')
		}
	}
	_, err := w.Write(b.Bytes())
	return err
}

// objectJSON is the form of get --json. Values use the names of load's lines.
type objectJSON struct {
	Type     string            `json:"type"`
	Bucket   string            `json:"bucket"`
	Key      string            `json:"key"`
	Context  string            `json:"context"`
	Deleted  bool              `json:"deleted"` // the key was deleted; there are no values
	Siblings bool              `json:"siblings"`
	Values   []valueJSON       `json:"values"`
	Receipt  map[string]string `json:"receipt"`
}

// valueJSON has either Value, when the body is UTF-8, or ValueBase64.
type valueJSON struct {
	VTag            string            `json:"vtag"`
	ContentType     string            `json:"content_type"`
	ContentEncoding string            `json:"content_encoding,omitempty"`
	LastModified    *time.Time        `json:"last_modified,omitempty"`
	Deleted         bool              `json:"deleted"`
	Meta            map[string]string `json:"meta,omitempty"`
	Headers         http.Header       `json:"headers,omitempty"` // links and index entries
	Value           *string           `json:"value,omitempty"`
	ValueBase64     *string           `json:"value_base64,omitempty"`
}

func printObjectJSON(w io.Writer, key client.Key, obj *client.Object, deleted bool) error {
	out := objectJSON{
		Type: key.Type, Bucket: key.Bucket, Key: key.Key, Context: obj.Context, Deleted: deleted,
		Siblings: obj.Siblings, Values: []valueJSON{}, Receipt: receiptFields(obj.Receipt),
	}
	if out.Type == "" {
		out.Type = "default"
	}
	for _, v := range obj.Values {
		j := valueJSON{
			VTag: v.VTag, ContentType: v.ContentType, ContentEncoding: v.ContentEncoding,
			Deleted: v.Deleted, Meta: v.Meta, Headers: v.Extra,
		}
		if !v.LastModified.IsZero() {
			j.LastModified = &v.LastModified
		}
		if utf8.Valid(v.Body) {
			text := string(v.Body)
			j.Value = &text
		} else {
			text := base64.StdEncoding.EncodeToString(v.Body)
			j.ValueBase64 = &text
		}
		out.Values = append(out.Values, j)
	}
	return printJSON(w, out)
}

// printJSON prints v indented and with nothing escaped beyond what JSON needs.
func printJSON(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}
