#!/bin/sh
# quantize: every command reads a model in fewer bytes and says what it says of the float32 model that the bytes stand for; choice of
# tensors, info, bad input.
. tests/cli/common.sh
W="$tmp/worlds"
"$SGATLIN" -q data worlds --stories 300 --seed 1 -o "$W"
"$SGATLIN" -q train --data "$W" -o "$tmp/run" --steps 20 --set model.hidden_size=32 --set model.num_hidden_layers=2 --set model.head_dim=16 \
  --set train.seq_len=48 --set train.batch_size=8 --set tokenizer.vocab_size=600 --set feedforward.num_neurons=64 \
  --set feedforward.num_channels=2 --set feedforward.key_dim=16 --set feedforward.top_k=4
cp "$W/valid.txt" "$tmp/text.txt"
echo '[[5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 1], [8, 9, 40, 41, 42, 43, 44, 45, 46, 47, 1, 0]]' >"$tmp/ids.json"
# A number of JSON on stdout.
number() { sed "s/.*\"$1\":\([0-9.e+-]*\).*/\1/" "$tmp/out"; }
like() { grep -q -e "$2" "$tmp/$1" || bad "std$1 does not match: $2"; }
near() { # WHAT A B BOUND
  awk -v a="$2" -v b="$3" -v bound="$4" 'BEGIN { d = a - b; exit !(d <= bound && -d <= bound) }' || bad "$1: $2 and $3"
}

for type in bf16 f16 int8 int4; do
  try 0 quantize "$tmp/run" --to $type -o "$tmp/$type" --json
  has out "\"type\":\"$type\""
  [ "$(number bytes)" -lt "$(number bytes_before)" ] || bad "$type has not fewer bytes"
  try 0 quantize "$tmp/$type" --to float32 -o "$tmp/$type.plain"
  # One text: stored and plain, which differ in the order of float32 sums.
  try 0 eval "$tmp/$type" --data "$tmp/text.txt" --max-rows 8 --json
  loss=$(number loss)
  try 0 eval "$tmp/$type.plain" --data "$tmp/text.txt" --max-rows 8 --json
  near "loss of $type" "$loss" "$(number loss)" 2e-5
  # Attribution sums to the logit, through stored pools, router, attention and embedding: a residue is an error.
  for prompt in Once "Noah's favourite food was his"; do
    try 0 attribute "$tmp/$type" --prompt "$prompt" --verify 2 --json
  done
  for c in "info" "info --tensors" "info --json" "generate --prompt Once -n 12 --greedy" "graph --prompt Once -o $tmp/g.json" "margins --prompt Once --json" \
    "neuron --layer 1 --channel 0 --index 3" "ablate --prompt Once --layer 1 --channel 0 --neuron 3" "verify" \
    "bench -n 1 -b 1 -s 8"; do # which trains, on float32 masters
    set -- $c
    name=$1
    shift
    try 0 $name "$tmp/$type" "$@"
  done
  try 0 verify "$tmp/$type"
  try 0 record "$tmp/$type" --data "$tmp/text.txt" -n 5 -o "$tmp/rec.$type"
  try 0 neighbors "$tmp/rec.$type" --find " the"
  try 0 cka "$tmp/$type" "$tmp/rec.$type" --top 20
  # The numbers are the model: a recording of one belongs to the other.
  try 0 cka "$tmp/$type.plain" "$tmp/rec.$type" --top 20
  # The same words and the same bits with one thread and with two.
  for t in 1 2; do
    try 0 trace "$tmp/$type" --ids "$tmp/ids.json" --grad -t $t -o "$tmp/trace.$t"
    try 0 generate "$tmp/$type" --prompt Once -n 12 --seed 3 -t $t
    cp "$tmp/out" "$tmp/words.$t"
  done
  cmp "$tmp/trace.1" "$tmp/trace.2" || bad "$type: other bits with two threads"
  cmp "$tmp/words.1" "$tmp/words.2" || bad "$type: other words with two threads"
  # Every instruction set reads it.
  for isa in generic avx2; do
    SGATLIN_ISA=$isa try 0 eval "$tmp/$type" --data "$tmp/text.txt" --max-rows 8 --json
    near "loss of $type, $isa" "$loss" "$(number loss)" 2e-5
    SGATLIN_ISA=$isa try 0 generate "$tmp/$type" --prompt Once -n 12 --greedy
  done
