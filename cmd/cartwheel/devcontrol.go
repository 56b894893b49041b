package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"

	"cartwheel/chaos/control"
)

// The control of "dev --chaos" over HTTP: GET /chaos returns a control.State, and so does
// POST /chaos/OPERATION after it has done what a control.Request says. An error is
// {"error": "a sentence"}.

const maxChaosBody = 4 << 10

// perform carries out one operation.
func (d *devChaos) perform(operation string, r control.Request) error {
	onNode := map[string]func(string) error{
		"kill": d.kill, "stop": d.stop, "wipe": d.wipe, "start": d.startAgain, "restart": d.restart, "pause": d.pause, "resume": d.resume,
	}
	words := operation
	var err error
	switch f := onNode[operation]; {
	case f != nil && r == control.Request{Node: r.Node}:
		words += " " + r.Node
		err = f(r.Node)
	case operation == "cut" && r == control.Request{From: r.From, To: r.To, OneWay: r.OneWay}:
		words += fmt.Sprintf(" %s %s%s", r.From, r.To, map[bool]string{true: " --one-way"}[r.OneWay])
		err = d.cut(r.From, r.To, r.OneWay)
	case operation == "heal" && r == control.Request{}:
		err = d.heal()
	case f != nil, operation == "cut", operation == "heal":
		return chaosErrorf(http.StatusBadRequest, `%s takes other fields: {"node"} for a node, {"from", "to", "oneway"} for cut, none for heal`, operation)
	default:
		return chaosErrorf(http.StatusNotFound, "there is no operation %q", operation)
	}
	if err == nil {
		fmt.Fprintf(d.out, "chaos: %s\n", words)
	}
	return err
}

// handler serves the control at addr, the listener's.
func (d *devChaos) handler(addr string) http.Handler {
	_, port, _ := net.SplitHostPort(addr) // of a listener: always well-formed
	hosts := []string{addr, net.JoinHostPort("localhost", port)}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		state, err := d.serve(w, r, hosts)
		status, answer := http.StatusOK, any(state)
		if err != nil {
			status = http.StatusInternalServerError
			if e, ok := errors.AsType[*chaosError](err); ok {
				status = e.status
			}
			answer = map[string]string{"error": plain(err)}
		}
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Cache-Control", "no-store")
		w.Header().Set("Server", control.Server)
		w.WriteHeader(status)
		_ = json.NewEncoder(w).Encode(answer) // the client may be gone
	})
}

func (d *devChaos) serve(w http.ResponseWriter, r *http.Request, hosts []string) (control.State, error) {
	if err := local(r, hosts); err != nil {
		return control.State{}, err
	}
	operation, isOperation := strings.CutPrefix(r.URL.Path, "/chaos/")
	method := http.MethodPost
	if !isOperation {
		if r.URL.Path != "/chaos" {
			return control.State{}, chaosErrorf(http.StatusNotFound, "there is nothing at %s; see GET /chaos", r.URL.Path)
		}
		method = http.MethodGet
	}
	if r.Method != method {
		w.Header().Set("Allow", method)
		return control.State{}, chaosErrorf(http.StatusMethodNotAllowed, "use %s for %s", method, r.URL.Path)
	}
	if !isOperation {
		return d.state(), nil
	}
	request, err := readChaosRequest(http.MaxBytesReader(w, r.Body, maxChaosBody))
	if err != nil {
		return control.State{}, err
	}
	select {
	case d.turn <- struct{}{}:
		defer func() { <-d.turn }()
	case <-r.Context().Done(): // who asked has gone
		return control.State{}, r.Context().Err()
	}
	if err := d.perform(operation, request); err != nil {
		return control.State{}, err
	}
	return d.state(), nil
}

// local refuses what a browser sends for a page from elsewhere: it reaches loopback too.
func local(r *http.Request, hosts []string) error {
	if !slices.Contains(hosts, r.Host) {
		return chaosErrorf(http.StatusForbidden, "refused: the request is for host %q, this is %s", r.Host, hosts[0])
	}
	for _, origin := range r.Header.Values("Origin") {
		if !slices.Contains(hosts, strings.TrimPrefix(origin, "http://")) {
			return chaosErrorf(http.StatusForbidden, "refused: the request comes from a page of %q", origin)
		}
	}
	return nil
}

// readChaosRequest reads one JSON object; nothing at all is an empty one.
func readChaosRequest(body io.Reader) (r control.Request, err error) {
	decoder := json.NewDecoder(body)
	decoder.DisallowUnknownFields()
	if err = decoder.Decode(&r); err == io.EOF {
		return r, nil
	}
	if err == nil && decoder.Decode(&struct{}{}) != io.EOF {
		err = errors.New("more than one value")
	}
	if err != nil {
		return r, chaosErrorf(http.StatusBadRequest, "the body is not what this operation takes: %v", err)
	}
	return r, nil
}
