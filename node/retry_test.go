package node

// sleep-ok: every test runs in the bubble of inPlace.

import (
	"net/http"
	"testing"
	"time"
)

// A node that can ask no owner whether a write was done before must not store it in the place of
// one: the hint would bring a value back that was replaced.
func TestRetryIsNotMintedByFallback(t *testing.T) {
	inPlace(t, func(t *testing.T, p *place) {
		nodes := p.cluster(5)
		const path = "/buckets/b/keys/cut"
		var owner, other *machine
		var owners, others []string
		for _, m := range nodes {
			host := m.cfg.Network.(interface{ Name() string }).Name()
			if m.owns("cut") {
				owner, owners = m, append(owners, host)
			} else {
				other, others = m, append(others, host)
			}
		}
		plain := []string{"Content-Type", "text/plain"}
		try := append([]string{"Idempotency-Key", "n1"}, plain...)
		owner.want(http.StatusNoContent, "PUT", path+"?w=all&pw=all", "one", try...)
		first := owner.want(http.StatusOK, "GET", path, "").header.Get("X-Riak-Vclock")
		owner.want(http.StatusNoContent, "PUT", path+"?w=all&pw=all", "two", append([]string{"X-Riak-Vclock", first}, plain...)...)
		before := owner.want(http.StatusOK, "GET", path, "").header.Get("X-Riak-Vclock")

		p.net.Partition(owners, others)
		time.Sleep(30 * time.Second) // they are known to be away
		other.want(http.StatusServiceUnavailable, "PUT", path+"?timeout=5000", "one", try...)
		p.net.HealAll()
		p.await("a whole cluster", func() bool {
			for _, m := range nodes {
				if !m.Whole() {
					return false
				}
			}
			return together(nodes)
		})
		other.want(http.StatusNoContent, "PUT", path, "one", try...)
		after := owner.want(http.StatusOK, "GET", path+"?r=all", "")
		if after.body != "two" || after.header.Get("X-Riak-Vclock") != before {
			t.Errorf("the replaced value is there again: %v", after)
		}
	})
}
