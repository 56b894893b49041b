package check

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"strconv"
	"time"
)

// The types of an Op.
const (
	typeRun   = "run" // the first line: how the run was made
	typeRead  = "read"
	typeWrite = "write"
	typeFault = "fault"
	typeEnd   = "end" // the last line: the history is complete
)

// The outcomes of an operation.
const (
	outcomeOK      = "ok"
	outcomeFail    = "fail"
	outcomeUnknown = "unknown"
)

// Op is one line of a history: an operation of a client, a fault, or the beginning or end of the
// run. Lines are in the order in which the operations ended, so those of one client are in its
// own order.
type Op struct {
	Type     string `json:"type"`
	Workload string `json:"workload,omitempty"`
	Client   int    `json:"client"` // of final reads: -1
	Seq      int    `json:"seq"`    // ascends within the client
	Key      string `json:"key,omitempty"`
	Level    string `json:"level,omitempty"`
	Start    int64  `json:"start"` // microseconds since the run's start
	End      int64  `json:"end"`
	Outcome  string `json:"outcome,omitempty"`
	Status   int    `json:"status,omitempty"` // of HTTP; 0: no answer came
	Receipt  string `json:"receipt,omitempty"`
	Endpoint string `json:"endpoint,omitempty"` // of the last attempt
	Error    string `json:"error,omitempty"`

	// Of a write.
	ID       string   `json:"id,omitempty"`       // CLIENT.SEQ; in sets the element that is added
	Digest   string   `json:"digest,omitempty"`   // of the body
	Context  string   `json:"context,omitempty"`  // CLIENT.SEQ of the read whose context was sent; empty: a blind write
	Saw      []Shown  `json:"saw,omitempty"`      // the values which that read showed
	Count    int      `json:"count,omitempty"`    // counter: the writer's own count that is written
	Attempts int      `json:"attempts,omitempty"` // under one request id
	Values   []Shown  `json:"values,omitempty"`   // of a read: the value, or all siblings
	Elements []string `json:"elements,omitempty"` // of a read in sets: the union of the siblings
	// Counts are, of a read of a counter, the counts by writer.
	Counts map[string]int `json:"counts,omitempty"`
	Final  bool           `json:"final,omitempty"` // a read after the load, with r=all
	Round  int            `json:"round,omitempty"` // of final reads: the last round of a key counts

	Fault string   `json:"fault,omitempty"` // what was done, from Start to End
	Nodes []string `json:"nodes,omitempty"` // to whom

	Run *Info `json:"run,omitempty"`
}

// Shown is a value as a read showed it.
type Shown struct {
	Tag    string `json:"tag"`
	ID     string `json:"id"` // of the write, from the value's metadata
	Digest string `json:"digest"`
}

// Info is how a run was made.
type Info struct {
	Seed      uint64    `json:"seed"`
	Suffix    string    `json:"suffix"` // random, part of all bucket names of the run
	Began     time.Time `json:"began"`
	For       float64   `json:"for_seconds"`
	Clients   int       `json:"clients"`
	Rate      float64   `json:"rate"` // operations per second of each client
	Endpoints []string  `json:"endpoints"`
	Workloads []string  `json:"workloads"`
	Buckets   []string  `json:"buckets"`
	Weak      bool      `json:"weak,omitempty"`
}

// name is CLIENT.SEQ.
func (o *Op) name() string { return strconv.Itoa(o.Client) + "." + strconv.Itoa(o.Seq) }

// strict reports whether a quorum of owners took part.
func (o *Op) strict() bool { return o.Level == levelStrict || o.Level == levelOwners }

// maxLine bounds a line of a history in memory: several times the largest that is written.
const maxLine = 4 << 20

// errIncomplete is what a history without its last line is answered with.
var errIncomplete = errors.New("check: the history is not complete: its run was interrupted")

// ReadHistory returns the operations of a history file. Each range opens the file anew. An error
// ends the sequence.
func ReadHistory(path string) iter.Seq2[Op, error] {
	return func(yield func(Op, error) bool) {
		f, err := os.Open(path)
		if err != nil {
			yield(Op{}, err)
			return
		}
		defer f.Close()
		for op, err := range decodeHistory(f) {
			if !yield(op, err) || err != nil {
				return
			}
		}
	}
}

// decodeHistory returns the operations of a reader, which is read once.
func decodeHistory(r io.Reader) iter.Seq2[Op, error] {
	return func(yield func(Op, error) bool) {
		lines := bufio.NewScanner(r)
		lines.Buffer(make([]byte, 0, 64<<10), maxLine)
		for n := 1; lines.Scan(); n++ {
			line := bytes.TrimSpace(lines.Bytes())
			if len(line) == 0 {
				continue
			}
			var op Op
			if err := json.Unmarshal(line, &op); err != nil {
				yield(Op{}, fmt.Errorf("line %d: %w", n, err))
				return
			}
			if !yield(op, nil) {
				return
			}
		}
		if err := lines.Err(); err != nil {
			yield(Op{}, fmt.Errorf("read the history: %w", err))
		}
	}
}

// valid refuses a line that cannot be judged.
func (o *Op) valid() error {
	switch o.Type {
	case typeRun:
		if o.Run == nil {
			return errors.New("the line of the run has no run")
		}
		return nil
	case typeFault, typeEnd:
		return nil
	case typeRead, typeWrite:
	default:
		return fmt.Errorf("there is no type %q", o.Type)
	}
	if lookup(o.Workload) == nil {
		return fmt.Errorf("there is no workload %q", o.Workload)
	}
	if o.Outcome != outcomeOK && o.Outcome != outcomeFail && o.Outcome != outcomeUnknown {
		return fmt.Errorf("there is no outcome %q", o.Outcome)
	}
	if o.Key == "" || o.End < o.Start {
		return errors.New("an operation needs a key, and an end that is not before its start")
	}
	if o.Type == typeWrite && o.ID != o.name() {
		return fmt.Errorf("the write %s has the id %q", o.name(), o.ID)
	}
	return nil
}
