#!/bin/sh
# What people type first: words of the field, a missing option, the wrong order. Each is done, or answered with what to
# write instead; what an answer says to write is tried here, so that no advice leads on to another error.
. tests/cli/common.sh
export OMP_WAIT_POLICY=passive

M=tests/golden/eval/model
TOK=tests/golden/bpe/stories_alpha_300.json
SMALL="--tokenizer $TOK --set model.hidden_size=32 --set model.num_hidden_layers=2 --set model.head_dim=16 --seq-len 32
 --set feedforward.num_neurons=36 --set feedforward.num_channels=2 --set feedforward.top_k=2 --set feedforward.key_dim=8"
head -c 60000 tests/golden/bpe/stories.txt >"$tmp/book.txt"
number() { sed -n "s/.*[{,] *\"$1\": *\(-\{0,1\}[0-9][0-9.e+-]*\).*/\1/p" "$tmp/out" | head -n 1; }
holds() { awk "BEGIN {exit !($1)}" || bad "does not hold: $1"; }

# ---- a text file is enough to train: parted, said, and every command knows what was held out
# shellcheck disable=SC2086
try 0 train "$tmp/book.txt" -o "$tmp/run" $SMALL --batch-size 4 --lr 1e-3 --steps 12 --set eval.batches=0 --json
has err 'is a single file: its last 5 %'
grep -q '"batch_size": 4' "$tmp/run/config.json" || bad "--batch-size was not heard"
grep -q '"learning_rate": 0.001' "$tmp/run/config.json" || bad "--lr was not heard"
held=$(number valid_tokens)
loss=$(number loss)
try 0 eval "$tmp/run" --json
[ "$(number text_tokens)" = "$held" ] || bad "eval read $(number text_tokens) tokens, $held were held out"
try 0 eval "$tmp/run" --rows pack --seq-len 32 --json
holds "($(number loss) - $loss) ^ 2 < 1e-8"
try 0 eval "$tmp/run" "$tmp/book.txt" --json
[ "$(number text_tokens)" -gt "$((10 * held))" ] || bad "a text that was named is not read whole"
try 0 record "$tmp/run" -o "$tmp/rec" --seq-len 1000 --beyond-context --json
[ "$(number positions)" = "$held" ] || bad "record ran $(number positions) positions, $held were held out"
try 0 ablate "$tmp/run" --each layer
has out 'loss gained'
try 0 ablate "$tmp/run" --layer 1 --json
holds "$(number changed) > 0"
# all of it, on demand; a directory has its own split
# shellcheck disable=SC2086
try 0 train "$tmp/book.txt" -o "$tmp/all" $SMALL --batch-size 4 --steps 1 --set data.held_out=0
has err 'nothing will be evaluated'
try 2 eval "$tmp/all"
has err 'give one with --data'
try 0 eval "$tmp/all" --data "$tmp/book.txt"
# a run from before files were parted goes on with all of its file
cp -r "$tmp/all" "$tmp/old" && sed -i '/"held_out"/d' "$tmp/old/config.json"
try 0 train --resume "$tmp/old" --steps 2
has err 'nothing will be evaluated'
try 0 train --resume "$tmp/run"
has err "train on with: sgatlin train --resume -o $tmp/run --steps 24"
try 0 train --resume -o "$tmp/run" --steps 24
# one document: parted within it; its two parts are all of it
tr -d '<' <"$tmp/book.txt" >"$tmp/one.txt"
# shellcheck disable=SC2086
try 0 train "$tmp/one.txt" -o "$tmp/one" $SMALL --batch-size 4 --steps 1 --json
cp "$tmp/out" "$tmp/parts"
held=$(number valid_tokens)
train=$(sed -n 's/.*the \([0-9]*\) before them.*/\1/p' "$tmp/err")
try 0 eval "$tmp/one" --json
[ "$(number text_tokens)" = "$held" ] || bad "eval: $(number text_tokens) tokens of $held"
try 0 eval "$tmp/one" "$tmp/one.txt" --json
[ "$(number text_tokens)" = "$((held + train))" ] || bad "parts of $held and $train tokens of $(number text_tokens)"

