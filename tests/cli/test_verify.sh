#!/bin/sh
# test_verify.sh: verify of every kind of thing, whole and damaged: exit codes, what is named, JSON, seconds.
. tests/cli/common.sh
MODEL=tests/golden/eval/model
mkdir "$tmp/data"
for i in $(seq 40); do printf 'The dog number %s was red and the cat was old.\n<|endoftext|>\n' "$i"; done >"$tmp/data/train.txt"
cp "$tmp/data/train.txt" "$tmp/data/valid.txt"
try 0 train --data "$tmp/data" -o "$tmp/run" --tokenizer $MODEL/tokenizer.json -q --set train.batch_size=2 --set train.seq_len=24 \
  --set model.hidden_size=16 --set model.num_hidden_layers=1 --set model.head_dim=8 --set feedforward.num_neurons=16 \
  --set feedforward.num_channels=2 --set feedforward.top_k=2 --set feedforward.key_dim=4 --set eval.batches=1 --set train.steps=6 \
  --set checkpoint.every=3 --set checkpoint.keep=3
try 0 record $MODEL --data "$tmp/data/train.txt" -o "$tmp/rec" -q
try 0 graph $MODEL --prompt "The dog was" -o "$tmp/graph.json" -q
tokens=$(ls "$tmp"/data/.sgatlin/train.txt.*.tokens | head -n 1)
step=$tmp/run/checkpoints/step-00000003

# Whole: all of it in one call, and what was looked at.
try 0 verify $MODEL "$tmp/run" "$step" "$tmp/rec" "$tmp/graph.json" "$tokens" $MODEL/tokenizer.json $MODEL/model.safetensors --machine
for what in hashes weights numbers pass vocabulary tokenizer optimizer settings metrics pointer shapes tokens circuits graph 'dot products' product; do
  grep -q "^ok     $what  " "$tmp/out" || bad "nothing was said of: $what"
done
grep -q WRONG "$tmp/out" && bad "something whole is wrong"
has err "nothing is wrong"
try 0 train --data "$tmp/data" -o "$tmp/lion" --tokenizer $MODEL/tokenizer.json -q --kind mlp --set train.batch_size=2 --set train.seq_len=24 \
  --set model.hidden_size=16 --set model.num_hidden_layers=1 --set model.head_dim=8 --set feedforward.num_neurons=16 --set optimizer.kind=lion \
  --set train.steps=2
try 0 verify "$tmp/lion"; has out 'lion: all that it keeps'
# A setting that is true or false, on the way back from the run's own file.
try 0 train --data "$tmp/data" -o "$tmp/bias" --tokenizer $MODEL/tokenizer.json -q --kind peer --set train.batch_size=2 --set train.seq_len=24 \
  --set model.hidden_size=16 --set model.num_hidden_layers=1 --set model.head_dim=8 --set feedforward.num_neurons=16 --set feedforward.num_channels=2 \
  --set feedforward.top_k=2 --set feedforward.key_dim=4 --set feedforward.bias=true --set train.steps=2
try 0 verify "$tmp/bias"
try 0 train --resume "$tmp/bias" --steps 3 -q
grep -q '"bias": *true' "$tmp/bias/config.json" || bad "the run's bias is gone"
# Saved in the middle of an accumulation: sums of gradients count as what is kept.
for pools in float32 int4; do
  sums=$tmp/sums-$pools
  try 0 train --data "$tmp/data" -o "$sums" --tokenizer $MODEL/tokenizer.json -q --set train.batch_size=2 --set train.seq_len=24 \
    --set model.hidden_size=16 --set model.num_hidden_layers=1 --set model.head_dim=8 --set feedforward.num_neurons=16 \
    --set feedforward.num_channels=2 --set feedforward.top_k=2 --set feedforward.key_dim=4 --set train.pool_precision=$pools \
    --set train.grad_accumulation=2 --set train.steps=4 --set checkpoint.every=3
  sums=$sums/checkpoints/step-00000003
  rm "$sums/MANIFEST.json"
  try 0 verify "$sums"
  for part in sum.model.layers.0.self_attn.q_proj.weight sum.model.layers.0.mlp.experts.w_in; do
    cp "$sums/optimizer.safetensors" "$tmp/kept"
    python3 - "$sums/optimizer.safetensors" $part <<'P'
import json, struct, sys
b = bytearray(open(sys.argv[1], "rb").read())
n = struct.unpack("<Q", b[:8])[0]
at = 8 + n + json.loads(b[8 : 8 + n])[sys.argv[2]]["data_offsets"][0]
b[at : at + 4] = b"\x00\x00\xc0\x7f"
open(sys.argv[1], "wb").write(b)
P
    try 3 verify "$sums"
    has out "$part: element 0 is nan"
    cp "$tmp/kept" "$sums/optimizer.safetensors"
  done
done
try 0 verify "$tmp/run" -q
empty out
try 0 verify "$tmp/run" "$tmp/rec" --json
python3 - "$tmp/out" <<'P' || bad "the JSON of verify"
import json, sys
o = json.load(open(sys.argv[1]))
assert o["ok"] is True and o["wrong"] == 0 and o["checks"] == len(o["list"]) > 10 and 0 < o["seconds"] < 60
assert all(set(e) == {"path", "check", "ok", "text"} and e["ok"] is True for e in o["list"])
P

