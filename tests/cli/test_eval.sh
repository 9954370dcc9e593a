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
"$SGATLIN" eval $M --ids - --method batches --batch-size 4 --json -t 1 --max-memory 1 <$M/targets.json >"$tmp/out" || bad "stdin"
same "$tmp/json" "$tmp/out"
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

# Wrong use.
try 2 eval $M
has err "give either"
try 2 eval $M --data x --ids y
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
