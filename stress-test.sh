#!/usr/bin/env bash
# Many buyers at once for one seat: exactly one may win it.
#
#   ./stress-test.sh [seatId] [concurrency]
#
# Without a seatId it takes a free seat. BASE_URL (default http://localhost:8080) says where the engine is.
# Ends with 0 only when there was exactly one 201, nothing else but 409, and the seat's version rose by 1.
set -u

usage() {
  echo "usage: [BASE_URL=http://localhost:8080] $0 [seatId] [concurrency]"
  echo "  seatId       the seat that all buyers want; without it, a free one is taken"
  echo "  concurrency  how many buyers ask at once (default 50, at most 1000)"
}
case "${1:-}" in
-h | --help | help)
  usage
  exit 0
  ;;
-*[hH]*)
  echo "FAILED: there is no option $1: did you mean --help?" >&2
  usage >&2
  exit 1
  ;;
-[!0-9]*)
  echo "FAILED: there is no option $1: seatId and concurrency are plain numbers, in this order" >&2
  usage >&2
  exit 1
  ;;
esac

BASE_URL="${BASE_URL:-http://localhost:8080}"
BASE_URL="${BASE_URL%/}"
SEAT_ID="${1:-}"
CONCURRENCY="${2:-50}"
TIMEOUT_SECONDS=30
CONCURRENCY_LIMIT=1000

fail() {
  echo "FAILED: $*" >&2
  exit 1
}

get() { curl --silent --show-error --max-time "$TIMEOUT_SECONDS" "$BASE_URL$1"; }

# The value of a field of flat JSON, number or text; enough here, and no jq is needed.
field() { sed -n "s/.*\"$1\"[[:space:]]*:[[:space:]]*\"\{0,1\}\([^\",}]*\).*/\1/p" | head -n 1; }

whole_number() {
  case "$1" in '' | 0* | *[!0-9]*) return 1 ;; esac
  [ "${#1}" -le 16 ]
}

command -v curl >/dev/null 2>&1 || fail "curl is needed and not on PATH"
[ "$#" -le 2 ] || fail "usage: $0 [seatId] [concurrency]"
[ -z "$SEAT_ID" ] || whole_number "$SEAT_ID" || fail "seatId must be a positive whole number, not '$SEAT_ID'"
if ! whole_number "$CONCURRENCY" || [ "$CONCURRENCY" -gt "$CONCURRENCY_LIMIT" ]; then
  fail "concurrency must be a whole number from 1 to $CONCURRENCY_LIMIT, not '$CONCURRENCY'"
fi

ready=$(curl --silent --output /dev/null --max-time "$TIMEOUT_SECONDS" --write-out '%{http_code}' "$BASE_URL/health/ready") ||
  fail "no engine answers at $BASE_URL (start one with 'npx -y bun@1.4.5 start', or set BASE_URL)"
[ "$ready" = 200 ] || fail "the engine at $BASE_URL is not ready (GET /health/ready answered $ready)"

if [ -z "$SEAT_ID" ]; then
  SEAT_ID=$(get "/api/v1/seats?status=available&limit=1" | field seatId)
  [ -n "$SEAT_ID" ] || fail "no seat is free at $BASE_URL"
fi

before=$(get "/api/v1/seats/$SEAT_ID") || fail "seat $SEAT_ID could not be read"
version_before=$(printf '%s' "$before" | field version)
status_before=$(printf '%s' "$before" | field status)
[ "$status_before" != 404 ] || fail "there is no seat $SEAT_ID"
[ "$status_before" = available ] || fail "seat $SEAT_ID is not free: it is ${status_before:-unreadable ($before)}"
[ -n "$version_before" ] || fail "seat $SEAT_ID has no version: $before"

answers=$(mktemp -d "${TMPDIR:-/tmp}/stress-test.XXXXXX") || fail "no temporary folder can be made"
trap 'rm -rf "$answers"' EXIT

echo "$CONCURRENCY buyers at once for seat $SEAT_ID (version $version_before) at $BASE_URL"
buyer=1
while [ "$buyer" -le "$CONCURRENCY" ]; do
  # curl itself writes 000 where no answer came.
  curl --silent --output /dev/null --max-time "$TIMEOUT_SECONDS" --write-out '%{http_code}\n' \
    --request POST "$BASE_URL/api/v1/bookings/reserve/$SEAT_ID" >"$answers/$buyer" &
  buyer=$((buyer + 1))
done
wait

statuses=$(cat "$answers"/*)
echo "answers by status:"
printf '%s\n' "$statuses" | sort | uniq -c | while read -r count status; do
  printf '  %s  %6d\n' "$status" "$count"
done

won=$(printf '%s\n' "$statuses" | grep -c '^201$')
lost=$(printf '%s\n' "$statuses" | grep -c '^409$')
after=$(get "/api/v1/seats/$SEAT_ID") || fail "seat $SEAT_ID could not be read afterwards"
version_after=$(printf '%s' "$after" | field version)
status_after=$(printf '%s' "$after" | field status)
echo "seat $SEAT_ID is now $status_after, version $version_before -> $version_after"

[ "$won" -eq 1 ] || fail "$won buyers won seat $SEAT_ID; it must be exactly 1"
[ $((won + lost)) -eq "$CONCURRENCY" ] || fail "$((CONCURRENCY - won - lost)) answers were neither 201 nor 409"
[ "$status_after" = reserved ] || fail "seat $SEAT_ID was won, yet it is $status_after"
[ "$version_after" = "$((version_before + 1))" ] || fail "the version of seat $SEAT_ID must have risen by exactly 1"
echo "OK: exactly one of $CONCURRENCY buyers won seat $SEAT_ID"
