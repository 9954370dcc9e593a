#!/bin/sh
# facts.sh SGATLIN OUT: what carries a fact at its noun (docs/results-reading.md, where a fact is)? Models of KINDS, SEEDS seeds, equal FLOPs, on the built-in
# corpus or on DATA (train.*, valid.*; facts are then mined from its train.txt, of nouns met MIN times). Into each prompt the other noun's gates, neurons
# (what is chosen and what it is worth) or embedding are put, at the noun or at the last position; the control: a third noun's. What is there is kept, a
# run that was cut goes on: start it again. OUT/table.txt.
#
#   KINDS="sgatlin peer mlp glu" SEEDS="0 1 2" FLOPS=1.2e12 RATE=8e-3 NEURONS=400 (sparse kinds) UNITS=256 (dense kinds) WIDTH=64 LAYERS=3 LENGTH=128
#   STORIES=20000 VOCABULARY=2048 DATA= MIN=20 TYPE=quality SET (more options of train) THREADS=1 NICE=10
#   PRESET=tinystories STEPS=2500: sizes, rate, rows and warm-up of the preset, and steps in place of FLOPS
set -eu
sgatlin=$1 out=$2
kinds=${KINDS:-"sgatlin peer mlp glu"} seeds=${SEEDS:-"0 1 2"}
# shellcheck source=scripts/experiments/common.sh
. "$(dirname "$0")/common.sh"
if [ "${DATA:-}" ]; then
  mkdir -p "$out"
  data=$DATA tokenizer="$out/tokenizer.json" facts="$out/facts.json" type=
  [ -f "$tokenizer" ] || sg tokenizer train -n "${VOCABULARY:-2048}" "$data/train.txt" -o "$tokenizer"
  [ -f "$facts" ] || sg facts mine "$data/train.txt" --min-count "${MIN:-20}" -o "$facts" >/dev/null
else
  corpus "${STORIES:-20000}" "${VOCABULARY:-2048}"
  facts="$data/facts.json" type="--type ${TYPE:-quality}"
fi
sizes() {
  case $1 in
    sgatlin | peer) echo --set "feedforward.num_neurons=${NEURONS:-400}" --set feedforward.num_channels=8 --set feedforward.top_k=8 --set feedforward.key_dim=32 ;;
    mlp | glu) echo --set "feedforward.num_neurons=${UNITS:-256}" ;;
  esac
}
measured() { # RUN NAME OPTION...
  run_of=$1 name=$2
  shift 2
  # shellcheck disable=SC2086
  [ -s "$run_of.$name.json" ] || { sg facts patch "$run_of" --facts "$facts" $type "$@" --json >"$run_of.new" && mv "$run_of.new" "$run_of.$name.json"; }
}
for kind in $kinds; do
  for seed in $seeds; do
    run="$out/$kind.$seed"
    # shellcheck disable=SC2046,SC2086
    if [ "${PRESET:-}" ]; then
      trained "$run" --preset "$PRESET" --kind "$kind" --seed "$seed" --steps "$STEPS" --set schedule.warmup_steps=100 --set "train.seq_len=${LENGTH:-256}" \
        --set train.batch_size=8 ${SET:-}
    else
      trained "$run" --kind "$kind" $(sizes "$kind") --set "model.hidden_size=${WIDTH:-64}" --set "model.num_hidden_layers=${LAYERS:-3}" --set model.head_dim=32 \
        --set "train.seq_len=${LENGTH:-128}" --set train.batch_size=8 --set data.rows=pack --seed "$seed" --set "optimizer.learning_rate=${RATE:-8e-3}" \
        --set "train.flops_budget=${FLOPS:-1.2e12}" ${SET:-}
    fi
    judged "$run" --max-rows 256
    for what in gates neurons; do
      case $what:$kind in gates:mlp | gates:glu) continue ;; esac
      measured "$run" "$what" --what $what
      measured "$run" "$what-last" --what $what --at last
      measured "$run" "$what-another" --what $what --from another
    done
    measured "$run" embedding --what embedding
    measured "$run" embedding-another --what embedding --from another
  done
done
python3 - "$out" "$kinds" "$seeds" <<'PY' >"$out/table.txt"
import json, os, statistics, sys
out, kinds, seeds = sys.argv[1], *(a.split() for a in sys.argv[2:4])
def mean(x, form="%.3f"):
    x = [v for v in x if v is not None]
    return "-" if not x else form % statistics.mean(x) + (" ± " + form % statistics.stdev(x) if len(x) > 1 else "")
read = lambda name: json.load(open(f"{out}/{name}")) if os.path.exists(f"{out}/{name}") else None
def recovered(kind, name, pick):
    got = [read(f"{kind}.{s}.{name}.json") for s in seeds]
    return mean([pick(d["runs"])["known"]["recovered_effect"] for d in got if d])
first, all_of = lambda runs: runs[0], lambda runs: runs[-1]
print("| kind | held-out loss | pairs known | put over | all layers | layer 0 alone | at the last position | of a third noun |\n|" + " --- |" * 8)
for k in kinds:
    loss = mean([read(f"{k}.{s}.json")["loss"] for s in seeds], "%.4f")
    pairs = mean([float(read(f"{k}.{s}.embedding.json")["n_known"]) for s in seeds], "%.0f")
    for what in ("gates", "neurons", "embedding"):
        if not read(f"{k}.{seeds[0]}.{what}.json"): continue
        row = [k, loss, pairs, what, recovered(k, what, all_of)]
        row += ["", ""] if what == "embedding" else [recovered(k, what, first), recovered(k, f"{what}-last", all_of)]
        print("| " + " | ".join(row + [recovered(k, f"{what}-another", all_of)]) + " |")
        loss = pairs = ""
PY
cat "$out/table.txt"
