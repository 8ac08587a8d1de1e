#!/bin/sh
# npm-shell.sh -c COMMAND: the shell in which npm and npx start commands here (.npmrc). It replaces itself with the command.
# A plain shell would stay between npx and Bun, end with the same Ctrl-C, and make npx exit 130 although the engine has
# ended in order.
case $2 in
*[\;\&\|]*) exec /bin/sh "$@" ;;
"'bun'"* | "'sh'"* | bun*) eval "exec $2" ;;
*) exec /bin/sh "$@" ;;
esac
