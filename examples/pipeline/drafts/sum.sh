total=1
for n in "$@"; do total=$((total + n)); done
echo $total
