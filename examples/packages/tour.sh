#!/usr/bin/env bash
# A walk with curl around one package of the data set: read it, update it with the
# context, make siblings, look at them, resolve them. Says each step before it does
# it and stops with status 1 at the first answer that is not the expected one. At
# its end the package is as it was.
#
#   ./tour.sh [PACKAGE]    default: bash
#
#   CARTWHEEL_ENDPOINT     a node of the cluster (http://127.0.0.1:8098); of a list the first
set -euo pipefail

source "$(dirname "${BASH_SOURCE[0]}")/../http.sh"
package=${1:-bash}

# Key and bucket are parts of a path: what is special there is percent-encoded.
encode() {
	local text=$1 i c
	for ((i = 0; i < ${#text}; i++)); do
		c=${text:i:1}
		case $c in
		[A-Za-z0-9._~-]) printf '%s' "$c" ;;
		*) printf '%%%02X' "'$c" ;;
		esac
	done
}
url=$endpoint/buckets/packages/keys/$(encode "$package")

# ask EXPECTED CURL-ARGUMENTS...: sends one request and shows what came of it.
ask() {
	request "$@"
	printf '   %s   %s\n' "$status" "$(header X-Cartwheel-Receipt)"
}

# put FILE [CONTEXT]: writes a file as the package's value; with a context it
# replaces what was read with that context, without one it knows of nothing.
put() {
	write "$url" text/plain "@$1" "${2:-}"
	printf '   %s   %s\n' "$status" "$(header X-Cartwheel-Receipt)"
}

# expect FILE: the last body must be this file.
expect() {
	cmp -s "$work/body" "$1" || fail "the answer's body is not what was written: $(head -c 300 "$work/body")"
}

echo "1. Read $package. The answer has a context: what this reader has seen."
ask 200 "$url"
cp "$work/body" "$work/original"
[[ -n $context ]] || fail 'the answer has no X-Riak-Vclock'
head -n 2 "$work/original" | sed 's/^/   | /'
printf '   context %s\n' "$context"

echo '2. Write it with one line more, sending the context back: the new value replaces the old one.'
{ cat "$work/original"; echo 'Note: seen on the tour'; } >"$work/noted"
put "$work/noted" "$context"
ask 200 "$url"
expect "$work/noted"

echo '3. Two writers who both start from this state: same context, different values.'
seen=$context
{ cat "$work/original"; echo 'Note: from Anna'; } >"$work/anna"
{ cat "$work/original"; echo 'Note: from Bert'; } >"$work/bert"
put "$work/anna" "$seen"
put "$work/bert" "$seen"

echo '4. Neither has seen the other, so neither may be lost: a read answers 300 and names two siblings.'
ask 300 "$url"
[[ $(head -n 1 "$work/body") == Siblings: ]] || fail "expected a list of siblings, got: $(head -c 300 "$work/body")"
tail -n +2 "$work/body" | grep . >"$work/vtags" || fail 'the list of siblings is empty'
[[ $(wc -l <"$work/vtags") -eq 2 ]] || fail "expected two siblings, got $(wc -l <"$work/vtags")"
sed 's/^/   | /' "$work/vtags"

echo '5. Read one of them by its vtag.'
ask 200 "$url?vtag=$(encode "$(head -n 1 "$work/vtags")")"
cmp -s "$work/body" "$work/anna" || expect "$work/bert"
tail -n 1 "$work/body" | sed 's/^/   | /'

echo '6. Read both at once as multipart/mixed; the context of this answer covers both.'
ask 300 --header 'Accept: multipart/mixed' "$url"
[[ $(header Content-Type) == multipart/mixed* ]] || fail "the Content-Type is $(header Content-Type)"
for note in 'Note: from Anna' 'Note: from Bert'; do
	[[ $(grep -c "^$note" "$work/body") -eq 1 ]] || fail "the parts do not have \"$note\" exactly once"
done
if grep -q '^Note: seen on the tour' "$work/body"; then
	fail 'the value that both had read is still there'
fi
grep '^Note: ' "$work/body" | tr -d '\r' | sed 's/^/   | /'

echo '7. Decide: write the package as it was, with that context. It replaces both siblings.'
put "$work/original" "$context"
ask 200 "$url"
expect "$work/original"

echo "$package has one value again."
