package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"testing"
	"testing/iotest"
)

func TestInterruptibleReadsEverything(t *testing.T) {
	want := bytes.Repeat([]byte("0123456789"), 20000)
	for name, r := range map[string]io.Reader{
		"whole": bytes.NewReader(want), "by the byte": iotest.OneByteReader(bytes.NewReader(want[:5000])), "error with data": iotest.DataErrReader(bytes.NewReader(want)),
	} {
		want := want
		if name == "by the byte" {
			want = want[:5000]
		}
		got, err := io.ReadAll(interruptible(t.Context(), r))
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s: %d bytes, %v; want %d", name, len(got), err, len(want))
		}
	}
	boom := errors.New("boom")
	if _, err := io.ReadAll(interruptible(t.Context(), iotest.ErrReader(boom))); !errors.Is(err, boom) {
		t.Errorf("got %v", err)
	}
}

// A command that waits for its input ends at the first signal.
func TestCommandsThatReadCanBeInterrupted(t *testing.T) {
	f := start(t)
	for _, args := range [][]string{{"put", "b", "k"}, {"load", "b", "-"}} {
		r, w := io.Pipe()
		ctx, cancel := context.WithCancel(t.Context())
		var out, errs bytes.Buffer
		code := make(chan int, 1)
		go func() { code <- run(ctx, args, r, &out, &errs) }()
		if _, err := w.Write([]byte("\n")); err != nil { // taken: the command reads its input
			t.Fatal(err)
		}
		cancel()
		if got := <-code; got != exitFailed || !bytes.Contains(errs.Bytes(), []byte("interrupted")) {
			t.Errorf("%v: exit code %d, %s", args, got, &errs)
		}
		_ = w.Close()
	}
	if len(f.puts) > 0 {
		t.Error("half a value was stored")
	}
}
