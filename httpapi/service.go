package httpapi

import (
	"net/http"
	"sort"
	"strconv"
	"strings"
)

// riakVersion is the version of Riak KV whose HTTP conventions are followed. Clients decide
// by it what they may ask for.
const riakVersion = "2.2.0"

// advertised are the resources that clients find through "/", by the names they look for.
// "/buckets" and "/types" stand for the paths below them.
var advertised = [...]struct{ name, path string }{
	{"riak_kv_wm_buckets", "/buckets"},
	{"riak_kv_wm_bucket_type", "/types"},
	{"riak_kv_wm_keylist", "/buckets"},
	{"riak_kv_wm_object", "/buckets"},
	{"riak_kv_wm_ping", "/ping"},
	{"riak_kv_wm_props", "/buckets"},
	{"riak_kv_wm_raw", "/riak"}, // the old paths
	{"riak_kv_wm_stats", "/stats"},
}

// getRoot lists the resources, as JSON or HTML and always in a Link header, which is where
// the Ruby client finds its paths.
func (a *API) getRoot(x *exchange, r *http.Request) {
	var links, page strings.Builder
	list := make(map[string]string, len(advertised))
	for i, v := range advertised {
		if i > 0 {
			links.WriteByte(',')
		}
		links.WriteString("<" + v.path + `>; rel="` + v.name + `"`)
		page.WriteString(`<li><a href="` + v.path + `">` + v.name + "</a></li>")
		list[v.name] = v.path
	}
	x.Header()["Link"] = []string{links.String()}
	x.Header()["Vary"] = []string{"Accept"}
	accept := header(r.Header, "Accept")
	html, _ := mediaQuality(accept, "text/html")
	if json, _ := mediaQuality(accept, "application/json"); json > html {
		x.json(http.StatusOK, list)
		return
	}
	x.Header()["Content-Type"] = []string{"text/html"}
	x.send(http.StatusOK, []byte("<html><body><ul>"+page.String()+"</ul></body></html>\n"))
}

func (a *API) getPing(x *exchange, _ *http.Request) {
	x.Header()["Content-Type"] = []string{"text/html"}
	x.send(http.StatusOK, []byte("OK"))
}

// getLive says that the process answers; whether it can serve is getReady's.
func (a *API) getLive(x *exchange, _ *http.Request) { x.text(http.StatusOK, "OK\n") }

// notReady says why this node cannot serve object requests, "" if it can.
func (a *API) notReady(s Status) string {
	switch {
	case s.NotReady != "":
		return s.NotReady
	case a.cfg.Node.Ring() == nil:
		return "the node has no ring yet"
	case s.Fenced != "":
		return "the store takes no writes: " + s.Fenced
	}
	return ""
}

// getReady tells load balancers whether to send requests here.
func (a *API) getReady(x *exchange, _ *http.Request) {
	if why := a.notReady(a.cfg.Node.Status()); why != "" {
		x.jsonError(http.StatusServiceUnavailable, why)
		return
	}
	x.text(http.StatusOK, "OK\n")
}

func (a *API) getMetrics(x *exchange, r *http.Request) { a.exposition.ServeHTTP(x, r) }

// stats are the figures of /stats, under the names that Riak's clients and tools know.
func (a *API) stats() map[string]any {
	s := a.cfg.Node.Status()
	members := []string{}
	if present := a.cfg.Node.Ring(); present != nil {
		for _, m := range present.Members() {
			members = append(members, m.Name)
		}
	}
	return map[string]any{
		"nodename":           s.Name,
		"riak_kv_version":    riakVersion,
		"riak_core_version":  riakVersion,
		"cartwheel_version":  a.cfg.Version,
		"ring_members":       members,
		"ring_num_members":   len(members),
		"node_gets_total":    s.Quorum.Gets,
		"node_puts_total":    s.Quorum.Puts + s.Quorum.Deletes,
		"read_repairs_total": s.Quorum.ReadRepairs,
		"storage_fenced":     s.Fenced != "",
	}
}

// getStats answers with the figures as JSON, or as lines when Accept prefers plain text.
func (a *API) getStats(x *exchange, r *http.Request) {
	stats := a.stats()
	x.Header()["Vary"] = []string{"Accept"}
	accept := header(r.Header, "Accept")
	json, _ := mediaQuality(accept, "application/json")
	if text, _ := mediaQuality(accept, "text/plain"); text <= json {
		x.json(http.StatusOK, stats)
		return
	}
	lines := make([]string, 0, len(stats))
	for name, v := range stats {
		lines = append(lines, name+" : "+plainStat(v)+"\n")
	}
	sort.Strings(lines)
	x.text(http.StatusOK, strings.Join(lines, ""))
}

func plainStat(v any) string {
	switch v := v.(type) {
	case string:
		return v
	case []string:
		return "[" + strings.Join(v, ",") + "]"
	case int:
		return strconv.Itoa(v)
	case uint64:
		return strconv.FormatUint(v, 10)
	case bool:
		return strconv.FormatBool(v)
	}
	panic("httpapi: a statistic of an unknown type")
}
