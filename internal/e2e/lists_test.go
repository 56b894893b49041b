package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
)

// TestListsOutliveAKill kills nodes with SIGKILL in the middle of streams of keys that are far longer than what is
// on its way at any moment. Where other owners have the rest the stream is whole; where none has, its last
// object is an error that names the partitions; and one whose own node is killed breaks off. None is short
// without a word.
func TestListsOutliveAKill(t *testing.T) {
	nodes := lab.Cluster(t, 3)
	setProps(t, nodes[0].HTTP, "/buckets/lone/props", `{"props":{"n_val":1}}`)
	want := fillLong(t, nodes[0], "lone", "whole")

	lone, whole := openStream(t, nodes[0], "lone"), openStream(t, nodes[0], "whole")
	sorted := openStream(t, nodes[0], "whole&sort=true")
	nodes[1].Kill()
	for _, s := range []*keyStream{whole, sorted} {
		if names, failure, err := s.rest(); failure != "" || err != nil || !slices.Equal(slices.Sorted(slices.Values(names)), want) {
			t.Errorf("%s: %d keys of %d, error %q, %v", s.query, len(names), len(want), failure, err)
		}
	}
	names, failure, err := lone.rest()
	if err != nil || !strings.Contains(failure, "no member can list partition") || !strings.Contains(failure, "n2") || len(names) >= len(want) {
		t.Errorf("without the only owner of some keys: %d keys of %d, error %q, %v", len(names), len(want), failure, err)
	}

	cut := openStream(t, nodes[2], "whole")
	nodes[2].Kill()
	if names, failure, err := cut.rest(); err == nil || errors.Is(err, io.EOF) && len(names) == len(want) {
		t.Errorf("a stream of a killed node ends with %d keys of %d, error %q, in good order", len(names), len(want), failure)
	}
	t.Attr("lists_outlive_a_kill", fmt.Sprintf("%d keys each; the one without an owner ended after %d", len(want), len(names)))
}

// setProps changes properties.
func setProps(t *testing.T, addr, path, body string) {
	t.Helper()
	req, err := http.NewRequest(http.MethodPut, "http://"+addr+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := lab.HTTP.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusNoContent {
		t.Fatalf("PUT %s: %s", path, resp.Status)
	}
}

const (
	longKeys = 2400
	longName = 2500 // bytes: a list has 6 MB, more than pages and the sockets of a client with small buffers hold
)

// fillLong stores the same keys in each bucket and returns them, sorted.
func fillLong(t *testing.T, n *Node, buckets ...string) (names []string) {
	t.Helper()
	for i := range longKeys {
		names = append(names, fmt.Sprintf("%06d", i)+strings.Repeat("x", longName-6))
	}
	for _, bucket := range buckets {
		for lines := range slices.Chunk(names, 1000) {
			var body bytes.Buffer
			for _, name := range lines {
				fmt.Fprintf(&body, `{"op":"put","key":%q,"value":"v"}`+"\n", name)
			}
			resp, err := lab.HTTP.Post("http://"+n.HTTP+"/buckets/"+bucket+"/batch?w=1&dw=1", "application/x-ndjson", &body)
			if err != nil {
				t.Fatal(err)
			}
			answer, err := io.ReadAll(resp.Body)
			resp.Body.Close()
			if stored := bytes.Count(answer, []byte(`"status":204`)); err != nil || stored != len(lines) {
				t.Fatalf("%d of %d were stored, %v: %.300s", stored, len(lines), err, answer)
			}
		}
	}
	Until(t, loadWithin, "everything is where it belongs", func() error {
		for _, bucket := range buckets {
			body, err := lab.Get("http://" + n.HTTP + "/buckets/" + bucket + "/keys?keys=count")
			if err != nil || string(bytes.TrimSpace(body)) != fmt.Sprintf(`{"count":%d}`, longKeys) {
				return fmt.Errorf("%s: %s, %v", bucket, body, err)
			}
		}
		return nil
	})
	return names
}

// keyStream is a stream of keys of which the first object was read.
type keyStream struct {
	query string
	body  *json.Decoder
	first []string
}

type keyObject struct {
	Keys  []string
	Error string
}

func openStream(t *testing.T, n *Node, query string) *keyStream {
	t.Helper()
	bucket, more, _ := strings.Cut(query, "&")
	web := &http.Client{Transport: &http.Transport{
		ReadBufferSize: 4096, DisableKeepAlives: true,
		DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
			conn, err := new(net.Dialer).DialContext(ctx, network, addr)
			if err == nil {
				err = conn.(*net.TCPConn).SetReadBuffer(64 << 10)
			}
			return conn, err
		},
	}}
	resp, err := web.Get("http://" + n.HTTP + "/buckets/" + bucket + "/keys?keys=stream&" + more)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { resp.Body.Close() })
	s := &keyStream{query: query, body: json.NewDecoder(resp.Body)}
	var o keyObject
	if err := s.body.Decode(&o); err != nil || o.Error != "" {
		t.Fatalf("%s: the first object is %+v, %v", query, o, err)
	}
	s.first = o.Keys
	return s
}

// rest reads to the end and returns all names, and the error that the stream tells. err is nil if it ends as it should: with
// an object without names, or with the error.
func (s *keyStream) rest() (names []string, failure string, err error) {
	names = s.first
	for last := (keyObject{Keys: s.first}); ; {
		var o keyObject
		switch err := s.body.Decode(&o); {
		case errors.Is(err, io.EOF) && (last.Error != "" || len(last.Keys) == 0):
			return names, last.Error, nil
		case err != nil:
			return names, last.Error, fmt.Errorf("after %d keys: %w", len(names), err)
		case last.Error != "":
			return names, last.Error, errors.New("there is more after the error")
		}
		names, last = append(names, o.Keys...), o
	}
}
