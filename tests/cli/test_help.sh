#!/bin/sh
# Help of every command against tests/cli/expected; UPDATE=1 writes those files anew.
. tests/cli/common.sh

page() { echo "tests/cli/expected/$(echo "$1" | tr ' ' '-').txt"; }
check() {
  [ "${UPDATE:-}" = 1 ] && cp "$tmp/out" "$1"
  [ -f "$1" ] && same "$1" "$tmp/out" || { [ -f "$1" ] || bad "$1 is missing: UPDATE=1 sh $0"; }
}

try 0 --help
empty err
check tests/cli/expected/sgatlin.txt
cp "$tmp/out" "$tmp/all"
try 0 help
same "$tmp/all" "$tmp/out"

"$SGATLIN" --dump commands >"$tmp/commands" || bad "--dump commands"
while read -r name; do
  try 0 help $name
  empty err
  cp "$tmp/out" "$tmp/help"
  check "$(page "$name")"
  try 0 $name --help
  same "$tmp/help" "$tmp/out"
  grep -q "^  $name  *[a-z]" "$tmp/all" || bad "$name is not in the list of commands"
  sed -n '3p' "$tmp/help" | grep -qx 'Examples' || bad "$name: help does not begin with examples"
  grep -q "^ .*sgatlin $name" "$tmp/help" || bad "$name: no example"
  awk -v name="$name" 'length($0) > 100 {print "  " name ": line of " length($0) " characters: " $0; n++} END {exit n > 0}' "$tmp/help" || bad "too wide"
  # Every option has help, and -h works too.
  grep -q '^      *--[a-z-]*$' "$tmp/help" && bad "$name: an option without help"
  try 0 $name -h
  # A test calls it, beside those that call every command.
  grep -lE "(^|[^a-z-])$name( |\$|\"|\))" tests/cli/test_*.sh | grep -qvE 'test_(help|options|memory).sh' || bad "$name: no test of tests/cli calls it"
done <"$tmp/commands"

# No page of a command that is gone.
for f in tests/cli/expected/*.txt; do
  n=$(basename "$f" .txt)
  [ "$n" = sgatlin ] || tr ' ' '-' <"$tmp/commands" | grep -qx "$n" || bad "$f: no such command"
done
finish
