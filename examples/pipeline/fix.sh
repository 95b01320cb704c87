#!/bin/sh
# Applies the next of the known fixes of a part. What went wrong came along in a variable.
set -eu
echo "fixing $PART: $WHY"
done=build/$PART.fixed
count=$(($(cat "$done" 2>/dev/null || echo 0) + 1))
sed -f "fixes/$PART-$count.sed" "build/$PART.sh" > "build/$PART.new"
mv "build/$PART.new" "build/$PART.sh"
echo $count > "$done"
