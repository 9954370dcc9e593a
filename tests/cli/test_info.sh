#!/bin/sh
# info: sizes, parameters, tensors, and exactly the sites that trace can write.
. tests/cli/common.sh
M=tests/golden/eval/model

try 0 info $M
has out "58112"; has out "feedforward          sgatlin"; has out "product_dense"
try 0 info $M --json
has out '"weight_types":"F32"'; has out '"parameters":58112'; has out '"parameters_by_part":{"embedding":4800,"attention":12384,"feedforward":40704,"norms":224}'
try 0 info $M --tensors
[ "$(wc -l <"$tmp/out")" = 39 ] || bad "not 38 tensors and a heading"
has out "model.layers.2.mlp.router.up.weight"
try 0 info $M --sites --tensors --json
has out '"tensors":['; has out '"sites":['

# Every site that is listed can be traced, and its shape is the traced one.
echo '[[5, 6, 7]]' >"$tmp/ids.json"
for model in tests/golden/models/*/; do
  try 0 info "$model" --sites
  tail -n +2 "$tmp/out" | sed 's/ .*//' >"$tmp/names"
  [ -s "$tmp/names" ] || bad "$model: no sites"
  grep -qx 'layers.0.resid_mid' "$tmp/names" || bad "$model: resid_mid is missing"
  set --
  while read -r name; do set -- "$@" --only "$name"; done <"$tmp/names"
  try 0 trace "$model" --ids "$tmp/ids.json" "$@" -o "$tmp/trace.safetensors"
  while read -r name; do
    grep -qaF "\"$name\"" "$tmp/trace.safetensors" || bad "$model: $name was not written"
  done <"$tmp/names"
done
try 1 info "$tmp"
has err "neither a model directory"
try 2 info
finish
