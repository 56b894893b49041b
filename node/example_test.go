package node_test

import (
	"context"
	"log/slog"
	"os"
	"os/signal"

	"cartwheel/node"
)

// A node of a cluster of three, as cmd/cartwheel runs it: the same on each machine, but for
// the name. It stops in order when the process is told to.
func Example() {
	n, err := node.New(node.Config{
		Name: "n1", DataDir: "/var/lib/cartwheel",
		HTTP: "127.0.0.1:8098", Peer: "127.0.0.1:8099",
		Join: []string{"127.0.0.1:8199", "127.0.0.1:8299"}, Expect: 3,
		Logger: slog.Default(),
	})
	if err != nil {
		slog.Error("start", "err", err) // a sentence for the operator
		return
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := n.Run(ctx); err != nil { // closes the node
		slog.Error("run", "err", err)
	}
}
