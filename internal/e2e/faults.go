package e2e

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// Reply is an answer to one request.
type Reply struct {
	Status int
	Header http.Header
	Body   string
	Took   time.Duration
}

// Context is what a write that follows this reply sends along.
func (r Reply) Context() string { return r.Header.Get("X-Riak-Vclock") }

// Line is the first line of the body, where the text of a refusal stands.
func (r Reply) Line() string {
	line, _, _ := strings.Cut(r.Body, "\n")
	return line
}

// Object is a key as one client uses it.
type Object struct {
	Bucket, Key string
	Client      *http.Client
}

// Ask sends a request about the object to a node. A context of "" is none, and a body is sent
// with PUT alone.
func (o Object) Ask(n *Node, method, query, context, body string) (Reply, error) {
	target := "http://" + n.HTTP + "/buckets/" + url.PathEscape(o.Bucket) + "/keys/" + url.PathEscape(o.Key) + query
	var content io.Reader
	if method == http.MethodPut {
		content = strings.NewReader(body)
	}
	req, err := http.NewRequest(method, target, content)
	if err != nil {
		return Reply{}, fmt.Errorf("make the request: %w", err)
	}
	if method == http.MethodPut {
		req.Header.Set("Content-Type", "text/plain")
	} else {
		req.Header.Set("Accept", "multipart/mixed, */*;q=0.5")
	}
	if context != "" {
		req.Header.Set("X-Riak-Vclock", context)
	}
	began := time.Now()
	resp, err := o.Client.Do(req)
	if err != nil {
		return Reply{}, err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		return Reply{}, fmt.Errorf("read the answer of %s: %w", n.Name, err)
	}
	return Reply{Status: resp.StatusCode, Header: resp.Header, Body: string(answer), Took: time.Since(began)}, nil
}

// Explanation is what a node says of a key: its preference list by names, owners first, and
// what each owner has.
type Explanation struct {
	Preference []string
	Owners     []struct {
		Name, Digest, Error string
		Missing             bool
	}
}

// Explain asks a node about a key.
func (n *Node) Explain(tb testing.TB, bucket, key string) (e Explanation) {
	tb.Helper()
	n.JSON(tb, explainPath(bucket, key), &e)
	return e
}

func explainPath(bucket, key string) string {
	return "/cluster/explain?bucket=" + url.QueryEscape(bucket) + "&key=" + url.QueryEscape(key)
}

// Equal returns nil if every owner has the same copy.
func (e Explanation) Equal() error {
	if len(e.Owners) == 0 {
		return errors.New("no owner is named")
	}
	for _, o := range e.Owners {
		if o.Error != "" || o.Missing || o.Digest != e.Owners[0].Digest {
			return fmt.Errorf("the copies differ: %+v", e.Owners)
		}
	}
	return nil
}

// equalEverywhere compares the copies of up to 20,000 keys, evenly spread over those numbered
// from 0.
func equalEverywhere(tb testing.TB, n *Node, bucket string, keys int, key func(i int) string) {
	tb.Helper()
	const most = 20_000
	step := max(1, keys/most)
	var differ atomic.Int64
	p := Pipeline{Addr: n.HTTP, Lanes: 8, Depth: 8, Limit: 3 * time.Minute}
	err := p.Each(keys/step,
		func(dst []byte, i int) []byte { return AppendGet(dst, explainPath(bucket, key(i*step))) },
		func(i int, a Answer) error {
			var e Explanation
			if err := json.Unmarshal(a.Body, &e); err != nil {
				return fmt.Errorf("explain answered %d: %w", a.Status, err)
			}
			if err := e.Equal(); err != nil && differ.Add(1) <= 5 {
				tb.Errorf("key %s: %v", key(i*step), err)
			}
			return nil
		})
	if err != nil {
		tb.Error(err)
	}
	if d := differ.Load(); d > 0 {
		tb.Errorf("of %d keys, %d have unequal copies", keys/step, d)
	}
}

// Holders divides the nodes into the owners of a key, in the order of its preference list, and
// its fallbacks.
func (e Explanation) Holders(nodes []*Node) (owners, fallbacks []*Node) {
	for i, name := range e.Preference {
		at := slices.IndexFunc(nodes, func(n *Node) bool { return n.Name == name })
		if at < 0 {
			continue
		}
		if i < len(e.Owners) {
			owners = append(owners, nodes[at])
		} else {
			fallbacks = append(fallbacks, nodes[at])
		}
	}
	return owners, fallbacks
}

// Repair is what a node says of copies that are not where they belong.
type Repair struct {
	HintsPending int64 `json:"hints_pending"`
	Dirty        []struct {
		Owner      string
		Partitions []int
	}
	Unsure []int
}

// Repair asks the node what it has still to repair.
func (n *Node) Repair(tb testing.TB) Repair {
	tb.Helper()
	var v struct{ Repair Repair }
	n.JSON(tb, "/cluster", &v)
	return v.Repair
}

// HintsPending is how many hints the nodes keep together.
func HintsPending(tb testing.TB, nodes []*Node) (sum int64) {
	tb.Helper()
	for _, n := range nodes {
		sum += n.Repair(tb).HintsPending
	}
	return sum
}

// Settled returns nil if the nodes know of nothing that is left to repair.
func Settled(tb testing.TB, nodes []*Node) error {
	tb.Helper()
	for _, n := range nodes {
		if r := n.Repair(tb); r.HintsPending > 0 || len(r.Dirty) > 0 || len(r.Unsure) > 0 {
			return fmt.Errorf("%s has %d hints to deliver, dirty owners %v, %d unsure partitions", n.Name, r.HintsPending, r.Dirty, len(r.Unsure))
		}
	}
	return nil
}

// Wipe removes the objects of a node that does not run. What else it has, its identity and the
// ring above all, stays.
func (n *Node) Wipe(tb testing.TB) {
	tb.Helper()
	objects := filepath.Join(n.Dir, "objects")
	if _, err := os.Stat(objects); err != nil {
		tb.Fatalf("%s has no objects to lose: %v", n.Name, err)
	}
	if err := os.RemoveAll(objects); err != nil {
		tb.Fatal(err)
	}
}

// Restart starts nodes that have ended, all at once, and waits until they serve and everybody
// sees all of the cluster.
func Restart(tb testing.TB, cluster []*Node, ended ...*Node) {
	tb.Helper()
	for _, n := range ended {
		n.Start(tb)
	}
	for _, n := range ended {
		n.AwaitReady(tb)
	}
	for _, n := range cluster {
		n.AwaitAlive(tb, len(cluster))
	}
}

// Long reports whether tests run in their long form, which make test-long asks for.
func Long() bool { return os.Getenv("CARTWHEEL_E2E_LONG") != "" }

// Pause stops the node's process in its tracks, until it gets SIGCONT, and returns when it has
// stopped. Without /proc it returns at once.
func (n *Node) Pause(tb testing.TB) {
	tb.Helper()
	n.Signal(syscall.SIGSTOP)
	Until(tb, readyWithin, n.Name+" is paused", func() error {
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", n.Pid()))
		if err != nil {
			return nil
		}
		// PID (COMMAND) STATE ...
		if _, rest, _ := strings.Cut(string(stat), ") "); !strings.HasPrefix(rest, "T") {
			return fmt.Errorf("its state is %.1s", rest)
		}
		return nil
	})
}
