#!/bin/sh
# run.sh [PART...]: the tests of a release (make test-long), each part for itself: a part that passed on this program is not run again
# (FORCE=1: it is); which program it is says the last commit that changed one of its sources. The result is a line of tests/long/results.tsv: part, date, commit, processors, seconds, command, result; with SCALE,
# which runs a share of each, of scaled.tsv beside the logs.
set -u
cd "$(dirname "$0")/../.."
jobs=${JOBS:-$(nproc)}
results=${RESULTS:-tests/long/results.tsv} logs=${LOGS:-build/long}
sources='src cli server include mpi data web'
# shellcheck disable=SC2086
commit=${COMMIT:-$(git log -1 --abbrev=12 --format=%h -- $sources 2>/dev/null || echo unknown)$(git diff --quiet HEAD -- $sources 2>/dev/null || echo -changed)}
[ "${SCALE:-1}" = 1 ] || results=${RESULTS:-$logs/scaled.tsv}
all="kills calls cuts full surroundings mutations replay mutants numbers fuzz soak"
mkdir -p "$logs"
[ -f "$results" ] || printf 'part\tdate\tcommit\tprocessors\tseconds\tcommand\tresult\n' >"$results"
bad=0
for part in ${*:-$all}; do
  if [ -z "${FORCE:-}" ] && awk -F '\t' -v p="$part" -v c="$commit" '$1 == p && $3 == c && $7 !~ /FAILED/ { found = 1 } END { exit !found }' "$results"; then
    echo "$part: passed on $commit"
    continue
  fi
  width=$jobs
  [ "$part" = soak ] && width=1
  rm -f "$logs/$part"-*.log
  start=$(date +%s)
  sh tests/long/jobs.sh "$part" "$jobs" | awk -v logs="$logs" -v part="$part" '{ printf "%s >%s/%s-%d.log 2>&1 || echo FAILED-JOB >>%s/%s-%d.log\n", $0, logs, part, NR, logs, part, NR }' |
    tr '\n' '\0' | xargs -0 -P "$width" -n 1 sh -c
  sh tests/long/sum.sh "$part" "$logs" "$results" "$commit" "$jobs" $(($(date +%s) - start)) || bad=1
done
exit $bad
