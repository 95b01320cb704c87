s/all="$all $n"/all="$n $all"/
