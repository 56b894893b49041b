package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"cartwheel/chaos/control"
	"cartwheel/client"
)

const (
	// chaosVariable names the environment variable behind --chaos-url.
	chaosVariable = "CARTWHEEL_CHAOS"
	// defaultChaosURL is that of "dev --chaos" with its default port.
	defaultChaosURL = "http://127.0.0.1:8107"
)

func newChaosCmd() *cobra.Command {
	to := &chaosControl{}
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
	cmd.PersistentFlags().StringVar(&to.url, "chaos-url", cmp.Or(os.Getenv(chaosVariable), defaultChaosURL),
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
				return to.post(cmd.Context(), c.name, control.Request{Node: args[0]})
			},
		})
	}
	cmd.AddCommand(newCutCmd(to), &cobra.Command{
		Use: "heal", Short: "End all cuts", Args: arguments(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return to.post(cmd.Context(), "heal", control.Request{})
		},
	}, newChaosStatusCmd(to))
	return cmd
}

func newCutCmd(to *chaosControl) *cobra.Command {
	var oneWay bool
	cmd := &cobra.Command{
		Use: "cut FROM TO", Short: "Cut the link between two nodes", Args: arguments(2, 2),
		RunE: func(cmd *cobra.Command, args []string) error {
			return to.post(cmd.Context(), "cut", control.Request{From: args[0], To: args[1], OneWay: oneWay})
		},
	}
	cmd.Flags().BoolVar(&oneWay, "one-way", false, "only what FROM sends; TO still reaches FROM over existing connections")
	return cmd
}

func newChaosStatusCmd(to *chaosControl) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use: "status", Short: "Show which nodes run and what is cut", Args: arguments(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := to.client()
			if err != nil {
				return err
			}
			defer c.Close()
			raw, err := c.Raw(cmd.Context())
			if err != nil {
				return chaosFailure(err)
			}
			if asJSON {
				return printRaw(cmd.OutOrStdout(), raw)
			}
			var s control.State
			if err := json.Unmarshal(raw, &s); err != nil {
				return fmt.Errorf("read the answer of /chaos: %w", err)
			}
			_, err = io.WriteString(cmd.OutOrStdout(), renderChaos(newPalette(cmd.OutOrStdout()), s))
			return err
		},
	}
	addJSONFlag(cmd, &asJSON)
	return cmd
}

func renderChaos(p palette, s control.State) string {
	head := cells("NAME", "STATE", "PID", "HTTP", "PEER")
	for i := range head {
		head[i].paint = p.head
	}
	rows := [][]cell{head}
	for _, n := range s.Nodes {
		row := cells(n.Name, n.State, strconv.Itoa(n.PID), n.HTTP, n.Peer)
		switch n.State {
		case control.Running:
			row[1].paint = p.good
		case control.Paused:
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

func (c *chaosControl) client() (*control.Client, error) {
	made, err := control.New(c.url)
	if err != nil {
		return nil, usagef("--chaos-url %q: use http://HOST:PORT", c.url)
	}
	return made, nil
}

func (c *chaosControl) post(ctx context.Context, operation string, r control.Request) error {
	to, err := c.client()
	if err != nil {
		return err
	}
	defer to.Close()
	return chaosFailure(to.Do(ctx, operation, r))
}

// chaosFailure says what to do about an error of the control.
func chaosFailure(err error) error {
	const wayOut = "with --chaos-url or " + chaosVariable
	if refusal, ok := errors.AsType[*control.Error](err); ok {
		return &chaosError{refusal.Status, refusal.Text}
	}
	switch {
	case errors.Is(err, control.ErrNoAnswer):
		return fmt.Errorf("no answer from the chaos control (%s); start a cluster with \"cartwheel dev --chaos\", or name what it printed as chaos %s", cause(err), wayOut)
	case errors.Is(err, control.ErrOther):
		return fmt.Errorf("%w; name that %s", err, wayOut)
	}
	return err
}

// Is makes an unknown node a thing that was not found, with its exit code.
func (e *chaosError) Is(target error) bool {
	return target == client.ErrNotFound && e.status == http.StatusNotFound
}
