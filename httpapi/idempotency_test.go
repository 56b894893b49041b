package httpapi

import (
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"testing"

	"cartwheel/quorum"
	"cartwheel/ring"
	"cartwheel/vclock"
)

// The same name gives the same id on every node and in every version; whatever else differs
// gives another one.
func TestNamedRequest(t *testing.T) {
	key := ring.Key{Type: "default", Bucket: "b", Key: "k"}
	id := namedRequest(namesPut, key, "n")
	if got := hex.EncodeToString(id[:]); got != "696b68e53f337a039376834b202a6083" {
		t.Errorf("got %s: retries that meet a node of another version would be stored twice", got)
	}
	if got := namedKey(ring.Key{Bucket: "b"}, "n"); got != "EX4MGO4NX52L3YJBWEY3ACSSQK" {
		t.Errorf("got %s: as above", got)
	}
	if namedRequest(namesPut, ring.Key{Bucket: "b", Key: "k"}, "n") != id {
		t.Error("an empty type is another one than the default")
	}
	seen := map[vclock.RequestID]string{}
	for _, v := range []struct {
		what       byte
		key        ring.Key
		name, text string
	}{
		{namesPut, key, "n", "itself"}, {namesDelete, key, "n", "delete"}, {namesPut, key, "m", "name"},
		{namesPut, ring.Key{Type: "t", Bucket: "b", Key: "k"}, "n", "type"}, {namesPut, ring.Key{Bucket: "c", Key: "k"}, "n", "bucket"},
		{namesPut, ring.Key{Bucket: "b", Key: "kn"}, "", "no name"}, {namesPut, ring.Key{Bucket: "b", Key: ""}, "kn", "no key"},
	} {
		id := namedRequest(v.what, v.key, v.name)
		if other, ok := seen[id]; ok {
			t.Errorf("%s and %s have one id", v.text, other)
		}
		seen[id] = v.text
	}
}

func TestIdempotencyKeyForm(t *testing.T) {
	c := newCluster(t)
	a := c.server(t)
	const form = "Idempotency-Key must be given once and have 1 to 255 bytes\n"
	const both = "Idempotency-Key and X-Cartwheel-Request-Id both name the write; send one of them\n"
	for _, test := range []struct {
		headers []string
		text    string
	}{
		{[]string{"Idempotency-Key", ""}, form},
		{[]string{"Idempotency-Key", strings.Repeat("x", 256)}, form},
		{[]string{"Idempotency-Key", "a", "Idempotency-Key", "b"}, form},
		{[]string{"Idempotency-Key", "a", "X-Cartwheel-Request-Id", strings.Repeat("1", 32)}, both},
		{[]string{"Idempotency-Key", "a", "X-Cartwheel-Request-Id", "nonsense"}, both},
	} {
		for method, path := range map[string]string{"PUT": at, "POST": "/buckets/b/keys", "DELETE": at} {
			want(t, do(a, method, path, "x", append(test.headers, "Content-Type", "a/b")...), 400, test.text)
		}
	}
	if len(c.gets)+len(c.puts)+len(c.deletes) > 0 {
		t.Error("a refused request was carried out")
	}
	put(t, a, at, "x", "Idempotency-Key", strings.Repeat("\xff", 255))
}

// retries are the servers where a request is sent the second time: the node that had it first,
// and one that knows nothing but the objects, another node or the first after a restart.
func retries(t *testing.T, test func(t *testing.T, c *cluster, first, second *API)) {
	t.Run("same node", func(t *testing.T) {
		c := newCluster(t)
		a := c.server(t)
		test(t, c, a, a)
	})
	t.Run("other node", func(t *testing.T) {
		c := newCluster(t)
		test(t, c, c.server(t), c.server(t))
	})
}

// dots returns the clock of a key, which every dot that was ever minted for it is in.
func (c *cluster) dots(key string) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return fmt.Sprint(c.records[ring.Key{Bucket: "b", Key: key}.Name()].Object.Clock)
}

