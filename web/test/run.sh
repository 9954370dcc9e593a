#!/bin/sh
# run.sh SGATLIN: a small run trained on the spot, and the page opened on it in a browser.
set -eu
sgatlin=$1
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
"$sgatlin" -q data worlds --stories 600 --seed 1 -o "$tmp/worlds"
"$sgatlin" -q train --data "$tmp/worlds" -o "$tmp/run" --steps 60 --set model.hidden_size=64 --set model.num_hidden_layers=3 \
  --set model.head_dim=32 --set train.seq_len=64 --set train.batch_size=8 --set tokenizer.vocab_size=2048 \
  --set feedforward.num_neurons=256 --set feedforward.num_channels=4 --set feedforward.key_dim=32 --set eval.every=20 --set eval.batches=2
"$sgatlin" -q record "$tmp/run" --data "$tmp/worlds/valid.txt" -n 20 -o "$tmp/rec"
NODE_PATH=${NODE_MODULES:-/usr/share/nodejs} node web/test/draw.mjs "$sgatlin" "$tmp/run"
node web/test/tracer.mjs "$sgatlin" # says so where circuit-tracer's own files are not there
"$sgatlin" -q train --data "$tmp/worlds" --tokenizer "$tmp/run/tokenizer.json" -o "$tmp/dense" --kind mlp --steps 20 \
  --set model.hidden_size=32 --set model.num_hidden_layers=2 --set model.head_dim=16 --set train.seq_len=64 --set train.batch_size=4 \
  --set feedforward.num_neurons=64 --set eval.every=0
"$sgatlin" -q record "$tmp/dense" --data "$tmp/worlds/valid.txt" -n 20 -o "$tmp/dense-rec"
"$sgatlin" -q sparse train "$tmp/dense" --data "$tmp/worlds" --top-k 6 --features 96 -b 256 --buffer 8 --steps 60 -o "$tmp/tc" >/dev/null
export DENSE="$tmp/dense" DENSE_TC="$tmp/tc" DENSE_RECORDING="$tmp/dense-rec" SGATLIN="$sgatlin"
node web/test/browser.mjs "$tmp/run" "$tmp/rec" "$tmp/worlds" "${SHOTS:-}"

# Firefox as it is installed: all the same parts (tests/README.md), or those of FIREFOX_PARTS.
if [ -x "${FIREFOX:-/usr/bin/firefox-esr}" ] || [ -x /usr/bin/firefox ]; then
  echo "in Firefox:"
  BROWSER=firefox ONLY=${FIREFOX_PARTS:-} node web/test/browser.mjs "$tmp/run" "$tmp/rec" "$tmp/worlds"
else
  echo "in Firefox: skipped, as it is not installed (Debian: firefox-esr)"
fi
