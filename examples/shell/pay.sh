#!/bin/bash
# Pays for an account and waits for the credit. Needs curl 7.82 or later, jq, and cast of Foundry.
# Environment: SERVICE, RPC_URL, PAYER_KEY, WALLET, CENTS.
set -euo pipefail

post() { # path, JSON; prints the answer, and fails with the problem's words
  local answer status
  for _ in $(seq 120); do
    answer=$(curl --silent --show-error --max-time 30 --write-out '\n%{http_code}' --json "$2" "$SERVICE$1") || true
    status=${answer##*$'\n'}
    answer=${answer%$'\n'*}
    case $status in
      200) printf '%s\n' "$answer"; return ;;
      000 | 429 | 502 | 503 | 504) sleep 5 ;; # asking again is always safe
      *) break ;;
    esac
  done
  jq --raw-output '"\(.type): \(.detail)"' <<< "$answer" >&2
  return 1
}

payer=$(cast wallet address --private-key "$PAYER_KEY")
quote=$(post /api/quotes "{\"wallet\": \"$WALLET\", \"cents\": $CENTS, \"payer\": \"$payer\"}")
gateway=$(jq --raw-output .gateway <<< "$quote")
token=$(jq --raw-output .token <<< "$quote")
amount=$(jq --raw-output .amount <<< "$quote")
deadline=$(jq --raw-output .deadline <<< "$quote")

count=$(jq '.calls | length' <<< "$quote")
for index in $(seq 0 $((count - 1))); do
  if [ "$index" = $((count - 1)) ]; then
    # The node that estimates the payment must see the approval, which another may have mined. jq compares the numbers
    # as texts of equal length, since the shell's own end at 2^63.
    until cast call "$token" "allowance(address,address)(uint256)" "$payer" "$gateway" --rpc-url "$RPC_URL" --json |
      jq --exit-status --arg amount "$amount" \
        'def pad: "0" * (78 - length) + .; (.[0] | pad) >= ($amount | pad)' > /dev/null
    do
      [ "$(date +%s)" -le "$deadline" ] || { echo "the quote ended before the approval was seen" >&2; exit 1; }
      sleep 1
    done
  fi
  call=$(jq --compact-output ".calls[$index]" <<< "$quote")
  sent=$(cast send "$(jq --raw-output .to <<< "$call")" "$(jq --raw-output .data <<< "$call")" \
    --rpc-url "$RPC_URL" --private-key "$PAYER_KEY" --json)
  jq --exit-status '.status == "0x1"' <<< "$sent" > /dev/null || { echo "reverted: no token moved" >&2; exit 1; }
done

tx=$(jq --raw-output .transactionHash <<< "$sent")
end=$(($(date +%s) + 600)) # a payment that is credited later needs nobody to wait for it
while true; do
  claim=$(post /api/payments "{\"tx_hash\": \"$tx\"}")
  state=$(jq --raw-output .state <<< "$claim")
  wait=$(jq --raw-output .retry_after <<< "$claim")
  if [ "$wait" = null ] || [ "$state" = held ] || [ "$(date +%s)" -gt "$end" ]; then
    jq --raw-output '"\(.state) \(.payments[0].credit)"' <<< "$claim"
    [ "$state" = credited ]
    exit
  fi
  sleep $((wait < 1 ? 1 : wait > 60 ? 60 : wait))
done
