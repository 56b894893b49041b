// Package hintedhandoff brings hints home: the objects that this node took in the place of an
// owner that could not be reached.
//
// # Model
//
// A hint is a whole object, stored under the owner that it waits for. A [Handoff] looks every
// few seconds, and whenever it is woken, for which owners there are hints and who is alive, and
// makes passes: a pass reads the hints of one owner in pages of at most 256 and 256 KiB, sends
// each page, and deletes each hint that was acknowledged. Pages are read with short scans that
// are closed before anything is sent; a cursor leads from one to the next; up to
// [Config.Pipeline] pages are under way. Up to [Config.Owners] owners are served at once, one pass
// each, those first that waited longest; a pass gives up its place after 30 s and is continued
// later.
//
// A hint goes to its owner as long as that is a member and owns the key. If the ring no longer
// says so (the owner was removed, its partition moved), the hint goes to all present owners of
// the key, and is deleted when all of them have it. If this node is among them it merges the
// object into its own copy. Nothing is sent to a member that is not alive: such hints wait until
// it is.
//
// # Promises
//
//   - A hint is deleted only after everybody who is to have it has acknowledged it as durable, and
//     only if it is still the object that was sent (compare-and-delete by digest) and the ring
//     still is the one by which it was addressed. Otherwise it stays and goes again. There is no
//     other way out for it: no age, no bound on room, no number of failures.
//   - Delivery needs no traffic and no memory of its own: hints found in the store after a restart
//     are delivered like any other.
//   - Failures of one owner delay only that owner. After a failed pass it is tried again with
//     exponential backoff and jitter, half a second to a minute, for ever; at once when it comes
//     back to life or the ring changes. A pass that meets nothing but failure stops early, and
//     the next one goes on behind it, so no hint holds up the others for ever.
//   - A hint that cannot be read holds nothing that anybody could be given. It is told to
//     [Config.Missed], as an exchange has to bring its owner what it held, and deleted as soon as
//     all who were to have it are alive, so that this exchange can take place.
//
// Delivery is a merge, so hints may arrive twice and in any order.
//
// # Bounds
//
// Memory: Owners x Pipeline pages, each 256 KiB or one object of any size, and what the [Sender]
// makes of them. How many hints there are is bounded by the store, which refuses new ones. The
// pace is the Sender's affair; passes spend what it allows and no more.
//
// # Concurrency
//
// New starts nothing. Run owns all goroutines and waits for them; Wake, Status and Stats may be
// called at any time, from any goroutine.
//
// # Place in Dynamo
//
// §4.6 (hinted handoff): "Upon detecting that A has recovered, D will attempt to deliver the
// replica to A. Once the transfer succeeds, D may delete the object from its local store." That is
// followed, with an answer to what the paper leaves open: an object that changed during its
// transfer, an owner that never returns, one that no longer owns the key, and a damaged hint.
//
//	h := hintedhandoff.New(hintedhandoff.Config{Store: hints, Sender: sender, View: view, N: nval, Missed: dirty})
//	go func() { ended <- h.Run(ctx) }()
//	h.Wake() // whenever membership or the ring has changed
package hintedhandoff
