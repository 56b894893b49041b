// Package repocheck keeps the repository's own rules: which package may import
// which, one package document each, limits on the size of files and functions,
// names, and a few habits of tests. Its tests run the checks over the whole module.
//
// Model: [Load] parses every Go file below a directory, for every platform and
// build tag, and reads the other texts that people edit. A check is a pure
// function from that [Tree] to a list of problems, each one line that names the
// place, the rule and the reason, in the order of the tree. An empty list means
// the rule holds. The import rules are two tables, [Rules] for this module's
// packages and [Owners] for outside libraries: a new package or library starts
// with a line there.
//
// What is not promised: the checks look at syntax, not at types, so the rules on
// tests (sleeps, skips) are heuristics. They catch the habit, not every disguise.
package repocheck
