#!/bin/sh
# A run made longer: the same bits as a run planned so where the rate had not decayed, and said where it had; what a finished run says.
[ -w /dev/shm ] && TMPDIR=${TMPDIR:-/dev/shm} && export TMPDIR
. tests/cli/common.sh
export OMP_WAIT_POLICY=passive
TOK=tests/golden/bpe/stories_alpha_300.json
mkdir "$tmp/data"
head -c 40000 tests/golden/bpe/stories.txt >"$tmp/data/train.txt"
tail -c 8000 tests/golden/bpe/stories.txt >"$tmp/data/valid.txt"
SIZES="--set model.hidden_size=32 --set model.num_hidden_layers=1 --set model.head_dim=16 --set train.seq_len=32 --set train.batch_size=4
 --kind mlp --set feedforward.num_neurons=36 --set schedule.warmup_steps=4 --set eval.batches=1 --set checkpoint.keep=20"
weights() { sha256sum <"$tmp/$1/checkpoints/step-000000$2/model.safetensors" | cut -c 1-64; }
# shellcheck disable=SC2086
start() { # RUN STEPS OPTION...
  name=$1 steps=$2
  shift 2
  try 0 train --data "$tmp/data" --tokenizer $TOK $SIZES -o "$tmp/$name" --steps "$steps" "$@"
}

for schedule in constant warmup_stable_sqrt_decay warmup_stable_linear_decay cosine; do
  start whole 60 --set schedule.kind=$schedule --set checkpoint.every=30
  start part 40 --set schedule.kind=$schedule --set checkpoint.every=30
  try 0 train --resume -o "$tmp/part" --steps 60
  has err "extended from 40 to 60 steps; schedule $schedule over all of them: the next update has learning rate"
  [ "$(cat "$tmp/part/checkpoints/latest")" = step-00000060 ] || bad "$schedule: ends at $(cat "$tmp/part/checkpoints/latest")"
  if [ $schedule = constant ]; then
    has err "the same as its, to the last bit"
    [ "$(weights whole 60)" = "$(weights part 60)" ] || bad "$schedule: not the weights of a run of 60 steps"
  else
    has err "updates so far had a rate that a run of 60 steps would not have had"
    [ "$(weights whole 60)" != "$(weights part 60)" ] || bad "$schedule: the same weights, though it had decayed"
  fi
  # Recorded: what follows knows it, and the log tells.
  grep -q '"steps": 60' "$tmp/part/config.json" || bad "$schedule: config.json has not 60 steps"
  grep -q '"from": 40' "$tmp/part/config.json" || bad "$schedule: config.json does not record the extension"
  grep -q "extended from 40 to 60" "$tmp/part/log.txt" || bad "$schedule: log.txt does not tell"
  rm -rf "$tmp/whole" "$tmp/part"
done

# Stopped before the decay begins and made longer: the same bits. A kill between the extension and the next checkpoint loses nothing.
start whole 60 --set checkpoint.every=10
start part 40 --set checkpoint.every=10
for step in 20 30 40; do rm -rf "$tmp/part/checkpoints/step-000000$step"; done # as if it had ended after step 10
try 2 train --resume -o "$tmp/part" --steps 60 --set eval.every=250
try 0 train --resume -o "$tmp/part" --steps 60
has err "the same as its, to the last bit"
[ "$(weights whole 60)" = "$(weights part 60)" ] || bad "not the weights of a run of 60 steps"
for step in 20 30 40 50 60; do rm -rf "$tmp/part/checkpoints/step-000000$step"; done
try 0 train --resume -o "$tmp/part"
[ "$(weights whole 60)" = "$(weights part 60)" ] || bad "a plain resume after the extension gives other weights"

# What a finished run says works; what does not fit is refused with what would.
try 0 train --resume -o "$tmp/part"
has err "all 60 steps are done already; train on with: sgatlin train --resume -o $tmp/part --steps 120"
try 2 train --resume -o "$tmp/part" --steps 50
has err "the run has 60 steps"
try 0 train --resume "$tmp/part"
has err "all 60 steps are done already"
try 2 train "$tmp/data"
has err "-o RUN is needed"
try 2 train --resume -o "$tmp/part" --seed 3
has err "--steps N makes the run longer"
# The first words offered are the text's own, and the command runs.
try 0 train --resume -o "$tmp/part" --steps 61
command=$(sed -n 's/^done: .* try: sgatlin //p' "$tmp/err")
case $command in *--prompt*) ;; *) bad "no prompt is offered: $command" ;; esac
eval "try 0 $command -n 2"
eval "first=$(printf '%s' "$command" | sed 's/.*--prompt //')"
tr '\n' ' ' <"$tmp/data/valid.txt" | grep -qF -e "$first" || bad "'$first' is not of the text"
finish
