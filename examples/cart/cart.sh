#!/usr/bin/env bash
# The shopping cart of the Dynamo paper, with curl: a phone and a laptop fill one cart at the same
# time, neither knows of the other, and nothing that was put in may be lost. First this script
# merges the siblings itself, then it lets the server do it. It says each step before it does it
# and stops with status 1 at the first answer that is not the expected one.
#
#   ./cart.sh
#
#   CARTWHEEL_ENDPOINT     a node of the cluster (http://127.0.0.1:8098); of a list the first
set -euo pipefail

source "$(dirname "${BASH_SOURCE[0]}")/../http.sh"

# items FILE: a cart in one line.
items() { paste -s -d ' ' "$1"; }

# expect TEXT ITEMS: the cart must hold exactly these.
expect() {
	printf '   %s: %s\n' "$1" "$(items "$work/cart")"
	[[ $(items "$work/cart") == "$2" ]] || fail "the cart should hold: $2"
}

# read_cart: reads the cart into $work/cart, one item per line, and merges siblings: what any of
# them holds is in the cart. The context of that read covers them all.
read_cart() {
	local vtag found all
	request '200|300|404' "$cart"
	found=$status all=$context
	: >"$work/values"
	case $found in
	200) cp "$work/body" "$work/values" ;;
	300)
		tail -n +2 "$work/body" | grep . >"$work/vtags"
		while read -r vtag; do
			request 200 "$cart?vtag=$vtag"
			cat "$work/body" >>"$work/values"
		done <"$work/vtags"
		;;
	esac
	sort -u "$work/values" >"$work/cart"
	status=$found context=$all
}

cart=$endpoint/buckets/carts/keys/anna-$$-$RANDOM

echo '1. The phone puts milk into the cart.'
write "$cart" text/plain $'milk\n'

echo '2. Phone and laptop both read the cart. Then each adds something and writes what it has,'
echo '   with the context of its read. Neither has seen what the other wrote.'
read_cart
seen=$context
write "$cart" text/plain $'bread\nmilk\n' "$seen"
write "$cart" text/plain $'eggs\nmilk\n' "$seen"

echo '3. A read answers 300: there are two siblings. What either of them holds is in the cart.'
read_cart
[[ $status == 300 ]] || fail "the read answered $status"
expect 'merged' 'bread eggs milk'

echo '4. Write the merged cart with the context of both: one value again, and nothing was lost.'
write "$cart" text/plain "$(cat "$work/cart")"$'\n' "$context"
read_cart
[[ $status == 200 ]] || fail "the read answered $status"
expect 'one value' 'bread eggs milk'

echo '5. What this kind of merging cannot do: the phone takes the milk out while the laptop adds'
echo '   tea. The laptop still had the milk, so it is back: better than losing the tea.'
seen=$context
write "$cart" text/plain $'bread\neggs\n' "$seen"
write "$cart" text/plain $'bread\neggs\nmilk\ntea\n' "$seen"
read_cart
expect 'merged' 'bread eggs milk tea'
request 204 --request DELETE --header "X-Riak-Vclock: $context" "$cart"

echo '6. The same, resolved by the server: in this bucket siblings are shown as their union.'
bucket=$endpoint/buckets/carts-united
request 204 --request PUT --header 'Content-Type: application/json' --data '{"props":{"resolve":"union"}}' "$bucket/props"
cart=$bucket/keys/anna-$$-$RANDOM
write "$cart" application/json '["bread","milk"]'
write "$cart" application/json '["eggs","milk"]'
request 200 "$cart"
printf '   %s   (%s)\n' "$(cat "$work/body")" "$(header X-Cartwheel-Receipt)"
[[ $(cat "$work/body") == '["bread","eggs","milk"]' ]] || fail 'the cart is not the union of both'
request 204 --request DELETE --header "X-Riak-Vclock: $context" "$cart"
request 404 "$cart"

echo 'Both carts were emptied.'
