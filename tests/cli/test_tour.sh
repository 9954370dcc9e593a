#!/bin/sh
# Every command of README.md, docs/reading*.md and docs/explorer.md is run as it stands, and what they claim to print compared
# (tests/support/tour.py). The demo's own model where `make demo` has made it (DEMO=demo), else a stand-in made here.
. tests/cli/common.sh
command -v python3 >/dev/null || skip "no python3"
case $SGATLIN in /*) ;; *) SGATLIN=$PWD/$SGATLIN ;; esac

demo=${DEMO:-}
if [ -z "$demo" ]; then
  demo=$tmp/demo
  try 0 -q data worlds --stories 4000 --seed 1 -o "$demo/worlds"
  SIZES="--set model.hidden_size=32 --set model.num_hidden_layers=4 --set model.head_dim=16 --seq-len 96 --batch-size 8 --lr 3e-3 --set eval.batches=2"
  # shellcheck disable=SC2086
  try 0 -q train "$demo/worlds" -o "$demo/sgatlin" $SIZES --set tokenizer.vocab_size=1536 --set feedforward.num_neurons=256 --set feedforward.num_channels=4 --set feedforward.key_dim=16 --steps 160
  # shellcheck disable=SC2086
  try 0 -q train "$demo/worlds" -o "$demo/mlp" --kind mlp $SIZES --tokenizer "$demo/sgatlin/tokenizer.json" --set feedforward.num_neurons=64 --steps 40
fi

[ -e "$demo/rec" ] || try 0 -q record "$demo/sgatlin" -n 200 -o "$demo/rec"

# The table of what is held: each row by its own command.
table() { sed -n "s/^| $1 | \([0-9.]*\).*/\1/p" docs/reading.md; }
held() { # ROW EDIT...
  row=$1
  shift
  try 0 ablate tests/golden/eval/model 'The dog was' --other 'The dog was' -e 'layers.0.neurons[pos=3,channel=0,neuron=44]=0' "$@" --json
  lost=$(sed -n 's/.*"logit_change": *-\([0-9.]*\).*/\1/p' "$tmp/out")
  awk "BEGIN {exit !((${lost:-0} - $(table "$row")) ^ 2 < 1e-7)}" || bad "reading.md, held: $row: $(table "$row"), the command says ${lost:-nothing}"
}
gates='-e layers.*.router.*=@other' norms='-e *norm_scale=@other' patterns='-e layers.*.attn.pattern=@other'
set -f
held nothing
# shellcheck disable=SC2086
held gates $gates
# shellcheck disable=SC2086
held 'norm scales' $norms
# shellcheck disable=SC2086
held 'attention patterns' $patterns
# shellcheck disable=SC2086
held 'all three' $gates $norms $patterns
set +f

mkdir "$tmp/here"
head -c 60000 "$demo/worlds/train.txt" >"$tmp/book.txt"
[ -e "$demo/book.txt" ] || cp "$tmp/book.txt" "$demo/book.txt"
echo '{"model": {"hidden_size": 32, "num_hidden_layers": 2, "head_dim": 16}, "train": {"seq_len": 32, "batch_size": 4},
 "feedforward": {"num_neurons": 64, "num_channels": 2, "top_k": 2, "key_dim": 8}, "tokenizer": {"vocab_size": 400}}' >"$tmp/here/small.json"
try 0 isoflop --data "$demo/worlds" --tokenizer "$demo/sgatlin/tokenizer.json" --kinds mlp --budgets 1e12 --scales ladder:32x1 --seeds 1 -o "$tmp/here/STUDY" --plan "$tmp/plan"
tour=$PWD/tests/support/tour.py
(cd "$tmp/here" && python3 "$tour" "$SGATLIN" "$demo" README.md docs/reading.md docs/reading-corpus.md docs/reading-facts.md docs/explorer.md) >"$tmp/out" 2>&1 || bad "the documents"
sed 's/^/  /' "$tmp/out"
finish
