// Package listing lists the keys of a bucket, and the buckets of a type, of the whole cluster.
//
// # Model
//
// Every owner of a partition should have all of its objects, so a list is the sum of one owner's names of each
// partition: a coverage plan. The [Coordinator] chooses, for each partition, one of the
// first n members of its preference list that is alive and of which nobody knows that it is behind, spreads the
// partitions evenly over those, and pulls pages from them. The [Server] of a member makes one page per
// request, from one snapshot of its store, and keeps nothing between two: where a list goes on is part of the request.
// So any other owner can go on where one was lost.
//
// Keys in any order come partition by partition (a cursor is a partition and a name). Sorted keys, and buckets, are
// merged: a member looks at all its partitions from one bound on and answers with what lies below
// the place that all of them got to; the coordinator merges the members' pages. Buckets are found by
// skipping: once a bucket has shown one live record, the walk seeks to its end. Records lie by the
// length of their bucket's name first, and so do buckets in a list; sorted ones are
// collected, as many as fit into 4 MiB per pass.
//
// # Promises
//
//   - A name comes once, and only if a read of the store that was asked would have found a value.
//     Hints are not listed.
//   - There is no silently short list. A member refuses partitions that it does not own, or may lack
//     acknowledged objects of (before and after it has looked), and those where it meets a damaged
//     record; then the next owner is asked. One that lacks writes, as far as any member that can be asked
//     knows (it keeps hints for it, or has to compare itself with it), is not asked. When there is none left, the list ends with an
//     [IncompleteError] that names the partitions and says why.
//   - Memory does not grow with the list: at most two pages of 256 KiB per member, and 8 MiB for all.
//     A visitor that is slow slows the members down.
//
// A list is no snapshot of the cluster. What is written or deleted meanwhile may be in it or not, and a
// write that an owner has not yet got, and of which that is not known yet, as the write is still on its way or as
// who knew has been restarted, is missing if that owner is asked, as with a read of one replica. What
// an owner was given before its first page of a listing is in it.
//
// # Bounds
//
// A page takes 50 ms, 50,000 records or 32 MiB read, whatever comes first, so that a list over tombstones answers too.
// A node makes pages for as many lists at once as half of its processors; 64 wait, others are
// answered busy and come again. How many lists run at once is bounded by the callers.
//
// # Concurrency
//
// A listing has one goroutine per stream of pages, which end before List returns, and one that
// watches for Close. Visitors run on the caller's goroutine. All types are safe for concurrent use.
//
// # Departures
//
// The Dynamo paper has no lists. Riak's coverage plans choose vnodes likewise, with the difference
// that a node which may have lost data does not answer here, and that pages are pulled.
//
// # Use
//
//	l := listing.New(listing.Config{View: view, Ask: ask})
//	err := l.List(ctx, listing.Query{Bucket: "b", Sorted: true, N: 3}, func(names []string) error {
//		return send(names)
//	})
package listing
