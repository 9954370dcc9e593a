#!/bin/sh
# test_checkpoints.sh: a damaged checkpoint is never taken in silence, however it was named; settings changed between stop and resume are
# told or refused.
. tests/cli/common.sh
MODEL=tests/golden/eval/model
mkdir "$tmp/data"
for i in $(seq 40); do printf 'The dog number %s was red and the cat was old.\n<|endoftext|>\n' "$i"; done >"$tmp/data/train.txt"
cp "$tmp/data/train.txt" "$tmp/data/valid.txt"
run=$tmp/run
try 0 train --data "$tmp/data" -o "$run" --tokenizer $MODEL/tokenizer.json -q --set train.batch_size=2 --set train.seq_len=24 \
  --set model.hidden_size=16 --set model.num_hidden_layers=1 --set model.head_dim=8 --set feedforward.num_neurons=16 \
  --set feedforward.num_channels=2 --set feedforward.top_k=2 --set feedforward.key_dim=4 --set eval.batches=1 --set train.steps=12 \
  --set checkpoint.every=3 --set checkpoint.keep=3
cp -r "$run" "$tmp/good"
again() { rm -rf "$run" && cp -r "$tmp/good" "$run"; }
newest=$run/checkpoints/step-00000012
echo '[[5,6,7,8]]' >"$tmp/ids.json"
printf 'The dog was red.\n' >"$tmp/text.txt"

# Every command that reads a run says which checkpoint it passed over, and why.
damage() { printf 'X' | dd of="$1" bs=1 seek="$2" conv=notrunc 2>/dev/null; }
damage "$newest/model.safetensors" 4000
told() {
  try 0 "$@"
  has err "checkpoint step-00000012 was passed over: $newest/"
}
told info "$run"
told eval "$run" --ids "$tmp/ids.json"
told generate "$run" --prompt The -n 2
told trace "$run" --ids "$tmp/ids.json" -o "$tmp/t.st"
told attribute "$run" --prompt "The dog"
told graph "$run" --prompt "The dog" -o "$tmp/g.json"
told ablate "$run" --prompt "The dog" --each layer
told margins "$run" --prompt "The dog"
told neuron "$run" -l 0 -c 0 -i 1
told record "$run" --data "$tmp/text.txt" -o "$tmp/rec"
told bench "$run" --rounds 1
for file in config.json tokenizer.json optimizer.safetensors train_state.json settings.json MANIFEST.json; do
  again
  damage "$newest/$file" 40
  told info "$run"
done
again
rm "$newest/tokenizer.json"
told info "$run"

# A power cut between the last checkpoint's name and `latest` leaves the one before there: going on mends it.
again
echo step-00000009 >"$run/checkpoints/latest"
try 0 train --resume -o "$run" -q
[ "$(cat "$run/checkpoints/latest")" = step-00000012 ] || bad "latest is $(cat "$run/checkpoints/latest") after going on"

# A checkpoint that was named is not replaced by another: it is whole or refused.
again
try 0 info "$run" --checkpoint step-00000009
try 0 info "$run/checkpoints/step-00000009"
damage "$run/checkpoints/step-00000009/model.safetensors" 4000
try 3 info "$run" --checkpoint step-00000009
has err "step-00000009/model.safetensors: its content is not what MANIFEST.json says"
try 3 info "$run/checkpoints/step-00000009"
has err "its content is not what MANIFEST.json says"
echo step-00000009 >"$run/checkpoints/best"
try 3 info "$run" --checkpoint best
try 1 info "$run" --checkpoint step-00000008
has err "no such checkpoint"

# A manifest that lists nothing, or not the weights, vouches for nothing.
again
for manifest in '{"format":1,"files":[]}' '{"format":1}' '{"format":1,"files":{}}' \
  '{"format":1,"files":[{"name":"best","bytes":0,"xxh3":"2d06800538d394c2"}]}'; do
  : >"$newest/best"
  printf '%s' "$manifest" >"$newest/MANIFEST.json"
  told info "$run"
  try 3 info "$newest"
done

# Settings: what would train another way is refused with both values, the rest is told; a checkpoint older than settings.json goes on.
resumable() {
  again
  rm -rf "$newest"
  rm "$run/checkpoints/latest"
}
setting() { sed -i "s/\"$1\": [^,]*/\"$1\": $2/" "$run/config.json"; }
for change in learning_rate:0.5 seed:7 batch_size:4 steps:20 warmup_steps:3 clip:0.25 weight_decay:0.5 grad_accumulation:2; do
  resumable
  setting "${change%:*}" "${change#*:}"
  try 2 train --resume -o "$run" -q
  has err "config.json was changed after step-00000009 was saved"
  has err "${change%:*} is ${change#*:} (was "
done
resumable # another optimizer has no use for these moments
sed -i '/"optimizer"/,/}/ s/"kind": "adamw"/"kind": "lion"/; /"eps": /d; s/\("beta2": [^,]*\),/\1/' "$run/config.json"
try 2 train --resume -o "$run" -q
has err 'optimizer.kind is "lion" (was "adamw")'
resumable
setting learning_rate 0.5
setting seed 7
try 2 train --resume -o "$run" -q
has err "optimizer.learning_rate is 0.5"
has err "train.seed is 7 (was 0)"
resumable
try 0 train --resume -o "$run" -q
same "$tmp/good/checkpoints/step-00000012/model.safetensors" "$newest/model.safetensors"
resumable
sed -i '/"eval"/,/}/s/"batches": 1/"batches": 2/; s/"keep": 3/"keep": 4/' "$run/config.json"
try 0 train --resume -o "$run"
has err "eval.batches is 2 now; at step-00000009 it was 1"
has err "checkpoint.keep is 4 now; at step-00000009 it was 3"
same "$tmp/good/checkpoints/step-00000012/model.safetensors" "$newest/model.safetensors"
resumable
for d in "$run"/checkpoints/step-*; do
  rm "$d/settings.json"
  python3 -c 'import json,sys; p=sys.argv[1]+"/MANIFEST.json"; o=json.load(open(p)); o["files"]=[f for f in o["files"] if f["name"]!="settings.json"]; json.dump(o,open(p,"w"))' "$d"
done
setting learning_rate 0.5
try 0 train --resume -o "$run" -q
finish
