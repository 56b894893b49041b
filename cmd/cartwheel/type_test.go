package main

import (
	"encoding/json"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
)

// serveTypes makes the cluster know bucket types: their properties as they were sent last.
func serveTypes(f *fakeCluster, types map[string]string) {
	f.fault = func(w http.ResponseWriter, r *http.Request, body []byte) bool {
		w.Header().Set("Content-Type", "application/json")
		name, _ := strings.CutPrefix(strings.TrimSuffix(r.URL.Path, "/props"), "/types/")
		switch known, ok := types[name]; {
		case r.URL.Path == "/types":
			names := []string{"default"}
			for name := range types {
				names = append(names, name)
			}
			list, _ := json.Marshal(map[string][]string{"types": names})
			_, _ = w.Write(list)
		case r.Method == http.MethodPut && strings.Contains(string(body), "foo"):
			w.WriteHeader(http.StatusBadRequest)
			_, _ = io.WriteString(w, `{"w":"not_valid_quorum"}`)
		case r.Method == http.MethodPut:
			types[name] = string(body)
			w.WriteHeader(http.StatusNoContent)
		case ok:
			_, _ = io.WriteString(w, known)
		default:
			w.WriteHeader(http.StatusNotFound)
			_, _ = io.WriteString(w, `{"error":"Unknown bucket type: `+name+`"}`)
		}
		return true
	}
}

func TestTypeCommands(t *testing.T) {
	types := map[string]string{"carts": `{"props":{"n_val":3,"allow_mult":true,"w":"quorum"}}`}
	serveTypes(start(t), types)
	cartwheel(t, "", "type", "list").expect(t, "list", 0, "carts\ndefault\n")
	cartwheel(t, "", "type", "create", "logs").expect(t, "create", 0, "")
	cartwheel(t, "", "type", "create", "a/b", `{"props":{"big":12345678901234567890,"x":[1]}}`).expect(t, "create with properties", 0, "")
	if types["logs"] != `{"props":{}}` || types["a/b"] != `{"props":{"big":12345678901234567890,"x":[1]}}` {
		t.Errorf("created %q", types)
	}
	cartwheel(t, "", "type", "create", "logs").expect(t, "create again", 1, "", "exists", "type update")
	cartwheel(t, "", "type", "create", "default").expect(t, "create default", 1, "", "exists")
	cartwheel(t, "", "type", "update", "logs", `{"props":{"n_val":2}}`).expect(t, "update", 0, "")
	cartwheel(t, "", "type", "update", "nope", `{"props":{"n_val":2}}`).expect(t, "update of nothing", 3, "", "no type nope")
	cartwheel(t, "", "type", "update", "logs", `{"props":{"w":"foo"}}`).expect(t, "bad value", 1, "", "not_valid_quorum")
	cartwheel(t, "", "type", "show", "carts").expect(t, "show", 0, "allow_mult  true\nn_val       3\nw           \"quorum\"\n")
	cartwheel(t, "", "type", "show", "nope").expect(t, "show of nothing", 3, "", "no type nope")
	var shown struct{ Props map[string]any }
	if got := cartwheel(t, "", "type", "show", "carts", "--json"); json.Unmarshal([]byte(got.stdout), &shown) != nil || shown.Props["n_val"] != 3.0 {
		t.Errorf("show --json: %+v", got)
	}
	var list struct{ Types []string }
	if got := cartwheel(t, "", "type", "list", "--json"); json.Unmarshal([]byte(got.stdout), &list) != nil || !slices.Equal(list.Types, []string{"a/b", "carts", "default", "logs"}) {
		t.Errorf("list --json: %+v", got)
	}
}

func TestTypeCommandsAreUsedRightly(t *testing.T) {
	serveTypes(start(t), map[string]string{})
	for _, args := range [][]string{
		{"type"}, {"type", "nope"}, {"type", "create"}, {"type", "update", "t"}, {"type", "show"}, {"type", "list", "x"},
		{"type", "create", "t", "n_val=3"}, {"type", "create", "t", `{"n_val":3}`}, {"type", "create", "t", `{"props":[]}`},
		{"type", "create", "t", `{"props":{}}{}`}, {"type", "create", "t", `{"props":{},"x":1}`}, {"type", "update", "t", `{}`},
	} {
		if got := cartwheel(t, "", args...); got.code != 2 || got.stderr == "" {
			t.Errorf("%q: %+v", args, got)
		}
	}
}
