#!/bin/sh
# knockout, enrich, extract: curves over facts that a model knows; the same bits for any threads; what is refused.
. tests/cli/common.sh
model=tests/golden/eval/model
sed -n '/"stories"/,/^ \]/s/^  "\(.*\)",\{0,1\}$/\1\n<|endoftext|>/p' tests/golden/eval/facts/mining.json > "$tmp/stories.txt"
"$SGATLIN" -q facts mine "$tmp/stories.txt" --min-count 5 -o "$tmp/facts.json" >/dev/null || bad "facts mine"
F="--facts $tmp/facts.json"

try 0 knockout $model $F --svg "$tmp/k.svg"
has out "prompts known"
has out "non_subject"
has out "random"
grep -q '<polyline' "$tmp/k.svg" || bad "no curve in the figure"
try 0 knockout $model $F --sets subject,last --window 3
grep -q "bos" "$tmp/out" && bad "a set that was not asked for"
try 0 enrich $model $F --top 5 --at 1 --svg "$tmp/e.svg"
has out "subject_last, another's"
has out "feedforward"
try 0 extract $model $F --lens raw --svg "$tmp/x.svg"
has out "answer first"
has out "subject as before layer 1"
grep -q 'attention without subject' "$tmp/x.svg" || bad "no curve in the figure"
for c in "knockout --draws 2" "enrich --top 9" "extract"; do
  # shellcheck disable=SC2086
  set -- $c
  name=$1
  shift
  try 0 $name $model $F "$@" --json -t 1
  cp "$tmp/out" "$tmp/one"
  try 0 $name $model $F "$@" --json -t 2
  same "$tmp/one" "$tmp/out"
  has out '"accuracy":'
done

# Errors.
try 2 knockout $model $F --sets subjects; has err 'no set "subjects"'
try 2 knockout $model $F --window 9; has err "wider than the model"
try 2 enrich $model $F --at 3; has err "layers 0 to 2"
try 2 extract $model $F --type home; has err '"home"'
try 2 knockout tests/golden/models/mlp $F; has err "tokenizer.json"
echo '[{"type":"quality","prompt":"The dog was","noun":"dog","answer":"the","occurrences":1}]' >"$tmp/other.json"
for c in knockout enrich extract; do
  try 2 $c $model --facts "$tmp/other.json"; has err "facts of another world"
  try 1 $c $model --facts "$tmp/none.json"; has err "none.json"
done
# A layer that was pruned: named.
for i in 1 2 3 4 5 6; do printf 'The dog was red.\n<|endoftext|>\nThe cat was old and the moon was a dog.\n<|endoftext|>\n'; done >"$tmp/text.txt"
try 0 prune $model --calibrate "$tmp/text.txt" --data "$tmp/stories.txt" --remove 1 --method depth --no-latency --rows 2 --seq-len 8 -o "$tmp/small" -q
try 3 knockout "$tmp/small" $F; has err "layer 2 of this model has no"
finish
