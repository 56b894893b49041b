// Package e2e runs the real binary as users and operators do: processes, sockets, signals and
// directories. What can be tested inside one process is tested elsewhere; here stands what only
// the whole can show: a README that works as written, nodes killed under load, refusals at
// start, and what is left behind afterwards.
//
// # Model
//
// A [Lab] builds the binary once per test run and hands out ports. [Lab.Start] starts a
// [Process], [Lab.Cluster] several nodes that form a ring. [Records] are generated values that
// can be told again from their number, and a [Pipeline] writes and reads them in bulk over plain
// connections. [Lab.Planted] builds the binary with a bug in it, to see that the checker finds it. A [Network] is one network namespace per node and a router between them that cuts
// links, in one direction too. A [Session] is what a reader of a document pastes into a shell: blocks marked for
// it, or all commands that the document shows with their output, or those of its tables.
//
// # Promises
//
// Every wait has a limit and names what did not happen. A process ends with its test, whatever
// the test's outcome, and by its own id; [Lab.Close] says which processes of the binary are
// still there, and kills them. Ports lie below the range from which the system takes ports for
// outgoing connections, so that no passing connection occupies one.
//
// Not promised: that nobody else takes a port between the moment it was found free and the
// process that listens on it.
//
// CARTWHEEL_E2E_RECORDS sets how many records TestLoadWhileNodeIsKilled loads.
// CARTWHEEL_E2E_LONG, not empty, gives some tests their long form, with as many keys and hints as
// the project's goals name. With -short nothing runs.
//
// # Concurrency
//
// A Lab may be used by parallel tests; everything else belongs to the test that made it.
package e2e