# ---- FILE or DIR
mkdir "$tmp/dir"
cp "$tmp/book.txt" "$tmp/dir/train.txt"
head -c 4000 "$tmp/book.txt" >"$tmp/dir/valid.txt"
for command in "eval $M" "ablate $M --each layer --max-tokens 500" "record $M --dry-run"; do
  for text in valid.txt .; do
    # shellcheck disable=SC2086
    try 0 $command --data "$tmp/dir/$text" --json
    sed 's/"disk_free":[0-9]*//' "$tmp/out" >"$tmp/of-$text"
  done
  same "$tmp/of-valid.txt" "$tmp/of-."
done
try 0 prune $M --calibrate "$tmp/dir" --data "$tmp/dir" --remove 1 --method depth --no-latency --rows 2 --seq-len 8 -q --json

# ---- the text behind the model
try 0 generate $M 'The dog was' --greedy -n 4
cp "$tmp/out" "$tmp/words"
try 0 generate $M --prompt 'The dog was' --greedy -n 4
same "$tmp/words" "$tmp/out"
for command in attribute graph ablate steer neuron margins generate; do
  more=
  [ $command = graph ] && more="-o $tmp/g.json"
  # shellcheck disable=SC2086
  try 0 $command $M 'The dog was' $more
  # the wrong order is answered with the right one
  # shellcheck disable=SC2086
  try 2 $command 'The dog was' $M $more
  has err "did you mean sgatlin $command $M 'The dog was'?"
  # shellcheck disable=SC2086
  try 2 $command 'The dog was' $more
  has err "sgatlin $command MODEL "
  # shellcheck disable=SC2086
  try 2 $command $M 'The dog was' --prompt 'The cat was' $more
  has err "unexpected argument 'The dog was': --prompt is 'The cat was' already"
done
try 0 record $M "$tmp/dir/valid.txt" -o "$tmp/of-m"
try 2 attribute "$tmp/of-m" 'The dog was'
has err "is a recording; a model comes first: sgatlin attribute MODEL"
try 2 eval "$tmp/book.txt" "$tmp/run"
has err "did you mean sgatlin eval $tmp/run '$tmp/book.txt'?"
try 0 eval "$tmp/run" "$tmp/book.txt"
try 2 eval "$tmp/book.txt"
has err "is no training run"

# ---- a neuron that nobody named
# Where the likeliest token only begins a word, the command says how to ask for all of it; elsewhere it says nothing.
several=0
for text in 'The dog was' 'The cat' 'Once upon' 'A b' 'One day, Tim'; do
  try 0 ablate $M "$text" --layer 0 --json
  behind=$(tr -d ' \n' <"$tmp/out" | grep -o '"continuation_ids":\[[^]]*\]' | head -n 1)
  try 0 attribute $M "$text"
  case $behind in
    *'[]') empty err ;;
    *) has err "asks why the whole word"; several=$((several + 1)) ;;
  esac
