#!/bin/sh
# e10.sh SGATLIN OUT: do neurons that fire together do what neither does alone (docs/method-reading.md, superposition)? A sgatlin model as it is, and one
# trained with gate_dropout, on the built-in corpus, equal FLOPs, one RATE, SEEDS seeds: the score of every layer with its interval, and the control whose
# neurons' values are moved to other places of the same token. (That planted pairs are found: tests/golden/test_superposition.c.) What is there is kept,
# a run that was cut goes on: start it again. OUT/table.txt, OUT/pairs.svg.
#
#   FLOPS=1.2e12 SEEDS="0 1 2" RATE=8e-3 DROPOUT=0.1 NEURONS=400 WIDTH=64 LAYERS=3 LENGTH=128 STORIES=20000 VOCABULARY=2048 DOCUMENTS=300 (that are recorded)
#   PAIRS=200 PLACES=10 MORE (options of superposition) THREADS=1 NICE=10
set -eu
sgatlin=$1 out=$2
seeds=${SEEDS:-"0 1 2"} layers=${LAYERS:-3} dropout=${DROPOUT:-0.1}
# shellcheck source=scripts/experiments/common.sh
. "$(dirname "$0")/common.sh"
corpus "${STORIES:-20000}" "${VOCABULARY:-2048}"
train() { # VARIANT SEED RUN
  left_out=0
  [ "$1" = plain ] || left_out=$dropout
  trained "$3" --kind sgatlin --set feedforward.top_k=8 --set feedforward.num_channels=8 --set "feedforward.num_neurons=${NEURONS:-400}" \
    --set feedforward.key_dim=32 --set "model.hidden_size=${WIDTH:-64}" --set "model.num_hidden_layers=$layers" --set model.head_dim=32 \
    --set "train.seq_len=${LENGTH:-128}" --set train.batch_size=8 --set data.rows=pack --seed "$2" --set "optimizer.learning_rate=${RATE:-8e-3}" \
    --set "train.flops_budget=${FLOPS:-1.2e12}" --set "train.gate_dropout=$left_out"
  judged "$3" --max-rows 256
}
for variant in plain dropout; do
  for seed in $seeds; do
    run="$out/$variant.$seed"
    train "$variant" "$seed" "$run"
    l=0
    while [ "$l" -lt "$layers" ]; do
      for control in "" --shuffled; do
        [ ! -s "$run.$l$control.json" ] || continue
        [ -f "$run.rec/recording.json" ] || sg record "$run" --data "$data/valid.txt" --documents "${DOCUMENTS:-300}" --values f32 --no-index -o "$run.rec" >/dev/null
        # shellcheck disable=SC2086
        sg superposition "$run" --recording "$run.rec" --layer "$l" --pairs "${PAIRS:-200}" --places "${PLACES:-10}" $control ${MORE:-} --json \
          --svg "$run.$l$control.svg" >"$run.new"
        mv "$run.new" "$run.$l$control.json"
      done
      l=$((l + 1))
    done
    rm -rf "$run.rec"
  done
done
cp "$out/plain.${seeds%% *}.$((layers / 2)).svg" "$out/pairs.svg"
python3 - "$out" "$layers" "$seeds" <<'PY' >"$out/table.txt"
import json, statistics, sys
out, layers, seeds = sys.argv[1], int(sys.argv[2]), sys.argv[3].split()
read = lambda name: json.load(open(f"{out}/{name}.json"))
def mean(x, form="%.3f"):
    x = [v for v in x if v is not None]
    return "-" if not x else form % statistics.mean(x) + (" ± " + form % statistics.stdev(x) if len(x) > 1 else "")
print("| model | held-out loss |\n| --- | --- |")
for v in ("plain", "dropout"): print(f"| {v} | " + mean([read(f"{v}.{s}")["loss"] for s in seeds], "%.4f") + " |")
print("\n| model | layer | pairs scored | excess | intervals | p | signed | moved values: excess | intervals | p |\n|" + " --- |" * 10)
for v in ("plain", "dropout"):
    for l in range(layers):
        row = [v, str(l)]
        for control in ("", "--shuffled"):
            got = [read(f"{v}.{s}.{l}{control}") for s in seeds]
            cells = [mean([g["mean_excess"] for g in got]), ", ".join("%.2f to %.2f" % tuple(g["interval"]) for g in got if g["interval"][0] is not None),
                     ", ".join("%.2g" % g["p"] for g in got if g["p"] is not None)]
            row += [mean([float(g["scored_pairs"]) for g in got], "%.0f")] + cells + [mean([g["mean_signed"] for g in got], "%.4f")] if not control else cells
        print("| " + " | ".join(row) + " |")
PY
cat "$out/table.txt"
