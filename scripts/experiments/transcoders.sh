#!/bin/sh
# transcoders.sh SGATLIN OUT: the table that transcoders were first shown with, made small: a model of 4 layers with relu and no norm on
# stories, transcoders at three penalties and three seeds, loss recovered by layer, match with the original neurons; beside them top-k
# transcoders, and some whose encoder is random. One thread, some minutes. Settings are variables:
#
#   STEPS (500) of the model, TSTEPS (600) of the transcoders, D (64), F (256), M (1024), LAMBDAS ("0.0005 0.002 0.008"), SEEDS ("1 2 3")
#   STEPS=20000 D=256 F=1024 M=8192 TSTEPS=20000 sh scripts/experiments/transcoders.sh build/sgatlin OUT
set -eu
sg=$1 out=$2
steps=${STEPS:-500} tsteps=${TSTEPS:-600} D=${D:-64} F=${F:-256} M=${M:-1024}
lambdas=${LAMBDAS:-0.0005 0.002 0.008} seeds=${SEEDS:-1 2 3}
mkdir -p "$out"
[ -d "$out/stories" ] || "$sg" -q data worlds --stories 8000 --seed 0 -o "$out/stories"
[ -d "$out/model" ] || "$sg" -q -t 1 train --data "$out/stories" -o "$out/model" --kind mlp --steps "$steps" --preset tinystories --set model.norm=none \
  --set feedforward.activation=relu --set model.hidden_size="$D" --set model.head_dim=16 --set model.num_hidden_layers=4 \
  --set feedforward.num_neurons="$F" --set tokenizer.vocab_size=1024 --set train.seq_len=64 --set train.batch_size=16 --set data.rows=pack \
  --set eval.every=0 --set schedule.warmup_steps=50 --set optimizer.learning_rate=3e-3
train() { # NAME OPTION...
  name=$1
  shift
  [ -f "$out/$name/sparse.json" ] || "$sg" -q -t 1 sparse train "$out/model" --data "$out/stories" --features "$M" -b 1024 --buffer 16 --steps "$tsteps" \
    "$@" -o "$out/$name" >"$out/$name.txt"
}
sets=
for seed in $seeds; do
  for l in $lambdas; do
    train "l1-$l-$seed" --l1 "$l" --seed "$seed"
    sets="$sets $out/l1-$l-$seed"
  done
done
for k in 8 32; do
  train "topk-$k-1" --top-k $k --seed 1
  sets="$sets $out/topk-$k-1"
done
for l in $lambdas; do
  train "random-$l-1" --l1 "$l" --seed 1 --frozen-encoder
  sets="$sets $out/random-$l-1"
done
# shellcheck disable=SC2086
"$sg" -q -t 1 sparse eval "$out/model" $sets --data "$out/stories" --max-rows "${ROWS:-48}" --svg "$out/pareto.svg" >"$out/eval.txt"
# shellcheck disable=SC2086
"$sg" -q -t 1 sparse eval "$out/model" $sets --data "$out/stories" --max-rows "${ROWS:-48}" --json >"$out/eval.json"
for l in $lambdas; do
  "$sg" -q -t 1 sparse match "$out/model" "$out/l1-$l-1" --data "$out/stories" --max-rows "${ROWS:-48}" >"$out/match-$l.txt"
done
cat "$out/eval.txt"
