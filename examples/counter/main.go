// Command counter adds to a number from several writers at once: in a bucket that keeps one value,
// with siblings but without contexts, with contexts, and in the way that counts right. README.md
// says what each of them shows.
//
//	CARTWHEEL_ENDPOINT=http://127.0.0.1:8098 go run ./examples/counter
package main

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"cartwheel/client"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "counter:", err)
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
	// One node for what follows: the others hear of the bucket's properties a moment later.
	c, err := client.New(client.Config{Endpoints: endpoints[:1]})
	if err != nil {
		return err
	}
	defer c.Close()
	one, many := client.Bucket{Name: "counters-single"}, client.Bucket{Name: "counters"}
	if err := c.SetProperties(ctx, one, map[string]any{"last_write_wins": true}); err != nil {
		return err
	}
	name := client.NewRequestID() // so that each run has keys of its own
	for _, step := range []struct {
		title    string
		key      client.Key
		contexts bool
		want     []int
		lesson   string
	}{
		{"one value, no context", one.Key("a-" + name), false, []int{11}, "it was 10, two added one each, it is 11: an update is lost"},
		{"siblings, no context", many.Key("b-" + name), false, []int{10, 11, 11}, "the values are 10 11 11"},
		{"siblings, with context", many.Key("c-" + name), true, []int{11, 11}, "the values are 11 11"},
	} {
		got, err := twoAddOne(ctx, c, step.key, step.contexts)
		if err != nil {
			return err
		}
		if !slices.Equal(got, step.want) {
			return fmt.Errorf("%s: the values are %v, not %v", step.title, got, step.want)
		}
		fmt.Printf("%s: %s\n", step.title, step.lesson)
	}
	if err := twoWithEntries(ctx, c, many.Key("d-"+name)); err != nil {
		return err
	}
	return countTogether(ctx, endpoints, many.Key("e-"+name))
}

// twoAddOne writes 10, has two writers read it before either writes one more, and returns what
// the key holds then, sorted. It deletes the key in the end.
func twoAddOne(ctx context.Context, c *client.Client, key client.Key, contexts bool) ([]int, error) {
	if _, err := c.Put(ctx, key, number(10), client.PutOptions{}); err != nil {
		return nil, err
	}
	var reads [2]*client.Object
	for i := range reads {
		var err error
		if reads[i], err = c.Get(ctx, key, client.GetOptions{}); err != nil {
			return nil, err
		}
	}
	for _, read := range reads {
		n, err := strconv.Atoi(string(read.Values[0].Body))
		if err != nil {
			return nil, err
		}
		var opts client.PutOptions
		if contexts {
			opts.Context = read.Context
		}
		if _, err := c.Put(ctx, key, number(n+1), opts); err != nil {
			return nil, err
		}
	}
	last, err := c.Get(ctx, key, client.GetOptions{})
	if err != nil {
		return nil, err
	}
	var values []int
	for _, v := range last.Values {
		n, err := strconv.Atoi(string(v.Body))
		if err != nil {
			return nil, err
		}
		values = append(values, n)
	}
	slices.Sort(values)
	return values, remove(ctx, c, key, last.Context)
}

func number(n int) client.Value {
	return client.Value{ContentType: "text/plain", Body: strconv.AppendInt(nil, int64(n), 10)}
}

// remove deletes what was read with the context.
func remove(ctx context.Context, c *client.Client, key client.Key, seen string) error {
	_, err := c.Delete(ctx, key, client.DeleteOptions{Context: seen})
	return err
}
