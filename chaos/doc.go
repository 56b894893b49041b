// Package chaos cuts the links between the nodes of a local cluster while they
// run: the switches behind "cartwheel dev --chaos". No node has them otherwise.
//
// # Model
//
// A [Network] lies between a node and the sockets beneath it. Nodes are known by
// their peer address. [Network.Set] names the peers to which nothing is sent any
// more; each direction of a link is enforced by its sender, so that a link can be
// cut in one direction alone. If n1 sends nothing to n3, then:
//
//   - what n1 writes into a stream waits until the cut is healed, the deadline
//     passes or the stream is closed, as with a full socket. Nothing is kept in
//     between: a writer holds its own bytes;
//   - the end of a stream that n1 closes is not heard by n3 before the cut is
//     healed;
//   - packets are dropped;
//   - n1 cannot connect to n3, and n3 cannot connect to n1 either: its request
//     arrives, the answer does not. Both wait until their context ends;
//   - what n3 sends arrives as before.
//
// On one machine all nodes have one host, and the port of an outgoing connection
// says nothing. So whoever connects says first which node it is, and whoever
// accepts answers. Both ends must have a Network; others are turned away. Only
// the node's own peer address is such a door: listeners at other addresses, as
// that of the clients, are left alone.
//
// The switches of a process are set by its parent alone, over two pipes that
// [Attach] gives to it and [Inherit] takes up. The parent sends the whole list each
// time, and [Controller.Set] returns when the child has put it in force.
//
// # Promises
//
// After Set has returned, nothing begins to be sent to a peer that is cut. A healed
// stream goes on where it stopped: no byte is lost, doubled or out of order.
//
// Not promised: that the cut reaches what the kernel has taken, or is taking in
// pieces of at most 64 KiB, at this moment; that counts as under way and arrives.
// The end of a process is told by the kernel, cut or not. A connection to a process
// that is stopped (SIGSTOP) waits instead of being made by the kernel.
//
// # Bounds
//
// A listener greets 256 connections at once and turns further ones away. The ends
// of 256 streams per link are held back; of more, the oldest is let through.
//
// # Concurrency
//
// A Network and what comes from it may be used from several goroutines at once.
// A Controller is used by one at a time.
//
// # Place in Dynamo
//
// The paper's failures (section 4.6: nodes away for a while; 4.8.3: a peer that does
// not answer one node, and answers another) are made here on purpose, at the
// place where they happen in practice: below the protocol.
//
//	cmd := exec.Command("cartwheel", "serve", ...)
//	switches, err := chaos.Attach(cmd)
//	if err != nil {
//		return err
//	}
//	defer switches.Close()
//	err = cmd.Start()
//	switches.Started()
//	...
//	err = switches.Set([]string{"127.0.0.1:8119"}, 5*time.Second)
package chaos
