package check

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"sync"
)

// recorder writes the history to its file, and the writes to a ledger. It is safe for concurrent
// use. The first failure to write is kept and ends the run: a history with gaps proves nothing.
type recorder struct {
	mu     sync.Mutex
	path   string
	file   *os.File // nil once it is closed
	out    *bufio.Writer
	ledger *ledger
	counts Counts
	err    error
	failed chan struct{} // closed when err is set
}

// newRecorder creates the file, or a temporary one without a path.
func newRecorder(path string) (*recorder, error) {
	var f *os.File
	var err error
	if path == "" {
		f, err = os.CreateTemp("", "cartwheel-check-*.ndjson")
	} else {
		f, err = os.Create(path)
	}
	if err != nil {
		return nil, fmt.Errorf("create the history: %w", err)
	}
	return &recorder{path: f.Name(), file: f, out: bufio.NewWriterSize(f, 256<<10), ledger: newLedger(), failed: make(chan struct{})}, nil
}

// add writes one line.
func (r *recorder) add(op *Op) {
	line, err := json.Marshal(op)
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.err != nil {
		return
	}
	if err == nil {
		_, err = r.out.Write(append(line, '\n'))
	}
	if err != nil {
		r.fail(err)
		return
	}
	r.ledger.add(op)
	r.counts.add(op)
}

func (r *recorder) fail(err error) {
	r.err = fmt.Errorf("write the history: %w", err)
	close(r.failed)
}

func (r *recorder) total() Counts {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.counts
}

// close ends the file. It may be called again.
func (r *recorder) close() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.file == nil {
		return r.err
	}
	if r.err == nil {
		if err := r.out.Flush(); err != nil {
			r.fail(err)
		}
	}
	err := r.file.Close()
	r.file = nil
	return errors.Join(r.err, err)
}
