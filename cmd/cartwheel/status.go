package main

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"cartwheel/client"

	"github.com/spf13/cobra"
)

// clusterStatus is what this command uses of GET /cluster.
type clusterStatus struct {
	RingVersion uint64         `json:"ring_version"`
	Settled     bool           `json:"settled"`
	Node        string         `json:"node"` // that answered
	Ready       bool           `json:"ready"`
	NotReady    string         `json:"not_ready"` // why the node is not ready, if it says so
	Fenced      string         `json:"fenced"`    // why its store takes no writes; empty: it does
	Members     []memberStatus `json:"members"`
	Repair      repairStatus   `json:"repair"` // as the node that answered knows it
}

type repairStatus struct {
	Hints      []hintsStatus    `json:"hints"`
	Dirty      []dirtyStatus    `json:"dirty"`
	Unsure     []int            `json:"unsure"`
	Rebuilding int              `json:"rebuilding"`
	Verified   []verifiedStatus `json:"verified"`
}

type hintsStatus struct {
	Owner string `json:"owner"`
	Count int64  `json:"count"`
	Error string `json:"error"` // of the last attempt to deliver; empty if it went well
}

type dirtyStatus struct {
	Owner      string `json:"owner"`
	Partitions []int  `json:"partitions"`
}

type verifiedStatus struct {
	Peer          string  `json:"peer"`
	Partitions    int     `json:"partitions"`
	Never         int     `json:"never"`
	OldestSeconds float64 `json:"oldest_seconds"`
}

type memberStatus struct {
	Name       string  `json:"name"`
	UUID       string  `json:"uuid"`
	Status     string  `json:"status"`
	Alive      bool    `json:"alive"`
	Storage    string  `json:"storage"` // "ok", or "down" if its store takes no writes
	Calls      string  `json:"calls"`   // "ok", or "open" while it is left alone as it did not answer
	Zone       string  `json:"zone"`
	HTTP       string  `json:"http"`
	Partitions int     `json:"partitions"`
	Share      float64 `json:"share"` // of all replicas, 0 to 1
}

func newStatusCmd(remote *remote) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Show the members of the cluster and the state of its ring",
		Example: `  cartwheel status
  cartwheel status --json`,
		Args: arguments(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			var raw json.RawMessage
			if err := remote.getJSON(cmd, "/cluster", nil, &raw); err != nil {
				return err
			}
			if asJSON {
				return printRaw(cmd.OutOrStdout(), raw)
			}
			var s clusterStatus
			if err := json.Unmarshal(raw, &s); err != nil {
				return fmt.Errorf("read the answer of /cluster: %w", err)
			}
			if !s.Ready && len(s.Members) == 0 { // there is no ring to show
				return fmt.Errorf("%s is not ready: %s", printable(cmp.Or(s.Node, "the node")), printable(cmp.Or(s.NotReady, "the ring is not known yet")))
			}
			_, err := io.WriteString(cmd.OutOrStdout(), s.render(newPalette(cmd.OutOrStdout())))
			return err
		},
	}
	addJSONFlag(cmd, &asJSON)
	return cmd
}

// getJSON reads one of the cluster's JSON resources.
func (r *remote) getJSON(cmd *cobra.Command, path string, query map[string][]string, v any) error {
	return r.with(func(c *client.Client) error { return c.GetJSON(cmd.Context(), path, query, v) })
}

// printRaw prints the server's JSON as it is, with what this program does not know, indented.
func printRaw(w io.Writer, raw json.RawMessage) error {
	var b bytes.Buffer
	if err := json.Indent(&b, bytes.TrimSpace(raw), "", "  "); err != nil {
		return err
	}
	b.WriteByte('\n')
	_, err := w.Write(b.Bytes())
	return err
}

func (s clusterStatus) render(p palette) string {
	var b strings.Builder
	alive := 0
	for _, m := range s.Members {
		if m.Alive {
			alive++
		}
	}
	settled, paint := "settled", p.good
	if !s.Settled {
		settled, paint = "not settled: a change of the ring is under way", p.warn
	}
	fmt.Fprintf(&b, "ring version %d, %s; %d of %d members alive\n\n", s.RingVersion, paint.Sprint(settled), alive, len(s.Members))
	head := cells("NAME", "UUID", "STATUS", "ALIVE", "STORAGE", "ZONE", "REPLICAS", "SHARE", "HTTP")
	rows := [][]cell{head}
	// The ring has them by uuid; people look for names.
	slices.SortFunc(s.Members, func(a, b memberStatus) int { return strings.Compare(a.Name, b.Name) })
	for _, m := range s.Members {
		rows = append(rows, m.row(p))
	}
	for i := range head {
		head[i].paint = p.head
	}
	appendTable(&b, rows)
	s.Repair.render(&b, printable(s.Node), p)
	if s.Fenced != "" {
		fmt.Fprintf(&b, "\n%s\n", p.bad.Sprintf("%s takes no writes: %s", printable(s.Node), printable(s.Fenced)))
	}
	return b.String()
}

// render says what is not where it belongs, as the node knows it, and how fresh that knowledge is.
func (r repairStatus) render(b *strings.Builder, node string, p palette) {
	// The ring has members by uuid; people look for names.
	slices.SortFunc(r.Hints, func(a, b hintsStatus) int { return strings.Compare(a.Owner, b.Owner) })
	slices.SortFunc(r.Dirty, func(a, b dirtyStatus) int { return strings.Compare(a.Owner, b.Owner) })
	slices.SortFunc(r.Verified, func(a, b verifiedStatus) int { return strings.Compare(a.Peer, b.Peer) })
	lines := 0
	say := func(format string, args ...any) {
		if lines == 0 {
			b.WriteByte('\n')
		}
		lines++
		fmt.Fprintf(b, format+"\n", args...)
	}
	for _, h := range r.Hints {
		text := fmt.Sprintf("%s keeps %d hints for %s", node, h.Count, printable(h.Owner))
		if h.Error != "" {
			text += "; not delivered: " + printable(h.Error)
		}
		say("%s", p.warn.Sprint(text))
	}
	for _, d := range r.Dirty {
		say("%s", p.warn.Sprintf("%s lacks writes in %d partitions, to be compared with it first", printable(d.Owner), len(d.Partitions)))
	}
	if n := len(r.Unsure); n > 0 {
		say("%s", p.bad.Sprintf("%s may lack acknowledged writes in %d partitions and does not vote on reads of them", node, n))
	}
	if r.Rebuilding > 0 {
		say("%s is scanning %d partitions before they can be compared", node, r.Rebuilding)
	}
	for _, v := range r.Verified {
		age := fmt.Sprintf("all within the last %.0f s", v.OldestSeconds)
		if v.Never > 0 {
			age = fmt.Sprintf("%d not yet since %s started", v.Never, node)
		}
		say("%s and %s compare %d partitions: %s", node, printable(v.Peer), v.Partitions, age)
	}
}

func (m memberStatus) row(p palette) []cell {
	row := cells(m.Name, short(m.UUID), m.Status, "yes", dash(m.Storage), dash(m.Zone), strconv.Itoa(m.Partitions), fmt.Sprintf("%.1f%%", 100*m.Share), dash(m.HTTP))
	row[3].paint = p.good
	if !m.Alive {
		row[3] = cell{"no", p.bad}
		row[4].text = "-" // the last it said of its store may no longer be true
	} else if m.Calls == "open" {
		row[3] = cell{"silent", p.warn}
	} else if m.Storage == "down" {
		row[4].paint = p.bad
	}
	if m.Status != "member" {
		row[2].paint = p.warn
	}
	return row
}

func dash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}
