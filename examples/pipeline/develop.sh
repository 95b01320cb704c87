#!/bin/sh
# Writes the first draft of a part.
set -eu
mkdir -p build
cp "drafts/$PART.sh" "build/$PART.sh"
