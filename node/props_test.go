package node

// sleep-ok: every test runs in the bubble of inPlace.

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"cartwheel/gossip"
	"cartwheel/ring"
	"cartwheel/transport"
)

func TestPropertiesReachAllNodes(t *testing.T) {
	inPlace(t, func(t *testing.T, p *place) {
		nodes := p.cluster(3)
		nodes[0].setProps(http.StatusNoContent, "b", `{"allow_mult":false}`)
		for _, m := range nodes {
			// The answer waited for the live members.
			if m.prop("b", "allow_mult") != false {
				t.Errorf("%s does not have the property", m.cfg.Name)
			}
		}
		nodes[2].stop()
		nodes[1].setProps(http.StatusNoContent, "b", `{"r":1}`)
		nodes[0].setProps(http.StatusNoContent, "other", `{"w":1}`)
		nodes[2] = p.start(nodes[2].cfg)
		p.await("the node that was away to learn what it missed", func() bool {
			return nodes[2].Ready() == nil && nodes[2].prop("b", "r") == 1.0 && nodes[2].prop("other", "w") == 1.0
		})
		for _, m := range nodes {
			if m.prop("b", "allow_mult") != false || m.prop("b", "r") != 1.0 {
				t.Errorf("%s: allow_mult %v, r %v", m.cfg.Name, m.prop("b", "allow_mult"), m.prop("b", "r"))
			}
		}
	})
}

func TestNValChangesOnlyWhileTheBucketIsEmpty(t *testing.T) {
	inPlace(t, func(t *testing.T, p *place) {
		nodes := p.cluster(3)
		nodes[0].setProps(http.StatusNoContent, "empty", `{"n_val":1}`)
		nodes[1].setProps(http.StatusNoContent, "b", `{"n_val":1}`)
		// One object, on one node, and it does not matter which one is asked.
		nodes[2].put("k", "v")
		for _, m := range nodes {
			m.setProps(http.StatusConflict, "b", `{"n_val":2}`)
			m.setProps(http.StatusNoContent, "b", `{"n_val":1,"r":1}`)
		}
		nodes[0].want(http.StatusConflict, "DELETE", "/buckets/b/props", "")
		// A tombstone is an object.
		nodes[0].want(http.StatusNoContent, "DELETE", "/buckets/b/keys/k", "")
		nodes[0].setProps(http.StatusConflict, "b", `{"n_val":2}`)
		// Buckets whose names begin alike are others.
		nodes[0].setProps(http.StatusNoContent, "b2", `{"n_val":2}`)

		nodes[2].stop()
		a := nodes[0].setProps(http.StatusServiceUnavailable, "empty", `{"n_val":2}`)
		if !strings.Contains(a.body, "n3") {
			t.Errorf("the refusal does not name the member that is away: %v", a)
		}
		nodes[0].setProps(http.StatusNoContent, "empty", `{"r":1}`)
	})
}

// ringDocument and propsDocument refuse what is none.
func TestDocumentsRefuseWhatIsNone(t *testing.T) {
	inPlace(t, func(t *testing.T, p *place) {
		n := p.cluster(1)[0]
		d := ringDocument{n.View().Ring}
		own, err := d.Encode()
		if err != nil || d.Merge(own) != nil {
			t.Errorf("a node's own document: %v, %v", err, d.Merge(own))
		}
		other := n.View().Ring.Document()
		other.N = 2
		data, err := other.Encode()
		if err != nil {
			t.Fatal(err)
		}
		for _, bad := range [][]byte{nil, []byte("?"), data} {
			if d.Merge(bad) == nil {
				t.Errorf("merged %q into the ring", bad)
			}
		}
		if (*propsDocument)(n.Node).Merge([]byte("?")) == nil {
			t.Error("merged nonsense into the properties")
		}
	})
}

