#!/bin/sh
# benchmark-reading: small models of two kinds and two seeds, from the corpus to the table.
. tests/cli/common.sh
export OMP_NUM_THREADS=1

try 0 data worlds --stories 400 --seed 5 -o "$tmp/worlds" -q
try 0 tokenizer train -n 1024 "$tmp/worlds/train.txt" -o "$tmp/tokenizer.json" -q
small="--steps 30 --set model.hidden_size=32 --set model.num_hidden_layers=2 --set model.head_dim=16 --set train.seq_len=64
 --set train.batch_size=4 --set optimizer.learning_rate=1e-2 --set schedule.warmup_steps=2 --set eval.every=0 --set eval.batches=1"
for seed in 0 1; do
  # shellcheck disable=SC2086
  try 0 train -q --data "$tmp/worlds" --tokenizer "$tmp/tokenizer.json" -o "$tmp/sgatlin-$seed" --seed $seed $small --kind sgatlin \
    --set feedforward.num_neurons=64 --set feedforward.num_channels=2 --set feedforward.top_k=4 --set feedforward.key_dim=8
  # shellcheck disable=SC2086
  try 0 train -q --data "$tmp/worlds" --tokenizer "$tmp/tokenizer.json" -o "$tmp/mlp-$seed" --seed $seed $small --kind mlp \
    --set feedforward.num_neurons=32
done

few="--stories 20 --positions 200 --facts 5 --neurons 20 --sets 2"
# shellcheck disable=SC2086
try 0 benchmark-reading --worlds "$tmp/worlds" $few "$tmp/sgatlin-0" "$tmp/sgatlin-1" "$tmp/mlp-0" "$tmp/mlp-1"
has out "sgatlin identity"
has out "facts known"
has out "category purity, gates"
has out "faithfulness (rank correlation)"
has out "sgatlin identity reads (Welch's t test, 5 %, one measure at a time):"
# shellcheck disable=SC2086
try 0 benchmark-reading --worlds "$tmp/worlds" $few --json "$tmp/mlp-0" "$tmp/sgatlin-0" "$tmp/mlp-1"
has out '"group":"mlp"'
has out '"first_group_reads"'
has out '"faithful_held"'
has out '"keep_mean"'; has out '"exact_rank"'
has out '"known"'
cp "$tmp/out" "$tmp/first"
# shellcheck disable=SC2086
try 0 benchmark-reading --worlds "$tmp/worlds" $few --json "$tmp/mlp-0" "$tmp/sgatlin-0" "$tmp/mlp-1"
same "$tmp/first" "$tmp/out"

try 2 benchmark-reading --worlds "$tmp/worlds"
try 2 benchmark-reading "$tmp/mlp-0"
has err "--worlds"
try 1 benchmark-reading --worlds "$tmp/nothing" "$tmp/mlp-0"
has err "labels.json"
try 1 benchmark-reading --worlds "$tmp/worlds" tests/golden/models/mlp
has err "tokenizer.json"
finish
