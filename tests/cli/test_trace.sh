#!/bin/sh
# trace: one golden case through the command (tests/golden/test_models.c compares values of all), --only, errors.
. tests/cli/common.sh
M=tests/golden/eval/model

try 0 trace $M --ids $M/targets.json --only loss --only acc --only perplexity -o "$tmp/a.safetensors"
# The header is the file's start; three floats follow. Loss over all 172 tokens, as eval says.
tail -c 12 "$tmp/a.safetensors" | od -An -t f4 | tr -s ' ' '\n' | grep -v '^$' >"$tmp/values"
try 0 eval $M --ids $M/targets.json --json
for key in loss accuracy perplexity; do
  sed "s/.*\"$key\":\([0-9.]*\).*/\1/" "$tmp/out"
done | cat - "$tmp/values" | awk '{x[NR] = $1} END {
  for (i = 1; i <= 3; i++) {
    ok = 0
    for (j = 4; j <= 6; j++) if (x[i] > 0 && (x[i] - x[j]) ^ 2 < 1e-10) ok = 1
    if (!ok) exit 1
  }
  exit NR != 6
}' || bad "trace and eval disagree: $(tr '\n' ' ' <"$tmp/values")"

try 0 trace $M --ids $M/targets.json --grad -o "$tmp/b.safetensors"
for name in logits loss layers.2.resid_post layers.0.router.scores layers.0.router.indices grad.model.norm.weight; do
  grep -qaF "\"$name\"" "$tmp/b.safetensors" || bad "$name is missing"
done

# Layers that differ: each leaves its own sites, what it lacks leaves none, and tied tensors have one gradient.
mixed "$tmp/mixed"
echo '[[5, 9, 17, 33, 12, 1], [7, 6, 8, 80, 3, 1]]' >"$tmp/ids.json"
try 0 trace "$tmp/mixed" --ids "$tmp/ids.json" --grad -o "$tmp/m.safetensors"
for name in layers.1.router.scores layers.2.router.indices layers.3.gate.logits layers.4.resid_post layers.5.resid_mid \
  grad.model.layers.0.self_attn.o_proj.weight; do
  grep -qaF "\"$name\"" "$tmp/m.safetensors" || bad "$name is missing"
done
for name in layers.3.resid_mid layers.3.router.scores layers.4.router.scores layers.5.router.scores grad.model.layers.2.self_attn.o_proj.weight; do
  grep -qaF "\"$name\"" "$tmp/m.safetensors" && bad "$name is there"
done
try 0 trace "$tmp/mixed" --ids "$tmp/ids.json" --only loss -o "$tmp/l.safetensors"
tail -c 4 "$tmp/l.safetensors" | od -An -t f4 >"$tmp/loss"
try 0 eval "$tmp/mixed" --ids "$tmp/ids.json" --json
sed 's/.*"loss":\([0-9.]*\).*/\1/' "$tmp/out" | awk -v want="$(cat "$tmp/loss")" '{ exit ($1 - want) ^ 2 > 1e-10 }' || bad "trace and eval disagree on mixed layers"
try 2 trace "$tmp/mixed" --ids "$tmp/ids.json" --only 'layers.4.mlp.*' -o "$tmp/c.safetensors"
has err "matches no output"

try 2 trace $M --ids $M/targets.json --only 'layers.9.*' -o "$tmp/c.safetensors"
has err "matches no output"
[ ! -e "$tmp/c.safetensors" ] || bad "a file was left"
try 1 trace "$tmp" --ids $M/targets.json -o "$tmp/c.safetensors"
has err "neither a model directory"
try 2 trace $M -o "$tmp/c.safetensors"
finish
