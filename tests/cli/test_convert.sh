#!/bin/sh
# convert and distill: a composed model as one of chosen neurons, what is kept, and what is learned back.
. tests/cli/common.sh
not() { grep -qF -e "$2" "$tmp/$1" && bad "std$1 holds: $2"; }
"$SGATLIN" data worlds --stories 120 --seed 3 -o "$tmp/worlds" -q >/dev/null 2>&1 || bad "worlds"
small="--set model.hidden_size=32 --set model.num_hidden_layers=3 --set model.head_dim=16 --set train.seq_len=32
  --set train.batch_size=8 --set tokenizer.vocab_size=300"
monet="--set feedforward.num_experts=8 --set feedforward.expert_dim=3 --set feedforward.num_channels=2 --set feedforward.top_k=3
  --set feedforward.router_group=2"
# shellcheck disable=SC2086
try 0 train --data "$tmp/worlds" --kind monet $small $monet --set optimizer.learning_rate=0.01 --set schedule.warmup_steps=10 --steps 200 -o "$tmp/run" -q

# --- convert ------------------------------------------------------------------------------------
try 0 convert "$tmp/run" --to peer --pairs 3 -o "$tmp/peer"
has out "neurons"; has out "parameters"
cp "$tmp/peer/config.json" "$tmp/out"
has out '"kind": "peer"'; has out '"bias": true'; has out '"router_group": 2'; has out '"num_neurons": 256'; has out '"top_k": 12'
try 0 convert "$tmp/run" --to peer --pairs 3 --ungroup --key-dim 32 --data "$tmp/worlds" --rows 20 -o "$tmp/own" --json
has out '"ungroup":true'; has out '"key_dim":32'; has out '"kept_mass":0.'; has out '"loss_before":'; has out '"recovered":'
not out '"kept_mass":null'
cp "$tmp/out" "$tmp/own.json"
try 0 convert "$tmp/run" --to peer --pairs 1 --data "$tmp/worlds" --rows 20 -o "$tmp/peer" --json
number() { sed -n "s/.*\"$1\":\([-0-9.e]*\).*/\1/p" "$2"; }
less() { awk -v a="$1" -v b="$2" 'BEGIN { exit !(a + 0 < b + 0) }' || bad "$3: $1 is not below $2"; }
less "$(number loss_before "$tmp/out")" "$(number loss "$tmp/out")" "what pairs left out"
# The converted model reads, writes and is read like every other; the sum of an attribution stays exact.
try 0 generate "$tmp/peer" -p "The" -n 5 --greedy
try 0 attribute "$tmp/peer" --prompt "The dog" --json
less "$(number residue "$tmp/out")" 1e-4 "residue"
try 0 record "$tmp/peer" --data "$tmp/worlds/valid.txt" -o "$tmp/rec" -q
try 0 usage "$tmp/rec" --json
try 0 verify "$tmp/peer"
try 2 convert "$tmp/run" --to sgatlin --pairs 2 -o "$tmp/linear"
has err "--data"
[ -e "$tmp/linear" ] && bad "a refused conversion left a directory"
try 0 convert "$tmp/run" --to sgatlin --pairs 2 --data "$tmp/worlds" --rows 20 -o "$tmp/linear" --json
has out '"scale":'; not out '"scale":1.0'
try 0 info "$tmp/linear" --json
has out '"feedforward":"sgatlin"'
try 2 convert "$tmp/run" --to peer --pairs 4 -o "$tmp/none"
has err "4 pairs"; has err "1 to 3"
try 2 convert "$tmp/run" --to peer --pairs 2 --key-dim 33 -o "$tmp/none"
has err "33"
try 2 convert "$tmp/peer" --to peer -o "$tmp/none"
has err "monet"
try 2 convert tests/golden/eval/model --to peer -o "$tmp/none"
has err "monet"
[ -e "$tmp/none" ] && bad "a refused conversion left a directory"
# The same bits for any number of threads.
try 0 convert "$tmp/run" --to peer --pairs 3 -o "$tmp/one" -t 1
try 0 convert "$tmp/run" --to peer --pairs 3 -o "$tmp/two" -t 2
cmp "$tmp/one/model.safetensors" "$tmp/two/model.safetensors" || bad "bits depend on threads"

