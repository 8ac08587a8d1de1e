#!/bin/sh
# bun.sh [ARGUMENTS...]: installs the packages, then runs `bun ARGUMENTS` if any are given. The scripts of package.json
# start with it. Under `bun run` it uses that Bun, otherwise the one on PATH. A machine without Bun gets the pinned one
# through npx, so that `npm start` and `npm test` work there as well.
set -eu

case ${npm_execpath-} in
*/bun | */bun.exe) bun=$npm_execpath ;;
*) bun=$(command -v bun || true) ;;
esac

if [ -z "$bun" ]; then
  while IFS= read -r line; do
    case $line in *'"packageManager"'*) pinned=${line#*: \"} pinned=${pinned%\"*} ;; esac
  done <package.json
  exec npx -y -p "$pinned" -- sh "$0" "$@"
fi

# An old Bun does not start at all with a setting that it does not know.
(unset BUN_JSC_minEdenToOldGenerationRatio && "$bun" supply-chain/prepare.ts)
[ $# -eq 0 ] || exec "$bun" "$@"
