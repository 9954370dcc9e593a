#!/bin/sh
# train.from: a run that starts with a model's weights, as they are stored, and its tokenizer; resumed, and refused.
[ -w /dev/shm ] && TMPDIR=${TMPDIR:-/dev/shm} && export TMPDIR
. tests/cli/common.sh
export OMP_WAIT_POLICY=passive
TOK=tests/golden/bpe/stories_alpha_300.json
mkdir "$tmp/data"
head -c 40000 tests/golden/bpe/stories.txt >"$tmp/data/train.txt"
tail -c 8000 tests/golden/bpe/stories.txt >"$tmp/data/valid.txt"
SIZES="--set model.hidden_size=32 --set model.num_hidden_layers=1 --set model.head_dim=16 --set train.seq_len=32 --set train.batch_size=4
 --kind mlp --set feedforward.num_neurons=36 --set schedule.warmup_steps=0 --set schedule.kind=constant --set eval.batches=1"
weights() { sha256sum <"$1/model.safetensors" | cut -c 1-64; }
loss() { sed -n 's/.*"train\/loss":\([0-9.]*\).*/\1/p' "$tmp/$1/metrics.jsonl" | head -n 1; }

# shellcheck disable=SC2086
{
  try 0 train --data "$tmp/data" --tokenizer $TOK $SIZES -o "$tmp/first" --steps 60
  # The next run begins where that one ended: with its weights, its tokenizer, and a loss far below a random model's.
  try 0 train --data "$tmp/data" $SIZES -o "$tmp/next" --steps 4 --set train.from="$tmp/first"
  has err "starting from the weights of $tmp/first/checkpoints/step-00000060"
  cmp -s "$tmp/first/tokenizer.json" "$tmp/next/tokenizer.json" || bad "another tokenizer"
  awk -v a="$(loss first)" -v b="$(loss next)" 'BEGIN { exit !(b < a - 0.5) }' || bad "first losses: $(loss first) and $(loss next)"
  # At rate 0 nothing moves: the masters are the model, and from bf16 what bf16 stands for.
  try 0 train --data "$tmp/data" $SIZES -o "$tmp/still" --steps 1 --set train.from="$tmp/first" --set optimizer.learning_rate=1e-30 --set optimizer.weight_decay=0
  [ "$(weights "$tmp/still/checkpoints/step-00000001")" = "$(weights "$tmp/first/checkpoints/step-00000060")" ] || bad "other weights"
  try 0 quantize "$tmp/first" --to bf16 -o "$tmp/bf16"
  try 0 quantize "$tmp/bf16" --to float32 -o "$tmp/plain"
  try 0 train --data "$tmp/data" $SIZES -o "$tmp/still16" --steps 1 --set train.from="$tmp/bf16" --set optimizer.learning_rate=1e-30 --set optimizer.weight_decay=0
  [ "$(weights "$tmp/still16/checkpoints/step-00000001")" = "$(weights "$tmp/plain")" ] || bad "other weights from bf16"
  # Resumed it needs the model no more, and goes on as if it had not stopped.
  try 0 train --data "$tmp/data" $SIZES -o "$tmp/whole" --steps 6 --set train.from="$tmp/first"
  try 0 train --data "$tmp/data" $SIZES -o "$tmp/part" --steps 3 --set train.from="$tmp/first"
  mv "$tmp/first" "$tmp/moved"
  try 0 train --resume -o "$tmp/part" --steps 6
  [ "$(weights "$tmp/part/checkpoints/step-00000006")" = "$(weights "$tmp/whole/checkpoints/step-00000006")" ] || bad "resumed: other weights"
  # Refused.
  try 1 train --data "$tmp/data" --tokenizer $TOK $SIZES -o "$tmp/x" --steps 1 --set train.from="$tmp/none"
  has err "train.from"
  try 2 train --data "$tmp/data" $SIZES -o "$tmp/x" --steps 1 --set train.from="$tmp/moved" --set feedforward.num_neurons=40
  has err "train.from=$tmp/moved is another model than the run's settings describe (num_neurons of its config.json)"
  rm -rf "$tmp/x"
  try 2 train --data "$tmp/data" $SIZES -o "$tmp/x" --steps 1 --set train.from="$tmp/moved" --set train.init=monet
  has err "weights start in one way"
  try 2 train --data "$tmp/data" $SIZES -o "$tmp/x" --steps 1 --set train.init=other
  has err 'train.init is "other": choose usual or monet'
  try 2 train --data "$tmp/data" $SIZES -o "$tmp/x" --steps 1 --set train.from=tests/golden/models/mlp
  has err "has no tokenizer.json"
}
finish