done
[ $several -gt 0 ] || bad "no text whose likeliest token only begins a word"
try 0 attribute $M 'The dog was' -q
empty err
try 0 attribute $M 'The dog was' --json
strongest=$(tr -d '\n' <"$tmp/out" | sed 's/.*"neurons": *\[ *\({[^}]*}\).*/\1/')
of() { printf %s "$strongest" | sed -n "s/.*\"$1\": *\([-0-9.e+]*\).*/\1/p"; }
named="--layer $(of layer) --channel $(of channel) --neuron $(of index)"
try 0 neuron $M 'The dog was' --json
[ "$(number layer) $(number channel) $(number index)" = "$(of layer) $(of channel) $(of index)" ] || bad "neuron took another one"
has err "$named"
has out '"strongest":{'
# shellcheck disable=SC2086
try 0 neuron $M 'The dog was' $named
cp "$tmp/out" "$tmp/card"
try 0 neuron $M 'The dog was'
same "$tmp/card" "$tmp/out"
try 0 neuron $M 'The dog was' --layer 2
has out 'layer 2 channel'
# shellcheck disable=SC2086
try 0 ablate $M 'The dog was' $named --only-at "$(of position)" --json
cp "$tmp/out" "$tmp/removed"
try 0 ablate $M 'The dog was' --json
same "$tmp/removed" "$tmp/out"
# shellcheck disable=SC2086
try 0 steer $M 'The dog was' $named --json
cp "$tmp/out" "$tmp/steered"
try 0 steer $M 'The dog was' --json
same "$tmp/steered" "$tmp/out"
try 2 neuron $M
has err "sgatlin neuron $M 'TEXT'"
try 2 neuron $M --neuron 3
has err '--neuron needs --layer'
try 2 steer $M 'The dog was' --toward blue
has err '--toward needs --layer L'
try 0 steer $M 'The dog was' --toward blue --layer 1
try 2 ablate $M --data "$tmp/book.txt"
has err '--layer, --edit or --each'
try 2 neuron $M 'The dog was' --layer 9
has err 'no neuron of that layer'
for i in 1 3; do
  try 0 ablate $M 'The dog was' --each neuron -n $i
  [ "$(grep -c 'layers\.' "$tmp/out")" = $i ] || bad "ablate --each neuron -n $i shows $(grep -c 'layers\.' "$tmp/out")"
  has out "$i of 36 parts shown"
done

# ---- one name for one thing; the old ones are read, and so are their variables
twins() { # NEW OLD COMMAND...: the command with either
  new=$1 old=$2
  shift 2
  # shellcheck disable=SC2086
  try 0 "$@" $new
  cp "$tmp/out" "$tmp/new"
  # shellcheck disable=SC2086
  try 0 "$@" $old
  same "$tmp/new" "$tmp/out"
}
twins '--neuron 44' '--index 44' neuron $M --layer 0
twins '--only-at 2' '--pos 2' ablate $M 'The dog was' --layer 0
twins '--only-at -1' '--pos -1' steer $M 'The dog was'
twins '--position 0' '--pos 0' neighbors $M "$tmp/of-m" 'The dog was' 
twins '--top 3' '--count 3' neighbors "$tmp/of-m" --position 2
twins '--seq-len 20' '--context 20' ablate $M --data "$tmp/book.txt" --layer 0 --max-tokens 400
twins '--seq-len 9' '--length 9' record $M "$tmp/book.txt" --dry-run --documents 3
SGATLIN_INDEX=44 "$SGATLIN" neuron $M --layer 0 --json >"$tmp/out" 2>&1 || bad "the variable of a former name"
has out '"index":44'
try 2 neighbors "$tmp/of-m" --position -1
has err 'those of the recording go from 0 to'
try 2 neighbors "$tmp/of-m" 'The dog'
has err "sgatlin neighbors $tmp/of-m --find 'The dog'"
try 2 neighbors "$tmp/of-m" --prompt 'The dog'
has err "sgatlin neighbors MODEL $tmp/of-m TEXT"
try 0 neighbors $M "$tmp/of-m" 'The dog'
try 2 neighbors "$tmp/of-m" $M 'The dog'
has err 'is a recording; a model comes first: sgatlin neighbors MODEL'
try 2 neighbors $M "$tmp/of-m"
has err "sgatlin neighbors $M $tmp/of-m TEXT"

# The N-th set of coactivation, by its place or by its neurons.
try 0 record $M "$tmp/book.txt" -o "$tmp/more" -q
try 0 coactivation "$tmp/more" --layer 0 -n 1 --json
set=$(grep -o '"channel":[0-9]*,"neuron":[0-9]*' "$tmp/out" | sed 's/"channel":\([0-9]*\),"neuron":\([0-9]*\)/\1:\2/' | paste -sd, -)
[ -n "$set" ] || bad "no set fires together"
twins '--neurons set:1' "--neurons $set" neighbors "$tmp/more" --layer 0
try 2 neighbors "$tmp/more" --layer 0 --neurons set:1000
has err "'sgatlin coactivation' lists"
try 2 neighbors "$tmp/more" --layer 0 --neurons set:x
has err 'expected set:1 to set:1000'

