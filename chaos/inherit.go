package chaos

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"cartwheel/transport"
)

// firstStateWithin bounds the wait for the parent's first state.
const firstStateWithin = 10 * time.Second

// Inherited is the child's end of the switches. It is safe for concurrent use.
type Inherited struct {
	network  *Network
	states   *os.File
	receipts *os.File
	lines    *bufio.Scanner
	wg       sync.WaitGroup
}

// Inherit takes up the pipes that [Variable], whose value fds is, names, and returns
// when the parent's first state is in force; it follows every later one until Close.
// self is as in [New]. The network lies over the operating system's sockets.
func Inherit(fds, self string) (*Inherited, error) {
	n, err := New(transport.TCP(), self)
	if err != nil {
		return nil, err
	}
	in := &Inherited{network: n}
	first, second, _ := strings.Cut(fds, ",")
	if in.states, err = inheritPipe(first, "states"); err != nil {
		return nil, foreign(fds, err)
	}
	if in.receipts, err = inheritPipe(second, "receipts"); err != nil {
		return nil, errors.Join(foreign(fds, err), in.states.Close())
	}
	if err := in.begin(); err != nil {
		return nil, errors.Join(foreign(fds, err), in.Close())
	}
	in.wg.Go(func() {
		for more := true; more; {
			// An end or an error is that of the parent, without which the node stops
			// anyway; its last state stays in force.
			more, _ = in.step()
		}
	})
	return in, nil
}

func foreign(fds string, err error) error {
	return fmt.Errorf("%s=%s does not come from \"cartwheel dev --chaos\", unset it: %w", Variable, fds, err)
}

// Network returns the network whose links the parent cuts.
func (in *Inherited) Network() *Network { return in.network }

// Close lets go of the pipes; the last state stays in force. It may be called again.
func (in *Inherited) Close() error {
	err := errors.Join(closed(in.states), closed(in.receipts))
	in.wg.Wait()
	return err
}

func (in *Inherited) begin() error {
	if err := in.states.SetReadDeadline(time.Now().Add(firstStateWithin)); err != nil {
		return fmt.Errorf("wait for the switches: %w", err)
	}
	in.lines = bufio.NewScanner(in.states)
	more, err := in.step()
	if !more && err == nil {
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		return fmt.Errorf("take up the switches: %w", err)
	}
	return in.states.SetReadDeadline(time.Time{})
}

// step takes one line from the parent and answers it. It returns false after the
// last one.
func (in *Inherited) step() (more bool, err error) {
	if !in.lines.Scan() {
		return false, in.lines.Err()
	}
	answer, err := in.network.obey(in.lines.Bytes())
	if _, sent := in.receipts.Write(answer); sent != nil {
		return false, sent
	}
	return true, err
}

// obey puts a line's state in force and returns the receipt. A line that cannot be
// read changes nothing.
func (n *Network) obey(line []byte) (answer []byte, err error) {
	var s state
	if err = json.Unmarshal(line, &s); err == nil && s.Seq == 0 {
		err = errors.New("a state without a number")
	}
	var r receipt
	if err != nil {
		r.Error = err.Error()
	} else {
		n.Set(s.Cut)
		r.Seq = s.Seq
	}
	answer, encodeErr := json.Marshal(r)
	return append(answer, '\n'), errors.Join(err, encodeErr)
}

// inheritPipe opens an inherited descriptor, if it is a pipe: anything else must not
// be touched, the Go runtime has descriptors of its own.
func inheritPipe(number, name string) (*os.File, error) {
	const stderr = 2
	fd, err := strconv.Atoi(number)
	if err != nil || fd <= stderr {
		return nil, fmt.Errorf("%q is not the number of an inherited descriptor", number)
	}
	var st syscall.Stat_t
	if err := syscall.Fstat(fd, &st); err != nil {
		return nil, fmt.Errorf("descriptor %d: %w", fd, err)
	}
	if st.Mode&syscall.S_IFMT != syscall.S_IFIFO {
		return nil, fmt.Errorf("descriptor %d is not a pipe", fd)
	}
	syscall.CloseOnExec(fd)
	// So that Close ends a read under way.
	if err := syscall.SetNonblock(fd, true); err != nil {
		return nil, fmt.Errorf("descriptor %d: %w", fd, err)
	}
	return os.NewFile(uintptr(fd), name), nil
}
