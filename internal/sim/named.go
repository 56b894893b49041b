package sim

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"strings"
	"time"

	"cartwheel/quorum"
	"cartwheel/ring"
	"cartwheel/vclock"
)

// namedKeys is how many keys are written under Idempotency-Keys, and by nobody else.
const namedKeys = 2

func namedKeyOf(i int) ring.Key {
	return ring.Key{Type: "default", Bucket: keyOf(0).Bucket, Key: fmt.Sprintf("o%d", i)}
}

// nameID stands for the request id of a write under a name of up to 16 bytes, which is its value,
// too: what the nodes make of the name is theirs to know.
func nameID(name string) (id vclock.RequestID) {
	copy(id[:], name)
	return id
}

// byName returns o with the ids that stand for its values.
func byName(o vclock.Object) vclock.Object {
	named := vclock.Object{Clock: o.Clock}
	for _, s := range o.Siblings {
		s.RequestID = nameID(string(s.Value))
		named.Siblings = append(named.Siblings, s)
	}
	return named
}

// named is a write under a name, as its client knows it.
type named struct {
	*write
	name, context string
	first         bool      // the first try was acknowledged, and soon, so nobody tried it for the client
	again         time.Time // when it was last repeated after it had been acknowledged
}

// promise is within what a write is acknowledged if no owner had to be asked a second time.
const promise = 500 * time.Millisecond

// shopper is a client that speaks HTTP, names its writes, and repeats them: until they are
// acknowledged, and some of them later, through any node, when it has replaced them.
type shopper struct {
	c      *Cluster
	h      *History
	rng    *rand.Rand
	http   *http.Client
	last   map[ring.Key]vclock.Object
	orders []*named
	ops    int
	late   int // repetitions of what was acknowledged before that were answered
}

func newShopper(c *Cluster, h *History, rng *rand.Rand) *shopper {
	from := c.net.Host("10.0.9.1")
	return &shopper{c: c, h: h, rng: rng, last: map[ring.Key]vclock.Object{}, http: &http.Client{
		Timeout: 8 * time.Second,
		Transport: &http.Transport{
			DisableKeepAlives: true,
			DialContext:       func(ctx context.Context, _, addr string) (net.Conn, error) { return from.Dial(ctx, addr) },
		},
	}}
}

// run works until the deadline.
func (s *shopper) run(until time.Time) {
	for time.Now().Before(until) {
		time.Sleep(time.Duration(s.rng.IntN(2*s.c.plan.think)) * time.Millisecond)
		s.ops++
		key := namedKeyOf(s.rng.IntN(namedKeys))
		switch roll := s.rng.IntN(10); {
		case roll < 3:
			s.read(key)
		case roll < 7 || len(s.orders) == 0:
			s.order(key)
		default:
			s.repeat(s.orders[len(s.orders)-1-s.rng.IntN(min(len(s.orders), 8))])
		}
	}
}

func (s *shopper) read(key ring.Key) {
	n, _ := s.c.running(s.rng.IntN(len(s.c.machines)))
	if n == nil {
		return
	}
	o := quorum.Options{N: 3, R: quorum.LevelQuorum, NotFoundOK: true, Sloppy: true, Timeout: 3 * time.Second}
	got, err := n.Coordinator().Get(context.Background(), quorum.GetRequest{Key: key, Options: o})
	if err == nil {
		s.last[key] = byName(got.Object)
		s.h.observe(key, s.last[key])
	}
}

