// Package control is the client of the control that "cartwheel dev --chaos" serves: it breaks the
// nodes of that cluster and the links between them, and brings them back.
//
// # Model
//
// GET /chaos returns a [State]; POST /chaos/OPERATION with a [Request] changes it, and returns when
// the change is in force. Both sides use the types of this package. The control is told from other
// servers by the Server header of its answers.
//
// # Promises
//
// A nil error means that the operation was carried out. After any other error but [*Error] it may
// have been, or may yet be; [Client.Restore] brings everything back in either case.
//
// # Bounds and concurrency
//
// Each request ends within [Within]; an answer longer than 1 MiB is cut off and cannot be read. A
// Client is safe for concurrent use; the control does one operation after the other.
//
//	c, err := control.New("http://127.0.0.1:8107")
//	if err != nil {
//		return err
//	}
//	defer c.Close()
//	err = c.Do(ctx, "kill", control.Request{Node: "n2"})
package control

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"
)

// Server is the Server header of the control's answers.
const Server = "cartwheel-chaos"

// The states of a node.
const (
	Running = "running"
	Paused  = "paused"
	Dead    = "dead"
)

const (
	// Within bounds one request: a node may take its time to stop and to start, and there may be an
	// operation before.
	Within = time.Minute
	// maxAnswer bounds an answer in memory.
	maxAnswer = 1 << 20
)

// State is what the control says of the cluster.
type State struct {
	Nodes []Node `json:"nodes"` // n1, n2, ...
	Cuts  []Cut  `json:"cuts"`
}

// Node is one node of the cluster.
type Node struct {
	Name  string `json:"name"`
	State string `json:"state"`         // Running, Paused or Dead
	PID   int    `json:"pid,omitempty"` // absent if dead
	HTTP  string `json:"http"`          // host:port
	Peer  string `json:"peer"`          // host:port
}

// Cut is one direction in which nothing passes.
type Cut struct {
	From string `json:"from"`
	To   string `json:"to"`
}

// Request has the fields of all operations; each takes its own: kill, stop, wipe, start, restart,
// pause and resume a node, cut two nodes, heal none.
type Request struct {
	Node   string `json:"node,omitempty"`
	From   string `json:"from,omitempty"`
	To     string `json:"to,omitempty"`
	OneWay bool   `json:"oneway,omitempty"`
}

var (
	// ErrNoAnswer is a control that could not be reached, or broke off.
	ErrNoAnswer = errors.New("no answer from the chaos control")
	// ErrOther is an answer of something else.
	ErrOther = errors.New("not what \"cartwheel dev --chaos\" has printed as chaos")
)

// Error is an operation that the control refused, or that failed.
type Error struct {
	Status int
	Text   string
	url    string
}

func (e *Error) Error() string { return fmt.Sprintf("%s answered %d: %s", e.url, e.Status, e.Text) }

// Client talks to one control. Make it with New.
type Client struct {
	base *url.URL
	http *http.Client
}

// New returns a client of the control at the URL, http://HOST:PORT. It connects to nothing yet.
func New(address string) (*Client, error) {
	base, err := url.Parse(address)
	if err != nil || base.Scheme != "http" || base.Host == "" {
		return nil, fmt.Errorf("the chaos control's URL %q: use http://HOST:PORT", address)
	}
	// No proxy: it is on this machine.
	return &Client{base: base, http: &http.Client{Timeout: Within, Transport: &http.Transport{}}}, nil
}

// Close drops the idle connections. It may be called twice.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// State returns the state of the cluster.
func (c *Client) State(ctx context.Context) (s State, err error) {
	raw, err := c.Raw(ctx)
	if err != nil {
		return s, err
	}
	if err := json.Unmarshal(raw, &s); err != nil {
		return s, fmt.Errorf("read the answer of %s: %w", c.base.JoinPath("chaos"), err)
	}
	return s, nil
}

// Raw returns the state as JSON, with fields that this build may not know.
func (c *Client) Raw(ctx context.Context) ([]byte, error) {
	return c.exchange(ctx, http.MethodGet, c.base.JoinPath("chaos"), nil)
}

// Do carries out an operation and blocks until it is in force.
func (c *Client) Do(ctx context.Context, operation string, r Request) error {
	body, err := json.Marshal(r)
	if err != nil {
		return fmt.Errorf("encode the request: %w", err)
	}
	_, err = c.exchange(ctx, http.MethodPost, c.base.JoinPath("chaos", operation), body)
	return err
}

// Restore heals every link, lets every paused node go on and starts every dead one. It goes on after
// an error, and returns all of them.
func (c *Client) Restore(ctx context.Context) error {
	err := c.Do(ctx, "heal", Request{})
	state, stateErr := c.State(ctx)
	err = errors.Join(err, stateErr)
	for _, n := range state.Nodes {
		if operation := map[string]string{Paused: "resume", Dead: "start"}[n.State]; operation != "" {
			err = errors.Join(err, c.Do(ctx, operation, Request{Node: n.Name}))
		}
	}
	return err
}

// exchange returns the body of an answer with status 200.
func (c *Client) exchange(ctx context.Context, method string, target *url.URL, body []byte) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, method, target.String(), bytes.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("make the request: %w", err)
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := c.http.Do(req)
	var answer []byte
	if err == nil {
		defer resp.Body.Close()
		answer, err = io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNoAnswer, err)
	}
	if resp.Header.Get("Server") != Server {
		return nil, fmt.Errorf("%s answered status %d, but is %w", c.base, resp.StatusCode, ErrOther)
	}
	if resp.StatusCode == http.StatusOK {
		return answer, nil
	}
	refusal := &Error{Status: resp.StatusCode, Text: string(bytes.TrimSpace(answer)), url: target.String()}
	var said struct {
		Error string `json:"error"`
	}
	if json.Unmarshal(answer, &said) == nil && said.Error != "" {
		refusal.Text = said.Error
	}
	return nil, refusal
}
