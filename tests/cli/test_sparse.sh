#!/bin/sh
# sparse train, eval, match, feature: files that open again, resume after a stop, sites, baselines, figure, bad input by name.
. tests/cli/common.sh
W="$tmp/worlds"
"$SGATLIN" -q data worlds --stories 200 --seed 1 -o "$W"
small="--set model.hidden_size=32 --set model.num_hidden_layers=2 --set model.head_dim=16 --set train.seq_len=48 --set train.batch_size=8
  --set tokenizer.vocab_size=600 --set feedforward.num_neurons=64"
# shellcheck disable=SC2086
"$SGATLIN" -q train --data "$W" -o "$tmp/run" --kind mlp --steps 20 $small
# shellcheck disable=SC2086
"$SGATLIN" -q train --data "$W" -o "$tmp/other" --kind mlp --steps 5 --tokenizer "$tmp/run/tokenizer.json" $small 2>/dev/null ||
  "$SGATLIN" -q train --data "$W" -o "$tmp/other" --kind mlp --steps 5 $small
T="--data $W -b 128 --buffer 8 --features 3x"

# shellcheck disable=SC2086
{
  try 0 sparse train "$tmp/run" $T --l1 0.002 --steps 60 -o "$tmp/tc" --json
  has out '"site":"mlp"'; has out '"lambda_saelens":0.064'; has out '"features":96'; has out '"model_hash":'
  for f in sparse.json layer-0/cfg.json layer-0/sae_weights.safetensors layer-1/sae_weights.safetensors; do
    [ -f "$tmp/tc/$f" ] || bad "no $f"
  done
  [ -e "$tmp/tc/checkpoints" ] && bad "checkpoints stayed"
  grep -q '"W_enc":{"dtype":"F32","shape":\[32,96\]' "$tmp/tc/layer-1/sae_weights.safetensors" || bad "W_enc is not (D,M)"
  try 0 verify "$tmp/tc"; has out 'every file is as sparse.json says'

  # A stop, and the same bits afterwards.
  "$SGATLIN" -q sparse train "$tmp/run" $T --top-k 4 --steps 3000 -o "$tmp/whole" >"$tmp/out" || bad "sparse train"
  "$SGATLIN" -q sparse train "$tmp/run" $T --top-k 4 --steps 3000 --checkpoint-every 100 -o "$tmp/parts" >"$tmp/out" &
  pid=$!
  n=0
  while [ ! -d "$tmp/parts/checkpoints" ] && [ $n -lt 200 ]; do sleep 0.05; n=$((n + 1)); done
  kill -TERM $pid
  wait $pid
  code=$?
  [ $code = 143 ] || [ $code = 0 ] || bad "stopped with $code"
  if [ $code = 143 ]; then
    try 1 sparse eval "$tmp/run" "$tmp/parts" --data "$W"; has err "did not end"
    try 2 sparse train "$tmp/run" $T --top-k 5 --steps 3000 -o "$tmp/parts" --resume; has err "another top_k"
    try 0 sparse train "$tmp/run" $T --top-k 4 --steps 3000 -o "$tmp/parts" --resume
  fi
  for l in 0 1; do same "$tmp/whole/layer-$l/sae_weights.safetensors" "$tmp/parts/layer-$l/sae_weights.safetensors"; done

  # Other activations, decoders and sites.
  try 0 sparse train "$tmp/run" $T --l0 1e-3 --decoder weighted --layers 1 --steps 20 -o "$tmp/jump"
  grep -q '"threshold"' "$tmp/jump/layer-1/sae_weights.safetensors" || bad "no thresholds"
  grep -q '"architecture": "jumprelu_transcoder"' "$tmp/jump/layer-1/cfg.json" || bad "architecture"
  for site in resid_pre resid_mid resid_post attn.out mlp.norm mlp.out; do
    try 0 sparse train "$tmp/run" $T --top-k 6 --site $site --steps 8 -o "$tmp/sae-$site"
    try 0 sparse eval "$tmp/run" "$tmp/sae-$site" --data "$W" --max-rows 2 --json
    has out "\"site\":\"$site\""; has out '"own":null'
  done
  try 0 sparse train "$tmp/run" $T --l1 0.01 --frozen-encoder --decoder free --mse norm --resample --steps 20 -o "$tmp/frozen"
}

