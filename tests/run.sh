#!/bin/sh
# run.sh [-j JOBS] PROGRAM...: runs each test (a program, or a script by sh) from the repository's root, JOBS at a time (1); prints the
# output of those that fail and one closing line.
set -u
began=$(date +%s)
jobs=1
[ "${1:-}" = -j ] && jobs=$2 && shift 2
if [ "${1:-}" = --one ]; then # RESULTS PROGRAM: a line for it, and one into RESULTS
  t=$3 log=$(mktemp)
  # Threads of a C test sleep while they wait: spinning ones cost other programs of a busy machine their processor.
  case $t in *.sh) set -- "$2" sh "$t" ;; *) set -- "$2" env "OMP_WAIT_POLICY=${OMP_WAIT_POLICY-passive}" "$t" ;; esac
  results=$1
  shift
  if "$@" >"$log" 2>&1; then
    echo ok >>"$results"
    echo "ok    $t ($(($(date +%s) - began)) s)$(sed -n '1s/^skipped:/, skipped:/p' "$log")"
  else
    echo FAIL >>"$results"
    printf 'FAIL  %s\n%s\n' "$t" "$(tail -n 60 "$log")"
  fi
  rm -f "$log"
  exit 0
fi
results=$(mktemp)
trap 'rm -f "$results"' EXIT
for t; do printf '%s\n' "$t"; done | xargs -P "$jobs" -n 1 sh "$0" --one "$results"
passed=$(grep -c ok "$results") failed=$(grep -c FAIL "$results")
echo "$passed passed, $failed failed, $(($(date +%s) - began)) s"
[ "$failed" = 0 ] && [ "$passed" -eq $# ]
