package chaos

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"time"
)

// Variable names the environment variable that tells a child process its ends of the
// two pipes: the descriptors "states,receipts", such as "3,4".
const Variable = "CARTWHEEL_CHAOS_FD"

// state is the whole table of a node: one line of JSON from the parent.
type state struct {
	Seq uint64   `json:"seq"` // 1, 2, ...
	Cut []string `json:"cut"` // addresses of the peers to which nothing is sent
}

// receipt is the child's answer to a state, one line as well.
type receipt struct {
	Seq   uint64 `json:"seq"`             // of the state that is in force now
	Error string `json:"error,omitempty"` // the line could not be read; Seq is 0
}

// Controller is the parent's end of a child's switches. It is used by one goroutine
// at a time, save Close, which ends a Set under way.
type Controller struct {
	states   *os.File
	receipts *os.File
	lines    *bufio.Reader // of receipts
	seq      uint64
	broken   error // a line was cut off: no other can follow it

	child []*os.File
}

// Attach prepares cmd, which has not been started, for a child that calls [Inherit].
func Attach(cmd *exec.Cmd) (*Controller, error) {
	statesOut, statesIn, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("make a pipe: %w", err)
	}
	receiptsOut, receiptsIn, err := os.Pipe()
	if err != nil {
		return nil, errors.Join(fmt.Errorf("make a pipe: %w", err), statesOut.Close(), statesIn.Close())
	}
	c := &Controller{
		states: statesIn, receipts: receiptsOut, lines: bufio.NewReader(receiptsOut),
		child: []*os.File{statesOut, receiptsIn},
	}
	const firstExtra = 3 // after standard input, output and error
	fd := firstExtra + len(cmd.ExtraFiles)
	cmd.ExtraFiles = append(cmd.ExtraFiles, c.child...)
	cmd.Env = append(cmd.Environ(), fmt.Sprintf("%s=%d,%d", Variable, fd, fd+1))
	return c, nil
}

// Started is called after cmd.Start, whether that succeeded or not: the child's ends
// are closed in this process, so that its death is noticed.
func (c *Controller) Started() {
	for _, f := range c.child {
		_ = f.Close() // pipes that nothing was written to
	}
	c.child = nil
}

// Set cuts, in the child, the way to each of the peers and heals all others. It
// returns when that is in force. After an error, which also comes after the time
// within, or when the child has ended, it may or may not be; it may be tried again.
func (c *Controller) Set(peers []string, within time.Duration) error {
	if c.broken != nil {
		return c.broken
	}
	c.seq++
	line, err := json.Marshal(state{Seq: c.seq, Cut: peers})
	if err != nil {
		return fmt.Errorf("encode the switches: %w", err)
	}
	deadline := time.Now().Add(within)
	if err := errors.Join(c.states.SetWriteDeadline(deadline), c.receipts.SetReadDeadline(deadline)); err != nil {
		return fmt.Errorf("limit the wait for the switches: %w", err)
	}
	if k, err := c.states.Write(append(line, '\n')); err != nil {
		return c.failed(k, fmt.Errorf("send the switches: %w", err))
	}
	for {
		answer, err := c.lines.ReadBytes('\n')
		if err != nil {
			return c.failed(len(answer), fmt.Errorf("await the switches: %w", err))
		}
		var r receipt
		if err := json.Unmarshal(answer, &r); err != nil {
			return fmt.Errorf("read what the switches answer: %w", err)
		}
		if r.Seq == c.seq {
			return nil
		}
		if r.Error != "" {
			return fmt.Errorf("the switches refuse: %s", r.Error)
		}
		// A receipt that came after its Set had given up.
	}
}

// failed notes that so many bytes of a line went over before err. Nothing can follow
// half a line.
func (c *Controller) failed(moved int, err error) error {
	if moved > 0 {
		c.broken = err
	}
	return err
}

// Close closes the pipes. The child keeps its last state. It may be called again.
func (c *Controller) Close() error {
	c.Started()
	return errors.Join(closed(c.states), closed(c.receipts))
}

// closed closes f, and is content if it is closed already.
func closed(f io.Closer) error {
	if err := f.Close(); !errors.Is(err, os.ErrClosed) {
		return err
	}
	return nil
}
