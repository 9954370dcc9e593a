#!/bin/sh
# Every command with an allocation that fails, at a few places of each: tests/memory/run.sh; `sh tests/long/memory.sh` tries them all.
. tests/cli/common.sh
grep -q fsanitize "$(dirname "$SGATLIN")/flags" && skip "not for a build with sanitizers: allocations fail in a library that must come before theirs"
MEMORY_TOOLS=${TESTS:-build/tests}/memory SGATLIN=$SGATLIN sh tests/memory/run.sh -n 4 -l 1 || bad "a failed allocation is not told"
# explore serves until it is ended, benchmark-reading times for minutes: neither is tried.
"$SGATLIN" --dump commands >"$tmp/commands"
# The command of each line: the longest name that it begins with ("circuit score" is not "circuit").
awk 'NR == FNR { names[$0]; next }
  !/^#/ { sub(/^[^|]*[|] */, ""); best = ""; for (n in names) if (index($0 " ", n " ") == 1 && length(n) > length(best)) best = n; print best }' \
  "$tmp/commands" tests/memory/commands.txt >"$tmp/tried"
while read -r name; do
  case $name in explore | benchmark-reading) continue ;; esac
  grep -qx "$name" "$tmp/tried" || bad "$name is not in tests/memory/commands.txt"
done <"$tmp/commands"
finish
