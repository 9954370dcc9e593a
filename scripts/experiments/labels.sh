#!/bin/sh
# labels.sh SGATLIN OUT: do labels foretell where neurons fire (docs/results-reading.md, labels)? Five kinds of about equal FLOPs on the built-in
# corpus, labels from 600 stories of its training text, scored on unseen ones with its truth. What is there is gone on with; SEEDS, KINDS, BUDGET.
# OUT/KIND-SEED.json, and the table of all on standard output.
set -eu
sgatlin=$1 out=$2
seeds=${SEEDS:-0} kinds=${KINDS:-"sgatlin peer moe glu mlp"} budget=${BUDGET:-1.5e12}
mkdir -p "$out"
[ -f "$out/worlds/facts.json" ] || "$sgatlin" -q data worlds --stories 6000 --seed 1 -o "$out/worlds"
settings="--set model.hidden_size=64 --set model.num_hidden_layers=3 --set model.head_dim=32 --set train.seq_len=128 --set train.batch_size=16
 --set tokenizer.vocab_size=1024 --set feedforward.num_neurons=144 --set optimizer.learning_rate=4e-3 --set eval.every=0
 --set checkpoint.every=1000 --set checkpoint.keep=1 --set train.flops_budget=$budget"
first=
for seed in $seeds; do
  for kind in $kinds; do
    run="$out/$kind-$seed"
    tokenizer=${first:+--tokenizer $first/tokenizer.json}
    # shellcheck disable=SC2086
    [ -f "$run.trained" ] || {
      "$sgatlin" -q -t 1 train --data "$out/worlds" -o "$run" --kind "$kind" --seed "$seed" $settings $tokenizer
      : >"$run.trained"
    }
    first=${first:-$run}
    [ -f "$run.json" ] || {
      "$sgatlin" -q record "$run" --data "$out/worlds/train.txt" -n 600 -o "$run.rec"
      "$sgatlin" -q label make "$run" --recording "$run.rec"
      "$sgatlin" -q label score "$run" --worlds "$out/worlds" --json >"$run.json.new"
      "$sgatlin" -q label make "$run" --names "$run.bare.sqlite"
      "$sgatlin" -q label score "$run" --worlds "$out/worlds" --names "$run.bare.sqlite" --json >"$run.bare.json"
      mv "$run.json.new" "$run.json"
    }
  done
done
# Median and quartiles over the neurons of all seeds.
python3 - "$out" $kinds <<'PY'
import glob, json, statistics, sys

out, kinds = sys.argv[1], sys.argv[2:]


def summary(values):
    values = [v for v in values if v is not None]
    q = statistics.quantiles(values, n=4, method="inclusive")
    return f"{q[1]:.3f} ({q[0]:.3f} to {q[2]:.3f})"


print("| kind | neurons | own label | other labels | do worse | next token raised | either | label from weights alone | best category |")
print("| --- | --- | --- | --- | --- | --- | --- | --- | --- |")
for kind in kinds:
    scored = [n for f in sorted(glob.glob(f"{out}/{kind}-[0-9]*.json")) if ".bare." not in f for n in json.load(open(f))["neurons"]]
    bare = [n for f in sorted(glob.glob(f"{out}/{kind}-[0-9]*.bare.json")) for n in json.load(open(f))["neurons"]]
    cells = [summary([n[k] for n in scored]) for k in ("reads", "others", "rank", "writes", "either")]
    cells += [summary([n["reads"] for n in bare]), summary([n["category"] for n in scored])]
    print(f"| {kind} | {len(scored)} | " + " | ".join(cells) + " |")
PY
