#!/bin/sh
# remote.sh pack: puts what the long tests need into build/remote.tar.gz: programs, their shared libraries, no source is compiled there.
# remote.sh run [MINUTES]: on the other machine, in a copy of the repository with build/remote.tar.gz: unpacks it and runs all parts at
# once on all its processors, writes build/remote/results.tsv and prints it. Needs sh, tar, gzip, awk, xargs; no network, no compiler.
set -u
cd "$(dirname "$0")/../.."
dir=build/remote
programs='build/tests/faults/test_kills build/tests/faults/test_calls build/tests/faults/test_cuts build/tests/faults/test_full
build/tests/faults/test_surroundings build/tests/fuzz/test_mutations build/tests/fuzz/test_replay build/tests/unit/test_numbers
build/fuzz/fuzz'

pack() {
  rm -rf $dir
  mkdir -p $dir/bin $dir/lib
  for p in $programs; do
    [ -f "$p" ] || { echo "remote.sh: $p is not built (make tests, make fuzz SECONDS=0)" >&2; exit 1; }
    strip -S -o "$dir/bin/$(basename "$p")" "$p"
    ldd "$p" | awk '$3 ~ /^\// { print $3 } $1 ~ /^\/.*ld-linux/ { print $1 }'
  done | sort -u | while read -r l; do cp -L "$l" $dir/lib/; done
  git rev-parse --short=12 HEAD >$dir/commit
  tar -C build -czf build/remote.tar.gz remote
  ls -l build/remote.tar.gz
}

run() {
  minutes=${1:-8}
  [ -d $dir/bin ] || tar -C build -xzf build/remote.tar.gz
  jobs=${JOBS:-$(nproc)} loader=$(ls "$PWD/$dir"/lib/ld-linux* | head -n 1)
  # Their own C library where this machine's is another one.
  RUN=
  "$dir/bin/test_replay" tests/fuzz/corpus edit >/dev/null 2>&1 || RUN="$loader --library-path $PWD/$dir/lib"
  export RUN COMMIT="$(cat $dir/commit)" TESTS="$PWD/$dir/t" FUZZ="$PWD/$dir/bin/fuzz" OMP_NUM_THREADS=1 OMP_WAIT_POLICY=passive
  mkdir -p $dir/t $dir/logs
  for k in faults fuzz unit; do ln -sfn ../bin $dir/t/$k; done
  results=$dir/results.tsv logs=$dir/logs
  rm -f "$results" $logs/*.log $dir/jobs
  printf 'part\tdate\tcommit\tprocessors\tseconds\tcommand\tresult\n' >$results
  parts='fuzz calls kills cuts mutations full surroundings replay numbers'
  start=$(date +%s)
  # One list for all parts, longest first, so that no processor waits for a part's last job.
  for part in $parts; do
    sh tests/long/jobs.sh "$part" "$jobs" | awk -v logs=$logs -v part="$part" '{ f = logs "/" part "-" NR ".log"; printf "%s >%s 2>&1 || echo FAILED-JOB >>%s; date +%%s >>%s/%s.end\n", $0, f, f, logs, part }'
  done >$dir/jobs
  rm -f $logs/*.end
  tr '\n' '\0' <$dir/jobs | timeout $((minutes * 60)) xargs -0 -P "$jobs" -n 1 sh -c || echo "remote.sh: not all jobs ended in $minutes minutes, or some failed"
  for part in $parts; do
    want=$(grep -c "/$part-[0-9]*.log" $dir/jobs) have=$(wc -l <"$logs/$part.end" 2>/dev/null || echo 0)
    [ "$want" = "$have" ] || echo "FAIL  $have of $want jobs ended" >>"$logs/$part-0.log"
    end=$(tail -n 1 "$logs/$part.end" 2>/dev/null || date +%s)
    sh tests/long/sum.sh "$part" $logs $results "$COMMIT" "$jobs" $((end - start))
  done
  echo "all parts: $(($(date +%s) - start)) s on $jobs processors"
  cat $results
}

case ${1:-} in
  pack) pack ;;
  run) run "${2:-8}" ;;
  *) sed -n '2,4s/^# //p' "$0"; exit 2 ;;
esac
