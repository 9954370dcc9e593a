#!/bin/sh
# Reading one prompt, end to end, on a small model with a tokenizer.
. tests/cli/common.sh
m=tests/golden/eval/model

# number KEY: the first number behind "KEY": in the last output.
number() { sed -n "s/.*[{,] *\"$1\": *\(-\{0,1\}[0-9][0-9.e+-]*\).*/\1/p" "$tmp/out" | head -n 1; }
holds() { awk "BEGIN {exit !($1)}" || bad "does not hold: $1"; }

try 0 attribute $m --prompt 'The dog was'
empty err
has out 'logit of " happy" at position 3, " was"'
has out 'Direct effects: 61 terms'
has out 'Total effects of heads'
try 0 attribute $m --prompt 'The dog was' --target happy --against blue --verify 2 --json
for key in target_logit sum residue sum_abs; do [ -n "$(number $key)" ] || bad "no $key"; done
has out '"terms":'
has out '"against":{"id":'
has out '"rerouting":'
holds "($(number sum)) - ($(number target_logit)) <= 1e-5 * $(number sum_abs)"
# True effects side by side are those of the runs one by one.
try 0 attribute $m --prompt 'The dog was' --true --top 3
has out 'True effects of neurons: 3 of 144 that fired'
has out 'True effects of heads, by position: 3 of '
has out 'missed'
try 0 attribute $m --prompt 'The dog was' --true --most 5 --verify 5 --top 5 --json
has out '"left_out":'
tr -d ' \n' <"$tmp/out" | sed 's/"true":{"neurons":/\n&/; s/"neurons":\[/\n&/' >"$tmp/lists"
effects() { grep "^$1" "$tmp/lists" | tr '{' '\n' | sed -n 's/.*"kind":"neuron".*"true_effect":\([-0-9.e]*\).*/\1/p' | sort -g; }
effects '"neurons":' >"$tmp/one" && effects '"true":' >"$tmp/side"
[ "$(wc -l <"$tmp/one")" = 5 ] || bad "not five neurons run again"
paste "$tmp/one" "$tmp/side" | awk '{d = $1 - $2; if (d * d > 1e-8) exit 1}' || bad "true effects of runs and side by side differ"
try 4 attribute $m --prompt 'The dog was' --true --max-memory 4K
try 0 attribute $m --prompt 'The dog was' --into 1:0:47@3 --top 4
has out 'Into layer 1 channel 0 neuron 47 at position 3, " was", value'
try 0 attribute $m --prompt 'The dog was' --into 1:0:47@3 --top 4 --json
has out '"into":{"layer":1,"channel":0,"index":47,"position":3,'
for wrong in 1:0:47 1:0:47@ 1:0@3 1:-1:2@3 a:0:1@2 1:0:47@3x 1:0:47:3; do
  try 2 attribute $m --prompt 'The dog was' --into $wrong
  has err 'write layer:channel:number@position'
done
try 2 attribute $m --prompt 'The dog was' --into 1:0:5000@3
has err 'did not fire'
try 0 minimal $m --prompt 'The dog was'
empty err
has out 'Enough to keep it, all others silent'
has out 'Enough to lose it when silent'
try 0 minimal $m --prompt 'The dog was' --target happy --against blue --heads --json
has out '"keep":{"count":'
has out '"lose":{"count":'
holds "$(number population) > 100 && $(number runs) > 3"
try 2 minimal $m --prompt 'The dog was' --target blue
has err 'is not the answer at position 3'
try 4 minimal $m --prompt 'The dog was' --max-memory 4K
try 2 attribute $m --prompt x --verfy 1
try 2 attribute $m
has err 'give the text to read behind the model'
try 2 attribute $m --prompt x --position 9
has err 'position 9 is outside the prompt'
# A word of several tokens: each one's sum, and the sum of them; one token of it is what attribute says along it.
try 0 attribute $m --prompt 'The dog was' --target 'happy dog'
has out 'logits of " happy dog" behind position 3, " was": 5.534989'
has out 'probability of " happy dog"'
try 0 attribute $m --prompt 'The dog was' --target 'happy dog' --against zebra --verify 2 --json
has out '"phrase":{"target":{"text":" happy dog","ids":[92,75]'
holds "($(number sum) - $(number logit)) ^ 2 <= (1e-5 * $(number sum_abs)) ^ 2"
has out '"rerouting":'
try 0 attribute $m --prompt 'The dog was' --target 'id:92,75' --part 2 --json
part=$(number target_logit)
try 0 attribute $m --prompt 'The dog was happy' --target dog --json
holds "$(number target_logit) == $part"
try 2 attribute $m --prompt 'The dog was' --target 'happy dog' --part 3
try 2 attribute $m --prompt x --target id:5,
try 2 attribute $m --prompt x --target id:5,150
try 2 attribute $m --prompt x --target id:150
try 2 attribute tests/golden/models/mlp --prompt x
has err 'tokenizer.json'
echo '[5, 6, 7]' >"$tmp/ids.json"
for kind in mlp glu moe peer sgatlin_product_dense_gelu; do
  try 0 attribute tests/golden/models/$kind --ids "$tmp/ids.json" --json
  has out '"residue":'
