#!/bin/sh
# tokenizer.sh TOKENIZER.json FILE.txt: encoding here and in Hugging Face's library, alternated 5 times for 1 and 2 threads; medians
# and their ratio. PYTHON names a Python that has tokenizers (peers/tokenizer_hf.py).
set -eu
cd "$(dirname "$0")/.."
make --no-print-directory build/bench/bench_tokenizer >&2
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
speed() { sed 's/.*"mb_per_s":\([0-9.]*\).*/\1/' | tail -n 1; }
median() { sort -g "$1" | sed -n 3p; }
for threads in 1 2; do
  : >"$tmp/own"
  : >"$tmp/peer"
  for round in 1 2 3 4 5; do
    build/bench/bench_tokenizer "$1" "$2" $threads 1 | speed >>"$tmp/own"
    "${PYTHON:-python3}" bench/peers/tokenizer_hf.py "$1" "$2" $threads 1 | speed >>"$tmp/peer"
  done
  own=$(median "$tmp/own") peer=$(median "$tmp/peer")
  awk "BEGIN {printf \"{\\\"threads\\\":$threads,\\\"sgatlin_mb_per_s\\\":$own,\\\"tokenizers_mb_per_s\\\":$peer,\\\"ratio\\\":%.1f}\\n\", $own / $peer}"
done
