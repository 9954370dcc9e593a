#!/bin/sh
# benchmark-reading.sh SGATLIN DIR [SEEDS]: trains the models of docs/results-reading.md and scores how well they read.
# Five kinds of feedforward layer, the same FLOPs per token (within 4 %) and the same budget of FLOPs, SEEDS seeds each (default
# 3), on the built-in corpus worlds. Everything lies in DIR; run again, it goes on where it stopped. JOBS runs at a time, one
# thread each (default 2).
set -eu
sgatlin=$1 dir=$2 seeds=${3:-3} jobs=${JOBS:-2}
mkdir -p "$dir"
[ -f "$dir/worlds/facts.json" ] || "$sgatlin" data worlds --stories 20000 --seed 1 -o "$dir/worlds"
[ -f "$dir/tokenizer.json" ] || "$sgatlin" tokenizer train --vocab-size 2048 "$dir/worlds/train.txt" -o "$dir/tokenizer.json"

# D 64, L 3, T 128: a layer's attention costs 65.5 kFLOPs a token, its feedforward 20.3 to 21.0 kFLOPs.
common="--set model.hidden_size=64 --set model.num_hidden_layers=3 --set model.head_dim=32 --set train.seq_len=128
 --set train.batch_size=8 --set data.rows=pack --set optimizer.learning_rate=3e-3 --set eval.every=0 --set eval.batches=32
 --set checkpoint.every=0 --set log.every=100"
budget=${BUDGET:-1.6e12}
sparse="--set feedforward.num_neurons=256 --set feedforward.num_channels=4 --set feedforward.top_k=8"
settings() { # KIND
  case $1 in
  sgatlin-identity) echo "--kind sgatlin $sparse --set feedforward.key_dim=32 --set feedforward.activation=identity" ;;
  sgatlin-gelu) echo "--kind sgatlin $sparse --set feedforward.key_dim=32 --set feedforward.activation=gelu" ;;
  peer) echo "--kind peer $sparse --set feedforward.key_dim=10" ;;
  mlp) echo "--kind mlp --set feedforward.num_neurons=80" ;;
  glu) echo "--kind glu --set feedforward.num_neurons=53" ;;
  esac
}

queue=$dir/queue
: > "$queue"
seed=0
while [ "$seed" -lt "$seeds" ]; do
  for kind in sgatlin-identity mlp peer glu sgatlin-gelu; do
    run=$dir/runs/$kind-$seed
    [ -f "$run/done" ] && continue
    echo "rm -rf '$run' && '$sgatlin' -q train -t 1 --data '$dir/worlds' --tokenizer '$dir/tokenizer.json' -o '$run' --seed $seed" \
      "--set train.flops_budget=$budget $(echo $common) $(settings $kind) && touch '$run/done'" >> "$queue"
  done
  seed=$((seed + 1))
done
# The first run alone: it makes the token cache that the others share.
head -n 1 "$queue" | sh
tail -n +2 "$queue" | xargs -d '\n' -r -P "$jobs" -n 1 sh -c

models=
for kind in sgatlin-identity sgatlin-gelu peer mlp glu; do
  seed=0
  while [ "$seed" -lt "$seeds" ]; do
    models="$models $dir/runs/$kind-$seed"
    seed=$((seed + 1))
  done
done
# shellcheck disable=SC2086
OMP_NUM_THREADS=1 "$sgatlin" benchmark-reading -t 1 --worlds "$dir/worlds" $models
