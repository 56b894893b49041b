// Command cart is the shopping cart of the Dynamo paper: several devices put items into one cart
// at the same time, each through another node if several endpoints are given, and at the end
// every item is there. Concurrent writes leave siblings; whoever reads them merges them.
//
//	CARTWHEEL_ENDPOINT=http://127.0.0.1:8098 go run ./examples/cart
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"cartwheel/client"
)

const (
	devices = 3
	each    = 5 // items of one device
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "cart:", err)
		os.Exit(1)
	}
}

func run() error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	list := os.Getenv("CARTWHEEL_ENDPOINT")
	if list == "" {
		list = "http://127.0.0.1:8098"
	}
	endpoints := strings.Split(list, ",")
	clients := make([]*client.Client, devices)
	for i := range clients {
		c, err := client.New(client.Config{Endpoints: endpoints[i%len(endpoints):]})
		if err != nil {
			return err
		}
		defer c.Close()
		clients[i] = c
	}
	key := client.Key{Bucket: "carts", Key: "go-" + client.NewRequestID()}

	fmt.Printf("%d devices put %d items each into one cart\n", devices, each)
	var merged atomic.Int64
	if err := fill(ctx, clients, key, &merged); err != nil {
		return err
	}

	items, found, err := read(ctx, clients[0], key)
	if err != nil {
		return err
	}
	fmt.Printf("it holds %d items: %s\n", len(items), strings.Join(items, " "))
	fmt.Printf("on the way siblings were merged %d times; the last read found %d\n", merged.Load(), len(found.Values))
	if len(items) != devices*each {
		return fmt.Errorf("%d items were put in, %d are there", devices*each, len(items))
	}
	if _, err := clients[0].Delete(ctx, key, client.DeleteOptions{Context: found.Context}); err != nil {
		return err
	}
	fmt.Println("nothing was lost")
	return nil
}

// fill has all devices add their items at the same time.
func fill(ctx context.Context, clients []*client.Client, key client.Key, merged *atomic.Int64) error {
	var wg sync.WaitGroup
	errs := make([]error, len(clients))
	for i, c := range clients {
		wg.Go(func() {
			for n := range each {
				item := fmt.Sprintf("device%d-item%d", i+1, n+1)
				if errs[i] = add(ctx, c, key, item, merged); errs[i] != nil {
					return
				}
			}
		})
	}
	wg.Wait()
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// add puts one item into the cart. Update reads, merges what siblings it finds, and writes with
// the context of the read: so the new value replaces what was read, and nothing else.
func add(ctx context.Context, c *client.Client, key client.Key, item string, merged *atomic.Int64) error {
	_, err := c.Update(ctx, key, func(current client.Value, exists bool) (client.Value, error) {
		items := []string{item}
		if exists {
			before, err := decode(current)
			if err != nil {
				return client.Value{}, err
			}
			items = union(items, before)
		}
		return encode(items)
	}, client.UpdateOptions{
		Unguarded: true, // a cart takes every write; without this Update would try again instead
		Merge: func(siblings []client.Value) (client.Value, error) {
			merged.Add(1)
			items, err := unite(siblings)
			if err != nil {
				return client.Value{}, err
			}
			return encode(items)
		},
	})
	return err
}

// read returns the items of the cart and the object as it was found.
func read(ctx context.Context, c *client.Client, key client.Key) ([]string, *client.Object, error) {
	found, err := c.Get(ctx, key, client.GetOptions{})
	if err != nil {
		return nil, nil, err
	}
	items, err := unite(found.Values)
	return items, found, err
}

// unite returns what any of the siblings holds.
func unite(siblings []client.Value) ([]string, error) {
	var items []string
	for _, s := range siblings {
		if s.Deleted {
			continue
		}
		more, err := decode(s)
		if err != nil {
			return nil, err
		}
		items = union(items, more)
	}
	return items, nil
}

// union returns the items of both lists, each once, sorted: so the order of siblings is all one.
func union(a, b []string) []string {
	set := map[string]bool{}
	for _, item := range slices.Concat(a, b) {
		set[item] = true
	}
	return slices.Sorted(maps.Keys(set))
}

func decode(v client.Value) (items []string, err error) {
	if err := json.Unmarshal(v.Body, &items); err != nil {
		return nil, fmt.Errorf("read the cart: %w", err)
	}
	return items, nil
}

func encode(items []string) (client.Value, error) {
	body, err := json.Marshal(items)
	return client.Value{ContentType: "application/json", Body: body}, err
}