# ---- words of the field. COMMAND, word, what is answered: it is an option of that command, or a setting
"$SGATLIN" train --keys | sed 's/ .*//' >"$tmp/keys"
while read -r command word here; do
  try 2 $command --$word 1
  has err "unknown option '--$word'; did you mean '--$here"
  case $here in
    set*)
      key=${here#set }
      grep -qx "$key" "$tmp/keys" || bad "--$word: there is no setting $key"
      ;;
    steps*) ;;
    no-*) "$SGATLIN" help $command | grep -q -e "--${here#no-}" || bad "$command has no --$here" ;;
    *) "$SGATLIN" help $command | grep -q -e "--$here" || bad "$command has no --$here" ;;
  esac
done <<'END'
train learning-rate lr
train learning_rate lr
train bs batch-size
train batch_size batch-size
train block-size seq-len
train max-steps steps
train max_iters steps
train epochs steps N' (batches
train dataset data
train out-dir output
train d_model set model.hidden_size
train hidden-size set model.hidden_size
train n_layer set model.num_hidden_layers
train num-heads set model.num_attention_heads
train weight-decay set optimizer.weight_decay
train wd set optimizer.weight_decay
train warmup-steps set schedule.warmup_steps
train vocab-size set tokenizer.vocab_size
train grad-clip set optimizer.clip
train save-every set checkpoint.every
train pack set data.rows
train val-split set data.held_out
generate max-new-tokens max-tokens
generate max_new_tokens max-tokens
generate num-samples samples
generate temp temperature
generate text prompt
generate do-sample no-greedy
attribute token target
attribute pos position
attribute text prompt
attribute top-k top
ablate index neuron
ablate feature neuron
steer coefficient strength
steer alpha strength
neuron rec recording
neuron feature neuron
record max-docs documents
record layer layers
eval dataset data
eval max-length seq-len
graph out output
explore rec recording
version num-threads threads
END
try 2 train --print-config --set batch_size=8
has err 'did you mean "train.batch_size"?'
try 0 train --print-config --set train.batch_size=8
try 2 train --print-config --set lr=1
has err 'did you mean "optimizer.learning_rate"?'
try 2 --prompt x generate $M
has err "stands behind one: sgatlin COMMAND --prompt"

# ---- commands of the field: what is answered is a command
while read -r word here; do
  try 2 $word
  has err "unknown command '$word'; did you mean '$here'?"
  set -- $here
  [ "$here" = help ] || [ "${2:-}" = --resume ] || "$SGATLIN" --dump commands | grep -qx "$here" || bad "$word: there is no command $here"
done <<'END'
sample generate
run generate
evaluate eval
perplexity eval
tokenize tokenizer encode
encode tokenizer encode
explain attribute
edges graph
intervene ablate
feature neuron
activations record
neighbours neighbors
umap map
inspect info
serve explore
dashboard explore
patch facts patch
worlds data worlds
resume train --resume
list help
attribut attribute
END

# ---- the lines that matter come first
for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24; do
  word=$(printf '%s' $i | tr 0-9 a-j)
  for k in 1 2 3; do echo "The n$word was big."; done
done >"$tmp/facts.txt"
try 0 facts mine "$tmp/facts.txt" --min-count 2
head -n 1 "$tmp/out" | grep -q '^24 nouns in 1 document; 1 of them' || bad "facts mine begins with $(head -n 1 "$tmp/out")"
has out '20 of 24 nouns shown (--top 0: all)'
try 0 facts mine "$tmp/facts.txt" --min-count 2 --top 0
[ "$(grep -c ' big 3' "$tmp/out")" = 24 ] || bad "--top 0 shows $(grep -c ' big 3' "$tmp/out") nouns"
finish
