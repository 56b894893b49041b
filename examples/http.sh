# What the scripts of the examples share: requests with curl, and a look at their answers. It is
# not a program; they read it with "source".
#
#   CARTWHEEL_ENDPOINT     a node of the cluster (http://127.0.0.1:8098), or several with commas

nodes=${CARTWHEEL_ENDPOINT:-http://127.0.0.1:8098}
endpoint=${nodes%%,*} # the first of them
endpoint=${endpoint%/}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

fail() {
	printf '%s: %s\n' "${0##*/}" "$*" >&2
	exit 1
}

command -v curl >/dev/null || fail 'curl is not in the PATH'

# request EXPECTED CURL-ARGUMENTS... URL: sends one request, and fails unless the answer has the
# status EXPECTED, or one of '200|404'. Leaves that in status, the headers of the answer in $work/head,
# its body in $work/body, its context in context.
request() {
	local expected=$1 url=${*: -1}
	shift
	status=$(curl --silent --show-error --max-time 30 --dump-header "$work/head" --output "$work/body" \
		--write-out '%{http_code}' "$@") || fail "no answer from $url; is a cluster running there (make run)?"
	if [[ ! $status =~ ^($expected)$ ]]; then
		cat "$work/head" "$work/body" >&2
		fail "$url answered $status, expected $expected"
	fi
	context=$(header X-Riak-Vclock)
}

# header NAME: its value in the last answer, '' without it.
header() {
	awk -v name="$1" 'BEGIN { name = tolower(name) ":" }
		tolower(substr($0, 1, length(name))) == name { sub(/^[^:]*:[ \t]*/, ""); sub(/\r$/, ""); print; exit }' "$work/head"
}

# write URL TYPE VALUE [CONTEXT]: stores a value; with a context it replaces what was read with that,
# without one it knows of nothing.
write() {
	local with=()
	[[ -z ${4:-} ]] || with=(--header "X-Riak-Vclock: $4")
	request 204 --request PUT --header "Content-Type: $2" "${with[@]+"${with[@]}"}" --data-binary "$3" "$1"
}
