// Package bench measures what a choice of N, R and W costs and gives on a running cluster: it puts
// the same load on it once per cell of a matrix, and writes down throughput, latency, errors, what
// the processes used, and how old the answers were.
//
// # Model
//
// A run ([New], [Run.Do]) asks the nodes who they are, makes one new bucket for each number of
// replicas, writes its keys once, and then measures cell after cell: warm-up, load, and on request
// the staleness of reads under the same levels. With faults each kind of fault gets a part of the
// load's time, with calm of the same length before and after: one fault the middle third, two
// the second and the fourth fifth. All is returned as a [result.Run]; package report shows it.
//
// A [Matrix] says which cells. Levels that a cell does not name are not sent, so the bucket's own
// apply; only dw follows w.
//
// # What is promised
//
// What the result says of the cluster was read from its nodes in this run, durability above all.
// Processor time is that of the measured part: of the nodes as their metrics tell it, of the
// generator as the system does. What could not be read is 0, which the result calls unknown.
// Faults are undone before [Run.Do] returns, also after an error or when its context has ended.
//
// Not promised: that cells are independent. They share nodes, disks and a bucket, and come one
// after the other; what the cells before left to do (compaction, hints) is done during the next. Objects
// keep their size, because the buckets keep one value per key (allow_mult=false).
//
// # Bounds and concurrency
//
// A run has up to [MaxCells] cells and the memory of the load generator (see package load).
// The buckets stay, as no API removes one. A Run is used once; Progress may be called by any
// goroutine at any time.
//
//	run, err := bench.New(bench.Config{Targets: urls, Workload: "mixed:0.8", Matrix: "all"})
//	if err != nil {
//		return err
//	}
//	found, err := run.Do(ctx)
package bench
