#!/bin/sh
# train.pool_precision=int4: a run whose pools are int4 from the first step on; its directory is a model to every command; it stops, goes
# on and starts from other models; what it takes is told before; what it cannot be is refused by name.
. tests/cli/common.sh
W="$tmp/worlds"
"$SGATLIN" -q data worlds --stories 300 --seed 1 -o "$W"
sizes="--set model.hidden_size=32 --set model.num_hidden_layers=2 --set model.head_dim=16 --set train.seq_len=48 --set train.batch_size=8
  --set tokenizer.vocab_size=600 --set feedforward.num_neurons=64 --set feedforward.num_channels=2 --set feedforward.key_dim=16
  --set feedforward.top_k=4"
cp "$W/valid.txt" "$tmp/text.txt"
like() { grep -q -e "$2" "$tmp/$1" || bad "std$1 does not match: $2"; }
number() { sed "s/.*\"$1\":\([0-9.e+-]*\).*/\1/" "$tmp/out"; }

for kind in sgatlin peer; do
  run="$tmp/$kind"
  # shellcheck disable=SC2086
  try 0 train --data "$W" -o "$run" --kind $kind --steps 24 $sizes --set train.pool_precision=int4 --set checkpoint.every=12 --json
  like out '"loss_with_buffer":[0-9]'
  like err 'pools: int4'
  for key in grad/pools_norm int4/weight_steps int4/saturated int4/share_at_7 int4/loss_with_buffer; do
    grep -q "\"$key\":[0-9]" "$run/metrics.jsonl" || bad "metrics.jsonl has no $key"
  done
  try 0 info "$run" --tensors
  like out 'experts.w_in.*int4'
  like out 'embed_tokens.*float32'
  for c in "generate --prompt Once -n 8 --greedy" "attribute --prompt Once --verify 2" "graph --prompt Once -o $tmp/g.json" "verify" \
    "eval --data $tmp/text.txt --max-rows 8" "neuron --layer 1 --channel 0 --index 3" "quantize --to float32 -o $tmp/$kind.float"; do
    set -- $c
    name=$1
    shift
    try 0 $name "$run" "$@"
  done
done

# What is kept of pools is looked at: a mean square below 0 is told by name.
cp -r "$tmp/peer" "$tmp/hurt"
python3 - "$(ls "$tmp"/hurt/checkpoints/step-00000024/optimizer.safetensors)" <<'PY'
import json, struct, sys
path = sys.argv[1]
data = bytearray(open(path, "rb").read())
n = struct.unpack("<Q", data[:8])[0]
header = json.loads(data[8 : 8 + n])
at = 8 + n + header["vs.model.layers.0.mlp.experts.w_out"]["data_offsets"][0]
data[at : at + 4] = struct.pack("<f", -1)
open(path, "wb").write(data)
PY
rm "$tmp/hurt/checkpoints/step-00000024/MANIFEST.json" # or that alone would be told
try 3 verify "$tmp/hurt/checkpoints/step-00000024"
like out 'vs.model.layers.0.mlp.experts.w_out'

# More steps than were planned, from the checkpoint; the same bytes as a run that was planned so (a constant rate).
steady="--set train.pool_precision=int4 --set schedule.kind=constant --set schedule.warmup_steps=0 --set eval.every=0"
# shellcheck disable=SC2086
try 0 train --data "$W" -o "$tmp/a" --steps 4 $sizes $steady --set train.grad_accumulation=2
try 0 train --resume -o "$tmp/a" --steps 8
# shellcheck disable=SC2086
try 0 train --data "$W" -o "$tmp/b" --steps 8 $sizes $steady --set train.grad_accumulation=2
for f in model optimizer; do
  cmp "$tmp/a/checkpoints/step-00000008/$f.safetensors" "$tmp/b/checkpoints/step-00000008/$f.safetensors" || bad "$f differs after a longer run"
done

# From float32 weights, and from int4 ones as they are: a first step at rate 0 leaves the levels.
# shellcheck disable=SC2086
try 0 train --data "$W" -o "$tmp/from" --steps 1 $sizes --set train.pool_precision=int4 --set train.from="$tmp/sgatlin" --set eval.every=0
try 0 quantize "$tmp/from" --to float32 -o "$tmp/from.float"
cmp "$tmp/from.float/model.safetensors" "$tmp/sgatlin.float/model.safetensors" || bad "a start from int4 weights changes them"
# shellcheck disable=SC2086
try 0 train --data "$W" -o "$tmp/again" --steps 2 $sizes --set train.pool_precision=int4 --set train.from="$tmp/sgatlin.float"
# and float32 training from int4 weights
# shellcheck disable=SC2086
try 0 train --data "$W" -o "$tmp/masters" --steps 2 $sizes --set train.from="$tmp/sgatlin"

# What it takes is told: a byte a weight and 20 a row, and no gradient.
large="--set model.hidden_size=64 --set feedforward.num_neurons=2500 --set feedforward.num_channels=8"
# shellcheck disable=SC2086
try 0 train --data "$W" --dry-run $sizes $large --set train.pool_precision=int4 --json
[ "$(number pool_weights)" = 5120000 ] || bad "pool_weights is $(number pool_weights)"
[ "$(number pool_bytes)" -lt 7000000 ] || bad "5.12 million weights take $(number pool_bytes) bytes"
four=$(number memory_bytes)
# shellcheck disable=SC2086
try 0 train --data "$W" --dry-run $sizes $large --json
[ "$(($(number memory_bytes) - four))" -gt 70000000 ] || bad "int4 saves less than 70 MB of $(number memory_bytes)"

# shellcheck disable=SC2086
try 2 train --data "$W" -o "$tmp/no" --kind mlp --set train.pool_precision=int4
like err 'no layer of the model has pools'
try 2 train --data "$W" -o "$tmp/no" --set train.pool_precision=int8
like err 'choose float32 or int4'
try 2 train --data "$W" -o "$tmp/no" --set int4.lr_scale=1
like err 'train.pool_precision=int4'
try 2 train --data "$W" -o "$tmp/no" --set train.pool_precision=int4 --set int4.substeps=9
like err 'int4.substeps'
try 0 bench -n 1 -b 1 -s 16 --set train.pool_precision=int4 --json
[ ! -e "$tmp/no" ] || bad "something was written"
finish