done

# Logit lens: the last level is the prediction itself, and of a word its own log probability.
try 0 lens $m --prompt 'The dog was' --target 'happy dog' --json
python3 - "$tmp/out" <<'PY' || bad "lens"
import json, sys
o = json.load(open(sys.argv[1]))
t = o["target"]
assert t["word"]["ids"] == [92, 75], t["word"]
assert t["layers"][-1]["log_probability"] == t["word"]["log_probability"]
assert all(len(l["predictions"]) == len(o["tokens"]) for l in o["layers"])
assert [l["site"] for l in t["layers"]] == [l["site"] for l in o["layers"]]
first = [p[-1] for p in (l["predictions"] for l in o["layers"])]
assert first[-1][0]["probability"] >= first[-1][1]["probability"]
PY
word=$(sed -n 's/.*"word":{[^}]*"log_probability":\([-0-9.e]*\).*/\1/p' "$tmp/out")
try 0 attribute $m --prompt 'The dog was' --target 'happy dog' --json
own=$(sed -n 's/.*"phrase":{"target":{[^}]*"log_probability":\([-0-9.e]*\).*/\1/p' "$tmp/out")
[ "$word" = "$own" ] || bad "the lens has the word at $word, attribute at $own"
try 0 lens $m 'The dog was' --target dog --position 1 --top 2 --json
cp "$tmp/out" "$tmp/lens.json"
try 0 lens $m 'The dog was' --target dog --position 1 --top 2
python3 - "$tmp/out" "$tmp/lens.json" <<'PY' || bad "the table's ranks are not those of the JSON, counted from 1"
import json, sys
lines = open(sys.argv[1]).read().split("rank\n")[1].splitlines()
ranks = [int(l.split()[-1]) for l in lines if l.startswith(("embedding ", "after layer "))]
want = [1 + l["rank"] for l in json.load(open(sys.argv[2]))["target"]["layers"]][::-1]
assert ranks == want, (ranks, want)
PY
has out 'after layer'
has out 'embedding'
has out 'rank'
try 2 lens $m 'The dog was' --target ''
try 2 lens $m 'The dog was' --position 9

try 0 graph $m --prompt 'The dog was' -o "$tmp/g.json" --svg "$tmp/g.svg"
has out 'influence kept'
grep -q '"feature_type": "cross layer transcoder"' "$tmp/g.json" || bad "no neuron in the graph"
grep -q '</svg>' "$tmp/g.svg" || bad "the picture is not whole"
try 0 graph $m --prompt 'The dog was' --target 'happy dog' --target old -o "$tmp/w.json" --svg "$tmp/w.svg"
# Of a word the picture tells how each of its tokens came.
[ "$(grep -c '<tspan font-weight="bold">' "$tmp/w.svg")" = 2 ] || bad "the story of a word has another number of tokens"
grep -qE '<tspan font-weight="bold"> dog [0-9.]*%</tspan> ((raised|lowered) most by|no edge that is kept) ' "$tmp/w.svg" || bad "no way to the word's second token"
has out '5 tokens,'; has out '3 logits'
try 2 graph $m --prompt 'The dog was' --target 'happy dog' --target 'old cat' -o "$tmp/w.json"
has err 'one word of several tokens'
try 0 graph $m --prompt 'The dog was' -o "$tmp/h.json" --node-threshold 1 --edge-threshold 1 --json
holds "$(number input_share) > 0.97 && $(number worst_residue) < 1e-5"
try 2 graph $m --prompt 'The dog was'
try 1 graph $m --prompt 'The dog was' -o "$tmp/none/g.json"
try 4 graph $m --prompt 'The dog was' -o "$tmp/g.json" --max-memory 1000
[ -s "$tmp/g.json" ] || bad "a failed command took the file away"

