// Package transfer moves whole objects from one node to another in acknowledged batches, at the
// pace that the receiver sets. Hint delivery and exchanges send through it.
//
// # Model
//
// A [Sender] cuts what it is given into batches of at most [MaxBatchBytes] and [MaxBatchItems],
// or of one object of any size, and sends them one after the other as calls of kind [Kind]. A
// [Receiver] merges each item into its store and answers when the last one has ended: for each
// item whether it is stored, refused or failed, and for how long the sender is to wait before
// the next batch. A merge may be repeated and comes in any order without harm, so a batch whose
// answer was lost is simply sent again.
//
// A batch carries the version of the sender's ring. A receiver at another version takes nothing
// of it, and one at the same version takes only what it owns there: who owns a key is never
// decided by the sender alone.
//
// # Promises
//
//   - [Sender.Send] reports an item as acknowledged only when the receiver has answered that its
//     store has it: durable in the sense of the receiver's configuration. A lost, late, malformed
//     or short answer acknowledges nothing.
//   - The receiver's pause holds for everything that this sender sends to that member, from
//     whichever goroutine. The pause is taken from one account for all senders, so that their
//     number does not raise the rate.
//   - A batch is paid for, at the sender's pace and at the receiver's, as the number of its items
//     or of its begun 4 KiB, whichever is more: large objects cost more than small ones.
//   - An item that the receiver refuses or fails to store does not hold up the others.
//
// # Bounds
//
// A receiver works on [ReceiverConfig.MaxBatches] batches and MaxBytes of payload at once (or on
// one batch of any size); it turns away what goes beyond, and everything while more than three
// seconds are owed, with a pause. That protects its memory and the committer's queue from many
// senders at once. A sender waits that pause, up to twice as long by chance, and tries again; after
// eight times it gives up with [ErrBusy]. A receiver has nothing to clean up after a sender that
// disappears: there is no session, only calls.
//
// # Not promised
//
// The payload has no checksum of its own. The transport between the nodes carries one over each
// frame (CRC-32C), and each store has one over each record; a batch lives only between these. The
// decoder is strict all the same and refuses what a sender would not have written.
//
// # Concurrency
//
// Sender and Receiver are safe for concurrent use, start no goroutine and need no closing. Send
// blocks. Serve does not, as long as the store's Merge does not: it may run on the goroutine
// that reads a connection, which it holds for the 0.2 ms that decoding a batch takes. It keeps the payload until it replies; the caller must not reuse it.
//
// # Place in Dynamo
//
// §4.6 (hinted handoff) and §4.7 (synchronization) leave open how objects travel; §6.2 only
// says that moving partitions as units makes it cheap. Acknowledgement per item and the
// receiver's pace are answers to what deployed systems suffered from: hand-offs that start again
// from the beginning after a time-out, and recovering nodes buried under their own repair.
//
//	s := transfer.NewSender(transfer.SenderConfig{Call: call, Version: version, Wait: throttle.Wait})
//	acked, err := s.Send(ctx, owner, items)
//
//	r := transfer.NewReceiver(transfer.ReceiverConfig{View: view, Store: store, Pause: throttle.Pause})
//	r.Serve(req.Payload, func(answer []byte, err error) { … }) // in the transport's handler
package transfer
