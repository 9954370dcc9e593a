#!/bin/sh
# facts mine, facts patch: on the reference's stories and model, its numbers; on worlds, the known facts.
. tests/cli/common.sh

model=tests/golden/eval/model
# The stories of mining.json, one a document.
sed -n '/"stories"/,/^ \]/s/^  "\(.*\)",\{0,1\}$/\1\n<|endoftext|>/p' tests/golden/eval/facts/mining.json > "$tmp/stories.txt"

try 0 facts mine "$tmp/stories.txt" --min-count 5 -o "$tmp/facts.json"
has out "cake      *      sweet 10"
has out "lake             cold 10, big 9, wet 5"
has out "23 nouns in 91 documents; 15 of them (*) share no adjective: no larger set exists"
try 0 facts mine "$tmp/stories.txt" --min-count 5 --json
has out '"distinct":["cake","girl","sky","tree","door","cat","grass","mouse","moon","house","turtle","wind","umbrella","soup","car"],"distinct_size":15,"distinct_proven":true'

# Figures of the pairs that are known both ways, and the reference's mean recovered effect of interventions.json (canonical, position 2).
try 0 facts patch $model --facts "$tmp/facts.json"
has out "23 nouns, 15 that share no answer, 11 of single tokens: 110 pairs"
has out "96 pairs whose facts the model both knows; 14 others are left out of all columns but the reference's"
has out "layers  d clean  d patched  recovered   median  reference's mean  rank flip"
has out "0        2.7830     2.6796     0.0186   0.0165            0.0305     0.0104"
has out "2        2.7830     2.7830     0.0000   0.0000            0.0000     0.0000"
# two_answers, all nouns, gates of the last position in all layers.
try 0 facts patch $model --facts "$tmp/facts.json" --at last --layers 0-2 --layers 0,2 --answers 2 --all-nouns
has out "0,1,2    2.0546     0.4449     0.3917  0.4082            0.3290     0.3542"
# JSON keeps all of the reference's means, over all pairs: d clean, d patched, recovered, rank flip, both accuracies.
digits() { sed 's/\(\.[0-9][0-9][0-9][0-9]\)[0-9]*/\1/g' "$tmp/out" >"$tmp/short" && mv "$tmp/short" "$tmp/out"; }
try 0 facts patch $model --facts "$tmp/facts.json" --json
digits
has out '"n_pairs":110,"n_known":96'
has out '"layers":[0],"known":{"logitdiff_clean":2.7829,'
has out '"mean":{"logitdiff_clean":2.5820,"logitdiff_counterfactual":-2.5820,"logitdiff_intervened":2.4775,"recovered_effect":0.0304,"rank_flip":0.0545,"correct_clean":0.9363,"correct_counterfactual":0.9363}'
try 0 facts patch $model --facts "$tmp/facts.json" --layers all --pairs --json
has out '"layers":[0,1,2]'
has out '"clean":"girl","counterfactual":"sky"'

# What is put over: gates as by default; all that the neurons do, in every kind; the embedding, which is the other prompt itself.
try 0 facts patch $model --facts "$tmp/facts.json" --what embedding --json
digits
has out '"what":"embedding","from":"counterfactual"'
has out '"known":{"logitdiff_clean":2.7829,"logitdiff_counterfactual":-2.7829,"logitdiff_intervened":-2.7829,"recovered_effect":1.0,"median_recovered":0.9999,"rank_flip":1.0}'
try 0 facts patch $model --facts "$tmp/facts.json" --layers 0 --json
cp "$tmp/out" "$tmp/gates"
for w in neurons "gates --from another" "gates --from another --seed 3"; do
  try 0 facts patch $model --facts "$tmp/facts.json" --layers 0 --json --what $w
  cmp -s "$tmp/out" "$tmp/gates" && bad "--what $w is --what gates"