try 0 ablate $m --prompt 'The dog was' --layer 0 --channel 0 --neuron 44 --json
has out '"edit":"layers.0.neurons[channel=0,neuron=44]=0"'
holds "$(number logit_change) < 0 && $(number kl) > 0"
try 0 ablate $m --prompt 'The dog was' --layer 0 --pos 2
has out 'layers.0.mlp.out[pos=2]=0: 32 numbers changed'
# With gates held: the neuron's total effect, and nothing for an edit that scales no neuron.
try 0 attribute $m --prompt 'The dog was' --top 1 --json
first=$(tr -d '\n' <"$tmp/out" | sed 's/.*"neurons": *\[ *\({[^}]*}\).*/\1/')
of() { printf %s "$first" | sed -n "s/.*\"$1\": *\([-0-9.e+]*\).*/\1/p"; }
try 0 ablate $m --prompt 'The dog was' --layer "$(of layer)" --channel "$(of channel)" --neuron "$(of index)" --pos "$(of position)" --json
e=$(of effect) l=$(number linear_change)
holds "($e + $l) ^ 2 < 1e-10 * $e ^ 2"
try 0 ablate $m --prompt 'The dog was' --edit 'embed*=1' --json
grep -q '"linear_change": *null' "$tmp/out" || bad "an edit of the embedding has no linear change"
holds "$(number logit_change) == 0 && $(number kl) == 0"
# A word is watched along it: the change is that of attribute --verify, position by position from the prompt's end.
try 0 attribute $m --prompt 'The dog was' --target 'happy dog' --verify 1 --top 1 --json
true_effect=$(number true_effect)
first=$(tr -d '\n' <"$tmp/out" | sed 's/.*"neurons": *\[ *\({[^}]*}\).*/\1/')
try 0 ablate $m --prompt 'The dog was' --layer "$(of layer)" --channel "$(of channel)" --neuron "$(of index)" --pos -1 --target 'happy dog' --json
has out '"word":{"text":" happy dog"'
holds "($true_effect + $(number logit_change)) ^ 2 < 1e-10 && ($(of effect) + $(number linear_change)) ^ 2 < 1e-10"
for each in layer channel head neuron; do
  try 0 ablate $m --prompt 'The dog was' --each $each --limit 2 --target 'happy dog'
  try 0 ablate $m --prompt 'The dog was' --each $each --limit 3
  has out 'logit lost'
done
try 0 ablate $m --prompt 'The dog was' --other 'The cat was' --edit 'embed=@other' --json
try 2 ablate $m --prompt 'The dog was' --edit 'embed=@other'
has err 'give that prompt with --other'
try 2 ablate $m --prompt 'The dog was' --edit 'layers.0.neurons[pos=1'
try 2 ablate $m --prompt 'The dog was' --edit 'layers.7.neurons=0'
has err 'this model has no such site'
printf 'The dog was happy.<|endoftext|>The cat was old.<|endoftext|>' >"$tmp/text.txt"
try 0 ablate $m --data "$tmp/text.txt" --layer 1 --json
holds "$(number loss_before) > 0 && $(number changed) > 0"
try 0 ablate $m --data "$tmp/text.txt" --each layer
has out 'loss gained'
try 2 ablate $m --data "$tmp/text.txt" --each neuron

try 0 steer $m --prompt 'The dog was' --layer 1 --toward blue --away happy -s 40 -s -40 --json
has out '"strength":-40'
try 0 steer $m --prompt 'The dog was' --layer 0 --channel 0 --neuron 44 -s 3 --pos -1
has out 'strength 3'
try 2 steer $m --prompt 'The dog was' --neuron 3
has err '--neuron needs --layer'
try 2 steer $m --prompt 'The dog was' --layer 9 --toward blue
try 2 steer $m --prompt 'The dog was' --layer 0 --neuron 64

try 0 neuron $m --layer 1 --channel 2 --index 62
has out 'Written by earlier neurons'
try 0 neuron $m --layer 1 --channel 2 --index 62 --json
has out '"opens":'
try 0 neuron tests/golden/models/glu --layer 0 --index 3
try 2 neuron $m --layer 1 --channel 3 --index 0
try 0 record $m --data "$tmp/text.txt" -o "$tmp/rec"
try 0 neuron $m --layer 0 --index 44 --recording "$tmp/rec"
has out '[ was] happy.'
has out 'Fires together with'
try 0 neuron $m --layer 0 --index 44 --recording "$tmp/rec" --special --json
holds "$(number density) > 0"
has out '"for":0,"against":3'; has out '"excerpts":[{"side":"against"'
try 2 neuron tests/golden/models/glu --layer 0 --index 3 --recording "$tmp/rec"
has err 'feedforward kind (glu) has none'
try 1 neuron $m --layer 0 --index 44 --recording "$tmp"

try 0 margins $m --prompt 'The dog was'
has out 'layer 2'
try 0 margins $m --prompt 'The dog was' --json
has out '"distance":'
try 3 margins tests/golden/models/mlp --ids "$tmp/ids.json"
has err 'has no gates'
finish
