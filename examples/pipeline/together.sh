#!/bin/sh
# Tests two parts together: what the first one says is what the second one gets.
set -eu
said=$(sh "build/$1.sh" 31 4 15)
length=$(sh "build/$2.sh" $said)
[ "$length" -gt 0 ]
echo "$1 | $2: $length"
