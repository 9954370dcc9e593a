#!/bin/sh
# prune: a pruned directory is a model that every command reads; stops, methods, bad input.
. tests/cli/common.sh
W="$tmp/worlds"
"$SGATLIN" -q data worlds --stories 300 --seed 1 -o "$W"
"$SGATLIN" -q train --data "$W" -o "$tmp/run" --steps 20 --set model.hidden_size=32 --set model.num_hidden_layers=3 --set model.head_dim=16 \
  --set train.seq_len=48 --set train.batch_size=8 --set tokenizer.vocab_size=600 --set feedforward.num_neurons=64 \
  --set feedforward.num_channels=2 --set feedforward.key_dim=16 --set feedforward.top_k=4
P="--calibrate $W/train.txt --data $W/valid.txt --rows 6"

try 0 prune "$tmp/run" $P --remove 2 -o "$tmp/small" --json
cp "$tmp/out" "$tmp/prune.json"
has out '"method":"sprint"'; has out '"speedup_measured":'; has out '"tuned_scores":'
[ "$(grep -o '"sublayer":' "$tmp/out" | wc -l)" = 2 ] || bad "two rounds"
grep -q '"pruned_sublayers"' "$tmp/small/config.json" || bad "config.json does not say what is out"
# The loss that the last round tells is that of the written directory, over the same rows.
loss=$(sed 's/.*"validation_loss":\([0-9.e-]*\),"seconds":[^}]*}\]}.*/\1/' "$tmp/prune.json")
try 0 eval "$tmp/small" --data "$W/valid.txt" --seq-len 48 --max-rows 6 --rows pad --json
sed 's/.*"loss":\([0-9.e-]*\).*/\1/' "$tmp/out" | awk -v want="$loss" '{ d = $1 - want; exit !(d * d < 1e-8) }' || bad "eval of the directory: $(cat "$tmp/out"), expected $loss"

# Commands that read a model read it.
for c in "info" "generate --prompt Once -n 3 --greedy" "attribute --prompt Once" "graph --prompt Once -o $tmp/g.json" "margins --prompt Once --json" \
  "verify"; do
  set -- $c
  name=$1
  shift
  try 0 $name "$tmp/small" "$@"
done
try 0 record "$tmp/small" --data "$W/valid.txt" -n 5 -o "$tmp/rec"
try 0 neighbors "$tmp/rec" --find " the"

# Methods, sprint without its parts, a model beside them, and a figure.
try 0 prune "$tmp/run" $P --remove 2 --compare --rival "$tmp/small" --svg "$tmp/f.svg"
for m in sprint oneshot "sprint, no latency" "sprint, tune any" "sprint, last" untuned loss loss-once depth "random, seed 4" "rival 1"; do has out "$m"; done
grep -q '<polyline' "$tmp/f.svg" || bad "no curve in the figure"
try 0 prune "$tmp/run" $P --remove 1 --method depth --json
has out '"sublayer":5'

# A rival that is the pruned model itself has its loss; and every point of one-shot is tuned.
try 0 -t 1 prune "$tmp/run" $P --remove 2 --compare --cpu-time --rival "$tmp/small" --json
sed 's/.*"rivals":\[//; s/.*"loss":\([0-9.e-]*\).*/\1/' "$tmp/out" | awk -v want="$loss" '{ d = $1 - want; exit !(d * d < 1e-8) }' ||
  bad "the rival's loss: expected $loss"
sed 's/.*"method":"oneshot"//; s/"method":.*//' "$tmp/out" | grep -o '"tuned":[0-9n]*' | grep -q null && bad "a point of one-shot is not tuned"
# The last sublayer has nothing behind it that could make up: it may go all the same.
try 0 prune "$tmp/run" $P --remove 5 --last --json; [ "$(grep -o '"sublayer":' "$tmp/out" | wc -l)" = 5 ] || bad "five rounds"

# Where layers share a router, the one that has it stays.
try 0 train --data "$W" -o "$tmp/group" --kind monet -q --steps 2 --tokenizer "$tmp/run/tokenizer.json" --set model.hidden_size=32 --set model.head_dim=16 \
  --set model.num_hidden_layers=2 --set feedforward.num_channels=2 --set feedforward.num_experts=4 --set feedforward.expert_dim=4 --set feedforward.top_k=2 \
  --set feedforward.router_group=2 --set train.seq_len=32 --set train.batch_size=2
try 0 prune "$tmp/group" $P --remove 3 --method depth
has err "feedforward of layer 0 stays"
grep -q "without feedforward of layer 0" "$tmp/err" && bad "layer 0's router is gone, and layer 1 uses it"

# What is pruned can be pruned again: by one more of the four that are left, each way.
for m in sprint oneshot untuned loss depth random; do
  rm -rf "$tmp/smaller"
  try 0 prune "$tmp/small" $P --remove 1 --no-latency --method $m -o "$tmp/smaller" --json
  loss=$(sed 's/.*"validation_loss":\([0-9.e-]*\),"seconds":[^}]*}\]}.*/\1/' "$tmp/out")
  tr -d ' \n' <"$tmp/smaller/config.json" | grep -q '"pruned_sublayers":\[[0-9],[0-9],[0-9]\]' || bad "$m: config.json: $(cat "$tmp/smaller/config.json")"
  try 0 eval "$tmp/smaller" --data "$W/valid.txt" --seq-len 48 --max-rows 6 --rows pad --json
  sed 's/.*"loss":\([0-9.e-]*\).*/\1/' "$tmp/out" | awk -v want="$loss" '{ d = $1 - want; exit !(d * d < 1e-8) }' || bad "$m, again: $(cat "$tmp/out"), expected $loss"
done
try 2 prune "$tmp/small" $P --remove 4 --no-latency; has err "the model has 4, and one must stay"

# Errors.
try 2 prune "$tmp/run" $P --remove 1 --rival "$tmp/small"; has err "--rival stands beside"
try 2 prune "$tmp/run" $P --remove 1 --compare --rival tests/golden/models/mlp; has err "reads the same tokens"
try 2 prune "$tmp/run" $P; has err "--speedup X or --remove N"
try 2 prune "$tmp/run" $P --remove 6; has err "one must stay"
try 2 prune "$tmp/run" $P --compare -o "$tmp/x"; has err "writes no model"
try 3 prune "$tmp/run" --calibrate /dev/null --data "$W/valid.txt" --remove 1
try 2 prune tests/golden/models/moe $P --remove 1; has err "tokenizer.json"
finish
