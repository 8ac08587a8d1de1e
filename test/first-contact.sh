#!/usr/bin/env bash
# First contact on a machine with only Node and npm: no Bun, Redis, Java or setpriv is on PATH.
#
#   bash test/first-contact.sh [engine|tests]
#
# engine  start, sell and Ctrl-C in a terminal, in a copy of the repository that only its owner can enter
# tests   the README's test command in such a copy: the tests that need no outside part (minutes)
# Without an argument it does both. Ends with one line for each, and with 0 only when all is well.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

BUN=$(sed -n 's/.*"packageManager": "\(.*\)".*/\1/p' package.json)
PROGRAMS=(node npm npx sh env bash ls cat mkdir mktemp rm cp mv chmod uname uniq dirname sed grep head tail tr cut sort date git curl)

engine() { npx -y "$BUN" test --timeout 60000 test/first-contact/bare-machine.test.ts; }

tests() {
  local home program path status=0
  home=$(mktemp -d) && mkdir "$home/bin" "$home/sentinel" || return 1
  for program in "${PROGRAMS[@]}"; do
    path=$(command -v "$program") && ln -s "$path" "$home/bin/$program"
  done
  git ls-files -z --cached --others --exclude-standard | tar --null --files-from=- --ignore-failed-read -cf - | tar -xf - -C "$home/sentinel"
  (cd "$home/sentinel" && env -i PATH="$home/bin" HOME="$HOME" TERM=dumb npx -y "$BUN" run test) || status=$?
  rm -rf "$home"
  return "$status"
}

failed=0
say() {
  if "$1"; then echo "first contact, $1: ok"; else
    echo "first contact, $1: FAILED"
    failed=1
  fi
}

case "${1:-}" in
"") say engine && say tests ;;
engine | tests) say "$1" ;;
-h | --help | help)
  echo "usage: $0 [engine|tests]"
  exit 0
  ;;
*)
  echo "usage: $0 [engine|tests]" >&2
  exit 2
  ;;
esac
exit "$failed"
