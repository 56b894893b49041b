package client_test

import (
	"crypto/tls"
	"errors"
	"io"
	stdlog "log"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"cartwheel/client"
)

func TestConditionsAndIdempotencyKeys(t *testing.T) {
	var got *http.Request
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		got = r
		w.WriteHeader(http.StatusNoContent)
	})
	ctx, day := t.Context(), time.Date(2026, 11, 22, 9, 30, 0, 0, time.FixedZone("", 3600))
	check := func(what string, header map[string]string) {
		t.Helper()
		for _, name := range []string{"If-Match", "If-None-Match", "If-Modified-Since", "If-Unmodified-Since", "Idempotency-Key"} {
			if v := got.Header.Get(name); v != header[name] {
				t.Errorf("%s: header %s is %q, want %q", what, name, v, header[name])
			}
		}
		if (got.Header.Get("X-Cartwheel-Request-Id") != "") != (got.Method != http.MethodGet && header["Idempotency-Key"] == "") {
			t.Errorf("%s: %v", what, got.Header)
		}
	}
	_, _ = c.Get(ctx, key, client.GetOptions{Resolve: client.ResolveSiblings, Quorum: client.Quorum{Consistency: client.ConsistencyStrict},
		Conditions: client.Conditions{IfNoneMatch: "set.a", IfModifiedSince: day}})
	check("get", map[string]string{"If-None-Match": `"set.a"`, "If-Modified-Since": "Sun, 22 Nov 2026 08:30:00 GMT"})
	if got.URL.RawQuery != "consistency=strict&resolve=siblings&timeout=15000" {
		t.Errorf("query %s", got.URL.RawQuery)
	}
	_, _ = c.Put(ctx, key, client.Value{}, client.PutOptions{IdempotencyKey: "order/17", Conditions: client.Conditions{IfMatch: "v", IfUnmodifiedSince: day}})
	check("put", map[string]string{"If-Match": `"v"`, "If-Unmodified-Since": "Sun, 22 Nov 2026 08:30:00 GMT", "Idempotency-Key": "order/17"})
	_, _ = c.Delete(ctx, key, client.DeleteOptions{IdempotencyKey: "k"})
	check("delete", map[string]string{"Idempotency-Key": "k"})
	// Under a request id alone a repetition would be judged by what the first attempt stored.
	id := client.NewRequestID()
	_, _ = c.Put(ctx, key, client.Value{}, client.PutOptions{RequestID: id, Conditions: client.Conditions{IfNoneMatch: "*"}})
	check("a request id with a condition", map[string]string{"If-None-Match": "*", "Idempotency-Key": id})
	_, _ = c.Put(ctx, key, client.Value{}, client.PutOptions{Conditions: client.Conditions{IfNoneMatch: "*"}})
	if k := got.Header.Get("Idempotency-Key"); len(k) != 32 || got.Header.Get("X-Cartwheel-Request-Id") != "" {
		t.Errorf("a condition without an id: %v", got.Header)
	}
	got = nil
	for name, opts := range map[string]client.PutOptions{
		"both":    {RequestID: client.NewRequestID(), IdempotencyKey: "k"},
		"long":    {IdempotencyKey: strings.Repeat("k", 256)},
		"blank":   {IdempotencyKey: "a b"},
		"quote":   {Conditions: client.Conditions{IfMatch: `a", "b`}},
		"control": {Conditions: client.Conditions{IfNoneMatch: "a\n"}},
	} {
		if _, err := c.Put(ctx, key, client.Value{}, opts); !errors.Is(err, client.ErrBadRequest) || got != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestConditionsThatFail(t *testing.T) {
	for code, want := range map[int]error{304: client.ErrNotModified, 412: client.ErrPrecondition, 428: client.ErrContextRequired} {
		c := serve(t, func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(code) })
		_, err := c.Get(t.Context(), key, client.GetOptions{})
		if code == 428 {
			_, err = c.Put(t.Context(), key, client.Value{}, client.PutOptions{})
		}
		if !errors.Is(err, want) {
			t.Errorf("%d: %v", code, err)
		}
	}
}

