package ring_test

import (
	"fmt"

	"cartwheel/ring"
)

// Who holds a key, and who stands in when they are away.
func Example() {
	d := ring.Document{Cluster: "example", Version: 1, Partitions: 256, N: 3, Tokens: ring.DefaultTokens}
	for _, name := range []string{"anna", "ben", "cleo", "dora", "emil"} {
		d.Members = append(d.Members, ring.Member{UUID: "id-" + name, Name: name, Weight: 1, Status: ring.StatusMember})
	}
	r, err := ring.New(d)
	if err != nil {
		fmt.Println(err)
		return
	}
	p := r.Partition(ring.Key{Bucket: "carts", Key: "4711"}.Name())
	n := r.EffectiveN(0)
	for i, m := range r.Preference(p) {
		role := "owner"
		if i >= n {
			role = "fallback"
		}
		fmt.Println(role, r.Members()[m].Name)
	}
	// Output:
	// owner dora
	// owner cleo
	// owner emil
	// fallback anna
	// fallback ben
}
