package node

// sleep-ok: every test runs in the bubble of inPlace.

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
)

// try is a write with an Idempotency-Key that was done once.
type try struct {
	what, path string
	again      func(m *machine)
}

// named is a write with an Idempotency-Key.
func (m *machine) named(status int, method, path, body, name string, headers ...string) reply {
	m.p.t.Helper()
	return m.want(status, method, path, body, append(headers, "Content-Type", "text/plain", "Idempotency-Key", name)...)
}

// state is what a read shows: the values, and the context, which has every dot ever minted.
func (m *machine) state(path string) (values, context string) {
	m.p.t.Helper()
	a, err := m.ask("GET", path+"?r=all", "", "Accept", "multipart/mixed, */*;q=0.5")
	if err != nil {
		m.p.t.Error(err)
	}
	return a.body, a.header.Get("X-Riak-Vclock")
}

// unchanged fails if a retry has left anything behind.
func (m *machine) unchanged(path, what string, retry func()) {
	m.p.t.Helper()
	values, context := m.state(path)
	retry()
	if v, c := m.state(path); v != values || c != context {
		m.p.t.Errorf("%s: %q became %q (context changed: %v)", what, values, v, c != context)
	}
}

// replace writes a value in place of what is there.
func (m *machine) replace(path, value string) {
	m.p.t.Helper()
	_, context := m.state(path)
	m.want(http.StatusNoContent, "PUT", path+"?w=all", value, "Content-Type", "text/plain", "X-Riak-Vclock", context)
}

// tryAll does a write of each form at the first node, in a bucket of their own.
func tryAll(nodes []*machine, bucket string) []try {
	p, first, keys := nodes[0].p, nodes[0], "/buckets/"+url.PathEscape(bucket)+"/keys"
	var tries []try
	add := func(what, path string, do func(m *machine)) {
		do(first)
		tries = append(tries, try{bucket + ": " + what, path, do})
	}
	put := func(name string, headers ...string) {
		path := keys + "/" + name
		add(name, path, func(m *machine) { m.named(http.StatusNoContent, "PUT", path, "one", "n", headers...) })
	}
	put("blind-put")
	put("create", "If-None-Match", "*")
	remove := func(name string, headers func(of http.Header) []string) {
		path := keys + "/" + name
		first.want(http.StatusNoContent, "PUT", path, "one", "Content-Type", "text/plain")
		with := headers(first.want(http.StatusOK, "GET", path, "").header)
		add(name, path, func(m *machine) { m.named(http.StatusNoContent, "DELETE", path, "", "n", with...) })
	}
	remove("blind-delete", func(http.Header) []string { return nil })
	remove("delete-with-context", func(h http.Header) []string { return []string{"X-Riak-Vclock", h.Get("X-Riak-Vclock")} })
	remove("delete-if-match", func(h http.Header) []string { return []string{"If-Match", h.Get("ETag")} })
	chosen := ""
	add("chosen key", chosen, func(m *machine) {
		at := m.named(http.StatusCreated, "POST", keys, "one", "n").header.Get("Location")
		if chosen == "" {
			chosen = at
		}
		if at != chosen {
			p.t.Errorf("%s: stored at %s, first at %s", bucket, at, chosen)
		}
	})
	tries[len(tries)-1].path = chosen
	first.want(http.StatusNoContent, "PUT", keys+"/b2", "one", "Content-Type", "text/plain")
	batch := func(m *machine) {
		const lines = `{"op":"put","key":"b1","value":"one"}` + "\n" + `{"op":"delete","key":"b2"}` + "\n"
		a := m.want(http.StatusOK, "POST", strings.TrimSuffix(keys, "keys")+"batch", lines, "Content-Type", "application/x-ndjson", "Idempotency-Key", "n")
		if strings.Count(a.body, `"status":204`) != 2 {
			p.t.Errorf("%s: %s", bucket, a.body)
		}
	}
	add("put of a batch", keys+"/b1", batch)
	return append(tries, try{bucket + ": delete of a batch", keys + "/b2", batch})
}

// again stops nodes and starts them again.
func again(all []*machine, which ...*machine) {
	p := all[0].p
	for _, m := range which {
		m.stop()
	}
	for i, m := range all {
		if slices.Contains(which, m) {
			all[i] = p.start(m.cfg)
		}
	}
	p.await("them to be back", func() bool { return together(all) })
}

func replaceAll(m *machine, tries []try) {
	for _, one := range tries {
		m.replace(one.path, "two")
	}
}

// A retry is recognized by every node, owner or not, whatever has become of the object: it is
// answered as the first time and leaves nothing behind, so that a DELETE, above all, deletes no
// value that was written since. That its conditions held the first time only does not matter.
func TestRetryAtAnyNode(t *testing.T) {
	for _, change := range []struct {
		what string
		size int // of the cluster; of three nodes all are owners
		make func(nodes []*machine, tries []try)
	}{
		{"nothing", 3, func([]*machine, []try) {}},
		{"replaced", 3, func(nodes []*machine, tries []try) { replaceAll(nodes[2], tries) }},
		{"replaced", 5, func(nodes []*machine, tries []try) { replaceAll(nodes[2], tries) }},
		{"deleted", 5, func(nodes []*machine, tries []try) {
			for _, one := range tries {
				if a, err := nodes[2].ask("DELETE", one.path+"?w=all", ""); err != nil || a.status/100 == 5 {
					t.Error(a, err)
				}
			}
		}},
		{"replaced, one restarted", 3, func(nodes []*machine, tries []try) {
			replaceAll(nodes[2], tries)
			again(nodes, nodes[0])
		}},
		{"all restarted, replaced", 3, func(nodes []*machine, tries []try) {
			again(nodes, slices.Clone(nodes)...)
			replaceAll(nodes[2], tries)
		}},
	} {
		t.Run(fmt.Sprint(change.what, " of ", change.size), func(t *testing.T) {
			inPlace(t, func(t *testing.T, p *place) {
				nodes := p.cluster(change.size)
				tries := tryAll(nodes, change.what)
				change.make(nodes, tries)
				retry := func() {
					for _, one := range tries {
						for _, m := range slices.Backward(nodes) {
							one.again(m)
						}
					}
				}
				for _, one := range tries { // the lines of a batch are repeated together
					before := retry
					retry = func() { nodes[1].unchanged(one.path, one.what, before) }
				}
				retry()
			})
		})
	}
}
