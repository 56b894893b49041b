// Package httpapi serves the HTTP interface of a node: objects, bucket properties, health,
// statistics and metrics. It follows the conventions of Riak KV's HTTP API, so that curl and
// existing clients work, and adds what those cannot say (a receipt on every object reply).
//
// # Model
//
// An [API] is an http.Handler over three interfaces that it declares itself: a [Coordinator]
// for objects, [Properties] for buckets, a [Node] for what is known of the cluster. It holds
// no state but counters, never touches disk or peers, and starts no goroutine that outlives its
// request.
//
// An object request is a road with one direction: path, parameters and headers are read into
// plain values (pathKey, parseParams, metadata, causalContext), folded with the bucket's
// properties into quorum.Options (fold), handed to the coordinator, and what comes back is
// shown (view, then value or siblings). Each step is a function that can be tested without
// the others. What wins when several things are wrong is the order of the steps in
// getObject, putObject and deleteObject. Errors of the coordinator become answers in one
// place, classify.
//
// # Paths
//
// Paths are cut at their slashes first, and each segment is percent-decoded once afterwards,
// a plus sign being a space; empty segments mean nothing. So a key may hold any byte, also
// as "%2F", and "." and ".." are keys. The router matches the path as it was sent and never
// redirects. The bucket type "default" is the untyped space; others exist once their properties were put.
//
// The old paths below /riak lead to the same objects of the default type; only the paths in
// their answers (Link, Location) differ.
//
// # Lists
//
// Names come from the [listing.Lister] batch by batch and go out as they come, so the length
// of a list costs no memory. One object (keys=true) is held back up to 256 KiB: until then a
// list that turns out to be incomplete is 503; later it is cut off in the middle, as it must
// not be taken for a whole one. A stream (keys=stream) begins within 100 ms, has each object
// in a chunk of its own, and ends with an object without names, or with {"error": "..."}. A
// limit makes a list a sorted one, and its continuation is the last name with a checksum.
// Names are JSON strings; a byte that is not part of UTF-8 has no form there and becomes
// U+FFFD, unless encoding=url asks for all names percent-encoded, as they stand in paths.
// Eight lists are under way at once, more are 503.
//
// # Contexts and values
//
// X-Riak-Vclock is the causal context, bound to cluster and key. One that is damaged or of
// another key is 400 and never taken as none, which would hide or multiply values. asis=true
// is 400: it would give two values one identity. A bucket with last_write_wins or without
// allow_mult shows one value per key; its receipts say lossy=true.
//
// A bucket with the property resolve, or a request with that parameter, gets one value made of
// siblings where package resolve can make one; the context still covers them all, the entity
// tag is one of rule and set, and the receipt says resolved=RULE. What stands behind the value
// shows with resolve=siblings or a vtag. Nothing is stored until a client writes.
//
// A value is stored with its content type (type and charset), Content-Encoding, Link,
// X-Riak-Index-* and X-Riak-Meta-*. The latter are sent in lower case: Riak sends them
// capitalized, almost every client compares without case, and the one that does not (rhc)
// looks for lower case.
//
// # Conditions, retries, forms
//
// What a write depends on is read before it, once (look): conditional headers, the property
// require_context, and whether the write was done before. An Idempotency-Key becomes the
// request id of the write, by a hash over key and name, so that every node comes to the same
// id, and replicas remember such ids when the value has been replaced. Where the object holds
// the id the write's conditions count as met, and it is sent on; where a replica remembers it,
// it is answered and not done. A chosen key is derived from it, too. What is compressed for a client has a tag of its own, which
// conditional writes take for the value's.
//
// # Batches
//
// A batch is read whole, as nothing of one that is too large shall be done, and cut into
// lines; parseBatchLine is strict where encoding/json is not. Up to 64 lines are under way at
// once, those of one key in a row, and their answers leave in the order of the lines. Each line
// goes through the functions that a request for its object alone goes through.
//
// openapi.yaml, which is served, describes all of this interface; tests here and in package node
// fail when it and the API differ.
//
// # Errors
//
// A malformed request is 400 with one clear sentence and stores nothing; it is counted in
// cartwheel_rejected_total{reason}. Too large a value is 413, a name 414, metadata 431. An
// object with too many siblings is 409: the request is good, the object must be resolved
// first. What was not reached is 503 with numbers, and says if a write may still become
// visible; what passes by itself is 503 with Retry-After. Object answers are plain text, all
// others {"error": "..."}. Malformed escapes and headers beyond the limit of [ServerConfig]
// never get here: net/http answers them with 400 and 431.
//
// Where several versions of the original differ, or it answers 500 to a client's mistake,
// the choices are: q=0 in Accept excludes; of equally weighted forms of siblings multipart
// wins if it is named; Accept is not judged on writes; If-Modified-Since is ignored beside
// If-None-Match, as RFC 9110 says; a timeout above Config.MaxTimeout counts as that.
//
//	api, err := httpapi.New(httpapi.Config{Coordinator: c, Properties: p, Node: n, Logger: log})
//	server := httpapi.NewServer(api, httpapi.ServerConfig{Logger: log})
//	err = server.Serve(httpapi.NewListener(listener, 10_000)) // the plain one serves, too, for more
package httpapi
