#!/bin/sh
# e3.sh, e4.sh, e5.sh, e9.sh, e10.sh and facts.sh of scripts/experiments in a tiny form: each runs to its table, takes up what is there, and finds the rate of the least loss.
. tests/cli/common.sh
command -v python3 >/dev/null || { echo "skipped: no python3"; finish; exit; }

# small NAME VARIABLE=...: the script, twice; the second time it trains nothing.
small() {
  name=$1
  shift
  env NICE=0 STORIES=400 SEEDS=0 "$@" sh "scripts/experiments/$name.sh" "$SGATLIN" "$tmp/$name" >"$tmp/out" 2>"$tmp/err" || { bad "$name.sh ended with $?"; cat "$tmp/err"; }
  cp "$tmp/$name/table.txt" "$tmp/table" || bad "$name.sh left no table"
  find "$tmp/$name" -name model.safetensors -newer "$tmp/table" | grep -q . && bad "$name.sh: a model is newer than the table"
  env NICE=0 STORIES=400 SEEDS=0 "$@" sh "scripts/experiments/$name.sh" "$SGATLIN" "$tmp/$name" >"$tmp/out" 2>"$tmp/err" || bad "$name.sh fails where its runs are there"
  cmp -s "$tmp/$name/table.txt" "$tmp/table" || bad "$name.sh: another table from the same runs"
  find "$tmp/$name" -name model.safetensors -newer "$tmp/table" | grep -q . && bad "$name.sh trains again what is there"
}
# least NAME VARIANT RATE...: OUT/VARIANT.rate is the rate whose search has the least loss.
least() {
  name=$1 variant=$2
  shift 2
  for r in "$@"; do printf '%s %s\n' "$(sed -n 's/.*"loss":\([0-9.]*\).*/\1/p' "$tmp/$name/search.$variant.$r.json" | head -n 1)" "$r"; done |
    sort -g | head -n 1 | sed 's/.* //' >"$tmp/least"
  cmp -s "$tmp/least" "$tmp/$name/$variant.rate" || bad "$name.sh: rate of $variant is $(cat "$tmp/$name/$variant.rate"), and $(cat "$tmp/least") has the least loss"
}

small e3 LENGTHS=8 RATES="4e-3 1e-4" ROUNDS=1 ROWS=8 FEW=144 MANY=400 WIDTH=32 LAYERS=1
least e3 float-few 4e-3 1e-4
least e3 int4-bare 4e-3 1e-4
[ "$(cat "$tmp/e3/float-few.rate")" = 4e-3 ] || bad "e3.sh does not take the first of two rates" # what was tried last must not count
grep -q '^| int4-many | 247,456 |' "$tmp/e3/table.txt" || bad "e3.sh: no line of int4-many"
small e4 FLOPS=1e10 RATES="4e-3 1e-4" WIDTH=32 LAYERS=1
least e4 monet 4e-3 1e-4
[ "$(grep -c '^| ' "$tmp/e4/table.txt")" = 5 ] || bad "e4.sh: expected a heading, its line and three variants"
small e5 WIDTHS=32 SHARES="0 20" STEPS=140 FACTORS=1 RATES="4e-3 1e-4" ROWS=4 LAYERS=4 BATCH=4 LENGTH=64 VOCABULARY=300
least e5 monet.32 4e-3 1e-4
least e5 peer.32 4e-3 1e-4
grep -q '^| 32 | ' "$tmp/e5/table.txt" || bad "e5.sh: no line of the width"
small e9 FLOPS=2e9 RATES="4e-3 1e-4" WIDTH=32 LAYERS=1 DOCUMENTS=20 VOCABULARY=300
least e9 jumprelu 4e-3 1e-4
grep -q "^| jumprelu | " "$tmp/e9/table.txt" || bad "e9.sh: no line of jumprelu"
small e10 FLOPS=2e9 WIDTH=32 LAYERS=1 DOCUMENTS=20 PAIRS=5 PLACES=2 VOCABULARY=300
grep -q '^| dropout | 0 | 5 |' "$tmp/e10/table.txt" || bad "e10.sh: no line of the pairs"
small facts FLOPS=2e9 KINDS="sgatlin mlp" WIDTH=32 LAYERS=1 VOCABULARY=2048 LENGTH=64
grep -q '^| sgatlin | [0-9.]* | [0-9]* | gates | ' "$tmp/facts/table.txt" || bad "facts.sh: no line of gates"
[ "$(grep -c '| embedding | 1.000 |' "$tmp/facts/table.txt")" = 2 ] || bad "facts.sh: the embedding is not the other prompt"
finish
