#!/bin/sh
# eval: the reference's figures, text and baselines, forms of rows, errors.
. tests/cli/common.sh
M=tests/golden/eval/model

try 0 eval $M --ids $M/targets.json --method batches --batch-size 4 --json
# golden: tests/golden/eval/circuits/evaluate.json, within its relative tolerance of 1e-5
near() { # KEY VALUE
  sed 's/.*"'"$1"'":\([-0-9.e]*\).*/\1/' "$tmp/out" | awk -v want="$2" '{ d = $1 - want; if (d < 0) d = -d; exit !(d <= 1e-5 * want) }' ||
    bad "$1 is not $2"
}
near loss 1.17879796; near accuracy 0.707065225; near perplexity 3.25049353; near perplexity_last_token 5.16833782
has out '"tokens":172'; has out '"batches":2'; has out '"method":"batches"'
cp "$tmp/out" "$tmp/json"
"$SGATLIN" eval $M --ids - --method batches --batch-size 4 --json -t 1 --max-memory 80K <$M/targets.json >"$tmp/out" || bad "stdin"
same "$tmp/json" "$tmp/out"
try 4 eval $M --ids $M/targets.json --max-memory 1K
has err "more than the 1 KB that are allowed"
try 0 eval $M --ids $M/targets.json
has out "172 tokens in 8 rows of up to 24; mean over all counted tokens"
has out "1.1791 +- 0.0763"

# Text: a file, a directory with splits, baselines of the training text on the same tokens.
mkdir "$tmp/data"
printf 'The sky was blue. The dog was happy.\n<|endoftext|>\nThe lake was cold.\n<|endoftext|>\n' >"$tmp/data/train.txt"
printf 'The sky was cold. The dog was happy.\n<|endoftext|>\nThe lake was blue.\n<|endoftext|>\n' >"$tmp/data/valid.txt"
try 0 eval $M --data "$tmp/data/valid.txt" --json
has out '"rows":2'; has out '"row_form":"pad"'; has out '"method":"tokens"'; has out '"seq_len":24'
grep -q baselines "$tmp/out" && bad "baselines without training text"
cp "$tmp/out" "$tmp/file"
try 0 eval $M --data "$tmp/data" --json
same "$tmp/file" "$tmp/out"
try 0 eval $M --data "$tmp/data" --train "$tmp/data" --json
has out '"baselines":{"unigram":{"loss":'; has out '"trigram":{"loss":'
try 0 eval $M --data "$tmp/data" --train "$tmp/data"
has out "trigram"; has out "unigram"
try 0 eval $M --data "$tmp/data" --rows pack --seq-len 8 --json
has out '"row_form":"pack"'; has out '"seq_len":8'
try 0 eval $M --data "$tmp/data" --max-rows 1 --json
has out '"rows":1'

# A document longer than a row is counted whole, in windows; what other forms leave out is said.
for i in 1 2 3 4 5 6 7 8; do printf 'The sky was blue. The dog was happy. '; done >"$tmp/long.txt"
try 0 eval $M --data "$tmp/long.txt"
tail -n 1 "$tmp/out" >"$tmp/last"
cp "$tmp/last" "$tmp/out"
has out "+-"; has out "over 81 tokens in 6 rows of up to 24"
has out "windows of 24, stride 12, each token counted once with at least 12 tokens before it; mean over all counted tokens"
empty err
try 0 eval $M --data "$tmp/long.txt" --stride 6 --json
has out '"row_form":"windows"'; has out '"stride":6'; has out '"tokens":81'; has out '"cut_tokens":0'
try 0 eval $M --data "$tmp/long.txt" --rows pad --json
has out '"tokens":24'; has out '"text_tokens":81'; has out '"cut_tokens":57'
has err "57 of 81 tokens (70.4 %) lie beyond the rows and are not counted; --rows windows counts them"
cp "$tmp/out" "$tmp/padded"
try 0 eval $M --data "$tmp/long.txt" --rows pack
has err "9 of 81 tokens (11.1 %) fill no row"
try 0 eval $M --data "$tmp/long.txt" --method batches --batch-size 1 --json
has out '"row_form":"pad"'
# The baselines count the same tokens; of several documents each is a unit.
{ cat "$tmp/long.txt"; printf '<|endoftext|>The dog was cold.<|endoftext|>'; cat "$tmp/long.txt"; } >"$tmp/three.txt"
try 0 eval $M --data "$tmp/three.txt" --train "$tmp/data" --json
has out "standard error over rows of one document together"; has out '"trigram"'
try 0 eval $M --data "$tmp/three.txt" --max-rows 1 --json
has out '"tokens":81' # a document's windows are not parted
# With windows as long as the document the numbers are those of one row.
try 0 eval $M --data "$tmp/long.txt" --seq-len 100 --beyond-context --json
sed 's/.*"loss":\([^,]*\).*/\1/' "$tmp/out" >"$tmp/one"
try 0 eval $M --data "$tmp/long.txt" --seq-len 100 --beyond-context --rows windows --json
sed 's/.*"loss":\([^,]*\).*/\1/' "$tmp/out" >"$tmp/two"
same "$tmp/one" "$tmp/two"

# Rows are no longer than the longest document, whatever was asked for; beyond the model's context only when asked.
try 0 eval $M --data "$tmp/data" --json
sed 's/"seq_len":[0-9]*//' "$tmp/out" >"$tmp/usual"
try 0 eval $M --data "$tmp/data" --seq-len 1000000 --max-memory 1M --json
sed 's/"seq_len":[0-9]*//' "$tmp/out" >"$tmp/huge"
same "$tmp/usual" "$tmp/huge"
try 2 eval $M --data "$tmp/long.txt" --seq-len 1000000
has err "81 tokens at a time, but the model was made for 24"; has err "--beyond-context"
try 0 eval $M --data "$tmp/long.txt" --seq-len 1000000 --beyond-context --json
has err "warning: 81 tokens are read at a time"; has out '"warning":"81 tokens are read'
try 2 eval $M --data "$tmp/long.txt" --stride 25
try 2 eval $M --data "$tmp/long.txt" --rows pad --stride 6

# Wrong use.
try 2 eval $M
has err "give --data PATH or --ids IDS.json"
try 2 eval $M --data x --ids y
for o in "--rows pad" "--stride 4" "--seq-len 8"; do try 2 eval $M --ids $M/targets.json $o; done
has err "as they are"
try 2 eval $M --ids $M/targets.json --method batches --batch-size 9
has err "less than one batch"
try 1 eval $M --data "$tmp/none.txt"
has err "none.txt"
echo '[[1, 2], [3, 1000]]' >"$tmp/big.json"
try 2 eval $M --ids "$tmp/big.json"
has err "outside the vocabulary of 150"
try 1 eval tests/golden/models/mlp --data "$tmp/data"
has err "tokenizer.json is missing"
finish
