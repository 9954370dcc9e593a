#!/bin/sh
# tidy.sh [FILE...]: clang-tidy over all C files (or these), with the checks of .clang-tidy; a finding that tools/tidy.txt does not name
# ends with 1, and so does a line there that nothing is found for any more (only where all files are read). Needs clang-tidy; a minute.
set -eu
cd "$(dirname "$0")/.."
tidy=${CLANG_TIDY:-$(command -v clang-tidy || command -v clang-tidy-14 || true)}
[ -n "$tidy" ] || { echo "tidy.sh: clang-tidy is not installed (Debian: apt install clang-tidy)" >&2; exit 2; }
gen=${BUILD:-build}/gen
[ -d "$gen" ] || { echo "tidy.sh: $gen is missing; run make first" >&2; exit 2; }
all=$#
[ $# -gt 0 ] || set -- src/*/*.c cli/*.c server/*.c
found=$(mktemp)
trap 'rm -f "$found"' EXIT
case $(uname -m) in x86_64) isa='-mavx512f -mavx512bw -mavx512dq -mavx512vl -mfma -mbmi2 -mf16c' ;; *) isa= ;; esac
export tidy gen isa
# A file that does not compile here is an error of clang, and printed too.
printf '%s\n' "$@" | xargs -P "$(nproc)" -n 8 sh -c '"$tidy" --quiet "$@" -- -Iinclude -Isrc -I"$gen" -D_GNU_SOURCE -std=c11 -fopenmp $isa 2>/dev/null || :' sh |
  grep -E ': (warning|error): ' | sed "s|^$PWD/||; s|^[a-z]*/\.\./||" | sort -u >"$found"
awk -v all="$all" '
  NR == FNR { if ($0 !~ /^#/ && NF) known[$1] = 0; next }
  {
    split($0, part, ":")
    rule = $0; sub(/.*\[/, "", rule); sub(/[,\]].*/, "", rule)
    key = rule ":" part[1]
    if (key in known) known[key]++
    else { print; bad = 1 }
  }
  END {
    if (!all) for (key in known) if (!known[key]) { print "tools/tidy.txt: " key ": found nowhere, take it out"; bad = 1 }
    exit bad
  }' tools/tidy.txt "$found"
