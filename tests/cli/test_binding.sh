#!/bin/sh
# test_binding.sh: a recording belongs to the model it was made from: every reader compares, refuses another one with both hashes and the
# remedy, and reads it with --force and a warning.
. tests/cli/common.sh
MODEL=tests/golden/eval/model
printf 'The dog was red.\n<|endoftext|>\nThe cat was old.\n<|endoftext|>\nThe moon was a dog and a cat.\n' >"$tmp/text.txt"
try 0 record $MODEL --data "$tmp/text.txt" -o "$tmp/rec"

# The same sizes, other weights: one weight differs in its last bit.
cp -r $MODEL "$tmp/other"
printf '\001' | dd of="$tmp/other/model.safetensors" bs=1 seek=$(($(wc -c <"$tmp/other/model.safetensors") - 4)) conv=notrunc 2>/dev/null
cmp -s $MODEL/model.safetensors "$tmp/other/model.safetensors" && bad "the other model is the same"
own=$(sed -n 's/.*"model_hash": "\([0-9a-f]*\)".*/\1/p' "$tmp/rec/recording.json")
try 0 record "$tmp/other" --data "$tmp/text.txt" -o "$tmp/other-rec"
[ "$own" = a63bc9345cc8e934 ] || bad "the hash of an old model is another one now ($own): older recordings would be refused"
other=$(sed -n 's/.*"model_hash": "\([0-9a-f]*\)".*/\1/p' "$tmp/other-rec/recording.json")
[ -n "$own" ] && [ -n "$other" ] && [ "$own" != "$other" ] || bad "hashes: '$own', '$other'"

# reader ARGUMENT...: MODEL and REC stand for what is read.
reader() {
  words=$(printf '%s\n' "$@" | sed "s|^MODEL\$|$MODEL|; s|^REC\$|$tmp/rec|")
  IFS='
'
  set -- $words
  unset IFS
  try 0 "$@"
  [ -s "$tmp/err" ] && grep -q "another model" "$tmp/err" && bad "$*: refused its own recording"
  words=$(printf '%s\n' "$@" | sed "s|^$MODEL\$|$tmp/other|")
  IFS='
'
  set -- $words
  unset IFS
  try 2 "$@"
  empty out
  has err "$tmp/rec was made from another model: its weights had the hash $own, this model's have $other"
  has err "--force"
  try 0 "$@" --force
  has err "warning: $tmp/rec was made from another model"
}
reader neuron MODEL --layer 1 --channel 0 --index 3 --recording REC
reader neuron MODEL --layer 1 --channel 0 --index 3 --recording REC --json
reader neighbors MODEL REC --prompt "The dog"
reader neighbors MODEL REC --prompt "The dog" --json
reader map MODEL REC --json --neighbors 3
reader cka MODEL REC

# The same weights with another config.json: it changes every number that is computed, and no weight.
for setting in 's/"rope_theta": [0-9.]*/"rope_theta": 500.0/' 's/"rms_norm_eps": [0-9.e-]*/"rms_norm_eps": 0.01/' \
  's/"activation": "[a-z]*"/"activation": "relu"/'; do
  rm -rf "$tmp/set"
  cp -r $MODEL "$tmp/set"
  sed "$setting" $MODEL/config.json >"$tmp/set/config.json"
  cmp -s $MODEL/config.json "$tmp/set/config.json" && bad "$setting changes nothing"
  try 2 cka "$tmp/set" "$tmp/rec"
  empty out
  has err "$(echo "$setting" | cut -d'"' -f2)"
  has err "its weights are this model's, but its "
  try 0 cka "$tmp/set" "$tmp/rec" --force
  has err "warning: $tmp/rec was made from another model"
done
# What is said of names, files and lengths computes nothing.
cp $MODEL/config.json "$tmp/set/config.json"
sed -i 's/"max_position_embeddings": [0-9]*/"max_position_embeddings": 77/' "$tmp/set/config.json"
try 0 cka "$tmp/set" "$tmp/rec"
empty err
# A recording of before: its hash still counts, and a note says what is not known.
cp -r "$tmp/rec" "$tmp/before"
python3 - "$tmp/before/recording.json" <<'P' 2>/dev/null || skipped=1
import json, sys
o = json.load(open(sys.argv[1])); del o["model_config"]; json.dump(o, open(sys.argv[1], "w"), indent=2)
P
if [ -z "${skipped:-}" ]; then
  try 0 cka "$tmp/set" "$tmp/before"
  has err "does not say which config.json it was made with"
  try 2 cka "$tmp/other" "$tmp/before"
fi

# The explorer says so before it serves.
"$SGATLIN" explore "$tmp/other" --recording "$tmp/rec" >"$tmp/out" 2>"$tmp/err" </dev/null &
wait $!
[ $? = 2 ] || bad "explore serves with a recording of another model"
has err "was made from another model"
empty out
"$SGATLIN" explore "$tmp/other" --recording "$tmp/rec" --force >"$tmp/out" 2>"$tmp/err" </dev/null &
explorer=$!
for i in $(seq 100); do [ -s "$tmp/out" ] && break; sleep 0.1; done
has out "http://"
has err "warning: $tmp/rec was made from another model"
kill $explorer
wait $explorer

# A recording that is older than the hash: a note, and it is read. A broken hash is no hash. Other sizes are refused, also by force.
sed -i '/"model_hash"/d' "$tmp/rec/recording.json"
try 0 cka $MODEL "$tmp/rec"
has err "does not say which model it was made from"
for hash in '"xyz"' '12' '"0123456789abcdeg"' '"0123456789abcdef0"'; do
  cp "$tmp/other-rec/recording.json" "$tmp/kept"
  sed -i "s/\"model_hash\": \"[^\"]*\"/\"model_hash\": $hash/" "$tmp/other-rec/recording.json"
  try 3 cka "$tmp/other" "$tmp/other-rec"
  has err "model_hash"
  cp "$tmp/kept" "$tmp/other-rec/recording.json"
done
for kind in tests/golden/models/sgatlin_product_dense_identity tests/golden/models/peer tests/golden/models/mlp; do
  [ -d "$kind" ] || continue
  try 2 cka $kind "$tmp/other-rec"
  try 2 cka $kind "$tmp/other-rec" --force
done
try 2 cka tests/golden/models/sgatlin_product_dense_identity "$tmp/other-rec" --force
has err "was recorded from another model"
finish
