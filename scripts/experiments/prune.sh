#!/bin/sh
# prune.sh SGATLIN DATA TOKENIZER OUT [JOBS]: every way to choose sublayers, on the preset's models of stories (docs/method-comparison.md, pruning):
# DATA holds train.txt and valid.txt (or .zst). Three seeds of mlp and sgatlin, 1,500 steps of 8 rows of 256; then `prune --compare` to twice
# the speed. A run that is there is gone on with. OUT/KIND-SEED.json, .svg, .txt.
set -eu
sgatlin=$1 data=$2 tokenizer=$3 out=$4 jobs=${5:-1}
steps=${STEPS:-1500} seeds=${SEEDS:-"1 2 3"} kinds=${KINDS:-"mlp sgatlin"} threads=${THREADS:-2}
mkdir -p "$out"
one() { # KIND SEED
  run="$out/$1-$2"
  [ -f "$run.trained" ] || {
    if [ -d "$run/checkpoints" ]; then
      "$sgatlin" -q -t "$threads" train --resume -o "$run"
    else
      "$sgatlin" -q -t "$threads" train --preset tinystories --kind "$1" --data "$data" --tokenizer "$tokenizer" -o "$run" --steps "$steps" \
        --seed "$2" --set train.batch_size=8 --set train.seq_len=256 --set eval.every=0
    fi
    : >"$run.trained"
  }
}
if [ "${ONE:-}" ]; then
  # shellcheck disable=SC2086
  one $ONE
  exit
fi
"$sgatlin" -q train --preset tinystories --kind mlp --data "$data" --tokenizer "$tokenizer" -o "$out/first" --steps 1 \
  --set train.batch_size=8 --set train.seq_len=256 2>/dev/null || [ -d "$out/first" ] # the cache of tokens, once
for seed in $seeds; do for kind in $kinds; do echo "$kind $seed"; done; done |
  xargs -P "$jobs" -I{} env ONE={} STEPS="$steps" THREADS="$threads" sh "$0" "$sgatlin" "$data" "$tokenizer" "$out"
text() { ls "$data/$1.txt" "$data/$1.txt.zst" 2>/dev/null | head -n 1; }
# Timings one after the other, nothing beside them, unless PRUNE_JOBS says that there are cores enough.
for seed in $seeds; do for kind in $kinds; do echo "$kind-$seed"; done; done |
  xargs -P "${PRUNE_JOBS:-1}" -I{} sh -c '[ -f "$2/{}.json" ] || { "$1" -q -t "$3" prune "$2/{}" --calibrate "$4" --data "$5" --rows "$6" \
    --compare --svg "$2/{}.svg" --json >"$2/{}.json.new" && mv "$2/{}.json.new" "$2/{}.json"; }' sh \
    "$sgatlin" "$out" "$threads" "$(text train)" "$(text valid)" "${ROWS:-128}"