done
try 0 facts patch $model --facts "$tmp/facts.json" --what neurons --words --all-nouns --layers all
try 2 facts patch $model --facts "$tmp/facts.json" --seed 3; has err "--from another, which was not asked for"
try 2 facts patch $model --facts "$tmp/facts.json" --what embedding --layers 1; has err "before the first layer"
try 2 facts patch $model --facts "$tmp/facts.json" --noun girl --noun sky --from another; has err "a third noun of the same form"
sizes="--tokenizer $model/tokenizer.json --set model.hidden_size=16 --set model.head_dim=8 --set model.num_hidden_layers=2 --set train.seq_len=24 --set train.batch_size=4"
for kind in mlp "moe --set feedforward.num_channels=4 --set feedforward.top_k=2" "monet --set feedforward.num_channels=2 --set feedforward.top_k=2 --set feedforward.num_experts=4 --set feedforward.expert_dim=4"; do
  name=${kind%% *}
  case $kind in monet*) units= ;; *) units="--set feedforward.num_neurons=24" ;; esac
  # shellcheck disable=SC2086
  try 0 train "$tmp/stories.txt" --kind $kind $units $sizes -o "$tmp/$name" --steps 2 -q
  try 0 facts patch "$tmp/$name" --facts "$tmp/facts.json" --what neurons --json
  # With all of a layer put over nothing is left of its own choice: the last layer's say at the noun reaches no later position.
  sed 's/.*"layers":\[1\],"known":[^}]*},"mean":{"logitdiff_clean":\([-0-9.e]*\),"logitdiff_counterfactual":[-0-9.e]*,"logitdiff_intervened":\([-0-9.e]*\),.*/\1 \2/' "$tmp/out" |
    awk '{ d = $1 - $2; exit !(NF == 2 && d * d < 1e-12) }' || bad "$name: the last layer at the noun moves the last position: $(head -c 900 "$tmp/out")"
done
try 3 facts patch "$tmp/mlp" --facts "$tmp/facts.json"; has err "neurons in every kind"

# Two nouns alone: their pairs, whatever they share.
try 0 facts patch $model --facts "$tmp/facts.json" --noun girl --noun sky --layers 0
has out "2 chosen, 2 of single tokens: 2 pairs"
# One that the model does not know has nothing to recover.
try 0 facts patch $model --facts "$tmp/facts.json" --all-nouns --layers 0 --pairs
has out "  unknown  "
printf '{"before":"The ","after":" was","facts":{"sky":{"big":1},"lake":{"blue":1}}}' >"$tmp/false.json"
try 0 facts patch $model --facts "$tmp/false.json" --layers 0
has out "0 pairs whose facts the model both knows; 2 others"
has out "0             -          -          -       -"
try 2 facts patch $model --facts "$tmp/facts.json" --noun girl --noun nobody
has err "--noun nobody"

# The bound of the search is said: 300 nouns with 5 of 400 adjectives each.
awk 'BEGIN {
  seed = 1
  for (n = 0; n < 300; n++)
    for (k = 0; k < 5; k++) {
      seed = (seed * 1103515245 + 12345) % 2147483648
      printf "The n%s was a%s.\n", letters(n), letters(int(seed / 65536) % 400)
    }
}
function letters(i) { return sprintf("%c%c%c", 97 + int(i / 100), 97 + int(i / 10) % 10, 97 + i % 10) }' > "$tmp/hard.txt"
try 0 facts mine "$tmp/hard.txt" --min-count 1 --effort 1
has out "the search met its bound, a larger set may exist (--effort)"
printf 'A cat sat there.\n' >"$tmp/without.txt"
try 0 facts mine "$tmp/without.txt"
has out 'the text never says "The NOUN was ADJECTIVE" often enough'

# worlds: the plain pattern finds all that is known to be true.
try 0 data worlds --stories 2000 --seed 3 -o "$tmp/worlds" -q
try 0 facts mine "$tmp/worlds/train.txt" --min-count 1 --truth "$tmp/worlds/facts.json"
has out "300 of 300 true facts were found"

# Words of several tokens: refused with the way to take them, and taken (numbers: golden/test_facts).
printf '{"before":"The ","after":" was","facts":{"elephant":{"enormous":1},"crocodile":{"dangerous":1},"kangaroo":{"jumping":1}}}' >"$tmp/long.json"
try 2 facts patch $model --facts "$tmp/long.json" --all-nouns
has err "take words of several tokens, too"
try 0 facts patch $model --facts "$tmp/long.json" --all-nouns --words
has out "3 of words: "
try 0 facts patch $model --facts "$tmp/long.json" --all-nouns --words --json
has out '"text":" enormous","ids":['

try 2 facts patch $model
has err "--facts"
try 2 facts patch $model --facts "$tmp/facts.json" --layers 3
has err "the model has layers 0 to 2"
try 2 facts patch $model --facts "$tmp/facts.json" --layers 0,x
has err "expected numbers and ranges"
try 2 facts patch tests/golden/models/mlp --facts "$tmp/facts.json"
has err "tokenizer.json"
try 2 facts patch $model --facts "$tmp/worlds/facts.json" --type colour
has err "there are quality"
echo '{"before": 3}' > "$tmp/bad.json"
try 3 facts patch $model --facts "$tmp/bad.json"
try 1 facts mine "$tmp/nothing.txt"
finish
