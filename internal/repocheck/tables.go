package repocheck

// Rules returns the arrows between the packages of this module; there are no
// others. Packages that do not exist yet keep their place here, so that their
// first line of code already finds its rule.
func Rules() []Rule {
	const apart = "the parts of a node never import each other: declare what you need as a small interface and let node connect it"
	return []Rule{
		{Package: "vclock",
			Why: "causality is pure and lies below everything: whatever it imported, the whole store would depend on"},
		{Package: "ring",
			Why: "placement is a pure function of the ring document; it must not know who is alive, what is stored or how it is sent"},
		{Package: "paxos",
			Why: "the acceptor and the proposer are pure, so that they can be checked exhaustively"},
		{Package: "datadir",
			Why: "identity, lock and small documents of a directory stand on their own; everything durable builds on them"},
		{Package: "storage", Imports: []string{"vclock"}, Tests: []string{"storage/storagetest"},
			Why: "storage keeps and merges objects; which node should have them is the business of others"},
		{Package: "storage/storagetest",
			Why: "what a power cut leaves is told from the files and the kernel alone, or a store could hide its own faults"},
		{Package: "transport",
			Why: "the transport carries bytes, not meaning, so that the protocol above it can change without it"},
		{Package: "props", Imports: []string{"vclock"},
			Why: "bucket properties converge by themselves; who spreads and who obeys them is decided by node"},
		{Package: "quorum", Imports: []string{"vclock", "ring"},
			Why: "the coordinator cannot tell a local replica from a remote one; " + apart},
		{Package: "pace",
			Why: "how fast background work may go depends on how long clients wait, and on nothing else"},
		{Package: "transfer", Imports: []string{"vclock"},
			Why: "it moves objects; which ones and why is decided by those who send through it"},
		{Package: "hintedhandoff", Imports: []string{"vclock", "ring"}, Tests: []string{"pace", "transfer"}, Why: apart},
		{Package: "antientropy", Imports: []string{"vclock", "ring"}, Why: apart},
		{Package: "rebalance", Imports: []string{"vclock", "ring", "paxos"}, Why: apart},
		{Package: "gossip", Imports: []string{"ring"}, Tests: []string{"transport"},
			Why: "membership takes its connections from an interface; " + apart},
		{Package: "replica", Imports: []string{"quorum", "ring", "storage", "transport", "vclock"},
			Why: "this is the one place where the meaning of a replica message meets its bytes; it serves quorum, and nothing above that"},
		{Package: "httpapi", Imports: []string{"quorum", "vclock", "ring", "props"},
			Why: "the HTTP interface talks to the coordinator and to the properties; it never goes around them to disk or to peers"},
		{Package: "node",
			Imports: []string{"vclock", "ring", "paxos", "datadir", "storage", "transport", "props", "quorum", "replica",
				"gossip", "pace", "transfer", "hintedhandoff", "antientropy", "rebalance", "httpapi"},
			Tests: []string{"client"},
			Why:   "node is the wiring of one node; the client and the commands are users of a node, not parts of one"},
		{Package: "client",
			Tests: []string{"node"},
			Why:   "users take the client into their programs: it must stay small, with nothing but the standard library behind it"},
		{Package: "bench", Imports: []string{"client"},
			Why: "the load generator sees a cluster as its users do"},
		{Package: "check", Imports: []string{"client"},
			Why: "the checker sees a cluster as its users do: what it knew of the inside it could not judge"},
		{Package: "chaos", Imports: []string{"transport"}, Tests: []string{"internal/memnet", "internal/memnet/networktest"},
			Why: "cut links lie between the transport and the real network, and know nothing of what runs above"},
		{Package: "cmd/...", Imports: []string{"node", "client", "bench", "check", "chaos", "ring"},
			Why: "commands are flags and wiring; logic belongs to a package that can be tested without a process"},
		{Package: "internal/e2e", Imports: []string{"client"},
			Why: "end-to-end tests use the binary and the client as a user does"},
		{Package: "internal/memnet", Imports: []string{"transport"},
			Why: "the in-memory network stands in for the real one beneath the transport, and knows nothing of what runs above"},
		{Package: "internal/memnet/networktest", Imports: []string{"transport"},
			Why: "one suite for every network beneath the transport"},
		{Package: "internal/sim",
			Imports: []string{"vclock", "ring", "paxos", "datadir", "storage", "transport", "props", "quorum", "replica",
				"gossip", "pace", "transfer", "hintedhandoff", "antientropy", "rebalance", "httpapi", "node", "client", "internal/memnet", "storage/storagetest"},
			Why: "the simulated cluster drives whole nodes; commands and the load generator are for real processes"},
		{Package: "internal/repocheck",
			Why: "the checks of the repository must run even when nothing else compiles"},
		{Package: "internal/repocheck/...",
			Why: "the checks of the repository must run even when nothing else compiles"},
	}
}

// Owners returns where each outside library lives. One owner each, where that is
// possible: a library can then be replaced or updated by reading one package.
func Owners() []Owner {
	const one = "each outside library has one owner and stays out of other packages' interfaces"
	commandLine := []string{"cmd/cartwheel"}
	return []Owner{
		{"github.com/hashicorp/memberlist", []string{"gossip"}, one},
		{"github.com/dgraph-io/badger/v4", []string{"storage"}, one},
		{"github.com/gorilla/mux", []string{"httpapi", "node"}, "routes are made in httpapi; in node only the benchmark has it, to measure what a request costs without us"},
		{"github.com/prometheus/client_golang", []string{"httpapi"}, "counters are plain structs of their packages; exporting them is the work of httpapi"},
		{"github.com/cespare/xxhash/v2", []string{"ring", "antientropy"}, "placement and trees are defined by this hash; nobody else may come to depend on its values"},
		{"github.com/spf13/cobra", commandLine, one},
		{"github.com/spf13/pflag", commandLine, one},
		{"github.com/knadh/koanf", commandLine, "only the command reads flags, environment and files; packages take a Config"},
		{"github.com/schollz/progressbar/v3", commandLine, one},
		{"github.com/fatih/color", commandLine, one},
		{"golang.org/x/term", commandLine, one},
		{"github.com/cenkalti/backoff/v5", []string{"gossip", "hintedhandoff", "node", "cmd/cartwheel"}, "retries belong to who decides that an operation may be repeated"},
		{"github.com/google/uuid", []string{"datadir", "gossip", "node"}, "identities are made in few places, and are plain strings everywhere else"},
		{"github.com/sony/gobreaker/v2", []string{"replica"}, one},
		{"golang.org/x/time", []string{"pace"}, one},
		{"golang.org/x/sys", []string{"datadir", "storage", "storage/storagetest", "internal/e2e"}, "system calls stay with who guards the disk, and with the tests that need namespaces"},
		{"golang.org/x/net/nettest", []string{"internal/memnet"}, "its suite for connections checks the in-memory one"},
		{"golang.org/x/sync", []string{"storage", "node", "cmd/cartwheel"}, "goroutines are grouped where parts are assembled; elsewhere sync.WaitGroup does"},
	}
}
