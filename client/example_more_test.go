package client_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"

	"cartwheel/client"
)

// connect returns a client of a cluster, and a function that ends both.
func connect(h http.Handler) (*client.Client, func()) {
	cluster := httptest.NewServer(h)
	c, err := client.New(client.Config{Endpoints: []string{cluster.URL}})
	if err != nil {
		panic(err) // the URL is one
	}
	return c, func() {
		c.Close()
		cluster.Close()
	}
}

// Add to a shopping cart that two devices changed at the same time: their carts are merged, and
// what is written replaces both.
func ExampleClient_Update() {
	c, end := connect(&register{version: 2, values: []string{"milk", "bread butter"}})
	defer end()
	union := func(siblings []client.Value) (client.Value, error) {
		items := map[string]bool{}
		for _, v := range siblings {
			for item := range strings.FieldsSeq(string(v.Body)) {
				items[item] = true
			}
		}
		var all []string
		for item := range items {
			all = append(all, item)
		}
		slices.Sort(all) // every reader merges to the same
		return client.Value{ContentType: "text/plain", Body: []byte(strings.Join(all, " "))}, nil
	}
	addTea := func(cart client.Value, exists bool) (client.Value, error) {
		cart.ContentType, cart.Body = "text/plain", append(cart.Body, " tea"...)
		return cart, nil
	}
	cart, err := c.Update(context.Background(), client.Key{Bucket: "carts", Key: "alice"}, addTea, client.UpdateOptions{Merge: union})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Printf("%s\n", cart.Values[0].Body)
	// Output:
	// bread butter milk tea
}

// List the keys that begin with a year, in order.
func ExampleClient_Keys() {
	c, end := connect(&lister{names: []string{"2025-12", "2026-01", "2026-02", "2027-01"}})
	defer end()
	for key, err := range c.Keys(context.Background(), client.Bucket{Name: "reports"}, client.ListOptions{Prefix: "2026-", Sorted: true}) {
		if err != nil {
			fmt.Println(err) // the list is not complete
			break
		}
		fmt.Println(key)
	}
	// Output:
	// 2026-01
	// 2026-02
}

// Read and write several keys in one request. Each operation has its own result.
func ExampleClient_BatchDo() {
	c, end := connect(&batchNode{ids: map[string]int{}})
	defer end()
	results, err := c.BatchDo(context.Background(), client.Bucket{Name: "cities"}, []client.BatchOp{
		{Kind: client.BatchPut, Key: "rome", Value: client.Value{ContentType: "text/plain", Body: []byte("it")}},
		{Kind: client.BatchGet, Key: "oslo"},
	}, client.BatchOptions{})
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, r := range results {
		switch {
		case r.Err != nil:
			fmt.Println(r.Key, r.Err)
		case len(r.Object.Values) > 0:
			fmt.Printf("%s is %s\n", r.Key, r.Object.Values[0].Body)
		default:
			fmt.Println(r.Key, "is stored at", r.Object.Receipt.Replicas)
		}
	}
	// Output:
	// cities/rome is stored at 2
	// cities/oslo is oslo
}

// Write a key only if it holds nothing yet.
func ExampleConditions() {
	c, end := connect(&register{})
	defer end()
	for _, who := range []string{"alice", "bob"} {
		_, err := c.Put(context.Background(), client.Key{Bucket: "seats", Key: "12a"}, client.Value{Body: []byte(who)},
			client.PutOptions{Conditions: client.Conditions{IfNoneMatch: "*"}})
		if errors.Is(err, client.ErrPrecondition) {
			fmt.Println(who, "came too late")
		} else if err == nil {
			fmt.Println(who, "has the seat")
		}
	}
	// Output:
	// alice has the seat
	// bob came too late
}
