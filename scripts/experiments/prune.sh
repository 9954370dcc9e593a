#!/bin/sh
# prune.sh SGATLIN DATA TOKENIZER OUT [JOBS]: every way to choose sublayers, on models of stories (docs/method-comparison.md, pruning), and
# smaller models trained from scratch at equal FLOPs. DATA holds train.txt and valid.txt (or .zst). Three seeds of mlp and sgatlin with
# the preset's sizes, 1,500 steps of 8 rows of 256; then pruning to twice the speed. STEPS, SEEDS, KINDS, THREADS, ROWS (documents of each
# text), RIVALS (their layers), SETTINGS ("model.hidden_size=128 ...") and those of one kind (SETTINGS_mlp) scale it. What is there is gone on with. OUT/KIND-SEED.json,
# .svg; prune.tsv and prune-mean.tsv over the seeds.
set -eu
sgatlin=$1 data=$2 tokenizer=$3 out=$4 jobs=${5:-1}
steps=${STEPS:-1500} seeds=${SEEDS:-"1 2 3"} kinds=${KINDS:-"mlp sgatlin"} threads=${THREADS:-2} rows=${ROWS:-128} rivals=${RIVALS:-"3 2"}
settings=${SETTINGS:-"train.batch_size=8 train.seq_len=256"}
mkdir -p "$out"
new() { # RUN KIND SEED OPTION...
  run=$1 kind=$2 seed=$3 sets=
  shift 3
  eval "own=\${SETTINGS_$kind:-}"
  for s in $settings $own; do sets="$sets --set $s"; done
  # shellcheck disable=SC2086
  "$sgatlin" -q -t "$threads" train --preset tinystories --kind "$kind" --data "$data" --tokenizer "$tokenizer" -o "$run" --seed "$seed" \
    --set eval.every=0 $sets "$@"
}
one() { # KIND SEED [LAYERS]: without LAYERS the model that is pruned; with it, one of so many at its FLOPs
  run="$out/$1-$2${3:+-of-$3}"
  [ -f "$run.trained" ] && return
  if [ -d "$run/checkpoints" ]; then
    "$sgatlin" -q -t "$threads" train --resume -o "$run"
  elif [ "${3:-}" ]; then
    flops=$(new "$run" "$1" "$2" --steps "$steps" --dry-run --json | sed 's/.*"flops":\([0-9.e+]*\).*/\1/')
    new "$run" "$1" "$2" --set train.flops_budget="$flops" --set model.num_hidden_layers="$3"
  else
    new "$run" "$1" "$2" --steps "$steps"
  fi
  : >"$run.trained"
}
if [ "${ONE:-}" ]; then
  # shellcheck disable=SC2086
  one $ONE
  exit
fi
[ -d "$out/first" ] || new "$out/first" mlp 0 --steps 1 # the cache of tokens, once
for seed in $seeds; do
  for kind in $kinds; do
    echo "$kind $seed"
    for n in $rivals; do echo "$kind $seed $n"; done
  done
done | xargs -P "$jobs" -I{} env ONE={} sh "$0" "$sgatlin" "$data" "$tokenizer" "$out"
text() { find "$data" -name "$1.txt" -o -name "$1.txt.zst" | head -n 1; }
# One after the other: timings, by processor time where one thread runs, medians of runs in turn.
clock=
[ "$threads" != 1 ] || clock=--cpu-time
for seed in $seeds; do
  for kind in $kinds; do
    run="$out/$kind-$seed" beside=
    [ ! -f "$run.json" ] || continue
    for n in $rivals; do beside="$beside --rival $run-of-$n"; done
    # shellcheck disable=SC2086
    "$sgatlin" -q -t "$threads" prune "$run" --calibrate "$(text train)" --data "$(text valid)" --rows "$rows" --compare $clock $beside \
      --svg "$run.svg" --json >"$run.json.new"
    mv "$run.json.new" "$run.json"
  done
done

# A line a cut: what it reached. Then each way's perplexity at speed-ups of 1.25, 1.5, 1.75 and 2, straight lines between its points in
# log perplexity; a way that does not get there has none.
rows_of() { # FILE
  sed 's/{"method":"/\n&/g; s/"rivals":\[/\n&/' "$1" | awk '
    /^{"method":"/ { m = $0; sub(/^{"method":"/, "", m); sub(/".*/, "", m); sub(/, seed .*/, "", m)
      d = $0; sub(/.*"dense":{"loss":/, "", d); sub(/,.*/, "", d); printf "%s\t0\t1\t%s\n", m, d; k = split($0, r, "\"sublayer\":")
      for (i = 2; i <= k; i++) { s = r[i]; sub(/.*"speedup_measured":/, "", s); sub(/,.*/, "", s); v = r[i]
        sub(/.*"validation_loss":/, "", v); sub(/,.*/, "", v); printf "%s\t%d\t%s\t%s\n", m, i - 1, s, v } }
    /^"rivals"/ { k = split($0, r, "\"speedup_measured\":"); for (i = 2; i <= k; i++) { s = r[i]; sub(/,.*/, "", s); v = r[i]
      sub(/.*"loss":/, "", v); sub(/,.*/, "", v); printf "smaller model, equal FLOPs\t-\t%s\t%s\n", s, v } }'
}
{
  printf 'kind\tseed\tway\tout\tspeed-up, measured\tvalidation loss\n'
  for seed in $seeds; do
    for kind in $kinds; do
      rows_of "$out/$kind-$seed.json" | sed "s/^/$kind	$seed	/"
    done
  done
} >"$out/prune.tsv"
awk -F '\t' '
  function close_line(   t, i, j, w) {
    for (t = 1; t <= 4; t++) for (i = 2; i <= n; i++) if (x[i - 1] <= at[t] && x[i] >= at[t] && x[i] > x[i - 1]) {
      w = (at[t] - x[i - 1]) / (x[i] - x[i - 1]); j = key SUBSEP t; v = exp(y[i - 1] + w * (y[i] - y[i - 1]))
      c[j]++; sum[j] += v; if (c[j] == 1 || v < lo[j]) lo[j] = v; if (v > hi[j]) hi[j] = v; break }
  }
  BEGIN { split("1.25 1.5 1.75 2", at, " "); printf "kind\tway\t1.25\t1.5\t1.75\t2\n" }
  NR == 1 { next }
  $4 == "-" { k = $1 "\t" $3; if (!(k in seen)) { seen[k] = 1; order[++m] = k } rn[k]++; rs[k] += $5; rv[k] += exp($6); next }
  $4 == 0 { if (n) close_line(); key = $1 "\t" $3; n = 0; if (!(key in seen)) { seen[key] = 1; order[++m] = key } }
  { n++; x[n] = $5; y[n] = $6 }
  END { close_line()
    for (i = 1; i <= m; i++) { k = order[i]; printf "%s", k
      if (k in rn) { printf "\tperplexity %.2f at %.2f times the speed (mean of %d)\n", rv[k] / rn[k], rs[k] / rn[k], rn[k]; continue }
      for (t = 1; t <= 4; t++) { j = k SUBSEP t; if (c[j]) printf "\t%.2f (%.2f to %.2f; %d)", sum[j] / c[j], lo[j], hi[j], c[j]; else printf "\t-" }
      printf "\n" } }' "$out/prune.tsv" | tee "$out/prune-mean.tsv"
