package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"strings"

	"cartwheel/client"

	"github.com/spf13/cobra"
)

// explanation is the answer of GET /cluster/explain.
type explanation struct {
	Type        string         `json:"type"`
	Bucket      string         `json:"bucket"`
	Key         string         `json:"key"`
	Partition   int            `json:"partition"`
	RingVersion uint64         `json:"ring_version"`
	NVal        int            `json:"n_val"`
	N           int            `json:"n"`          // effective: no more than there are members
	Preference  []string       `json:"preference"` // all members, owners first
	Owners      []replicaState `json:"owners"`
}

// replicaState is one owner's copy of the key. With Error the rest is not known; with Missing
// the owner has no copy.
type replicaState struct {
	Name     string         `json:"name"`
	UUID     string         `json:"uuid"`
	Alive    bool           `json:"alive"`
	Error    string         `json:"error"`
	Missing  bool           `json:"missing"`
	Digest   string         `json:"digest"`
	Clock    []clockEntry   `json:"clock"`
	Siblings []siblingState `json:"siblings"`
}

// actor is one life of a node's process and a counter within it; it mints dots.
type actor struct {
	Run   string `json:"run"` // hexadecimal
	Epoch uint64 `json:"epoch"`
}

type clockEntry struct {
	actor
	Counter uint64 `json:"counter"`
}

type siblingState struct {
	VTag        string     `json:"vtag"`
	Dot         clockEntry `json:"dot"`
	Time        string     `json:"time"`
	Deleted     bool       `json:"deleted"`
	ContentType string     `json:"content_type"`
	Bytes       int64      `json:"bytes"`
}

func newExplainCmd(remote *remote) *cobra.Command {
	var (
		key    client.Key
		asJSON bool
	)
	cmd := &cobra.Command{
		Use:   "explain BUCKET KEY",
		Short: "Show where a key lives and what each replica holds",
		Long: `explain shows the partition and the preference list of a key, and what each of its replicas holds:
clock and siblings. Replicas that differ from the others are marked.

229cb5f0.3:1 reads run.epoch:counter; a run is one life of a node's process, not its uuid.`,
		Example: `  cartwheel explain fruit apple
  cartwheel explain fruit apple --json`,
		Args: arguments(2, 2),
		RunE: func(cmd *cobra.Command, args []string) error {
			var raw json.RawMessage
			query := url.Values{"type": {key.Type}, "bucket": {args[0]}, "key": {args[1]}}
			if key.Type == "" {
				query.Set("type", "default")
			}
			if err := remote.getJSON(cmd, "/cluster/explain", query, &raw); err != nil {
				return err
			}
			if asJSON {
				return printRaw(cmd.OutOrStdout(), raw)
			}
			var e explanation
			if err := json.Unmarshal(raw, &e); err != nil {
				return fmt.Errorf("read the answer of /cluster/explain: %w", err)
			}
			if len(e.Owners) == 0 {
				return errors.New("the node names no owner of the key; --json shows its whole answer")
			}
			_, err := io.WriteString(cmd.OutOrStdout(), e.render(newPalette(cmd.OutOrStdout())))
			return err
		},
	}
	cmd.Flags().StringVar(&key.Type, "type", "", "bucket type; none means the default type")
	addJSONFlag(cmd, &asJSON)
	return cmd
}

func (e explanation) render(p palette) string {
	var b strings.Builder
	fmt.Fprintf(&b, "key %s in bucket %s of type %s\n", printable(e.Key), printable(e.Bucket), printable(e.Type))
	fmt.Fprintf(&b, "partition %d, n_val %d, effective n %d, ring version %d\n", e.Partition, e.NVal, e.N, e.RingVersion)
	fmt.Fprintf(&b, "preference list: %s\n\n", printable(strings.Join(e.Preference, " ")))
	verdicts := compare(e.Owners)
	head := cells("OWNER", "UUID", "ALIVE", "COPY", "CLOCK")
	for i := range head {
		head[i].paint = p.head
	}
	rows := [][]cell{head}
	for i, r := range e.Owners {
		rows = append(rows, r.row(p, verdicts[i]))
	}
	appendTable(&b, rows)
	for _, r := range e.Owners {
		if r.Error != "" {
			fmt.Fprintf(&b, "\n%s gave no answer: %s\n", p.head.Sprint(printable(r.Name)), printable(r.Error))
		}
		if len(r.Siblings) == 0 {
			continue
		}
		fmt.Fprintf(&b, "\n%s holds\n", p.head.Sprint(printable(r.Name)))
		rows := [][]cell{}
		for _, s := range r.Siblings {
			rows = append(rows, s.row())
		}
		appendTable(&b, rows)
	}
	fmt.Fprintf(&b, "\n%s\n", conclusion(p, e.Owners, verdicts))
	return b.String()
}

func (r replicaState) row(p palette, v verdict) []cell {
	row := cells(r.Name, short(r.UUID), "yes", string(v), dash(r.clockText()))
	row[2].paint = p.good
	if !r.Alive {
		row[2] = cell{"no", p.bad}
	}
	switch v {
	case differs, behind, missing:
		row[3].paint = p.bad
	case unknown:
		row[3].paint = p.warn
	}
	return row
}

func (r replicaState) clockText() string {
	var entries []string
	for _, c := range r.Clock {
		entries = append(entries, c.String())
	}
	return strings.Join(entries, " ")
}

// String is run.epoch:counter, the run shortened.
func (c clockEntry) String() string {
	return fmt.Sprintf("%s.%d:%d", short(c.Run), c.Epoch, c.Counter)
}

func (s siblingState) row() []cell {
	what := dash(s.ContentType)
	if s.Deleted {
		what = "deleted"
	}
	return cells("  "+s.VTag, what, fmt.Sprintf("%d bytes", s.Bytes), s.Time, "written as "+s.Dot.String())
}
