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
// # Endpoints and retries
//
// A client knows one or more endpoints and takes them in turn. One that could not be reached or
// broke off is left alone for a few seconds. An attempt is repeated when
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
// set Retries to a negative number. When all attempts failed and one of them may have been
// executed, the error is an [*IndeterminateError]; a later Put with the same
// [PutOptions.RequestID] is again safe.
//
// A write that ends in a [*QuorumError] may become visible later as well: too few replicas
// confirmed it, which is not the same as none.
//
// # Concurrency
//
// A [Client] is safe for concurrent use and keeps its connections; make one and share it.
// It starts no goroutine of its own.
package client
