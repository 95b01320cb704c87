#!/bin/sh
# Works through the queue: takes a task, hands it to an agent, says how it ended. Stops when nothing was ready for a while.
#
#   AGENT    the command that does a task: the lease as JSON on stdin, its result as JSON on stdout; another exit status than 0
#            is a failure, and what it says on stderr is the reason
#   NAME     under which it works
#   CAN      capabilities, separated by spaces
#   PATIENCE how often nothing may be ready before it stops
set -u
AGENT=${AGENT:-sh ./doer.sh}
NAME=${NAME:-shell-agent}
PATIENCE=${PATIENCE:-5}

for capability in ${CAN:-}; do
    set -- "$@" --capability "$capability"
done

# Ids and tokens have no quotes in them, so a line of JSON needs no more than this.
field() {
    printf '%s' "$claimed" | sed -n "s/.*\"$1\":\"\([^\"]*\)\".*/\1/p"
}

said=$(mktemp)
trap 'rm -f "$said"' EXIT
idle=0
while [ "$idle" -lt "$PATIENCE" ]; do
    claimed=$(bell task claim --worker "$NAME" --kind agent "$@" --json) || exit
    task=$(field task)
    token=$(field token)
    if [ -z "$task" ]; then
        idle=$((idle + 1))
        sleep 0.2
        continue
    fi
    idle=0
    if result=$(printf '%s' "$claimed" | $AGENT 2>"$said"); then
        bell task complete "$task" --token "$token" --result "$result" --quiet
    else
        bell task fail "$task" --token "$token" --error "$(tail -c 2000 "$said")" --quiet
    fi
done
