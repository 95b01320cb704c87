#!/bin/sh
# Puts all parts where they are used.
set -eu
mkdir -p deployed
cp build/*.sh deployed/
ls deployed | wc -l > "$BELL_RESULT"
