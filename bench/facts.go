package bench

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"cartwheel/bench/result"
	"cartwheel/client"
)

// answerWithin bounds a question to a node; one that is not asked for the load may be unreachable.
const answerWithin = 5 * time.Second

// view is what a node says of itself and of its cluster in GET /cluster. A node of an older version
// does not say its version, durability and cores.
type view struct {
	Cluster    string `json:"cluster"`
	Node       string `json:"node"`
	Ready      bool   `json:"ready"`
	NotReady   string `json:"not_ready"`
	Partitions int    `json:"partitions"`
	N          int    `json:"n"`
	Version    string `json:"version"`
	Durability string `json:"durability"`
	Cores      int    `json:"cores"`
	Members    []struct {
		Name  string `json:"name"`
		Alive bool   `json:"alive"`
		Zone  string `json:"zone"`
		HTTP  string `json:"http"`
	} `json:"members"`
	Repair struct {
		HintsPending int64 `json:"hints_pending"`
	} `json:"repair"`
}

// zone returns that of a member.
func (v *view) zone(name string) string {
	for _, m := range v.Members {
		if m.Name == name {
			return m.Zone
		}
	}
	return ""
}

func ask(ctx context.Context, url string) (*view, error) {
	c, err := client.New(client.Config{Endpoints: []string{url}, Retries: -1, Timeout: answerWithin})
	if err != nil {
		return nil, err
	}
	defer c.Close()
	v := &view{}
	if err := c.GetJSON(ctx, "/cluster", nil, v); err != nil {
		return nil, err
	}
	return v, nil
}

// survey is what the nodes said before a run.
type survey struct {
	cluster result.Cluster
	watched []result.Node // every member that answers: those of the cluster's Nodes, then others
}

// look asks every target, which must serve, and then the other members at the addresses that they
// give to clients.
func look(ctx context.Context, targets []string) (*survey, error) {
	views, errs := make([]*view, len(targets)), make([]error, len(targets))
	var wg sync.WaitGroup
	for i, url := range targets {
		wg.Go(func() { views[i], errs[i] = ask(ctx, url) })
	}
	wg.Wait()
	for i, v := range views {
		switch {
		case errs[i] != nil:
			errs[i] = fmt.Errorf("bench: ask %s for its cluster: %w", targets[i], errs[i])
		case !v.Ready:
			errs[i] = fmt.Errorf("bench: %s does not serve yet (%s); wait for it, or leave it out of the targets", targets[i], v.NotReady)
		case views[0] != nil && v.Cluster != views[0].Cluster:
			errs[i] = fmt.Errorf("bench: %s and %s are of different clusters", targets[0], targets[i])
		}
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	s := &survey{cluster: result.Cluster{Members: len(views[0].Members), N: views[0].N, Partitions: views[0].Partitions}}
	for i, v := range views {
		s.add(targets[i], v)
	}
	s.cluster.Nodes = slices.Clone(s.watched)
	s.lookAround(ctx, views[0])
	s.cluster.Durability = durability(s.watched, s.cluster.Members)
	return s, nil
}

// add notes a node, once.
func (s *survey) add(url string, v *view) {
	if !s.has(v.Node) {
		s.watched = append(s.watched, result.Node{
			Name: v.Node, URL: url, Version: v.Version, Durability: v.Durability, Cores: v.Cores, Zone: v.zone(v.Node),
		})
	}
}

func (s *survey) has(name string) bool {
	return slices.ContainsFunc(s.watched, func(n result.Node) bool { return n.Name == name })
}

// lookAround asks the members that no request goes to. Their addresses may mean something else from
// here, so only one that proves to be that member counts.
func (s *survey) lookAround(ctx context.Context, from *view) {
	found := make([]*view, len(from.Members))
	var wg sync.WaitGroup
	for i, m := range from.Members {
		if s.has(m.Name) || m.HTTP == "" {
			continue
		}
		wg.Go(func() {
			if v, err := ask(ctx, "http://"+m.HTTP); err == nil && v.Node == m.Name && v.Cluster == from.Cluster {
				found[i] = v
			}
		})
	}
	wg.Wait()
	for i, v := range found {
		if v != nil {
			s.add("http://"+from.Members[i].HTTP, v)
		}
	}
}

// durability returns the different values of the nodes, "unknown" standing for members that do not
// say or could not be asked; empty if none says.
func durability(nodes []result.Node, members int) string {
	var words []string
	silent := len(nodes) < members
	for _, n := range nodes {
		if n.Durability == "" {
			silent = true
			continue
		}
		words = append(words, n.Durability)
	}
	if silent && len(words) > 0 {
		words = append(words, "unknown")
	}
	slices.Sort(words)
	return strings.Join(slices.Compact(words), ",")
}

// machine returns what is known of the machine of the generator.
func machine() result.Machine {
	return result.Machine{
		CPU:   procField("/proc/cpuinfo", "model name"),
		Cores: runtime.NumCPU(), Procs: runtime.GOMAXPROCS(0),
		MemoryBytes: kilobytes(procField("/proc/meminfo", "MemTotal")),
	}
}

// procField returns the first "name: value" of a file; empty where there is none.
func procField(path, name string) string {
	f, err := os.Open(path)
	if err != nil {
		return "" // another system
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		if key, value, ok := strings.Cut(lines.Text(), ":"); ok && strings.TrimSpace(key) == name {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

// kilobytes reads "16384 kB"; 0 if it is something else.
func kilobytes(text string) int64 {
	figure, ok := strings.CutSuffix(text, " kB")
	v, err := strconv.ParseInt(strings.TrimSpace(figure), 10, 64)
	if !ok || err != nil || v < 0 {
		return 0
	}
	return v << 10
}
