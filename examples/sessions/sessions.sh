#!/usr/bin/env bash
# Web sessions with curl: log in, read the session with every request, change it from two tabs at
# once, log out. It says each step before it does it and stops with status 1 at the first answer
# that is not the expected one.
#
#   ./sessions.sh
#
#   CARTWHEEL_ENDPOINT     a node of the cluster (http://127.0.0.1:8098); of a list the first two
set -euo pipefail

source "$(dirname "${BASH_SOURCE[0]}")/../http.sh"
there=${nodes#*,} # another node, if there is one: a session is everywhere
there=${there%%,*}
there=${there%/}

# expect JSON: the last body must be this.
expect() {
	printf '   %s\n' "$(cat "$work/body")"
	[[ $(cat "$work/body") == "$1" ]] || fail "expected $1"
}

json='Content-Type: application/json'

echo '1. Once: in this bucket, fields of a session that were written apart are put together again.'
request 204 --request PUT --header "$json" --data '{"props":{"resolve":"json_merge"}}' "$endpoint/buckets/sessions/props"

echo '2. Log in. The server chooses the key, 130 random bits, so it will do as the session id. Should'
echo '   the answer get lost, sending the request again with the same Idempotency-Key makes no'
echo '   second session.'
login=(--request POST --header "$json" --header "Idempotency-Key: login-$$-$RANDOM" --data '{"user":"anna"}')
request 201 "${login[@]}" "$endpoint/buckets/sessions/keys"
path=$(header Location)
request 201 "${login[@]}" "$there/buckets/sessions/keys"
[[ -n $path && $(header Location) == "$path" ]] || fail "the repetition made $(header Location), the first time it was $path"
printf '   %s\n' "$path"

echo '3. Every page reads the session, through any node. "fast" takes the first replica that has it:'
echo '   a session that is a moment old will do. Who keeps the ETag is told that nothing has changed.'
request 200 "$there$path?consistency=fast&notfound_ok=false"
expect '{"user":"anna"}'
request 304 --header "If-None-Match: $(header ETag)" "$endpoint$path"

echo '4. Two tabs change the session at the same time: both have read it, each writes what it has.'
request 200 "$endpoint$path"
seen=$context
write "$endpoint$path" application/json '{"user":"anna","theme":"dark"}' "$seen"
write "$there$path" application/json '{"user":"anna","page":7}' "$seen"

echo '5. Neither change is lost: the server shows the fields of both, and the receipt says so.'
request 200 "$endpoint$path"
expect '{"page":7,"theme":"dark","user":"anna"}'
printf '   %s\n' "$(header X-Cartwheel-Receipt)"
[[ $(header X-Cartwheel-Receipt) == *resolved=json_merge* ]] || fail 'the receipt does not say that siblings were resolved'

echo '6. The next write, with the context of that read, makes one value of them for good.'
write "$there$path" application/json '{"page":8,"theme":"dark","user":"anna"}' "$context"
request 200 "$endpoint$path?resolve=siblings"
expect '{"page":8,"theme":"dark","user":"anna"}'

echo '7. Log out: with the context of what was read, so that no write of before comes back.'
request 204 --request DELETE --header "X-Riak-Vclock: $context" "$endpoint$path"
request 404 "$there$path"

echo 'Logged out.'