done

# Which tensors, groups, clipping.
try 0 quantize "$tmp/run" --to int4 --only 'model.layers.*.mlp.experts.*' --group-size 8 --clip mse -o "$tmp/pools" --json
has out '"tensors":4,"tensors_possible":17'
try 0 info "$tmp/pools" --tensors
like out 'experts.w_in *\[2, 64, 32\] *4096 *int4 *4096 '
like out 'embed_tokens.weight *\[600, 32\] *19200 *float32 *76800 '
try 0 eval "$tmp/pools" --data "$tmp/text.txt" --max-rows 2
try 0 quantize "$tmp/pools" --to int8 --only 'model.embed*,*router*' -o "$tmp/mixed"
try 0 info "$tmp/mixed"
like out 'weights, int8 .* 5 tensors'
like out 'weights, int4 .* 4 tensors'
try 0 generate "$tmp/mixed" --prompt Once -n 5

# Distilled: masters that learned through int4, which then says more of what the model says.
try 0 quantize "$tmp/run" --to int4 --distill --data "$W" --steps 30 -b 4 -s 48 --learning-rate 1e-3 -o "$tmp/learned" --json
like out '"distill":{"steps":30,"tokens":5760,"tensors":17,"flops":[0-9.e+]*,"seconds":[0-9.e-]*,"loss_first":[0-9.]*,"loss_last":[0-9.]*}'
awk -v a="$(number loss_first)" -v b="$(number loss_last | tr -d '}')" 'BEGIN { exit !(b < a) }' || bad "distilling teaches nothing"
like out '"type":"int4","tensors":17'
try 0 verify "$tmp/learned"
try 0 quantize "$tmp/run" --to int4 --only '*.experts.*' --distill --data "$tmp/text.txt" --steps 2 -b 1 -s 16 -o "$tmp/learned2"
has err "distilled over"
for t in model.embed_tokens.weight model.layers.0.self_attn.q_proj.weight; do # which are the model's own
  try 0 info "$tmp/learned2" --tensors
  like out "$t .*float32"
done
try 2 quantize "$tmp/run" --to int4 --distill -o "$tmp/x"; has err "belong together"
try 2 quantize "$tmp/run" --to int4 --data "$W" -o "$tmp/x"; has err "belong together"
try 2 quantize "$tmp/run" --to int4 --distill --data "$W" --clip mse -o "$tmp/x"; has err "no clip mse"
try 2 quantize "$tmp/run" --to int4 --distill --data "$W" --alpha 2 -o "$tmp/x"; has err "alpha 2"
try 2 quantize "$tmp/run" --to int4 --distill --data "$W" -s 4096 -o "$tmp/x"; has err "at most 48"
try 1 quantize "$tmp/run" --to int4 --distill --data "$tmp/none" -o "$tmp/x"

# Errors.
try 2 quantize "$tmp/run" -o "$tmp/x"; has err "to"
try 2 quantize "$tmp/run" --to int3 -o "$tmp/x"
try 2 quantize "$tmp/run" --to int8 --only 'nothing*' -o "$tmp/x"; has err "info --tensors"
try 2 quantize "$tmp/run" --to int4 --group-size 7 -o "$tmp/x"; has err "even"
try 2 quantize "$tmp/run" --to bf16 --group-size 8 -o "$tmp/x"; has err "scales"
try 2 quantize "$tmp/run" --to int8 --clip mse -o "$tmp/x"; has err "int4"
try 2 quantize "$tmp/int8" --to int4 -o "$tmp/int8"; has err "is the model itself"
[ -e "$tmp/x" ] && bad "something was written"
finish
