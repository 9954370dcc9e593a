#!/bin/sh
# run.sh PROGRAM...: runs each test (a program, or a script by sh) from the repository's root; prints the output of those that fail and
# one closing line.
set -u
began=$(date +%s)
passed=0 failed=0
log=$(mktemp)
trap 'rm -f "$log"' EXIT
for t; do
  start=$(date +%s)
  # Threads of a C test sleep while they wait: spinning ones cost other programs of a busy machine their processor.
  case $t in *.sh) set -- sh "$t" ;; *) set -- env "OMP_WAIT_POLICY=${OMP_WAIT_POLICY-passive}" "$t" ;; esac
  if "$@" >"$log" 2>&1; then
    passed=$((passed + 1))
    echo "ok    $t ($(($(date +%s) - start)) s)$(sed -n '1s/^skipped:/, skipped:/p' "$log")"
  else
    failed=$((failed + 1))
    echo "FAIL  $t"
    tail -n 60 "$log"
  fi
done
echo "$passed passed, $failed failed, $(($(date +%s) - began)) s"
[ "$failed" = 0 ] && [ "$passed" -gt 0 ]
