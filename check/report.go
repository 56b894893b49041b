package check

import "slices"

// Report is the verdict on a history.
type Report struct {
	Info      Info        `json:"run"`
	Clean     bool        `json:"clean"`
	Workloads []*Workload `json:"workloads"`
	// Violations lists the first 10,000; Count is the number of all.
	Violations []Violation    `json:"violations"`
	Count      int            `json:"violation_count"`
	Kinds      map[string]int `json:"violation_kinds"`
	Faults     int            `json:"faults"`
}

// Workload is what a report says of one workload.
type Workload struct {
	Name string `json:"name"`
	Counts
	Keys       int  `json:"keys"`
	Violations int  `json:"violations"`
	Lossy      bool `json:"last_write_wins,omitempty"`
	// Lost is how many acknowledged writes are gone from a bucket where the last write wins;
	// elsewhere each of them is a violation.
	Lost int `json:"lost,omitempty"`
	Sum  int `json:"sum,omitempty"` // of all counters in the end
}

// Counts are operations by their outcome.
type Counts struct {
	Operations   int `json:"operations"`
	OK           int `json:"ok"`
	Unknown      int `json:"unknown"`
	Failed       int `json:"failed"`
	Writes       int `json:"writes"`
	Acknowledged int `json:"acknowledged"` // writes that were answered with 2xx
}

// add counts an operation. Faults and the like are none.
func (c *Counts) add(op *Op) {
	if op.Type != typeRead && op.Type != typeWrite {
		return
	}
	c.Operations++
	switch op.Outcome {
	case outcomeOK:
		c.OK++
	case outcomeFail:
		c.Failed++
	default:
		c.Unknown++
	}
	if op.Type == typeWrite {
		c.Writes++
		if op.Outcome == outcomeOK {
			c.Acknowledged++
		}
	}
}

// Violation is a promise that was not kept.
type Violation struct {
	Kind     string `json:"kind"` // as in the package comment
	Workload string `json:"workload"`
	Key      string `json:"key,omitempty"`
	Client   int    `json:"client"` // and Seq: the accused operation; -1: none, or a final read
	Seq      int    `json:"seq"`
	At       int64  `json:"at"` // its end, in microseconds since the run's start
	Text     string `json:"text"`
}

// String is the violation in one line.
func (v Violation) String() string {
	where := v.Workload
	if v.Key != "" {
		where += "/" + v.Key
	}
	return v.Kind + ": " + where + ": " + v.Text
}

func newReport() *Report { return &Report{Violations: []Violation{}, Kinds: map[string]int{}} }

// workload returns the named workload's part, made when it is new.
func (r *Report) workload(name string) *Workload {
	for _, w := range r.Workloads {
		if w.Name == name {
			return w
		}
	}
	w := &Workload{Name: name, Lossy: lookup(name).lossy}
	r.Workloads = append(r.Workloads, w)
	return w
}

func (r *Report) add(v Violation) {
	r.Count++
	r.Kinds[v.Kind]++
	r.workload(v.Workload).Violations++
	if len(r.Violations) < maxViolations {
		r.Violations = append(r.Violations, v)
	}
}

// conclude puts the workloads in order and says whether all is well.
func (r *Report) conclude() {
	for _, name := range r.Info.Workloads {
		r.workload(name) // one without any operation is reported, too
	}
	for _, w := range r.Workloads {
		if w.Acknowledged == 0 {
			r.add(Violation{Kind: "unverified", Workload: w.Name, Client: -1, Text: "no write was acknowledged, so nothing was checked"})
		}
	}
	slices.SortFunc(r.Workloads, func(a, b *Workload) int { return position(a.Name) - position(b.Name) })
	r.Clean = r.Count == 0
}