// All attempts of one Create have one key, so that the server finds the first one's.
func TestCreate(t *testing.T) {
	created := func(l *log) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			r.Header.Set("X-Cartwheel-Request-Id", r.Header.Get("Idempotency-Key"))
			l.add("b", r)
			if r.Method != http.MethodPost || r.URL.EscapedPath() != "/types/t/buckets/b%2F1/keys" {
				t.Errorf("%s %s", r.Method, r.URL.EscapedPath())
			}
			w.Header().Set("Location", "/types/t/buckets/b%2F1/keys/K%2F2")
			w.Header().Set("X-Riak-Vclock", "ctx")
			w.WriteHeader(http.StatusCreated)
			_, _ = io.Copy(w, r.Body)
		}
	}
	broken := func(l *log) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			r.Header.Set("X-Cartwheel-Request-Id", r.Header.Get("Idempotency-Key"))
			l.add("a", r)
			panic(http.ErrAbortHandler)
		}
	}
	bucket := client.Bucket{Type: "t", Name: "b/1"}
	cluster(t, client.Config{}, map[string]func(*log) http.HandlerFunc{"a": broken, "b": created}, func(t *testing.T, c *client.Client, l *log) {
		k, obj, err := c.Create(t.Context(), bucket, client.Value{Body: []byte("v")}, client.PutOptions{ReturnBody: true})
		if err != nil || k != bucket.Key("K/2") || string(obj.Values[0].Body) != "v" || obj.Context != "ctx" {
			t.Errorf("%v, %+v, %v", k, obj, err)
		}
		if seen, ids := l.take(); seen != "a b" || len(ids[0]) != 32 || ids[0] != ids[1] {
			t.Errorf("seen by %s, ids %q", seen, ids)
		}
	})
	cluster(t, client.Config{Retries: -1}, map[string]func(*log) http.HandlerFunc{"a": broken}, func(t *testing.T, c *client.Client, _ *log) {
		_, _, err := c.Create(t.Context(), bucket, client.Value{}, client.PutOptions{IdempotencyKey: "mine"})
		if doubt, ok := errors.AsType[*client.IndeterminateError](err); !ok || doubt.IdempotencyKey != "mine" || doubt.RequestID != "" {
			t.Errorf("got %v", err)
		}
	})
	c := serve(t, func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(http.StatusCreated) })
	if _, _, err := c.Create(t.Context(), bucket, client.Value{}, client.PutOptions{}); err == nil || !strings.Contains(err.Error(), "Location") {
		t.Errorf("without a Location: %v", err)
	}
	if _, _, err := c.Create(t.Context(), client.Bucket{}, client.Value{}, client.PutOptions{}); !errors.Is(err, client.ErrBadRequest) {
		t.Errorf("without a bucket: %v", err)
	}
}

func TestReceiptAndETagOfNamedLevels(t *testing.T) {
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Cartwheel-Receipt", "replicas=2 n=3 consistency=strict resolved=union")
		w.Header().Set("Etag", `"set.x"`)
	})
	obj, err := c.Get(t.Context(), key, client.GetOptions{})
	if err != nil || obj.ETag != "set.x" || obj.Receipt.Consistency != "strict" || obj.Receipt.Resolved != "union" || obj.Receipt.Extra != nil {
		t.Errorf("%+v, %v", obj, err)
	}
}

func TestTLSAndTokens(t *testing.T) {
	var token string
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		token = r.Header.Get("Authorization")
		w.WriteHeader(http.StatusNoContent)
	}))
	srv.Config.ErrorLog = stdlog.New(io.Discard, "", 0) // it is told of the stranger below
	srv.StartTLS()
	t.Cleanup(srv.Close)
	trusted := srv.Client().Transport.(*http.Transport).TLSClientConfig
	c := newClient(t, client.Config{Endpoints: []string{srv.URL}, TLS: trusted, Token: "secret"})
	if _, err := c.Put(t.Context(), key, client.Value{}, client.PutOptions{}); err != nil || token != "Bearer secret" {
		t.Errorf("token %q, %v", token, err)
	}
	stranger := newClient(t, client.Config{Endpoints: []string{srv.URL}, Retries: -1})
	if _, err := stranger.Get(t.Context(), key, client.GetOptions{}); !errors.Is(err, client.ErrUnreachable) {
		t.Errorf("an unknown authority: %v", err)
	}
	for name, tc := range map[string]struct {
		cfg  client.Config
		want string
	}{
		"a token in the clear":         {client.Config{Endpoints: []string{"http://10.0.0.1:8098"}, Token: "secret"}, "no TLS"},
		"a token on this machine":      {client.Config{Endpoints: []string{"http://127.0.0.1:8098", "[::1]:1", "localhost"}, Token: "secret"}, ""},
		"a token with TLS":             {client.Config{Endpoints: []string{"https://10.0.0.1:8098"}, Token: "secret"}, ""},
		"a token that breaks a header": {client.Config{Token: "secret\r\nX: y"}, "character"},
		"two ways to say TLS":          {client.Config{TLS: &tls.Config{}, HTTPClient: &http.Client{}}, "TLS"},
		"a negative delay":             {client.Config{HedgeAfter: -1}, "negative"},
	} {
		_, err := client.New(tc.cfg)
		if (err == nil) != (tc.want == "") || err != nil && (!strings.Contains(err.Error(), tc.want) || strings.Contains(err.Error(), "secret")) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
