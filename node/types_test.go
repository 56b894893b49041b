package node

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
)

func (m *machine) setType(status int, typ, props string) reply {
	m.p.t.Helper()
	return m.want(status, "PUT", "/types/"+typ+"/props", `{"props":`+props+`}`, "Content-Type", "application/json")
}

// typed returns a property of a bucket of a type, or nil where there is no such type.
func (m *machine) typed(typ, bucket, name string) any {
	m.p.t.Helper()
	a, err := m.ask("GET", "/types/"+typ+"/buckets/"+bucket+"/props", "")
	var got struct{ Props map[string]any }
	if err != nil || json.Unmarshal([]byte(a.body), &got) != nil {
		m.p.t.Errorf("%s: properties of %s/%s: %v, %v", m.cfg.Name, typ, bucket, a, err)
	}
	return got.Props[name]
}

// TestTypesReachAllNodes: a type exists everywhere once its PUT is answered; nodes that were
// away learn of types, and changes made apart from each other end alike everywhere.
func TestTypesReachAllNodes(t *testing.T) {
	inPlace(t, func(t *testing.T, p *place) {
		nodes := p.cluster(3, func(c *Config) { c.NoDefaultSiblings = true })
		nodes[1].want(http.StatusNotFound, "GET", "/types/t/buckets/b/keys/k", "")
		nodes[0].setType(http.StatusNoContent, "t", `{"pw":1}`)
		const key = "/types/t/buckets/b/keys/k"
		for i, m := range nodes {
			if m.typed("t", "b", "pw") != 1.0 || m.typed("t", "b", "allow_mult") != true || m.prop("b", "allow_mult") != false {
				t.Errorf("%s: pw %v, allow_mult %v, that of type default %v", m.cfg.Name, m.typed("t", "b", "pw"), m.typed("t", "b", "allow_mult"), m.prop("b", "allow_mult"))
			}
			m.want(http.StatusNoContent, "PUT", key, string(rune('x'+i)), "Content-Type", "text/plain")
		}
		nodes[1].want(http.StatusMultipleChoices, "GET", key, "") // blind writes are siblings here
		nodes[0].want(http.StatusNotFound, "GET", "/buckets/b/keys/k", "")

		nodes[2].stop()
		nodes[1].setType(http.StatusNoContent, "t", `{"pw":2}`)
		nodes[0].setType(http.StatusNoContent, "late", `{}`)
		nodes[2] = p.start(nodes[2].cfg)
		p.await("the node that was away to learn what it missed", func() bool {
			return nodes[2].Ready() == nil && nodes[2].typed("t", "b", "pw") == 2.0 && nodes[2].typed("late", "b", "pw") == 0.0
		})
		p.await("the nodes to see each other", func() bool { return together(nodes) })

		p.net.Partition([]string{"10.0.0.1", "10.0.0.2"}, []string{"10.0.0.3"})
		nodes[0].setType(http.StatusNoContent, "t", `{"pw":0,"r":1,"both":"a"}`)
		nodes[0].setType(http.StatusNoContent, "apart", `{"w":1}`)
		nodes[2].setType(http.StatusNoContent, "t", `{"rw":1,"both":"b"}`)
		nodes[2].setType(http.StatusNoContent, "apart", `{"r":1}`)
		p.net.HealAll()
		p.await("both sides to agree", func() bool {
			for _, m := range nodes {
				if both := m.typed("t", "b", "both"); both != nodes[0].typed("t", "b", "both") || both != "a" && both != "b" {
					return false
				}
				if m.typed("t", "b", "pw") != 0.0 || m.typed("t", "b", "r") != 1.0 || m.typed("t", "b", "rw") != 1.0 ||
					m.typed("apart", "b", "w") != 1.0 || m.typed("apart", "b", "r") != 1.0 {
					return false
				}
			}
			return true
		})
		for _, m := range nodes {
			if a := m.want(http.StatusOK, "GET", "/types", ""); a.body != `{"types":["apart","default","late","t"]}`+"\n" {
				t.Errorf("%s lists %s", m.cfg.Name, a.body)
			}
		}
	})
}

// TestNValOfATypeChangesOnlyWhileItIsEmpty: one object in any bucket of the type, on any node,
// forbids it; objects of other types do not, though their names begin alike.
func TestNValOfATypeChangesOnlyWhileItIsEmpty(t *testing.T) {
	inPlace(t, func(t *testing.T, p *place) {
		nodes := p.cluster(3)
		nodes[0].setType(http.StatusNoContent, "t", `{"n_val":1}`)
		nodes[0].setType(http.StatusNoContent, "tt", `{}`)
		const key = "/types/t/buckets/b/keys/k"
		nodes[1].want(http.StatusNoContent, "PUT", "/types/tt/buckets/b/keys/k", "v", "Content-Type", "text/plain")
		nodes[1].put("k", "v")
		nodes[1].setType(http.StatusNoContent, "t", `{"n_val":2}`)
		nodes[1].setType(http.StatusNoContent, "t", `{"n_val":1}`)
		nodes[2].want(http.StatusNoContent, "PUT", key, "v", "Content-Type", "text/plain")
		for _, m := range nodes {
			m.setType(http.StatusConflict, "t", `{"n_val":2}`)
			m.setType(http.StatusNoContent, "t", `{"n_val":1,"r":1}`)
			// The objects lie on as many nodes as the type says.
			if a := m.want(http.StatusOK, "GET", "/cluster/explain?type=t&bucket=b&key=k", ""); !strings.Contains(a.body, `"n_val":1,"n":1,`) {
				t.Errorf("%s explains %s", m.cfg.Name, a.body)
			}
		}
		nodes[2].stop()
		a := nodes[0].setType(http.StatusServiceUnavailable, "new", `{"n_val":2}`)
		if !strings.Contains(a.body, "n3") {
			t.Errorf("the refusal does not name the member that is away: %v", a)
		}
		nodes[0].setType(http.StatusNoContent, "new", `{"r":1}`)
	})
}

func TestNamePrefixes(t *testing.T) {
	for _, c := range []struct {
		prefix string
		ok     bool
	}{
		{namePrefix("t", ""), true},
		{namePrefix("t", "b"), true},
		{namePrefix("default", "\x00"), true},
		{"", false},
		{"\x00", false},
		{"\x02t", false},
		{"\x01t\x00", false}, // an empty bucket
		{"\x01t\x80", false},
		{"\x01t\x01", false}, // a bucket cut short
		{"\x01t\x00k", false},
		{"\x01t\x01bk", false},
	} {
		if got := isNamePrefix(c.prefix); got != c.ok {
			t.Errorf("%q: %v", c.prefix, got)
		}
	}
	if got := namePrefix("t", ""); got != "\x01t" {
		t.Errorf("of a type: %q", got)
	}
}
