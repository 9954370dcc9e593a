#!/bin/sh
# e3.sh SGATLIN OUT: does training in int4 work, and do more experts in the same bytes pay (docs/method.md, pools in four bits)? sgatlin on the built-in
# corpus at equal steps: pools of 1,024 neurons a channel in float32 and in int4, of 8,100 in int4 (about the same bytes of pool in training) and in
# float32, and int4 without its buffer (int4.substeps=1). Each way at the best of RATES, searched at a quarter of the steps and one seed; then SEEDS seeds at
# each of LENGTHS. Then a step of each way is timed and its memory read, alternated, one thread, processor time. Whatever is there is kept, a run that was
# cut goes on: start it again. OUT/table.txt is written.
#
#   LENGTHS="300 1200" SEEDS="0 1 2" RATES="2e-3 4e-3 8e-3" WIDTH=64 LAYERS=4 FEW=1024 MANY=8100 ROUNDS=3 THREADS=1 NICE=10
set -eu
sgatlin=$1 out=$2
lengths=${LENGTHS:-"300 1200"} seeds=${SEEDS:-"0 1 2"} rates=${RATES:-"2e-3 4e-3 8e-3"} width=${WIDTH:-64} layers=${LAYERS:-4}
few=${FEW:-1024} many=${MANY:-8100} stories=${STORIES:-4000} vocabulary=${VOCABULARY:-1024} length=${LENGTH:-128} batch=${BATCH:-8} rounds=${ROUNDS:-3}
ways="float-few int4-few int4-many float-many int4-bare"
# shellcheck source=scripts/experiments/common.sh
. "$(dirname "$0")/common.sh"
corpus "$stories" "$vocabulary"
options() { # of a way
  case $1 in
    *-many) n=$many ;;
    *) n=$few ;;
  esac
  echo "--set feedforward.num_neurons=$n --set feedforward.num_channels=8 --set feedforward.top_k=8 --set feedforward.key_dim=$((width / 2))" \
    "--set model.hidden_size=$width --set model.num_hidden_layers=$layers --set model.head_dim=32"
  case $1 in
    int4-bare) echo "--set train.pool_precision=int4 --set int4.substeps=1" ;;
    int4-*) echo "--set train.pool_precision=int4" ;;
  esac
}
train() { # WAY SEED RATE STEPS RUN
  # shellcheck disable=SC2046
  trained "$5" --preset tinystories --kind sgatlin $(options "$1") --set "train.seq_len=$length" --set "train.batch_size=$batch" --set "train.seed=$2" \
    --set "optimizer.learning_rate=$3" --steps "$4"
  judged "$5" --rows pad --max-rows "${ROWS:-256}"
}
search() { train "$3" 0 "$1" $(((longest + 3) / 4)) "$2"; } # RATE RUN WAY
longest=$(echo "$lengths" | tr ' ' '\n' | sort -n | tail -n 1)
for way in $ways; do
  best_rate "$way" search "$way"
  for steps in $lengths; do
    for seed in $seeds; do train "$way" "$seed" "$(cat "$out/$way.rate")" "$steps" "$out/$way.$steps.$seed"; done
  done
done
i=0
while [ $i -lt "$rounds" ]; do
  for way in $ways; do
    # shellcheck disable=SC2046
    [ -s "$out/bench.$way.$i" ] || { sg bench -t 1 --kind sgatlin $(options "$way") --set "tokenizer.vocab_size=$vocabulary" -b "$batch" -s "$length" -n 3 \
      --cpu-time --json >"$out/bench.new" && mv "$out/bench.new" "$out/bench.$way.$i"; }
  done
  i=$((i + 1))
done
python3 - "$out" "$rounds" "$lengths" "$seeds" $ways <<'PY'
import json, os, statistics, sys
out, rounds, lengths, seeds, ways = sys.argv[1], int(sys.argv[2]), sys.argv[3].split(), sys.argv[4].split(), sys.argv[5:]
lines = ["| way | parameters | rate | " + " | ".join(f"held-out loss, {n} steps" for n in lengths) + " | planned memory, MB | tokens per processor second |",
         "| --- | --- | --- |" + " --- |" * len(lengths) + " --- | --- |"]
for w in ways:
    b = [json.load(open(f"{out}/bench.{w}.{i}"))[0] for i in range(rounds)]
    cells = []
    for n in lengths:
        got = [json.load(open(p))["loss"] for p in (f"{out}/{w}.{n}.{s}.json" for s in seeds) if os.path.exists(p)]
        cells.append((f"{statistics.mean(got):.4f}" + (f" ± {statistics.stdev(got):.4f}" if len(got) > 1 else "")) if got else "")
    lines.append(f"| {w} | {b[0]['parameters']:,} | {open(f'{out}/{w}.rate').read().strip()} | " + " | ".join(cells) +
                 f" | {b[0]['planned_bytes'] / 1e6:.1f} | {statistics.median(x['train_tokens_per_s'] for x in b):,.0f} |")
open(f"{out}/table.txt", "w").write("\n".join(lines) + "\n")
print("\n".join(lines))
PY
