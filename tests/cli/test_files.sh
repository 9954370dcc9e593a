#!/bin/sh
# test_files.sh: where output goes: FIFOs, devices, links and directories are never replaced by a file; a limit on the size of files is an
# error that names the file.
. tests/cli/common.sh
MODEL=tests/golden/eval/model
printf '[[5,6,7,8]]\n' >"$tmp/ids.json"

# All commands write through one place, so one command shows the kinds of target and each other command one of them.
try 0 trace $MODEL --ids "$tmp/ids.json" -o "$tmp/want.st"
mkfifo "$tmp/pipe"
cat "$tmp/pipe" >"$tmp/through" &
try 0 trace $MODEL --ids "$tmp/ids.json" -o "$tmp/pipe"
wait $!
same "$tmp/want.st" "$tmp/through"
[ -p "$tmp/pipe" ] || bad "the FIFO is gone"
try 1 trace $MODEL --ids "$tmp/ids.json" -o "$tmp/pipe"
has err "nobody reads from it"
[ -p "$tmp/pipe" ] || bad "the FIFO is gone"

echo old >"$tmp/target"
ln -s target "$tmp/link"
ln -s link "$tmp/link2"
try 0 trace $MODEL --ids "$tmp/ids.json" -o "$tmp/link2"
same "$tmp/want.st" "$tmp/target"
[ -L "$tmp/link" ] && [ -L "$tmp/link2" ] && [ ! -L "$tmp/target" ] || bad "a link was replaced"
ln -s nowhere "$tmp/dangling"
try 1 trace $MODEL --ids "$tmp/ids.json" -o "$tmp/dangling"
has err "leads nowhere"
[ -L "$tmp/dangling" ] && [ ! -e "$tmp/nowhere" ] || bad "a link to nothing was replaced"
mkdir "$tmp/directory"
try 1 trace $MODEL --ids "$tmp/ids.json" -o "$tmp/directory"
has err "is a directory"

"$SGATLIN" trace $MODEL --ids "$tmp/ids.json" -o /dev/stdout -q 2>"$tmp/err" | cmp -s - "$tmp/want.st" || bad "-o /dev/stdout, a pipe"
"$SGATLIN" trace $MODEL --ids "$tmp/ids.json" -o /dev/stdout -q >"$tmp/redirected" 2>"$tmp/err"
same "$tmp/want.st" "$tmp/redirected"
if mknod "$tmp/null" c 1 3 2>/dev/null && (: >"$tmp/null") 2>/dev/null; then
  try 0 trace $MODEL --ids "$tmp/ids.json" -o "$tmp/null"
  [ -c "$tmp/null" ] || bad "the device was replaced"
  mknod "$tmp/full" c 1 7
  try 4 trace $MODEL --ids "$tmp/ids.json" -o "$tmp/full"
  has err "$tmp/full"
  mknod "$tmp/block" b 7 200 && try 1 trace $MODEL --ids "$tmp/ids.json" -o "$tmp/block" && has err "block device"
fi

# The other commands: a FIFO without a reader stays one, in every option that names a file.
printf 'The dog was red.\n<|endoftext|>\nThe cat was old.\n' >"$tmp/text.txt"
try 0 record $MODEL --data "$tmp/text.txt" -o "$tmp/rec"
untouched() {
  try "$@"
  [ -p "$tmp/pipe" ] || bad "sgatlin $*: the FIFO is gone"
}
untouched 1 graph $MODEL --prompt "The dog" -o "$tmp/pipe"
untouched 1 graph $MODEL --prompt "The dog" --svg "$tmp/pipe"
untouched 1 map $MODEL "$tmp/rec" --neighbors 3 -o "$tmp/pipe"
untouched 1 coactivation "$tmp/rec" --channel 0 -o "$tmp/pipe"
untouched 1 facts mine "$tmp/text.txt" -o "$tmp/pipe"
untouched 1 tokenizer train "$tmp/text.txt" --vocab-size 260 -o "$tmp/pipe"
untouched 1 record $MODEL --data "$tmp/text.txt" -o "$tmp/pipe"
untouched 1 data worlds --stories 20 -o "$tmp/pipe"

# A limit on the size of files: no signal, exit 4, nothing half written, and training goes on to the same weights.
mkdir "$tmp/data"
for i in $(seq 40); do printf 'The dog number %s was red and the cat was old.\n<|endoftext|>\n' "$i"; done >"$tmp/data/train.txt"
cp "$tmp/data/train.txt" "$tmp/data/valid.txt"
tiny="--set train.batch_size=2 --set train.seq_len=24 --set model.hidden_size=16 --set model.num_hidden_layers=1 --set model.head_dim=8
  --set feedforward.num_neurons=16 --set feedforward.num_channels=2 --set feedforward.top_k=2 --set feedforward.key_dim=4
  --set eval.batches=1 --set train.steps=6 --set checkpoint.every=2"
try 0 train --data "$tmp/data" -o "$tmp/whole" --tokenizer $MODEL/tokenizer.json $tiny -q
weights=$(wc -c <"$tmp/whole/checkpoints/step-00000006/model.safetensors")
for blocks in 1 20 $((weights / 512)) $((weights * 3 / 1024)); do # of 512 bytes
  rm -rf "$tmp/run"
  (ulimit -f "$blocks" && exec "$SGATLIN" train --data "$tmp/data" -o "$tmp/run" --tokenizer $MODEL/tokenizer.json $tiny -q) 2>"$tmp/err"
  code=$?
  [ $code = 4 ] || bad "a limit of $blocks blocks: exit $code, expected 4: $(cat "$tmp/err")"
  grep -q "$tmp/" "$tmp/err" || bad "a limit of $blocks blocks: the file is not named: $(cat "$tmp/err")"
  [ -z "$(find "$tmp" -name '*.tmp-*')" ] || bad "a limit of $blocks blocks left $(find "$tmp" -name '*.tmp-*')"
done
if [ -f "$tmp/run/config.json" ]; then
  try 0 train --resume -o "$tmp/run" -q
  same "$tmp/whole/checkpoints/step-00000006/model.safetensors" "$tmp/run/checkpoints/step-00000006/model.safetensors"
else
  bad "no run was left to resume"
fi
finish
