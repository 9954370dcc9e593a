#!/bin/sh
# What a model reads at a time is no longer than it was made for, in every command; asked for, the result says so in text and JSON.
. tests/cli/common.sh
M=tests/golden/eval/model # made for 24 tokens
ids='[7'
i=0
while [ $i -lt 30 ]; do ids="$ids, $((5 + i % 40))"; i=$((i + 1)); done
echo "[$ids]]" >"$tmp/rows.json"
echo "$ids]" >"$tmp/ids.json"
for i in 1 2 3 4; do printf 'The sky was blue. The dog was happy. '; done >"$tmp/long.txt"
try 0 record $M --data "$tmp/long.txt" -o "$tmp/rec"
beyond() { # COMMAND...: refused as it is, with a warning when asked
  try 2 "$@"
  has err "but the model was made for 24"; has err "--beyond-context"
  empty out
  try 0 "$@" --beyond-context
  has err "warning: 3"; has err "the model was made for 24"
  try 0 "$@" --beyond-context --json
  has out '"warning":"3'
}
beyond attribute $M --ids "$tmp/ids.json"
beyond ablate $M --ids "$tmp/ids.json" --layer 0
beyond neuron $M --layer 0 --channel 0 --index 1 --ids "$tmp/ids.json"
beyond margins $M --ids "$tmp/ids.json"
beyond steer $M --ids "$tmp/ids.json" --layer 0 --channel 0 --neuron 1 -s 2
beyond neighbors $M "$tmp/rec" --ids "$tmp/ids.json"
beyond eval $M --ids "$tmp/rows.json"
for verb in graph trace; do
  input="$tmp/ids.json"
  [ $verb = graph ] || input="$tmp/rows.json"
  try 2 $verb $M --ids "$input" -o "$tmp/$verb.out"
  has err "but the model was made for 24"
  [ -e "$tmp/$verb.out" ] && bad "$verb wrote a file"
  try 0 $verb $M --ids "$input" -o "$tmp/$verb.out" --beyond-context
  has err "warning: 3"
done
try 2 record $M --data "$tmp/long.txt" --seq-len 1000 -o "$tmp/rec2"
has err "but the model was made for 24"
try 0 record $M --data "$tmp/long.txt" --seq-len 1000 --beyond-context -o "$tmp/rec2" --json
has out '"warning":"'
# Longer rows than any document are no longer reading.
printf 'The sky was blue.' >"$tmp/short.txt"
try 0 record $M --data "$tmp/short.txt" --seq-len 1000 -o "$tmp/rec3"
try 2 ablate $M --data "$tmp/long.txt" --seq-len 100 --layer 0
has err "but the model was made for 24"
try 0 ablate $M --data "$tmp/long.txt" --layer 0
# The same wherever text is cut into rows.
try 0 label make $M --recording "$tmp/rec" --names "$tmp/names.sqlite" -q
try 0 sparse train $M --data "$tmp/long.txt" --top-k 2 --features 32 --seq-len 16 -b 8 --buffer 2 --steps 2 -o "$tmp/tc" -q
for command in "previous $M" "label score $M --names $tmp/names.sqlite" "sinks $M" "sparse eval $M $tmp/tc" "sparse match $M $tmp/tc" \
  "sparse train $M --top-k 2 --features 32 -o $tmp/tc2"; do
  try 2 $command --data "$tmp/long.txt" --seq-len 1000
  has err "but the model was made for 24"
done
try 2 distill --teacher $M --student $M --data "$tmp/long.txt" --seq-len 1000 -o "$tmp/none"
has err "but the model was made for 24"
try 2 circuit score $M "$tmp/tc" --data "$tmp/long.txt" --tokens 30
has err "but the model was made for 24"
# generate: a longer --context is the asking.
try 0 generate $M -p "The sky was" --context 40 -n 0 --no-stop-at-eos --json
has err "warning: 40 tokens"; has out '"warning":"40 tokens'
finish