func TestAsk(t *testing.T) {
	inPlace(t, func(t *testing.T, p *place) {
		nodes := p.cluster(2)
		a, b := nodes[0].Node, nodes[1].Node
		bucket := []byte(ring.Key{Bucket: "b"}.Name())
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if got, err := a.ask(ctx, b.self.UUID, b.self.Peer, kindBucketEmpty, bucket); err != nil || string(got) != bucketIsEmpty {
			t.Errorf("an empty bucket: %q, %v", got, err)
		}
		nodes[0].put("k", "v")
		if got, err := a.ask(ctx, "", b.self.Peer, kindBucketEmpty, bucket); err != nil || string(got) != bucketIsUsed {
			t.Errorf("a bucket with an object: %q, %v", got, err)
		}
		for name, c := range map[string]struct {
			uuid, addr string
			kind       uint8
			payload    string
			want       error // nil: any
		}{
			"another node at the address": {"somebody", b.self.Peer, kindBucketEmpty, string(bucket), transport.ErrWrongNode},
			"this node itself":            {"", a.self.Peer, kindBucketEmpty, string(bucket), gossip.ErrSelf},
			"nobody":                      {"", "10.0.0.77:7000", kindBucketEmpty, string(bucket), transport.ErrUnreachable},
			"not a bucket":                {"", b.self.Peer, kindBucketEmpty, "?", nil},
			"a key":                       {"", b.self.Peer, kindBucketEmpty, ring.Key{Bucket: "b", Key: "k"}.Name(), nil},
			"all buckets":                 {"", b.self.Peer, kindBucketEmpty, "", nil},
			"no such kind":                {"", b.self.Peer, 15, "", nil},
			"no such kind, replica's":     {"", b.self.Peer, 99, "", nil},
			"no such document":            {"", b.self.Peer, gossip.KindDocument, "?", nil},
		} {
			if got, err := a.ask(ctx, c.uuid, c.addr, c.kind, []byte(c.payload)); err == nil || c.want != nil && !errors.Is(err, c.want) {
				t.Errorf("%s: %q, %v; want %v", name, got, err, c.want)
			}
		}

		p.net.Pause("10.0.0.2")
		short, stop := context.WithTimeout(t.Context(), 300*time.Millisecond)
		defer stop()
		start := time.Now()
		_, err := a.ask(short, "", b.self.Peer, kindBucketEmpty, bucket)
		if took := time.Since(start); err == nil || took > 310*time.Millisecond {
			t.Errorf("a silent node, 300 ms: %v after %v", err, took)
		}
		given, giveUp := context.WithCancel(t.Context())
		time.AfterFunc(100*time.Millisecond, giveUp)
		start = time.Now()
		_, err = a.ask(given, "", b.self.Peer, kindBucketEmpty, bucket)
		if took := time.Since(start); !errors.Is(err, context.Canceled) || took > 110*time.Millisecond {
			t.Errorf("given up after 100 ms: %v after %v", err, took)
		}
		p.net.Resume("10.0.0.2")
	})
}

// A node without a ring answers members' questions, which it should not get, with a refusal.
func TestServeWithoutRing(t *testing.T) {
	inPlace(t, func(t *testing.T, p *place) {
		n := p.start(p.config("n1", 1, 3))
		for _, kind := range []transport.Kind{0, transport.Kind(gossip.KindDocument), transport.Kind(gossip.KindPush), 16, 17, 18, 99} {
			answers := make(chan transport.Response, 2)
			n.serve(transport.Peer{}, transport.Request{Kind: kind, Payload: []byte("?")}, func(r transport.Response) { answers <- r })
			time.Sleep(time.Second)
			if len(answers) != 1 {
				t.Errorf("kind %d: %d answers", kind, len(answers))
			} else if r := <-answers; r.Status == transport.StatusOK {
				t.Errorf("kind %d was served", kind)
			}
		}
	})
}

func TestAnswerOfAStrangeMember(t *testing.T) {
	inPlace(t, func(t *testing.T, p *place) {
		n := p.cluster(1)[0]
		for _, answer := range []string{"", "\x02", "\x01\x01"} {
			stranger, err := transport.New(transport.Config{
				Network: p.net.Host("10.0.0.5"), Listen: "10.0.0.5:7000", Node: "stranger", Cluster: n.View().Ring.Cluster(),
				Handler: func(_ transport.Peer, _ transport.Request, reply func(transport.Response)) {
					reply(transport.Response{Payload: []byte(answer)})
				},
			})
			if err != nil {
				t.Fatal(err)
			}
			stranger.Start()
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			empty, err := n.bucketEmptyAt(ctx, gossip.Peer{UUID: "stranger", Peer: "10.0.0.5:7000"}, ring.Key{Bucket: "b"}.Name())
			if err == nil {
				t.Errorf("answer %q means empty=%v", answer, empty)
			}
			cancel()
			if err := stranger.Close(); err != nil {
				t.Error(fmt.Errorf("close: %w", err))
			}
			time.Sleep(10 * time.Second) // the backoff ends
		}
	})
}
