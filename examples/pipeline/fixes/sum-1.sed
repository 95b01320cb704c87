s/total=1$/total=0/
