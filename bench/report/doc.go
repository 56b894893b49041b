// Package report shows what a run of the benchmark found: as one HTML page ([HTML]), as the
// same charts in PNG files ([PNG]) and as a table for a terminal ([Table]).
//
// # The page
//
// The page is one file: styles and charts are inside it, it has no scripts and asks no server
// for anything. It says so to the browser as well (Content-Security-Policy), so that a name in
// a run which looks like markup cannot change that. Charts are SVG whose colours are variables
// of the page's style, so the same drawing serves a light and a dark screen and paper. Each has
// a title and a description for those who do not see it, and its values stand in a table below.
// No colour is the only sign of anything: lines differ in dash and mark too, segments are
// numbered, and the cells of heat maps have their values written in them.
//
// # What is drawn
//
// Cells that form a full matrix of R and W, with all else the same, are heat maps; others are
// bars. Cells with faults are in neither: they measure the fault. Every cell is in the tables.
// To stay readable the page draws at most 12 time lines and 12 staleness curves, those that have
// most to show, and names how many it left out. A time line of more than 600 intervals is
// drawn with neighbours merged: sums of what is counted, the worst of the latencies.
//
// # Bounds
//
// Size and time grow with the number of cells; nothing is kept after a call. Any run can be
// shown, also one without cells or with values that make no sense (not a number, negative,
// infinite): what has no value is drawn nowhere and printed as a dash.
//
// # Concurrency
//
// Calls are independent of each other and do not change the run; several may show one run.
//
//	if err := report.HTML(file, run); err != nil { … }
//	files, err := report.PNG("charts", run)
//	err = report.Table(os.Stdout, run, false)
package report
