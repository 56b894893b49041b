package client_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"

	"cartwheel/client"
)

// exampleCluster stands for a running cluster: one key of which two clients wrote a value at
// the same time.
func exampleCluster() *httptest.Server {
	settled := ""
	return httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Cartwheel-Receipt", "replicas=2 primaries=2 fallbacks=0 durable=2 n=3 ring=17")
		w.Header().Set("X-Riak-Vclock", "b3BhcXVl")
		switch {
		case r.URL.Path != "/buckets/carts/keys/alice":
			w.Header().Del("X-Riak-Vclock")
			w.WriteHeader(http.StatusNotFound)
			_, _ = io.WriteString(w, "not found\n")
		case r.Method == http.MethodPut:
			body, _ := io.ReadAll(r.Body)
			settled = string(body)
			w.WriteHeader(http.StatusNoContent)
		case settled != "":
			w.Header().Set("Content-Type", "text/plain")
			_, _ = io.WriteString(w, settled)
		default:
			w.Header().Set("Content-Type", "multipart/mixed; boundary=x")
			w.WriteHeader(http.StatusMultipleChoices)
			_, _ = io.WriteString(w, multipartBody("x", "Content-Type: text/plain\r\n\r\nmilk", "Content-Type: text/plain\r\n\r\nbread"))
		}
	}))
}

// Read a key, settle its siblings by writing one value with the context of the read, and
// read the result.
func Example() {
	cluster := exampleCluster()
	defer cluster.Close()
	c, err := client.New(client.Config{Endpoints: []string{cluster.URL}})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer c.Close()
	ctx := context.Background()
	cart := client.Key{Bucket: "carts", Key: "alice"}

	got, err := c.Get(ctx, cart, client.GetOptions{})
	if err != nil {
		fmt.Println(err)
		return
	}
	var union string
	for _, v := range got.Values {
		fmt.Printf("sibling %s\n", v.Body)
		union += string(v.Body) + " "
	}
	put, err := c.Put(ctx, cart, client.Value{ContentType: "text/plain", Body: []byte(union)}, client.PutOptions{Context: got.Context})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("on disk at", put.Receipt.Durable, "of", put.Receipt.N)
	if got, err = c.Get(ctx, cart, client.GetOptions{}); err == nil {
		fmt.Printf("now %s\n", got.Values[0].Body)
	}
	// Output:
	// sibling milk
	// sibling bread
	// on disk at 2 of 3
	// now milk bread
}

// Tell a key without a value from a cluster that cannot answer.
func ExampleClient_Get_errors() {
	cluster := exampleCluster()
	defer cluster.Close()
	c, err := client.New(client.Config{Endpoints: []string{cluster.URL}})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer c.Close()
	_, err = c.Get(context.Background(), client.Key{Bucket: "carts", Key: "bob"}, client.GetOptions{Quorum: client.Quorum{R: "all"}})
	if quorum, ok := errors.AsType[*client.QuorumError](err); ok {
		fmt.Println("try again in", quorum.RetryAfter)
	} else if errors.Is(err, client.ErrNotFound) {
		fmt.Println(err)
	}
	// Output:
	// client: carts/bob not found
}
