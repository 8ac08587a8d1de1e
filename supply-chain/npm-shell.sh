#!/bin/sh
# npm-shell.sh -c COMMAND: the shell that npm and npx start commands in here (.npmrc). It becomes the command.
# A plain shell would stay between npx and Bun, be ended by the same Ctrl-C, and make npx end with 130 although the
# engine has ended in order.
case $2 in
*[\;\&\|]*) exec /bin/sh "$@" ;;
"'bun'"* | "'sh'"* | bun*) eval "exec $2" ;;
*) exec /bin/sh "$@" ;;
esac
