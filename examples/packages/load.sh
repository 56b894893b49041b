#!/usr/bin/env bash
# Makes packages.ndjson from this machine's package index, unless it is there
# already, and loads it into the bucket "packages" of a running cluster.
#
#   ./load.sh             the index of this machine (Debian, Ubuntu)
#   ./load.sh INDEX       the index in a file, as "apt-cache dumpavail" prints it
#
#   CARTWHEEL_ENDPOINT    a node of the cluster (http://127.0.0.1:8098)
#   CARTWHEEL             the program (bin/cartwheel of this checkout, else from the PATH)
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
export CARTWHEEL_ENDPOINT=${CARTWHEEL_ENDPOINT:-http://127.0.0.1:8098}
records=$here/packages.ndjson

fail() {
	echo "load.sh: $*" >&2
	exit 1
}

program=${CARTWHEEL:-}
if [[ -z $program && -x $here/../../bin/cartwheel ]]; then
	program=$here/../../bin/cartwheel
fi
program=$(command -v "${program:-cartwheel}") || fail 'no cartwheel program: run "make build" first, or set CARTWHEEL'
command -v python3 >/dev/null || fail 'python3 is not in the PATH'

# index: prints the package index.
index() {
	if [[ -n ${1:-} ]]; then
		cat -- "$1"
	else
		apt-cache dumpavail
	fi
}

if [[ ! -s $records || -n ${1:-} ]]; then
	[[ -n ${1:-} ]] || command -v apt-cache >/dev/null ||
		fail 'this machine has no apt-cache; README.md says how to get an index elsewhere'
	# A file that is only half made must not be taken for the data set next time.
	index "${1:-}" | "$here/to_ndjson.py" >"$records.new" || {
		rm -f "$records.new"
		fail 'no records made'
	}
	mv "$records.new" "$records"
fi

echo "loading $(wc -l <"$records") records through $CARTWHEEL_ENDPOINT"
exec "$program" load packages "$records"
