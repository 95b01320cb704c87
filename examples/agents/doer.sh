#!/bin/sh
# Stands in for an agent: reads the lease, does a little, prints its result as JSON.
lease=$(cat)
case $lease in
*"write a haiku"*) echo '{"lines": ["a bell in the fog", "the flock turns as one and goes", "home before the snow"]}' ;;
*"review the haiku"*) echo '{"verdict": "keep", "syllables": [5, 7, 5]}' ;;
*"cannot be done"*) echo "this cannot be done" >&2 && exit 1 ;;
*) echo '{"done": true}' ;;
esac