// order writes something new, as a rule in the place of what it has read.
func (s *shopper) order(key ring.Key) {
	o := &named{name: fmt.Sprintf("order-%d", s.ops)}
	seen := map[vclock.RequestID]bool{}
	if known := s.last[key]; !known.Missing() && s.rng.IntN(6) > 0 {
		if n, _ := s.c.running(0); n != nil && n.View() != nil {
			seen = ids(known)
			o.context = vclock.EncodeContext(known.Clock, ring.Hash(n.View().Ring.Cluster(), key.Name()))
		}
	}
	o.write = s.h.begin(write{id: nameID(o.name), key: key, seen: seen, start: time.Now(), what: "write " + o.name})
	for try := range 3 {
		if receipt, ok := s.put(o); ok {
			s.h.acknowledge(o.write, receipt)
			o.first = try == 0 && time.Since(o.start) < promise
			s.orders = append(s.orders, o)
			return
		}
	}
}

// repeat sends a write that was acknowledged before once more.
func (s *shopper) repeat(o *named) {
	o.again = time.Now()
	if _, ok := s.put(o); ok {
		s.late++
	}
}

// put sends a write to any node; ok says that it was acknowledged.
func (s *shopper) put(o *named) (receipt quorum.Receipt, ok bool) {
	m := s.c.machines[s.rng.IntN(len(s.c.machines))]
	levels := []string{"", "", "&w=all&pw=all", "&w=all&pw=all&dw=all"}[s.rng.IntN(4)]
	req, err := http.NewRequest(http.MethodPut, "http://"+m.host+":80/buckets/"+o.key.Bucket+"/keys/"+o.key.Key+"?timeout=3000"+levels, strings.NewReader(o.name))
	if err != nil {
		s.c.t.Error(err)
		return receipt, false
	}
	req.Header.Set("Content-Type", "text/plain")
	req.Header.Set("Idempotency-Key", o.name)
	if o.context != "" {
		req.Header.Set("X-Riak-Vclock", o.context)
	}
	resp, err := s.http.Do(req)
	if err != nil {
		return receipt, false
	}
	defer resp.Body.Close()
	switch resp.StatusCode {
	case http.StatusNoContent:
	case http.StatusServiceUnavailable:
		return receipt, false
	default:
		s.c.t.Errorf("%s at %s is answered %s", o.what, m.name, resp.Status)
		return receipt, false
	}
	if receipt, err = parseReceipt(resp.Header.Get("X-Cartwheel-Receipt")); err != nil {
		s.c.t.Errorf("%s at %s: %v", o.what, m.name, err)
	}
	return receipt, err == nil
}

func parseReceipt(text string) (r quorum.Receipt, err error) {
	_, err = fmt.Sscanf(text, "replicas=%d primaries=%d fallbacks=%d durable=%d n=%d ring=%d", &r.Replicas, &r.Primaries, &r.Fallbacks, &r.Durable, &r.N, &r.Ring)
	if err != nil {
		return r, errors.New("a receipt of another form: " + text)
	}
	return r, nil
}

// moment is how a time of the bubble is shown, whose clock begins at midnight.
const moment = "04:05.000"

// revived returns the writes that are there again after they were replaced, though all owners had
// them and none was started since, so that every one of them knew the repetition for what it
// was; and how many could have been. final is the state of each key after all have converged.
func revived(orders []*named, writes []*write, final map[ring.Key]vclock.Object, lastStart time.Time) (bad []string, looked int) {
	replaced := map[vclock.RequestID]time.Time{} // when the first that did was acknowledged
	for _, w := range writes {
		for id := range w.seen {
			if at, ok := replaced[id]; !w.acked.IsZero() && (!ok || w.acked.Before(at)) {
				replaced[id] = w.acked
			}
		}
	}
	for _, o := range orders {
		at, ok := replaced[o.id]
		if !ok || !o.first || o.receipt.Primaries < o.receipt.N || !lastStart.Before(o.start) || !o.again.After(at) {
			continue
		}
		if looked++; ids(final[o.key])[o.id] {
			bad = append(bad, fmt.Sprintf("key %s: %s (%+v) of %s, replaced by %s, was repeated at %s last, and is there again", o.key.Key, o.what, o.receipt,
				o.start.Format(moment), at.Format(moment), o.again.Format(moment)))
		}
	}
	return bad, looked
}