# wrong PATH FILE BYTE WORDS...: FILE with the byte at BYTE (from the end where negative) changed: exit 3, the words in a line.
wrong() {
  path=$1 file=$2 at=$3 # of the function alone: loops below have names of their own
  shift 3
  cp "$file" "$tmp/kept"
  [ "$at" -ge 0 ] || at=$(($(wc -c <"$file") + at))
  python3 -c 'import sys; p=sys.argv[1]; b=bytearray(open(p,"rb").read()); b[int(sys.argv[2])]^=0x55; open(p,"wb").write(b)' "$file" "$at"
  try 3 verify "$path"
  for words; do grep '^WRONG' "$tmp/out" | grep -qF -e "$words" || { bad "verify $path, $file at $at: no line WRONG with: $words"; grep WRONG "$tmp/out"; }; done
  try 3 verify "$path" --json
  grep -q '"ok":false' "$tmp/out" || bad "JSON of a damaged $file says ok"
  cp "$tmp/kept" "$file"
}
cp -r $MODEL "$tmp/m"
wrong "$tmp/m" "$tmp/m/model.safetensors" 3 "weights"
wrong "$tmp/m" "$tmp/m/config.json" 1 "config.json"
wrong "$tmp/m" "$tmp/m/tokenizer.json" 0 "tokenizer.json"
for name in config.json model.safetensors tokenizer.json optimizer.safetensors train_state.json settings.json; do
  wrong "$step" "$step/$name" -9 "$step/$name" "hashes"
  wrong "$tmp/run" "$step/$name" -9 "$step/$name" "hashes"
done
wrong "$step" "$step/MANIFEST.json" 40 "MANIFEST.json"
wrong "$tmp/run" "$tmp/run/config.json" 0 "settings"
wrong "$tmp/run" "$tmp/run/tokenizer.json" 0 "tokenizer"
wrong "$tmp/run" "$tmp/run/metrics.jsonl" 0 "metrics.jsonl, line 1"
wrong "$tmp/run" "$tmp/run/checkpoints/latest" 7 "pointer"
for name in recording.json tokenizer.json shard-00000.safetensors index-layer-0.safetensors index-layer-1.safetensors; do
  wrong "$tmp/rec" "$tmp/rec/$name" -2 "$tmp/rec/$name" "hashes"
done
wrong "$tmp/graph.json" "$tmp/graph.json" 0 "graph"
for at in 0 9 40 100 200 -1 -40; do wrong "$tokens" "$tokens" $at "tokens"; done
wrong "$tmp/m/model.safetensors" "$tmp/m/model.safetensors" 0 "tensors"

# NaN in weights and in the optimizer; a tokenizer of more ids than the model; files that are cut or missing; a manifest without files.
nan() { printf '\000\000\300\177' | dd of="$1" bs=1 seek=$(($(wc -c <"$1") - 4)) conv=notrunc 2>/dev/null; }
nan "$tmp/m/model.safetensors"
try 3 verify "$tmp/m"
has out "WRONG  numbers"
cp $MODEL/model.safetensors "$tmp/m/model.safetensors"
cp -r "$step" "$tmp/step"
rm "$tmp/step/MANIFEST.json"
try 0 verify "$tmp/step"
nan "$tmp/step/optimizer.safetensors"
try 3 verify "$tmp/step"
has out "WRONG  optimizer"
cp tests/golden/bpe/stories_alpha_300.json "$tmp/m/tokenizer.json"
try 3 verify "$tmp/m"
has out "they do not belong together"
truncate -s -5 "$tmp/m/model.safetensors"
try 3 verify "$tmp/m"
rm -rf "$tmp/m" && cp -r "$step" "$tmp/m"
printf '{"format":1,"files":[]}' >"$tmp/m/MANIFEST.json"
try 3 verify "$tmp/m"
rm "$tmp/m/model.safetensors"
try 3 verify "$tmp/m"
rm "$tmp/rec/index-layer-1.safetensors"
try 3 verify "$tmp/rec"
has out "index-layer-1.safetensors"

# It goes on after a fault: two faults of two things in one call.
damage() { printf 'X' | dd of="$1" bs=1 seek=${2-5000} conv=notrunc 2>/dev/null; }
damage "$step/model.safetensors"
damage "$tmp/run/checkpoints/step-00000006/model.safetensors"
try 3 verify "$tmp/run"
[ "$(grep -c '^WRONG  hashes' "$tmp/out")" = 2 ] || bad "not both damaged checkpoints were told"

# What is nothing known, and nothing at all.
try 1 verify "$tmp/none"
mkdir "$tmp/empty"
try 1 verify "$tmp/empty"
has err "neither a model, run, recording"
try 0 verify "$tmp/data" "$tmp/data/.sgatlin"
[ "$(grep -c '^ok     tokens' "$tmp/out")" = 4 ] || bad "not the caches of two splits, twice"
damage "$tokens" 300
try 3 verify "$tmp/data"
try 2 verify
finish
