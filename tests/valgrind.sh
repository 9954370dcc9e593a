#!/bin/sh
# valgrind.sh [COMMAND]: what a user does first, on small sizes, under valgrind's memcheck: no bad access, no use of uninitialised
# values, nothing lost. Takes 3 minutes; `make valgrind` runs it. Needs valgrind.
#
# The command starts itself a second time unless the environment says how threads wait (cli/waiting.c), and valgrind follows only
# with --trace-children=yes; with GOMP_SPINCOUNT set there is nothing to follow.
set -u
cd "$(dirname "$0")/.." || exit 1
sgatlin=${1:-build/sgatlin}
command -v valgrind >/dev/null || { echo "valgrind.sh: valgrind is missing: apt-get install valgrind" >&2; exit 2; }
tmp=$(mktemp -d) || exit 1
trap 'rm -rf "$tmp"' EXIT
export GOMP_SPINCOUNT=0
failures=0
run() {
  valgrind -q --error-exitcode=99 --leak-check=full --show-leak-kinds=definite --errors-for-leak-kinds=definite --log-file="$tmp/log" \
    "$sgatlin" -t 2 "$@" >"$tmp/out" 2>"$tmp/err" </dev/null
  code=$?
  [ "$code" = 0 ] && { echo "ok    $1"; return; }
  failures=$((failures + 1))
  echo "FAIL  $* (exit code $code)"
  head -n 40 "$tmp/log"
  tail -n 5 "$tmp/err"
}
model=tests/golden/eval/model
run version
run data worlds -n 40 -o "$tmp/worlds"
run tokenizer train -n 320 "$tmp/worlds/train.txt" -o "$tmp/tokenizer.json"
run tokenizer encode -T "$tmp/tokenizer.json" --text 'The fox ran.'
kinds=$("$sgatlin" version | sed -n 's/^kinds *//p')
[ -n "$kinds" ] || { echo "valgrind.sh: $sgatlin version lists no kinds" >&2; exit 1; }
for kind in $kinds; do
  case $("$sgatlin" version --json) in
    *"\"$kind\":{\"router\":true"*) sizes="--set feedforward.num_neurons=36 --set feedforward.top_k=2 --set feedforward.key_dim=8" ;;
    *) sizes="--set feedforward.num_neurons=20" ;;
  esac
  # shellcheck disable=SC2086
  run train -q --data "$tmp/worlds" --tokenizer "$tmp/tokenizer.json" --kind $kind $sizes --set model.hidden_size=32 \
    --set model.num_hidden_layers=2 --set model.head_dim=16 --set train.seq_len=32 --set train.batch_size=4 --set train.steps=3 \
    --set eval.batches=1 -o "$tmp/$kind"
done
run generate "$tmp/sgatlin" --prompt 'The fox' -n 12 --seed 3
run eval "$tmp/moe" --data "$tmp/worlds/valid.txt"
run info "$tmp/sgatlin"
run attribute $model --prompt 'The dog was'
run graph $model --prompt 'The dog was' -o "$tmp/graph.json"
printf 'The dog was happy. The sky was blue.\n<|endoftext|>\nThe girl was tall. The cake was sweet.\n' >"$tmp/few.txt"
run record $model --data "$tmp/few.txt" -o "$tmp/rec"
run neighbors "$tmp/rec" --at 0:3
[ "$failures" = 0 ] || { echo "$failures failed"; exit 1; }
