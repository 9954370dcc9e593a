#!/bin/sh
# sum.sh PART LOGS RESULTS COMMIT PROCESSORS SECONDS: the last lines of a part's jobs as one line of the results.
set -u
part=$1 logs=$2 results=$3 commit=$4 processors=$5 seconds=$6
what=$(grep -ahE '^[a-z][a-z ]*: [0-9]+, [0-9]+ failed' "$logs/$part"-*.log | sed -E 's/^fuzz [a-z]+:/inputs tried:/' |
  awk -F '[:,] ' '{ n[$1] += $2; f[$1] += $3 + 0 } END { for (k in n) printf "%s%s %d, failed %d", s, k, n[k], f[k], s = "; " }')
soak=$(grep -ahE 'resident memory' "$logs/$part"-*.log | tail -n 1)
result="${what:-$soak}"
grep -qaE 'FAILED-JOB|^FAIL' "$logs/$part"-*.log && result="FAILED: $result"
[ -n "$result" ] || result="FAILED: no result"
{ grep -av "^$part	" "$results"; printf '%s\t%s\t%s\t%s\t%s\tmake test-long PART=%s\t%s\n' "$part" "$(date -u +%Y-%m-%d)" "$commit" "$processors" "$seconds" "$part" "$result"; } >"$results.new"
mv "$results.new" "$results"
echo "$part: $result ($seconds s on $processors processors)"
case $result in FAILED*) grep -ahE '^FAIL|ERROR|SUMMARY' "$logs/$part"-*.log | head -n 20; exit 1 ;; esac
