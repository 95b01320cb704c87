#!/bin/sh
# Tests a part: each line of its test is `input => output`.
set -eu
while IFS= read -r line; do
    input=${line%% => *} expected=${line##* => }
    got=$(sh "build/$PART.sh" $input)
    if [ "$got" != "$expected" ]; then
        echo "$PART $input: expected $expected, got $got" >&2
        exit 1
    fi
done < "tests/$PART.txt"
echo "$PART is right"
