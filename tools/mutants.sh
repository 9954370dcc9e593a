#!/bin/sh
# mutants.sh KIND [--only TEXT] [--alive LOG] [--skip LOG] [--jobs N] [--list]: do the tests see every mistake of a feedforward kind?
# Each mutant is one change of src/ffn/KIND.c, of its other files or of the skeleton it stands on, made by rule (tools/mutants.py names them); it is compiled
# alone and linked in front of the library, and the generic test grad/test_ffn runs on the kind; what it does not see, such as code of options, the
# tests of models with them have to see. A mutant that survives is printed, and the exit code is 1.
# Builds in build/mutants/kinds; minutes a kind. --only: of lines that hold TEXT; --alive: those that an earlier output calls alive;
# --skip: not those that an earlier output tells of; --jobs: at a time (as many as processors); --list: only print them.
set -eu
cd "$(dirname "$0")/.."
[ $# -ge 1 ] && [ -f "src/ffn/$1.c" ] || { sed -n '2,/^set -eu/{/^set -eu/d;s/^# \{0,1\}//p}' "$0" >&2; exit 2; }
kind=$1
shift
exec python3 tools/mutants.py "$kind" build/mutants/kinds "$@"