# --- distill ------------------------------------------------------------------------------------
D="distill --teacher $tmp/run --student $tmp/peer --data $tmp/worlds --rows 20 -b 4"
# shellcheck disable=SC2086
try 0 $D --layer-steps 30 --steps 30 --points 2 --svg "$tmp/d.svg" -o "$tmp/learned" --json
has out '"part":"layers"'; has out '"part":"whole"'; has out '"stopped":false'; has out '"share":0.'
[ "$(grep -o '"recovered":' "$tmp/out" | wc -l)" = 4 ] || bad "the curve has $(grep -o '"recovered":' "$tmp/out" | wc -l) points"
grep -q "<svg" "$tmp/d.svg" || bad "no figure"
python3 - "$tmp/out" <<'P' || bad "learning does not help"
import json, sys
d = json.load(open(sys.argv[1]))
c = d["curve"]
assert c[-1]["loss"] < c[0]["loss"] and c[-1]["recovered"] > c[0]["recovered"], c
assert d["layers_last"] < d["layers_first"], d
assert all(a["flops"] <= b["flops"] for a, b in zip(c, c[1:])) and c[-1]["flops"] == d["flops"]
assert abs(c[-1]["share"] - d["flops"] / d["teacher_flops"]) < 1e-6
P
[ -s "$tmp/learned/distill.json" ] || bad "distill.json is empty"
try 0 eval "$tmp/learned" --data "$tmp/worlds/valid.txt" --json
# shellcheck disable=SC2086
for t in 1 2; do try 0 $D --layer-steps 3 --steps 3 -t $t -o "$tmp/bits$t" -q; done
cmp "$tmp/bits1/model.safetensors" "$tmp/bits2/model.safetensors" || bad "bits depend on threads"
# By cost: a share of what training took, counted in FLOPs.
# shellcheck disable=SC2086
try 0 $D --flops-share 0.3 --layers-share 0.5 -o "$tmp/share" --json
awk -v s="$(sed -n 's/.*"share":\([0-9.e-]*\),"seconds".*/\1/p' "$tmp/out" | head -n 1)" 'BEGIN { exit !(s <= 0.3) }' || bad "share"
# shellcheck disable=SC2086
try 2 $D --flops-share 0.3 --steps 3 -o "$tmp/none"
try 2 $D --layers-share 0.5 -o "$tmp/none"; has err "part of --flops-share"
# shellcheck disable=SC2086
try 2 $D --flops-share 1e-9 -o "$tmp/none"
has err "no step"
try 2 distill --teacher "$tmp/own" --student "$tmp/peer" --data "$tmp/worlds" --flops-share 0.1 -o "$tmp/none"
has err "teacher-flops"
try 2 distill --teacher tests/golden/eval/model --student "$tmp/peer" --data "$tmp/worlds" -o "$tmp/none"
has err "alike"
# shellcheck disable=SC2086
try 2 $D --seq-len 1000 -o "$tmp/none"
has err "but the model was made for"
[ -e "$tmp/none" ] && bad "a refused distillation left a directory"
# What is stored in fewer bytes is so again, from float32 masters.
try 0 quantize "$tmp/run" --to int4 -o "$tmp/int4" -q
try 0 distill --teacher "$tmp/run" --student "$tmp/int4" --data "$tmp/worlds" --rows 20 -b 4 --layer-steps 0 --steps 20 -o "$tmp/better" --json
has out '"recovered"'
try 0 info "$tmp/better" --json
has out '"int4"'
# Stopped, it leaves what it has learned.
"$SGATLIN" $D --layer-steps 100000 --steps 1 -o "$tmp/stopped" >"$tmp/out" 2>"$tmp/err" &
pid=$!
sleep 2
kill -TERM $pid
wait $pid
[ $? = 143 ] || bad "stopped with another code"
try 0 info "$tmp/stopped"
grep -q '"stopped": true' "$tmp/stopped/distill.json" || bad "distill.json does not say that it was stopped"
finish
