package main

import (
	"context"
	"io"

	"github.com/spf13/cobra"
)

// maxInputBytes bounds a value read from the standard input. Nodes accept less; this only keeps
// an endless input from filling the memory.
const maxInputBytes = 64 << 20

// readInput reads a value from the command's input.
func readInput(cmd *cobra.Command) ([]byte, error) {
	in := cmd.InOrStdin()
	if isTerminal(in) {
		warn(cmd.ErrOrStderr(), "reading the value from the terminal; end it with Ctrl-D")
	}
	data, err := io.ReadAll(io.LimitReader(interruptible(cmd.Context(), in), maxInputBytes+1))
	if err == nil && len(data) > maxInputBytes {
		return nil, usagef("the value is larger than %d MiB", maxInputBytes>>20)
	}
	return data, err
}

// interruptible returns a reader of r whose Read returns when ctx ends. A read of a terminal or
// a pipe cannot be called off, so it runs on a goroutine of its own; when ctx ends that one stays
// behind until r yields, which in a command that is about to exit does no harm. Not safe for
// concurrent use.
func interruptible(ctx context.Context, r io.Reader) io.Reader {
	return &interruptibleReader{ctx: ctx, r: r, read: make(chan readResult, 1)}
}

type interruptibleReader struct {
	ctx  context.Context
	r    io.Reader
	read chan readResult
	rest []byte // read, but not yet returned
	err  error  // to be returned after rest
}

type readResult struct {
	data []byte
	err  error
}

// readChunk is the size of one read: large enough for the goroutine to cost nothing.
const readChunk = 64 << 10

func (i *interruptibleReader) Read(p []byte) (int, error) {
	if len(i.rest) == 0 && i.err == nil {
		if err := i.ctx.Err(); err != nil {
			return 0, err
		}
		go func() {
			buf := make([]byte, readChunk)
			n, err := i.r.Read(buf)
			i.read <- readResult{buf[:n], err}
		}()
		select {
		case res := <-i.read:
			i.rest, i.err = res.data, res.err
		case <-i.ctx.Done():
			i.err = i.ctx.Err()
		}
	}
	n := copy(p, i.rest)
	i.rest = i.rest[n:]
	if len(i.rest) > 0 {
		return n, nil
	}
	return n, i.err
}
