package pace_test

import (
	"context"
	"fmt"
	"time"

	"cartwheel/pace"
)

func Example() {
	t := pace.New(pace.Config{Floor: 1000})
	t.Foreground(2 * time.Millisecond)                        // after each operation of a client
	if err := t.Wait(context.Background(), 256); err != nil { // before a batch is sent
		fmt.Println(err)
	}
	fmt.Println("a sender waits", t.Pause(256).Round(time.Second)) // after a batch was received
	fmt.Println("objects per second:", t.Rate())
	// Output:
	// a sender waits 0s
	// objects per second: 1000
}
