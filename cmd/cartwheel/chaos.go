package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"cartwheel/client"
)

const (
	// chaosVariable names the environment variable behind --chaos-url.
	chaosVariable = "CARTWHEEL_CHAOS"
	// defaultChaosURL is that of "dev --chaos" with its default port.
	defaultChaosURL = "http://127.0.0.1:8107"
	maxChaosAnswer  = 1 << 20
)

func newChaosCmd() *cobra.Command {
	control := &chaosControl{}
	cmd := &cobra.Command{
		Use:   "chaos",
		Short: "Break the nodes of \"cartwheel dev --chaos\", and the links between them",
		Long: `Break the nodes of a running "cartwheel dev --chaos" and the links between them, and bring
them back. A cut link drops or holds all that one node sends to the other; it is in force
when the command returns.

Exit codes: 0 done, 1 refused or failed, 2 wrong usage, 3 there is no such node.`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usagef("there is no chaos command %q; \"cartwheel chaos --help\" lists them", args[0])
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := cmd.Help(); err != nil {
				return err
			}
			return usagef("name what to break")
		},
	}
	cmd.PersistentFlags().StringVar(&control.url, "chaos-url", cmp.Or(os.Getenv(chaosVariable), defaultChaosURL),
		"what \"cartwheel dev --chaos\" has printed as chaos (environment: "+chaosVariable+")")
	for _, c := range []struct{ name, short string }{
		{"kill", "End a node's process at once (SIGKILL)"},
		{"stop", "Stop a node in order (SIGTERM)"},
		{"wipe", "Delete the objects of a dead node, as if their disk had been lost"},
		{"start", "Start a dead node on its data"},
		{"restart", "Stop a node in order if it runs, and start it"},
		{"pause", "Freeze a node's process (SIGSTOP): its connections stay open, nothing is answered"},
		{"resume", "Let a paused node go on (SIGCONT)"},
	} {
		cmd.AddCommand(&cobra.Command{
			Use: c.name + " NODE", Short: c.short, Args: arguments(1, 1),
			RunE: func(cmd *cobra.Command, args []string) error {
				return control.post(cmd.Context(), c.name, chaosRequest{Node: args[0]})
			},
		})
	}
	cmd.AddCommand(newCutCmd(control), &cobra.Command{
		Use: "heal", Short: "End all cuts", Args: arguments(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return control.post(cmd.Context(), "heal", chaosRequest{})
		},
	}, newChaosStatusCmd(control))
	return cmd
}

func newCutCmd(control *chaosControl) *cobra.Command {
	var oneWay bool
	cmd := &cobra.Command{
		Use: "cut FROM TO", Short: "Cut the link between two nodes", Args: arguments(2, 2),
		RunE: func(cmd *cobra.Command, args []string) error {
			return control.post(cmd.Context(), "cut", chaosRequest{From: args[0], To: args[1], OneWay: oneWay})
		},
	}
	cmd.Flags().BoolVar(&oneWay, "one-way", false, "only what FROM sends; TO still reaches FROM over existing connections")
	return cmd
}

func newChaosStatusCmd(control *chaosControl) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use: "status", Short: "Show which nodes run and what is cut", Args: arguments(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			raw, err := control.exchange(cmd.Context(), http.MethodGet, "/chaos", nil)
			if err != nil {
				return err
			}
			if asJSON {
				return printRaw(cmd.OutOrStdout(), raw)
			}
			var s chaosState
			if err := json.Unmarshal(raw, &s); err != nil {
				return fmt.Errorf("read the answer of /chaos: %w", err)
			}
			_, err = io.WriteString(cmd.OutOrStdout(), s.render(newPalette(cmd.OutOrStdout())))
			return err
		},
	}
	addJSONFlag(cmd, &asJSON)
	return cmd
}

func (s chaosState) render(p palette) string {
	head := cells("NAME", "STATE", "PID", "HTTP", "PEER")
	for i := range head {
		head[i].paint = p.head
	}
	rows := [][]cell{head}
	for _, n := range s.Nodes {
		row := cells(n.Name, n.State, strconv.Itoa(n.PID), n.HTTP, n.Peer)
		switch n.State {
		case stateRunning:
			row[1].paint = p.good
		case statePaused:
			row[1].paint = p.warn
		default:
			row[1].paint, row[2].text = p.bad, "-"
		}
		rows = append(rows, row)
	}
	var b strings.Builder
	appendTable(&b, rows)
	if len(s.Cuts) > 0 {
		b.WriteByte('\n')
	}
	for _, c := range s.Cuts {
		fmt.Fprintf(&b, "%s: nothing from %s reaches %s\n", p.bad.Sprint("cut"), printable(c.From), printable(c.To))
	}
	return b.String()
}

// chaosControl is the control of a running "dev --chaos".
type chaosControl struct{ url string }

func (c *chaosControl) post(ctx context.Context, operation string, r chaosRequest) error {
	body, err := json.Marshal(r)
	if err != nil {
		return fmt.Errorf("encode the request: %w", err)
	}
	_, err = c.exchange(ctx, http.MethodPost, "/chaos/"+operation, body)
	return err
}

// exchange returns the JSON that the control answers.
func (c *chaosControl) exchange(ctx context.Context, method, path string, body []byte) ([]byte, error) {
	base, err := url.Parse(c.url)
	if err != nil || base.Scheme != "http" || base.Host == "" {
		return nil, usagef("--chaos-url %q: use http://HOST:PORT", c.url)
	}
	ctx, cancel := context.WithTimeout(ctx, 2*devChaosWithin) // there may be one before
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, base.JoinPath(path).String(), bytes.NewReader(body))
	if err != nil {
		return nil, usagef("--chaos-url %q: %v", c.url, err)
	}
	req.Header.Set("Content-Type", "application/json")
	web := &http.Client{Transport: &http.Transport{}} // no proxy: it is on this machine
	defer web.CloseIdleConnections()
	resp, err := web.Do(req)
	var answer []byte
	if err == nil {
		defer resp.Body.Close()
		answer, err = io.ReadAll(io.LimitReader(resp.Body, maxChaosAnswer))
	}
	if err != nil {
		return nil, fmt.Errorf("no answer from the chaos control (%s); start a cluster with \"cartwheel dev --chaos\", or name what it printed as chaos with --chaos-url or %s", cause(err), chaosVariable)
	}
	if resp.Header.Get("Server") != chaosServer {
		return nil, fmt.Errorf("%s answered status %d, but is not what \"cartwheel dev --chaos\" has printed as chaos; name that with --chaos-url or %s", c.url, resp.StatusCode, chaosVariable)
	}
	if resp.StatusCode == http.StatusOK {
		return answer, nil
	}
	var refusal struct {
		Error string `json:"error"`
	}
	if err := json.Unmarshal(answer, &refusal); err != nil {
		return nil, fmt.Errorf("read the answer of the chaos control, status %d: %w", resp.StatusCode, err)
	}
	return nil, &chaosError{resp.StatusCode, refusal.Error}
}

// Is makes an unknown node a thing that was not found, with its exit code.
func (e *chaosError) Is(target error) bool {
	return target == client.ErrNotFound && e.status == http.StatusNotFound
}
