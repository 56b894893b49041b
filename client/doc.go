// Package client reads and writes a Cartwheel cluster over its HTTP interface. It needs the
// standard library only.
//
// # Model
//
// A [Key] names an object. What a reader gets is an [Object]: the values found and a context,
// an opaque string that says what was read. A writer that read the object first hands the
// context back with [PutOptions.Context] or [DeleteOptions.Context]; its write then replaces
// exactly what that reader saw. A write without a context, or one that was overtaken, becomes a
// sibling: the next read returns all values (Object.Siblings is true), and the application
// settles it by writing one value with the context of that read. This is the model of Dynamo
// (section 4.4); the wire conventions are those of Riak's HTTP API.
//
// [Client.Update] does all of that: it reads, merges siblings with a function of the application,
// changes the value and writes it, on condition that nobody else wrote meanwhile; if somebody
// did, it begins anew. How many replicas a request asks is in [Quorum], by number or by name.
//
// # Lists and batches
//
// [Client.Keys] and [Client.Buckets] are iterators over streams: they hold a few thousand names
// at a time, however long the list is. A list that cannot be completed ends in an error, never in
// silence. [Client.KeysPage] is for lists in portions. [Client.BatchDo] carries out
// many operations in few requests; it is not a transaction.
//
// # Endpoints and retries
//
// A client knows one or more endpoints and takes them in turn. One that could not be reached,
// broke off or is not ready is left alone for a few seconds ([Config].Cooldown); then one request
// finds out how it is. [Client.Health] shows what is known. An attempt is repeated when
//
//   - the endpoint could not be reached or the connection broke off: at the next endpoint at
//     once, and when all were tried, again after a pause with backoff and jitter, up to
//     [Config].Retries further attempts;
//   - the node answered 503: at the endpoints that were not tried yet, without a pause, because
//     another node may see more replicas or have more room. With one endpoint, or when a node
//     answers that the request's own time ran out, the answer is returned at once.
//
// Any other answer is final.
//
// Repeating a write is safe here, although it may have been executed before the connection
// broke: each Put and Delete carries a request id (X-Cartwheel-Request-Id) that stays the same
// for all its attempts. A replica that knows the id stores nothing twice, and two siblings with
// one id are shown as one value. A server of another make does not know the header, so with one
// set Retries to a negative number. When no attempt succeeded and one of them may have been
// executed, as its connection broke, the error is an [*IndeterminateError]; a later Put with the
// same [PutOptions.RequestID] is again safe.
//
// A write with conditions, and [Client.Create], carry an Idempotency-Key instead: the server answers a
// repetition as it answered the first attempt, although the condition no longer holds, or
// the key would be another one. [PutOptions.IdempotencyKey] gives a name of the application's own,
// such as an order number, under which a write happens once.
//
// With [Config].HedgeAfter a Get or Head that waits longer than that for one endpoint is sent to a
// second one as well. The first answer counts, and the other request is called off. An
// endpoint that loses several times in a row is left alone for a while.
//
// A write that ends in a [*QuorumError] may become visible later as well: too few replicas
// confirmed it, which is not the same as none.
//
// # Concurrency
//
// A [Client] is safe for concurrent use and keeps its connections; make one and share it.
// It has no goroutine of its own: a hedged read has two while it runs, and waits for both.
//
// # Security
//
// [Config].TLS is for endpoints with https, [Config].Token is sent as a bearer token. A token
// is never sent without TLS, except to this machine.
package client
