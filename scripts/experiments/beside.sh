#!/bin/sh
# beside.sh SGATLIN DIR: a sgatlin model and an mlp of about equal loss on the built-in corpus, transcoders of the mlp, and the two held
# beside each other (docs/comparison-beside.md). Everything lies in DIR; what is whole is kept, so run again it goes on. STEPS (1000): of sgatlin.
set -eu
sgatlin=$1 dir=$2 steps=${STEPS:-1000}
mkdir -p "$dir"
[ -f "$dir/worlds/facts.json" ] || "$sgatlin" -q data worlds --stories 6000 --seed 1 -o "$dir/worlds"
[ -f "$dir/tokenizer.json" ] || "$sgatlin" -q tokenizer train --vocab-size 2048 "$dir/worlds/train.txt" -o "$dir/tokenizer.json"
common="--set model.hidden_size=64 --set model.num_hidden_layers=3 --set model.head_dim=32 --set train.seq_len=128 --set train.batch_size=8
 --set data.rows=pack --set optimizer.learning_rate=3e-3 --set eval.every=100 --set eval.batches=16 --set checkpoint.every=0"
train() { # NAME STEPS SETTINGS...
  name=$1 n=$2
  shift 2
  [ -f "$dir/$name/done" ] && return
  rm -rf "${dir:?}/$name"
  # shellcheck disable=SC2086
  "$sgatlin" -q train -t 1 --data "$dir/worlds" --tokenizer "$dir/tokenizer.json" -o "$dir/$name" --seed 0 --steps "$n" $common "$@" && touch "$dir/$name/done"
}
train sgatlin "$steps" --kind sgatlin --set feedforward.num_neurons=256 --set feedforward.num_channels=4 --set feedforward.top_k=8 \
  --set feedforward.key_dim=32
# A few steps less, so that the two are held beside each other at about equal loss.
train mlp $((steps * 24 / 25)) --kind mlp --set feedforward.num_neurons=256
for k in 8 32; do
  [ -d "$dir/tc-$k" ] || "$sgatlin" -q sparse train -t 1 "$dir/mlp" --data "$dir/worlds" --top-k $k --features 1024 -b 1024 --buffer 32 \
    --steps 600 -o "$dir/tc-$k" >/dev/null
done
valid=$dir/worlds/valid.txt
for run in sgatlin mlp; do "$sgatlin" -q eval -t 1 "$dir/$run" --data "$valid" --json >"$dir/$run.json"; done
"$sgatlin" sparse eval -t 1 "$dir/mlp" "$dir/tc-8" "$dir/tc-32" --data "$valid" --max-rows 64 --no-baselines >"$dir/transcoders.txt"
cat "$dir/transcoders.txt"
for k in 8 32; do
  "$sgatlin" -q circuit score -t 1 "$dir/mlp" "$dir/tc-$k" --data "$valid" --prompts 24 --tokens 24 --removals 4 --rival "$dir/sgatlin" >"$dir/score-$k.txt"
  cat "$dir/score-$k.txt"
done
