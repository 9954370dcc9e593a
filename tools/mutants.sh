#!/bin/sh
# mutants.sh KIND [--only TEXT] [--alive LOG] [--skip LOG] [--list]: does the generic test of feedforward kinds see every mistake of a kind?
# Each mutant is one change of
# src/ffn/KIND.c or of the skeleton it stands on, made by rule (tools/mutants.py names them); it is built and
# build/tests/grad/test_ffn runs on the kind alone; what it does not see, such as code of options, the tests of models with them have to
# see. A mutant that survives is printed, and the exit code is 1.
# Works on a copy of the tracked files in build/mutants; 3 to 30 minutes a kind on a quiet machine. --only: of lines that hold TEXT; --alive: those
# that an earlier output calls alive; --skip: not those that an earlier output tells of; --list: only print them.
set -eu
cd "$(dirname "$0")/.."
[ $# -ge 1 ] && [ -f "src/ffn/$1.c" ] || { sed -n '2,/^set -eu/{/^set -eu/d;s/^# \{0,1\}//p}' "$0" >&2; exit 2; }
kind=$1
shift
tree=build/mutants/tree
# Only what differs is copied, with a new time: make then builds it again, whatever an earlier run left behind.
git ls-files -- src include tests/grad tests/ref tests/support tests/unit tests/golden cli server web data docs tools Makefile | while read -r f; do
  cmp -s "$f" "$tree/$f" || { mkdir -p "$tree/$(dirname "$f")" && cp "$f" "$tree/$f"; }
done
exec python3 tools/mutants.py "$kind" "$tree" "$@"
