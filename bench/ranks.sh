#!/bin/sh
# ranks.sh: seconds of a training step by ranks of one thread each, beside one process with as many threads, alternated; and the bytes that a
# rank sends a step beside the formula. ROUNDS (3) of STEPS (8) each; KIND (sgatlin). docs/scaling.md has the table of one machine.
set -eu
cd "$(dirname "$0")/.."
SGATLIN=${SGATLIN:-build/sgatlin}
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
"$SGATLIN" -q data worlds --stories 3000 --seed 1 -o "$tmp/data"
"$SGATLIN" -q tokenizer train "$tmp/data/train.txt" -n 2048 -o "$tmp/tok.json"
run() { # NAME RANKS THREADS MORE...
  name=$1 ranks=$2 threads=$3
  shift 3
  rm -rf "$tmp/run"
  set -- train --data "$tmp/data" --tokenizer "$tmp/tok.json" -o "$tmp/run" -q -t "$threads" -k "${KIND:-sgatlin}" --steps "${STEPS:-8}" \
    --preset "${PRESET:-tinystories}" --set data.rows=pack --seq-len "${SEQ:-256}" --batch-size "${BATCH:-16}" --set train.micro_batch=2 --set train.parts=8 --set eval.every=0 \
    --set eval.batches=1 --set log.every=1 "$@"
  if [ "$ranks" = 1 ]; then "$SGATLIN" "$@"; else mpirun --oversubscribe --bind-to none -n "$ranks" "$SGATLIN" "$@"; fi
  awk -v name="$name" '
    match($0, /"time":[0-9.e+-]*/) && /train\/loss/ {
      t = substr($0, RSTART + 7, RLENGTH - 7)
      if (n++ > 1) print name, t - last > "/dev/stderr"
      last = t
    }
    match($0, /"perf\/sent_bytes":[0-9]*/) { sent = substr($0, RSTART + 18, RLENGTH - 18) }
    END { if (sent) print name, sent / n }' "$tmp/run/metrics.jsonl" 2>>"$tmp/times" >>"$tmp/sent"
}
i=0
while [ $i -lt "${ROUNDS:-3}" ]; do
  run "1 process, 1 thread" 1 1
  run "1 process, 2 threads" 1 2
  run "2 ranks" 2 1
  run "1 process, 4 threads" 1 4
  run "4 ranks" 4 1
  [ "${KIND:-sgatlin}" != sgatlin ] || run "2 ranks, channels split" 2 1 --channel-ranks 2
  i=$((i + 1))
done
sort "$tmp/times" | awk '
  { t = $NF; sub(/ [^ ]*$/, ""); if ($0 != name) { put(); name = $0; n = 0 } a[++n] = t }
  function put(   i, j, x) {
    if (!n) return
    for (i = 2; i <= n; i++) for (j = i; j > 1 && a[j] < a[j-1]; j--) { x = a[j]; a[j] = a[j-1]; a[j-1] = x }
    printf "%-26s least %.4f s, median %.4f s (%d steps)\n", name, a[1], a[int((n + 1) / 2)], n
  }
  END { put() }'
parameters=$("$SGATLIN" info "$tmp/run" --json | sed 's/.*"parameters": *\([0-9]*\).*/\1/')
sort -u "$tmp/sent" | awk -v S="$parameters" '{ r = $1; printf "%-26s sends %.0f bytes a step", $0, $NF; if (!/channels/) printf ", 8 S (R-1)/R = %.0f", 8 * S * (r - 1) / r; print "" }'
