package client_test

import (
	"errors"
	"io"
	"math"
	"net/http"
	"testing"

	"cartwheel/client"
)

func TestProperties(t *testing.T) {
	var path, contentType, body string
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		path, contentType, body = r.Method+" "+r.URL.EscapedPath(), r.Header.Get("Content-Type"), string(b)
		if r.Method == http.MethodPut {
			w.WriteHeader(http.StatusNoContent)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `{"props":{"allow_mult":true,"n_val":3}}`)
	})
	if err := c.SetProperties(t.Context(), client.Bucket{Name: "a/b +"}, map[string]any{"allow_mult": true}); err != nil {
		t.Fatal(err)
	}
	if path != "PUT /buckets/a%2Fb%20%2B/props" || contentType != "application/json" || body != `{"props":{"allow_mult":true}}` {
		t.Errorf("sent %s, %s, %s", path, contentType, body)
	}
	got, err := c.Properties(t.Context(), client.Bucket{Name: "b"})
	if err != nil || got["allow_mult"] != true || got["n_val"] != 3.0 || path != "GET /buckets/b/props" {
		t.Errorf("%s: got %v, %v", path, got, err)
	}
}

func TestPropertiesRefused(t *testing.T) {
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusBadRequest)
		_, _ = io.WriteString(w, `{"r":"not_valid_quorum"}`)
	})
	err := c.SetProperties(t.Context(), client.Bucket{Name: "b"}, map[string]any{"r": "foo"})
	if se, ok := errors.AsType[*client.StatusError](err); !ok || se.Message != `{"r":"not_valid_quorum"}` || !errors.Is(err, client.ErrBadRequest) {
		t.Errorf("got %v", err)
	}
	if _, err := c.Properties(t.Context(), client.Bucket{Name: "b"}); !errors.Is(err, client.ErrBadRequest) {
		t.Errorf("got %v", err)
	}
	for what, err := range map[string]error{
		"no bucket": c.SetProperties(t.Context(), client.Bucket{Name: ""}, nil),
		"no JSON":   c.SetProperties(t.Context(), client.Bucket{Name: "b"}, map[string]any{"n_val": math.NaN()}),
	} {
		if !errors.Is(err, client.ErrBadRequest) {
			t.Errorf("%s: got %v", what, err)
		}
	}
	if _, err := c.Properties(t.Context(), client.Bucket{Name: ""}); !errors.Is(err, client.ErrBadRequest) {
		t.Errorf("no bucket: got %v", err)
	}
}
