#!/bin/sh
# tokenizer.sh [TOKENIZER.json FILE.txt]: encoding here and in Hugging Face's library, alternated 5 times for 1 and 2 threads; medians
# and their ratio. Without arguments: stories of the built-in corpus and a tokenizer trained on them. PYTHON names a Python that has
# tokenizers (peers/tokenizer_hf.py); without one only our own speed is measured, and that is said.
set -eu
cd "$(dirname "$0")/.."
make --no-print-directory build/sgatlin build/bench/bench_tokenizer >&2
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
if [ $# -lt 2 ]; then
  build/sgatlin data worlds -q -n 20000 -o "$tmp/worlds" >/dev/null
  build/sgatlin tokenizer train -q -n 2048 "$tmp/worlds/train.txt" -o "$tmp/tokenizer.json" >/dev/null
  head -c 5000000 "$tmp/worlds/train.txt" >"$tmp/stories.txt"
  set -- "$tmp/tokenizer.json" "$tmp/stories.txt"
fi
peer=yes
"${PYTHON:-python3}" -c 'import tokenizers' 2>/dev/null || {
  peer=
  echo "skipped: Hugging Face tokenizers, which ${PYTHON:-python3} does not have:" \
    "python3 -m venv DIR; DIR/bin/pip install tokenizers; then the same command with PYTHON=DIR/bin/python" >&2
}
speed() { sed 's/.*"mb_per_s":\([0-9.]*\).*/\1/' | tail -n 1; }
median() { sort -g "$1" | sed -n 3p; }
for threads in 1 2; do
  : >"$tmp/own"
  : >"$tmp/peer"
  for round in 1 2 3 4 5; do
    build/bench/bench_tokenizer "$1" "$2" $threads 1 | speed >>"$tmp/own"
    [ -z "$peer" ] || "${PYTHON:-python3}" bench/peers/tokenizer_hf.py "$1" "$2" $threads 1 | speed >>"$tmp/peer"
  done
  own=$(median "$tmp/own") other=$(median "$tmp/peer")
  if [ -n "$peer" ]; then
    awk "BEGIN {printf \"{\\\"threads\\\":$threads,\\\"sgatlin_mb_per_s\\\":$own,\\\"tokenizers_mb_per_s\\\":$other,\\\"ratio\\\":%.1f}\\n\", $own / $other}"
  else
    echo "{\"threads\":$threads,\"sgatlin_mb_per_s\":$own,\"tokenizers_mb_per_s\":null,\"ratio\":null}"
  fi
done