// A retry answers as the first try did and mints nothing, whatever the conditions of the first
// one were: they held then.
func TestRetryAfterConditions(t *testing.T) {
	retries(t, func(t *testing.T, c *cluster, first, second *API) {
		create := []string{"If-None-Match", "*", "Idempotency-Key", "create"}
		put(t, first, at, "one", create...)
		dots := c.dots("k")
		put(t, second, at, "one", create...)
		want(t, do(second, "PUT", at, "one", "Content-Type", "text/plain", "If-None-Match", "*", "Idempotency-Key", "another"), 412, "-")
		read := do(first, "GET", at, "")
		if c.dots("k") != dots {
			t.Fatalf("the retry minted: %s, %s", dots, c.dots("k"))
		}
		change := []string{"If-Match", etagOf(read), "X-Riak-If-Not-Modified", read.Header.Get("X-Riak-Vclock"), "X-Riak-Vclock", read.Header.Get("X-Riak-Vclock"), "Idempotency-Key", "change"}
		put(t, first, at, "two", change...)
		dots = c.dots("k")
		put(t, second, at, "two", change...)
		if got := values(t, second, at); c.dots("k") != dots || !slices.Equal(got, []string{"two"}) {
			t.Errorf("dots %s, then %s; values %q", dots, c.dots("k"), got)
		}
		r := want(t, do(second, "PUT", at+"?returnbody=true", "two", append(change, "Content-Type", "text/plain")...), 200, "two")
		if r.Header.Get("X-Riak-Vclock") == "" {
			t.Error("no context")
		}
	})
}

func TestRetryOfDelete(t *testing.T) {
	for name, headers := range map[string][]string{"Idempotency-Key": nil, "X-Cartwheel-Request-Id": nil, "with If-Match": {"If-Match", "*"}} {
		id, value := "Idempotency-Key", "once"
		if name == "X-Cartwheel-Request-Id" {
			id, value = name, strings.Repeat("1", 32)
		}
		t.Run(name, func(t *testing.T) {
			retries(t, func(t *testing.T, c *cluster, first, second *API) {
				headers := append(headers, id, value)
				want(t, do(first, "DELETE", at+"nothing", "", id, value), 404, "not found\n")
				put(t, first, at, "x", "Idempotency-Key", value) // the same name means another write here
				want(t, do(first, "DELETE", at, "", headers...), 204, "")
				dots := c.dots("k")
				r := want(t, do(second, "DELETE", at, "", headers...), 204, "")
				if r.Header.Get("X-Cartwheel-Receipt") == "" {
					t.Error("no receipt")
				}
				want(t, do(second, "DELETE", at, "", "Idempotency-Key", "other"), 404, "not found\n")
				want(t, do(second, "DELETE", at, ""), 404, "not found\n")
				if c.dots("k") != dots {
					t.Errorf("the retry minted: %s, %s", dots, c.dots("k"))
				}
			})
		})
	}
}

// The key that a node chooses is the same for every try.
func TestRetryOfChosenKey(t *testing.T) {
	retries(t, func(t *testing.T, c *cluster, first, second *API) {
		post := func(a *API, name string) string {
			r := want(t, do(a, "POST", "/buckets/b/keys", "v", "Content-Type", "text/plain", "Idempotency-Key", name), 201, "")
			return r.Header.Get("Location")
		}
		place := post(first, "order-17")
		if again := post(second, "order-17"); again != place {
			t.Fatalf("at %s, then at %s", place, again)
		}
		if post(second, "order-18") == place {
			t.Error("two names have one key")
		}
		key := strings.TrimPrefix(place, "/buckets/b/keys/")
		// Also when the object has been changed or deleted since.
		context := do(first, "GET", place, "").Header.Get("X-Riak-Vclock")
		put(t, first, place, "changed", "X-Riak-Vclock", context)
		dots := c.dots(key)
		post(second, "order-17")
		want(t, do(second, "POST", "/buckets/b/keys?returnbody=true", "v", "Content-Type", "text/plain", "Idempotency-Key", "order-17"), 201, "changed")
		if c.dots(key) != dots {
			t.Error("the retry minted after a change")
		}
		want(t, do(first, "DELETE", place, ""), 204, "")
		dots = c.dots(key)
		if post(second, "order-17") != place || c.dots(key) != dots {
			t.Error("the retry minted after a delete")
		}
		if post(c.server(t), "order-17") != place || c.dots(key) != dots {
			t.Error("a third node minted after a delete")
		}
	})
}

