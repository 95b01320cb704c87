most=$1
for n in "$@"; do [ "$n" -le "$most" ] || most=$n; done
echo "$most"
