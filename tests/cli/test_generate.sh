#!/bin/sh
# generate: greedy ids, streams and seeds, stop texts, whole characters, MODEL as a run, errors.
. tests/cli/common.sh
M=tests/golden/eval/model
MLP=tests/golden/models/mlp

# Greedy ids are what the trace's logits say: the last row's argmax is checked in tests/unit; here, that all ways agree.
try 0 generate $M --prompt 'The sky was' --greedy --ids
cp "$tmp/out" "$tmp/greedy"
try 0 generate $M --prompt 'The sky was' --temperature 0 --ids --seed 9 -t 1
same "$tmp/greedy" "$tmp/out"
try 0 generate $M --prompt 'The sky was' --top-k 1 --ids --seed 9
same "$tmp/greedy" "$tmp/out"
printf 'The sky was' >"$tmp/prompt"
try 0 generate $M --prompt-file "$tmp/prompt" --greedy --ids
same "$tmp/greedy" "$tmp/out"
"$SGATLIN" tokenizer encode -T $M/tokenizer.json --text 'The sky was' >"$tmp/ids" || bad "encode"
tr ' ' ',' <"$tmp/ids" | sed 's/^/[/; s/$/]/' >"$tmp/ids.json"
try 0 generate $M --prompt-ids "$tmp/ids.json" --greedy --ids
same "$tmp/greedy" "$tmp/out"

# Text, with and without the prompt; JSON holds the same.
try 0 generate $M --prompt 'The sky was' --greedy
cp "$tmp/out" "$tmp/text"
try 0 generate $M --prompt 'The sky was' --greedy --no-echo
printf ' The sky was' | cat - "$tmp/out" >"$tmp/joined"
same "$tmp/text" "$tmp/joined"
try 0 generate $M --prompt 'The sky was' --greedy --json
has out '"sample":1'; has out '"prompt_tokens":4'; has out '"tokens":21'; has out '"reason":"context"'; has out '"seconds":'
has out "\"ids\":$(cat "$tmp/greedy")"

# Ends: number of tokens, the context, stop texts (never shown), eos.
try 0 generate $M -p 'The sky was' --greedy -n 3 --json
has out '"tokens":3'; has out '"reason":"length"'
try 0 generate $M -p 'The sky was' --greedy --context 40 -n 0 --no-stop-at-eos --json
has out '"tokens":37'; has out '"reason":"context"'
try 0 generate $M -p 'The sky was' --greedy --stop '. Th' --stop zebra --json
has out '"reason":"stop"'; has out '"text":" blue"'
try 0 generate $M -p 'The sky was' --greedy --stop '. Th' --no-echo
[ "$(cat "$tmp/out")" = ' blue' ] || bad "the stop text is shown: $(cat "$tmp/out")"
try 0 generate $M -p 'The sky was' --greedy --stop '. Thx' --no-echo -n 3
[ "$(cat "$tmp/out")" = ' blue. The' ] || bad "held back: $(cat "$tmp/out")"
try 0 generate $M -p 'The sky was' --samples 12 --seed 3 --json
[ "$(wc -l <"$tmp/out")" = 12 ] || bad "not 12 samples"
has out '"reason":"eos"'; has out '"sample":12'

# A seed gives the same, another not; sample I does not depend on how many there are.
try 0 generate $M -p 'The sky was' --samples 12 --seed 3 --ids
cp "$tmp/out" "$tmp/twelve"
[ "$(sort -u "$tmp/twelve" | wc -l)" -gt 6 ] || bad "samples are alike"
try 0 generate $M -p 'The sky was' --samples 12 --seed 3 --ids -t 1
same "$tmp/twelve" "$tmp/out"
for n in 1 2 9; do
  try 0 generate $M -p 'The sky was' --samples $n --seed 3 --ids
  head -n $n "$tmp/twelve" >"$tmp/first"
  same "$tmp/first" "$tmp/out"
done
try 0 generate $M -p 'The sky was' --samples 12 --seed 4 --ids
cmp -s "$tmp/twelve" "$tmp/out" && bad "the seed does not matter"
try 0 generate $M -p 'The sky was' --samples 2
has out '--- sample 1 ---'; has out '--- sample 2 ---'

# Special tokens of the prompt count; an empty prompt is the beginning of a text.
try 0 generate $M -p 'The<|endoftext|>' -n 1 --greedy --json
has out '"prompt_tokens":3'
try 0 generate $M -n 1 --greedy --json
has out '"prompt_tokens":1'

# Output is UTF-8 whatever is drawn.
try 0 generate $M --samples 8 --temperature 50 --top-p 1 --no-stop-at-eos
iconv -f UTF-8 -t UTF-8 "$tmp/out" >/dev/null 2>&1 || bad "broken UTF-8"

# A model without tokenizer goes on from ids.
echo '[3, 5, 7]' >"$tmp/three.json"
try 0 generate $MLP --prompt-ids "$tmp/three.json" --greedy --ids -n 4
grep -Eqx '\[[0-9]+,[0-9]+,[0-9]+,[0-9]+\]|\[[0-9,]*\]' "$tmp/out" || bad "no list of ids"
try 1 generate $MLP -p x
has err "tokenizer.json is missing: name a tokenizer with --tokenizer"
try 3 generate $MLP -p x -T tests/golden/tokenizer/tokenizer.json
has err "they do not belong together"

# A run directory.
mkdir -p "$tmp/data" "$tmp/empty/checkpoints"
for i in 1 2 3 4; do printf 'The sky was blue. The lake was big.\n<|endoftext|>\n'; done >"$tmp/data/train.txt"
cp "$tmp/data/train.txt" "$tmp/data/valid.txt"
try 0 train -q --data "$tmp/data" --tokenizer $M/tokenizer.json -o "$tmp/run" --kind mlp --set model.hidden_size=16 \
  --set model.head_dim=8 --set model.num_hidden_layers=1 --set feedforward.num_neurons=16 --set train.seq_len=16 \
  --set train.batch_size=2 --set train.steps=2 --set schedule.warmup_steps=0
try 0 generate "$tmp/run" -p 'The sky' --greedy --ids -n 5
cp "$tmp/out" "$tmp/by_run"
try 0 generate "$tmp/run" --checkpoint step-00000002 -p 'The sky' --greedy --ids -n 5
same "$tmp/by_run" "$tmp/out"
try 0 generate "$tmp/run/checkpoints/step-00000002" -p 'The sky' --greedy --ids -n 5
same "$tmp/by_run" "$tmp/out"
try 0 generate "$tmp/run" --checkpoint best -p 'The sky' --greedy --ids -n 5
try 0 eval "$tmp/run" --data "$tmp/data" --json
has out '"row_form":"pad"'; has out '"rows":4'
try 1 generate "$tmp/empty" -p x
has err "no checkpoint"
try 1 generate "$tmp" -p x
has err "neither a model directory"

# Wrong use.
try 2 generate $M -p x --prompt-file "$tmp/prompt"
has err "only one can be given"
try 2 generate $M --json --ids
try 2 generate $M --stop ''
try 2 generate $M --top-p 1.5
try 2 generate $M --temperature -1
try 2 generate $M --samples 0
try 2 generate
try 2 generate $M -p "$(printf '%200s' '' | tr ' ' x)"
has err "do not fit the"
finish
