all=
for n in "$@"; do all="$all $n"; done
echo $all.
