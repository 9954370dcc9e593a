#!/bin/sh
# run.sh PROGRAM TARGET SECONDS [SEED]: one fuzz target from the kept inputs on, for so many seconds of one processor. What it finds is
# left in build/fuzz/found; the last line is "fuzz TARGET: RUNS, F failed" with the edges met and those of the last quarter.
set -u
program=$1 target=$2 seconds=$3 seed=${4:-1}
found=build/fuzz/found log=$(mktemp) new=$(mktemp -d)
mkdir -p "$found"
trap 'rm -rf "$log" "$new"' EXIT
# What a command line prints by the thousand is closed by libFuzzer, which keeps its own output.
quiet=
FUZZ_VERBOSE=${FUZZ_VERBOSE:-}
[ "$target" != words ] || quiet=-close_fd_mask=3 FUZZ_VERBOSE=1
export FUZZ_VERBOSE
# No input may take longer than a second; a sanitizer's slowness and a busy machine are given nine more.
FUZZ_TARGET=$target OMP_NUM_THREADS=1 OMP_WAIT_POLICY=passive ASAN_OPTIONS=${ASAN_OPTIONS:-detect_leaks=1:allocator_may_return_null=1} \
  ${RUN:-} "$program" -max_total_time="$seconds" -seed="$seed" -timeout=10 -rss_limit_mb=1024 -malloc_limit_mb=512 -max_len=65536 \
  $quiet -dict=tests/fuzz/json.dict -artifact_prefix="$found/$target-" -print_final_stats=1 "$new" "tests/fuzz/corpus/$target" >"$log" 2>&1
code=$?
runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")
cover=$(grep -ao 'cov: [0-9]*' "$log" | tail -n 1)
lines=$(grep -ac 'cov: ' "$log")
before=$(grep -ao 'cov: [0-9]*' "$log" | sed -n "$((lines * 3 / 4 + 1))p")
[ $code = 0 ] || { grep -aE 'ERROR|SUMMARY|contradiction|Test unit' "$log" | head -n 8; cp "$log" "$found/$target.log"; }
[ $code != 0 ] || [ "${runs:-0}" -gt 0 ] || code=1 # it ended without a run, or without a word of them
echo "fuzz $target: ${runs:-0}, $((code != 0)) failed, ${cover:-cov: 0} edges, ${before:-cov: 0} before the last quarter of finds"
[ $code = 0 ]
