#!/bin/sh
# Threads that wait: the command starts itself once with GOMP_SPINCOUNT, unless the environment has its own mind.
. tests/cli/common.sh

# OMP_DISPLAY_ENV=VERBOSE makes libgomp print what it read, once for each start.
starts() { env -u OMP_WAIT_POLICY -u GOMP_SPINCOUNT "$@" OMP_DISPLAY_ENV=VERBOSE "$SGATLIN" --version >"$tmp/out" 2>"$tmp/err"; }

count() {
  n=$(grep -c "GOMP_SPINCOUNT" "$tmp/err")
  [ "$n" = "$1" ] || bad "$2: $n starts, expected $1"
}

starts A=1 && count 2 "nothing set"
grep "GOMP_SPINCOUNT" "$tmp/err" | tail -n 1 | grep -q "'3000'" || bad "the second start does not spin 3000 times"
starts GOMP_SPINCOUNT=77 && count 1 "GOMP_SPINCOUNT=77"
starts OMP_WAIT_POLICY=passive && count 1 "OMP_WAIT_POLICY=passive"
starts SGATLIN_STARTED_AGAIN=1 && count 1 "started again"
finish