// What has been replaced since is not stored again, nor is what was written since deleted.
func TestRetryAfterChange(t *testing.T) {
	retries(t, func(t *testing.T, c *cluster, first, second *API) {
		change := func(value string) {
			put(t, first, at, value, "X-Riak-Vclock", do(first, "GET", at, "").Header.Get("X-Riak-Vclock"))
		}
		one := []string{"Content-Type", "text/plain", "If-None-Match", "*", "Idempotency-Key", "1"}
		want(t, do(first, "PUT", at, "one", one...), 204, "")
		change("two")
		dots := c.dots("k")
		if r := want(t, do(second, "PUT", at, "one", one...), 204, ""); r.Header.Get("X-Cartwheel-Receipt") == "" {
			t.Error("no receipt")
		}
		want(t, do(second, "PUT", at+"?returnbody=true", "one", one...), 200, "two")
		want(t, do(first, "DELETE", at, "", "Idempotency-Key", "1"), 204, "") // another write, as it is a DELETE
		deleted := c.dots("k")
		change("three")
		want(t, do(second, "DELETE", at, "", "Idempotency-Key", "1"), 204, "")
		want(t, do(second, "GET", at, ""), 200, "three")
		if dots == deleted || len(c.puts) != 4 {
			t.Errorf("%d writes", len(c.puts))
		}
	})
}

// A try that was stored and missed its levels is sent on by the retry, so that they are met.
func TestRetryAfterError(t *testing.T) {
	c := newCluster(t)
	a := c.server(t)
	short := &quorum.UnsatisfiedError{Level: "W", Got: 1, Want: 2, Written: true}
	c.put = func(r quorum.PutRequest) (quorum.PutResult, error) {
		key := r.Key.Name()
		if !c.records[key].Object.HasRequest(r.RequestID) {
			c.records[key] = c.records[key].Put(vclock.Write{RequestID: r.RequestID, Deleted: r.Deleted, Value: r.Value, ContentType: r.ContentType, Context: r.Context}, c.ids)
		}
		return quorum.PutResult{}, short
	}
	for i, headers := range [][]string{{}, {"If-None-Match", "*"}} {
		path := at + fmt.Sprint(i)
		headers = append(headers, "Content-Type", "text/plain", "Idempotency-Key", "1")
		want(t, do(a, "PUT", path, "x", headers...), 503, "-")
		dots := c.dots("k" + fmt.Sprint(i))
		want(t, do(a, "PUT", path, "x", headers...), 503, "-")
		if len(c.puts) != 2*i+2 || dots != c.dots("k"+fmt.Sprint(i)) {
			t.Errorf("%d writes", len(c.puts))
		}
	}
	before := len(c.puts)
	want(t, do(a, "DELETE", at+"0", "", "Idempotency-Key", "1"), 503, "-")
	want(t, do(a, "DELETE", at+"0", "", "Idempotency-Key", "1"), 503, "-")
	if len(c.puts) != before+2 || !c.puts[before+1].Deleted || c.puts[before+1].Context != nil {
		t.Errorf("the second delete: %+v", c.puts[before:])
	}
	c.put = nil
	want(t, do(a, "DELETE", at+"0", "", "Idempotency-Key", "1"), 204, "")
	put(t, a, at+"1", "x", "Idempotency-Key", "1")
}

// FuzzIdempotencyKey: whatever names a write, it is refused or names it twice in the same way.
func FuzzIdempotencyKey(f *testing.F) {
	f.Add("k", "order-17")
	f.Add("", strings.Repeat("x", 256))
	f.Fuzz(func(t *testing.T, key, name string) {
		c := newCluster(t)
		path := "/buckets/b/keys"
		if key != "" {
			path += "/" + encodeSegment(key)
		}
		first := do(c.server(t), "POST", path, "x", "Content-Type", "a/b", "Idempotency-Key", name)
		second := do(c.server(t), "POST", path, "x", "Content-Type", "a/b", "Idempotency-Key", name)
		if first.StatusCode != second.StatusCode || first.Header.Get("Location") != second.Header.Get("Location") {
			t.Fatalf("%q %q: %d at %s, then %d at %s", key, name, first.StatusCode, first.Header.Get("Location"), second.StatusCode, second.Header.Get("Location"))
		}
		stored := 0
		for _, r := range c.records {
			stored += len(r.Object.Siblings)
		}
		if good := first.StatusCode/100 == 2; stored > 1 || good != (stored == 1) {
			t.Fatalf("%q %q: %d, %d values", key, name, first.StatusCode, stored)
		}
	})
}
