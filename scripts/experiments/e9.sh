#!/bin/sh
# e9.sh SGATLIN OUT: gates that count themselves (docs/method.md, gates): a jumprelu model of TARGET acting neurons among 8 x CANDIDATES beside one that
# takes the 8 best of each of 8 channels, at equal FLOPs, on the built-in corpus. Each at the best of RATES, searched at a quarter of the FLOPs
# with one seed; then SEEDS seeds: held-out loss, how many act (mean, standard deviation over tokens, correlation with the token's loss), and what
# benchmark-reading measures on both. What is there is kept, a run that was cut goes on: start it again. OUT/table.txt, OUT/active.svg.
#
#   FLOPS=1.2e12 SEEDS="0 1 2" RATES="4e-3 8e-3 1.6e-2" TARGET=64 CANDIDATES=16 NEURONS=400 WIDTH=64 LAYERS=3 LENGTH=128 STORIES=20000 VOCABULARY=2048
#   DOCUMENTS=200 (that are recorded) SCORE (more options of benchmark-reading) THREADS=1 NICE=10
set -eu
sgatlin=$1 out=$2
budget=${FLOPS:-1.2e12} seeds=${SEEDS:-"0 1 2"} rates=${RATES:-"4e-3 8e-3 1.6e-2"} target=${TARGET:-64} candidates=${CANDIDATES:-16}
# shellcheck source=scripts/experiments/common.sh
. "$(dirname "$0")/common.sh"
corpus "${STORIES:-20000}" "${VOCABULARY:-2048}"
options() { # of a variant
  case $1 in
    k8) echo --set feedforward.top_k=8 ;;
    jumprelu) echo --set "feedforward.top_k=$candidates" --set feedforward.gates.kind=jumprelu --set "train.aux.target_active=$target" ;;
  esac
}
train() { # VARIANT SEED RATE FLOPS RUN
  # shellcheck disable=SC2046
  trained "$5" --kind sgatlin $(options "$1") --set feedforward.num_channels=8 --set "feedforward.num_neurons=${NEURONS:-400}" --set feedforward.key_dim=32 \
    --set "model.hidden_size=${WIDTH:-64}" --set "model.num_hidden_layers=${LAYERS:-3}" --set model.head_dim=32 --set "train.seq_len=${LENGTH:-128}" \
    --set train.batch_size=8 --set data.rows=pack --seed "$2" --set "optimizer.learning_rate=$3" --set "train.flops_budget=$4"
  judged "$5" --max-rows 256
}
search() { train "$3" 0 "$1" "$(awk -v b="$budget" 'BEGIN { printf "%.4g", b / 4 }')" "$2"; } # RATE RUN VARIANT
models=
for variant in jumprelu k8; do
  best_rate "$variant" search "$variant"
  for seed in $seeds; do
    run="$out/$variant.$seed"
    train "$variant" "$seed" "$(cat "$out/$variant.rate")" "$budget" "$run"
    models="$models $run"
    [ "$variant" = jumprelu ] || continue
    [ -s "$run.active.json" ] || {
      rm -rf "$run.rec"
      sg record "$run" --data "$data/valid.txt" --documents "${DOCUMENTS:-200}" --values f32 --no-index -o "$run.rec" >/dev/null
      sg usage "$run.rec" --active --model "$run" --svg "$out/active.$seed.svg" --json >"$run.new"
      rm -rf "$run.rec"
      mv "$run.new" "$run.active.json"
    }
  done
done
cp "$out/active.${seeds%% *}.svg" "$out/active.svg"
# shellcheck disable=SC2086
[ -s "$out/reading.json" ] || { sg benchmark-reading --worlds "$data" $models ${SCORE:-} --json >"$out/reading.new" && mv "$out/reading.new" "$out/reading.json"; }
python3 - "$out" "$seeds" "$target" <<'PY' >"$out/table.txt"
import json, math, statistics, sys
out, seeds, target = sys.argv[1], sys.argv[2].split(), float(sys.argv[3])
def mean(x, form="%.4f"):
    x = [v for v in x if v is not None]
    return "-" if not x else form % statistics.mean(x) + (" ± " + form % statistics.stdev(x) if len(x) > 1 else "")
read = lambda name: json.load(open(f"{out}/{name}"))
print("| | rate | held-out loss |\n| --- | --- | --- |")
for v in ("k8", "jumprelu"):
    print(f"| {v} | {open(f'{out}/{v}.rate').read().strip()} | " + mean([read(f"{v}.{s}.json")["loss"] for s in seeds]) + " |")
active = [read(f"jumprelu.{s}.active.json")["layers"] for s in seeds]
print(f"\nNeurons acting at a token (target {target:g}, over layers):\n\n| layer | mean | sd over tokens | least | most | correlation with the loss |\n|" + " --- |" * 6)
for l in range(len(active[0])):
    got = [a[l] for a in active]
    print(f"| {l} | " + " | ".join([mean([g["mean_active"] for g in got], "%.1f"), mean([g["sd"] for g in got], "%.1f"), str(min(g["least"] for g in got)),
          str(max(g["most"] for g in got)), mean([g["correlation_with_loss"] for g in got], "%.3f")]) + " |")
print("| all | " + mean([statistics.mean(g["mean_active"] for g in a) for a in active], "%.1f") + " | | | | |")
entries = {m["model"].rstrip("/").split("/")[-1]: m for m in read("reading.json")["models"]}
measures = [k for k, v in next(iter(entries.values())).items() if isinstance(v, float)]
print("\n| measure | k8 | jumprelu | difference over its standard error |\n| --- | --- | --- | --- |")
for k in measures:
    both = []
    for v in ("k8", "jumprelu"):
        both.append([x for x in (entries[f"{v}.{s}"][k] for s in seeds) if x is not None])
    a, b = both
    if not a or not b: continue
    t = "-"
    if len(a) > 1 and len(b) > 1:
        e = math.sqrt(statistics.variance(a) / len(a) + statistics.variance(b) / len(b))
        t = "%.1f" % ((statistics.mean(b) - statistics.mean(a)) / e) if e else "-"
    print(f"| {k} | {mean(a, '%.3f')} | {mean(b, '%.3f')} | {t} |")
PY
cat "$out/table.txt"