# Evaluation: fields, baselines, a figure over several sets.
try 0 sparse eval "$tmp/run" "$tmp/tc" "$tmp/whole" "$tmp/frozen" --data "$W" --max-rows 8 --svg "$tmp/f.svg" --json
for key in counted l0 l1 dead_share mse_zero variance_explained loss_zero loss_mean kl recovered_of_mean histogram own linear all; do has out "\"$key\":"; done
grep -q 'own neurons, as few' "$tmp/f.svg" || bad "no curve of the own neurons"
grep -q 'random encoder' "$tmp/f.svg" || bad "no curve of the random encoder"
grep -q 'all at once' "$tmp/f.svg" || bad "no panel of all layers"
loss=$(sed 's/.*"loss":\([0-9.]*\),"counted".*/\1/' "$tmp/out")
try 0 eval "$tmp/run" --data "$W" --max-rows 8 --json
sed 's/.*"loss":\([0-9.e-]*\).*/\1/' "$tmp/out" | awk -v want="$loss" '{ d = $1 - want; exit !(d * d < 1e-9) }' || bad "the loss is not that of eval"
try 0 sparse eval "$tmp/run" "$tmp/tc" --data "$W" --max-rows 4 --no-baselines; has out 'recovered'

# Match and feature.
try 0 sparse match "$tmp/run" "$tmp/tc" --data "$W" --max-rows 4; has out 'chance'
try 0 sparse match "$tmp/run" "$tmp/tc" --each --json; has out '"chance_both":'
try 0 record "$tmp/run" --data "$W" -n 5 -o "$tmp/rec"
for tc in tc whole; do
  try 0 sparse feature "$tmp/run" "$tmp/$tc" --layer 1 --index 3 --recording "$tmp/rec" --json
  has out '"density":'; has out '"nearest":'
done
try 0 sparse feature "$tmp/run" "$tmp/jump" -l 1 -i 0; has out 'threshold'

# Bad input, by name.
try 2 sparse eval "$tmp/other" "$tmp/tc" --data "$W"; has err "made from another model"
try 0 sparse eval "$tmp/other" "$tmp/tc" --data "$W" --max-rows 1 --force --json
try 2 sparse feature "$tmp/run" "$tmp/tc" --layer 5 --index 0; has err "no sparse MLP of layer 5"
try 2 sparse feature "$tmp/run" "$tmp/tc" --layer 1 --index 96; has err "features 0 to 95"
try 3 sparse match "$tmp/run" "$tmp/sae-mlp.out"; has err "only a transcoder"
# shellcheck disable=SC2086
{
  try 2 sparse train "$tmp/run" $T -o "$tmp/x"; has err "say one of --l1"
  try 2 sparse train "$tmp/run" $T --l1 1 --top-k 2 -o "$tmp/x"; has err "say one of --l1"
  try 2 sparse train "$tmp/run" $T --l1 1 --activation topk -o "$tmp/x"; has err "goes with --top-k"
  try 2 sparse train "$tmp/run" $T --l1 1 --layers 7 -o "$tmp/x"; has err "layers 0 to 1"
  try 2 sparse train "$tmp/run" $T --l1 1 --features 0x -o "$tmp/x"; has err "--features"
  try 2 sparse train "$tmp/run" $T --l1 1 -o "$tmp/tc"; has err "already holds a finished training"
  try 4 sparse train "$tmp/run" $T --l1 1 --max-memory 1M -o "$tmp/x"; has err "lower buffer"
  try 1 sparse train "$tmp/run" $T --l1 1 --resume -o "$tmp/x"; has err "no checkpoint"
}
try 1 sparse eval "$tmp/run" "$tmp/run" --data "$W"; has err "no sparse.json"
cp -r "$tmp/tc" "$tmp/nan"
f="$tmp/nan/layer-0/sae_weights.safetensors"
size=$(wc -c <"$f")
printf '\377\377\377\377' | dd of="$f" bs=1 seek=$((size - 8)) conv=notrunc 2>/dev/null
try 3 sparse eval "$tmp/run" "$tmp/nan" --data "$W"; has err "NaN or infinite"
try 3 verify "$tmp/nan"; has out "is not what was written"
cp -r "$tmp/tc" "$tmp/lie"
sed -i 's/"features": 96/"features": 97/' "$tmp/lie/sparse.json"
try 3 sparse match "$tmp/run" "$tmp/lie"; has err "W_enc"
finish
