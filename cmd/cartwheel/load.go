package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"cartwheel/client"

	"github.com/spf13/cobra"
)

const (
	defaultClients = 8  // a node takes 32 batches at a time
	replaceClients = 32 // as many lines, without batches
	maxClients     = 1024
	defaultBatch   = 100
	maxBatch       = 1000 // of the nodes
)

func newLoadCmd(remote *remote) *cobra.Command {
	var (
		target  client.Key
		opts    client.PutOptions
		replace bool
		l       loader
	)
	cmd := &cobra.Command{
		Use:   "load BUCKET FILE|-",
		Short: "Store many values from a file",
		Long: `load stores one value per line of a file, or of the standard input. A line is a JSON object:

  {"key":"k1","value":"text"}                                  stored as text/plain
  {"key":"k2","value":"<p>","content_type":"text/html"}
  {"key":"k3","value":{"a":1},"meta":{"source":"import"}}      other JSON is stored as its own text, application/json
  {"key":"k4","value_base64":"AAEC"}                           bytes, application/octet-stream

Lines are stored concurrently and in no particular order, many in one request (--batch), and each
for itself. Each is a write without context, so a key that holds a value gets a sibling; with
--replace its context is read first, so that the value is replaced. A write that fails for a passing
reason is repeated under the same request id, which stores it once. A line that cannot be stored is
counted and named at the end, and the exit code is 1.
When nothing at all could be stored for the time of --retry-for, load gives up.`,
		Args: arguments(2, 2),
		RunE: func(cmd *cobra.Command, args []string) error {
			if l.clients < 1 || l.clients > maxClients {
				return usagef("--clients %d is not between 1 and %d", l.clients, maxClients)
			}
			if l.batch < 1 || l.batch > maxBatch {
				return usagef("--batch %d is not between 1 and %d", l.batch, maxBatch)
			}
			if l.retryFor < 0 {
				return usagef("--retry-for %v is negative", l.retryFor)
			}
			in, size, err := openInput(cmd, args[1])
			if err != nil {
				return err
			}
			defer in.Close()
			c, err := remote.client()
			if err != nil {
				return err
			}
			defer c.Close()
			if err := remote.reach(cmd.Context()); err != nil {
				return err
			}
			bucket := client.Bucket{Type: target.Type, Name: args[0]}
			l.store = newStore(c, bucket, opts)
			if replace {
				l.store, l.batch = newReplacer(c, bucket, opts), 1
				if !cmd.Flags().Changed("clients") {
					l.clients = replaceClients
				}
			}
			return runLoad(cmd, &l, in, size)
		},
	}
	f := cmd.Flags()
	f.IntVar(&l.clients, "clients", defaultClients, "requests under way at the same time; with --replace 32 unless given")
	f.IntVar(&l.batch, "batch", defaultBatch, "lines that go into one request")
	f.BoolVar(&replace, "replace", false, "replace what a key holds; two requests per line")
	f.BoolVar(&l.stopOnError, "stop-on-error", false, "stop at the first line that cannot be stored; lines already under way are finished")
	f.DurationVar(&l.retryFor, "retry-for", time.Minute, "how long to repeat a write that fails for a passing reason")
	addCommonFlags(f, &target, &opts.Quorum)
	addWriteFlags(f, &opts.Quorum)
	return cmd
}

// openInput opens the file, or the standard input for "-". The size is -1 when it is unknown.
func openInput(cmd *cobra.Command, name string) (io.ReadCloser, int64, error) {
	if name == "-" {
		return io.NopCloser(interruptible(cmd.Context(), cmd.InOrStdin())), -1, nil
	}
	f, err := os.Open(name)
	if err != nil {
		return nil, 0, err
	}
	info, err := f.Stat()
	if err != nil || info.IsDir() {
		_ = f.Close() // only read from
		if err == nil {
			err = fmt.Errorf("%s is a directory", name)
		}
		return nil, 0, err
	}
	if !info.Mode().IsRegular() {
		return f, -1, nil
	}
	return f, info.Size(), nil
}

// reach fails if no endpoint gives an answer, whatever it says: then a load would only repeat
// its first lines in vain. How it may fail otherwise the load itself will find.
func (r *remote) reach(ctx context.Context) error {
	// One attempt more than there are endpoints, so that each gets one.
	c, err := client.New(client.Config{Endpoints: r.endpoints, Retries: len(r.endpoints)})
	if err != nil {
		return err
	}
	defer c.Close()
	err = c.GetJSON(ctx, "/ping", nil, new(any))
	if _, answered := errors.AsType[*client.StatusError](err); !answered && errors.Is(err, client.ErrUnreachable) {
		return err
	}
	return nil
}

// newStore returns the function that makes one attempt at storing lines, all in one request.
func newStore(c *client.Client, target client.Bucket, opts client.PutOptions) storeFunc {
	return func(ctx context.Context, items []*item) {
		ops := make([]client.BatchOp, len(items))
		for i, it := range items {
			ops[i] = client.BatchOp{Kind: client.BatchPut, Key: it.key, Value: it.value, RequestID: it.requestID}
		}
		results, _ := c.BatchDo(ctx, target, ops, client.BatchOptions{Quorum: opts.Quorum})
		for i, it := range items {
			if results != nil {
				it.err = results[i].Err
				continue
			}
			// One that cannot be sent, say for the name of its metadata, has kept all back.
			o := opts
			o.RequestID = it.requestID
			_, it.err = c.Put(ctx, target.Key(it.key), it.value, o)
		}
	}
}

// newReplacer returns the function that makes one attempt at storing each line's value in place of
// what its key holds: it reads the context first.
func newReplacer(c *client.Client, target client.Bucket, opts client.PutOptions) storeFunc {
	replace := func(ctx context.Context, it *item) error {
		k, o := target.Key(it.key), opts
		obj, err := c.Head(ctx, k, client.GetOptions{Quorum: readPart(o.Quorum)})
		if missing, ok := errors.AsType[*client.NotFoundError](err); ok {
			o.Context = missing.Context
		} else if err != nil {
			return err
		} else {
			o.Context = obj.Context
		}
		o.RequestID = it.requestID
		_, err = c.Put(ctx, k, it.value, o)
		return err
	}
	return func(ctx context.Context, items []*item) {
		for _, it := range items {
			it.err = replace(ctx, it)
		}
	}
}

// readPart returns what a read takes of the settings of a write.
func readPart(q client.Quorum) client.Quorum {
	return client.Quorum{Consistency: q.Consistency, NodeConfirms: q.NodeConfirms, Timeout: q.Timeout}
}

// runLoad loads, showing progress, and prints the result.
func runLoad(cmd *cobra.Command, l *loader, in io.Reader, size int64) error {
	stderr := cmd.ErrOrStderr()
	stop := showProgress(stderr, size, l.progress)
	err := l.run(cmd.Context(), in)
	stop()
	s := l.progress()
	if _, printErr := fmt.Fprintf(cmd.OutOrStdout(), "stored %d, failed %d (%s)\n", s.stored, s.failed, s.pace()); printErr != nil {
		return printErr
	}
	for _, f := range l.failures {
		warn(stderr, "line %d: %s", f.line, f.describe())
	}
	if more := s.failed - int64(len(l.failures)); more > 0 {
		warn(stderr, "and %d more", more)
	}
	switch {
	case cmd.Context().Err() != nil:
		return fmt.Errorf("interrupted after line %d", s.lines)
	case err != nil:
		return err
	case s.failed > 0:
		return fmt.Errorf("%d of %d lines could not be stored", s.failed, s.stored+s.failed)
	}
	return nil
}
