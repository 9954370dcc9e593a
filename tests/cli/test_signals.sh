#!/bin/sh
# A signal ends every command: INT with 130, TERM with 143, within a second, whatever it is at. Each is given enough work for many
# seconds and asked to end in the middle. And sizes that nobody's memory holds end with 4 before anything is allocated.
[ -w /dev/shm ] && TMPDIR=${TMPDIR:-/dev/shm} && export TMPDIR
. tests/cli/common.sh
export OMP_WAIT_POLICY=passive
M=tests/golden/eval/model
BOUND=${SIGNAL_BOUND:-2500} # milliseconds from the signal: a second, and what a loaded machine adds

i=0
while [ $i -lt 40 ]; do
  printf 'The sky was blue on day %d. The dog was happy. The lake was cold. Tom said the %d was red.\n<|endoftext|>\n' $i $i
  i=$((i + 1))
done >"$tmp/part"
cp "$tmp/part" "$tmp/some.txt"
for k in 1 2 3 4 5; do cat "$tmp/some.txt" "$tmp/some.txt" "$tmp/some.txt" "$tmp/some.txt" >"$tmp/more" && mv "$tmp/more" "$tmp/some.txt"; done # 4 MB
for k in 1 2 3 4 5 6 7 8 9 10 11 12; do cat "$tmp/some.txt"; done >"$tmp/big.txt"
mkdir "$tmp/data"
ln "$tmp/big.txt" "$tmp/data/train.txt"
cp "$tmp/part" "$tmp/data/valid.txt"
awk 'BEGIN { printf "["; for (i = 0; i < 12000; i++) printf "%d,", 5 + i * 7 % 120; print "5]" }' >"$tmp/ids.json"
awk 'BEGIN { printf "["; for (i = 0; i < 80000; i++) printf "%d,", 5 + i * 7 % 120; print "5]" }' >"$tmp/many.json"
{ printf '['; cat "$tmp/ids.json"; printf ']'; } >"$tmp/rows.json"
{ printf '['; cat "$tmp/many.json"; printf ']'; } >"$tmp/longer.json"
awk 'BEGIN { printf "[["; for (i = 0; i < 30000; i++) printf "%d,", 5 + i * 7 % 120; print "5]]" }' >"$tmp/graded.json"
mkfifo "$tmp/fifo"
"$SGATLIN" record $M --data "$tmp/part" --tokenizer $M/tokenizer.json -o "$tmp/rec" >/dev/null 2>&1 ||
  { cp "$tmp/part" "$tmp/part.txt"; "$SGATLIN" record $M --data "$tmp/part.txt" -o "$tmp/rec" >/dev/null 2>&1 || bad "record"; }
"$SGATLIN" facts mine "$tmp/some.txt" -o "$tmp/facts.json" >/dev/null 2>&1 || bad "facts"
"$SGATLIN" data worlds --stories 400 -o "$tmp/worlds" >/dev/null 2>&1 || bad "worlds"

seen=
# ends NAME SIGNAL COMMAND...: asked after 0.8 s.
ends() {
  name=$1 signal=$2
  shift 2
  seen="$seen|$name|"
  begin=$(date +%s%N)
  timeout -s "$signal" -k 20 --preserve-status 0.8 "$SGATLIN" "$@" >"$tmp/out" 2>"$tmp/err" </dev/null
  code=$?
  took=$((($(date +%s%N) - begin) / 1000000 - 800))
  want=143
  [ "$signal" = INT ] && want=130
  if [ $code != $want ]; then
    [ $code = 0 ] && [ "${quick:-0}" = 1 ] && return
    bad "$name: exit code $code, expected $want"
    head -n 3 "$tmp/err" | cut -c 1-200 | sed 's/^/    /'
  fi
  [ "$took" -le "$BOUND" ] || bad "$name: took $took ms after $signal"
}

# Training ends after the step it is in and a whole checkpoint: a model whose step and checkpoint take milliseconds,
# so that what is timed is the way to the end and not the disk.
small="--set model.hidden_size=32 --set model.num_hidden_layers=1 --set model.head_dim=16
  --set feedforward.num_neurons=64 --set feedforward.num_channels=2 --set feedforward.top_k=4
  --set feedforward.key_dim=16 --set train.batch_size=4 --set tokenizer.vocab_size=300"
for signal in TERM INT; do
  ends eval $signal eval $M --data "$tmp/big.txt"
  rm -rf "$tmp/.sgatlin"
  ends train $signal train --data "$tmp/data" -o "$tmp/run$signal" --set train.seq_len=32 $small --steps 1000000
done
ends eval TERM eval $M --ids "$tmp/longer.json" --beyond-context --max-memory 8G
ends eval TERM eval $M --data "$tmp/fifo"
ends eval TERM eval $M --data "$tmp/big.txt" --train "$tmp/big.txt"
ends train TERM train --data "$tmp/data" -o "$tmp/big" --set train.seq_len=512 --set train.batch_size=64 --set data.rows=pack --dry-run
ends "tokenizer train" TERM tokenizer train -n 300 "$tmp/big.txt" "$tmp/big.txt" "$tmp/big.txt" "$tmp/big.txt" "$tmp/big.txt" "$tmp/big.txt" -o "$tmp/t.json"
[ -e "$tmp/t.json" ] && bad "tokenizer train left a file"
ends "tokenizer train" INT tokenizer train -n 300 "$tmp/fifo" -o "$tmp/t.json"
ends "tokenizer encode" TERM tokenizer encode -T $M/tokenizer.json "$tmp/fifo"
ends "tokenizer decode" TERM tokenizer decode -T $M/tokenizer.json "$tmp/fifo"
ends "facts mine" TERM facts mine "$tmp/fifo"
ends "data greater-than" TERM data greater-than -n 5000000 -o "$tmp/spans2"
ends "data worlds" TERM data worlds --stories 3000000 -o "$tmp/w2"
ends "data tokens" TERM data tokens "$tmp/fifo" -T $M/tokenizer.json
ends generate TERM generate $M -p "The sky" --samples 100000 -n 0 --no-stop-at-eos --ids
ends trace TERM trace $M --ids "$tmp/graded.json" --beyond-context --max-memory 8G -o "$tmp/trace.out" --grad
ends attribute TERM attribute $M --ids "$tmp/ids.json" --beyond-context --max-memory 16G
ends lens TERM lens $M --ids "$tmp/ids.json" --beyond-context --target id:5,6
ends graph INT graph $M --ids "$tmp/ids.json" --beyond-context --max-memory 16G -o "$tmp/graph.json"
ends ablate TERM ablate $M --ids "$tmp/many.json" --beyond-context --each neuron
ends ablate TERM ablate $M --data "$tmp/big.txt" --max-tokens 100000000 --each layer
ends steer TERM steer $M --ids "$tmp/many.json" --beyond-context --layer 0 --channel 0 --neuron 1 -s 2
ends neuron TERM neuron $M --layer 0 --channel 0 --index 1 --ids "$tmp/many.json" --beyond-context
ends margins TERM margins $M --ids "$tmp/many.json" --beyond-context
ends record TERM record $M --data "$tmp/big.txt" --no-index -o "$tmp/rec2"
ends prune TERM prune $M --calibrate "$tmp/some.txt" --data "$tmp/some.txt" --rows 20000 --remove 2
ends "svd score" TERM svd score $M --data "$tmp/some.txt" --rotations 10000
ends previous TERM previous $M --data "$tmp/some.txt" --tokens 100000000 --max-memory 64G --seq-len 64 --beyond-context
ends "sparse train" TERM sparse train $M --data "$tmp/big.txt" --top-k 2 --features 64 --seq-len 16 -b 64 --buffer 2 -o "$tmp/tcs"
"$SGATLIN" -q sparse train $M --data "$tmp/big.txt" --top-k 2 --features 64 --seq-len 16 -b 64 --buffer 2 --steps 2 -o "$tmp/tc" >"$tmp/out"
ends "sparse eval" TERM sparse eval $M "$tmp/tc" --data "$tmp/big.txt" --no-baselines
ends "sparse match" TERM sparse match $M "$tmp/tc" --data "$tmp/big.txt" --max-rows 0
ends "circuit score" TERM circuit score $M "$tmp/tc" --data "$tmp/big.txt" --prompts 100000 --tokens 8
ends minimal TERM minimal $M --ids "$tmp/ids.json" --beyond-context --max-memory 16G
study="--data $tmp/data --set train.seq_len=32 --set train.batch_size=4 --set tokenizer.vocab_size=300 --set train.micro_batch=4"
# shellcheck disable=SC2086
{
  ends isoflop TERM isoflop $study --kinds mlp --budgets 1e14 --scales ladder:32x1 --seeds 1 -o "$tmp/study"
  # A study of its own: on a slow machine the first is stopped before it is written down.
  ends "isoflop" INT isoflop $study --kinds mlp --budgets 1e7 --scales ladder:32x1 --seeds 1 --retime --rounds 1000 -o "$tmp/retimed"
  ends sweep INT sweep $study --kind mlp --preset ladder:32x1 --steps 1000000 --vary optimizer.clip=0.5,1 -o "$tmp/sweep"
}
"$SGATLIN" -q label make $M --names "$tmp/names.sqlite" || bad "label make"
ends "label score" TERM label score $M --names "$tmp/names.sqlite" --data "$tmp/big.txt" --positions 100000000
ends explore TERM explore $M --port 0
ends bench TERM bench -k sgatlin -k mlp
cp "$tmp/part" "$tmp/part.txt"
"$SGATLIN" -q record $M --data "$tmp/part.txt" -o "$tmp/recf" || bad "record"
"$SGATLIN" -q functions fit $M --recording "$tmp/recf" --features 4 --least 8 --steps 1 --no-logic --no-named -o "$tmp/F" >"$tmp/out" ||
  bad "functions fit"
ends "functions bench" TERM functions bench "$tmp/F" --pool 0 --seconds 1000 --dir "$tmp"
quick=1 # small recordings are done before they are asked
ends "benchmark-reading" TERM benchmark-reading --worlds "$tmp/worlds" $M $M
ends "facts patch" TERM facts patch $M --facts "$tmp/facts.json" --answers 1
for c in knockout enrich extract; do ends $c TERM $c $M --facts "$tmp/facts.json"; done
ends neighbors TERM neighbors $M "$tmp/rec" --ids "$tmp/ids.json" --beyond-context
ends map TERM map "$tmp/rec" --layer 0 -o "$tmp/map.svg"
ends coactivation TERM coactivation "$tmp/rec"
ends cka TERM cka $M "$tmp/rec"
ends usage TERM usage "$tmp/rec"
ends sinks TERM sinks $M --data "$tmp/big.txt" --rows 0
"$SGATLIN" -q train --data "$tmp/data" -o "$tmp/pools" --steps 1 --set model.hidden_size=32 --set model.num_hidden_layers=1 \
  --set model.head_dim=16 --set train.seq_len=32 --set train.batch_size=2 --set tokenizer.vocab_size=300 \
  --set feedforward.meta.experts=2 || bad "train with a metarouter"
ends topics TERM topics "$tmp/pools" --data "$tmp/big.txt" --by file --documents 0
ends superposition TERM superposition $M --recording "$tmp/rec"
ends "functions fit" TERM functions fit $M --recording "$tmp/recf" --features 4 -o "$tmp/F2"
ends "functions show" TERM functions show "$tmp/F"
ends "functions parse" TERM functions parse "1 + 2*x(1*z0 + 0)"
ends circuit TERM circuit $M "$tmp/tc" --prompt "The sky"
{
  "$SGATLIN" -q data greater-than -n 3000 -o "$tmp/spans" &&
    "$SGATLIN" -q train --kind mlp --data "$tmp/spans" --tokenizer "$tmp/spans/tokenizer.json" -o "$tmp/spanrun" --steps 1 --set model.hidden_size=32 \
      --set model.num_hidden_layers=2 --set model.head_dim=16 --set train.seq_len=24 --set train.batch_size=8 --set feedforward.num_neurons=48 &&
    "$SGATLIN" -q sparse train "$tmp/spanrun" --data "$tmp/spans" --top-k 4 --features 64 -b 128 --buffer 8 --steps 2 -o "$tmp/spantc"
} >"$tmp/out" || bad "a model of spans"
ends "circuit greater-than" TERM circuit greater-than "$tmp/spanrun" "$tmp/spantc"
ends "sparse feature" TERM sparse feature $M "$tmp/tc" -l 0 -i 0 --recording "$tmp/rec"
ends verify TERM verify $M
ends quantize TERM quantize $M --to int8 -o "$tmp/int8"
"$SGATLIN" train --data "$tmp/data" --kind monet --set model.hidden_size=64 --set model.num_hidden_layers=8 --set model.head_dim=16 --set train.seq_len=64 \
  --set train.batch_size=4 --set tokenizer.vocab_size=300 --set feedforward.num_experts=32 --set feedforward.expert_dim=8 --steps 1 -o "$tmp/composed" \
  >/dev/null 2>&1 || bad "a composed model"
"$SGATLIN" convert "$tmp/composed" --to peer --pairs 2 -o "$tmp/chosen" >/dev/null 2>&1 || bad "convert"
ends convert TERM convert "$tmp/composed" --to peer --pairs 2 --data "$tmp/some.txt" --rows 100000 -o "$tmp/chosen2"
ends distill INT distill --teacher "$tmp/composed" --student "$tmp/chosen" --data "$tmp/some.txt" --rows 8 --layer-steps 100000 --steps 0 -o "$tmp/learned"
ends quantize TERM quantize $M --to int4 --distill --data "$tmp/some.txt" --steps 100000 -o "$tmp/int4"
for verb in make list export; do ends "label $verb" TERM label $verb $M --names "$tmp/names.sqlite"; done
ends "label set" TERM label set $M 0.0.1 x --names "$tmp/names.sqlite"
"$SGATLIN" label export $M --names "$tmp/names.sqlite" >"$tmp/labels.json"
ends "label import" TERM label import $M "$tmp/labels.json" --names "$tmp/names.sqlite"
ends info TERM info $M
ends svd TERM svd $M
ends flops TERM flops --preset tinystories
ends "tokenizer info" TERM tokenizer info $M/tokenizer.json
ends version TERM version
# ---- sizes: refused with 4, within a fraction of the memory, and at once
sanitized=$(grep -o fsanitize "$(dirname "$SGATLIN")/flags" | head -n 1) # its shadow alone takes more address space
refused() { # KILOBYTES COMMAND...
  most=$1
  shift
  ([ "$sanitized" ] || ulimit -v $((most + 4000000)) 2>/dev/null; exec "$SGATLIN" "$@") >"$tmp/out" 2>"$tmp/err" </dev/null
  code=$?
  [ $code = 4 ] || { bad "$*: exit code $code, expected 4"; head -n 3 "$tmp/err" | cut -c 1-200; }
}
refused 0 eval $M --ids "$tmp/rows.json" --beyond-context --max-memory 1M
has err "more than the 1024 KB that are allowed"
refused 0 trace $M --ids "$tmp/rows.json" --beyond-context --max-memory 1M -o "$tmp/t.out"
tr '\n' ' ' <"$tmp/part" | sed 's/<|endoftext|>//g' >"$tmp/whole.txt"
refused 0 record $M --data "$tmp/whole.txt" --length 100000 --beyond-context --max-memory 100K -o "$tmp/rec3"
refused 0 attribute $M --ids "$tmp/ids.json" --beyond-context --max-memory 10M
refused 0 graph $M --ids "$tmp/ids.json" --beyond-context --max-memory 10M -o "$tmp/g.json"
refused 0 generate $M -p "The sky" --context 1000000000 -n 3
refused 0 train --data "$tmp/data" --set train.seq_len=16000000 --set train.batch_size=1 --set data.rows=pad -o "$tmp/r4" --dry-run
for left in t.out g.json rec3 r4; do [ -e "$tmp/$left" ] && bad "$left was left"; done

"$SGATLIN" --dump commands >"$tmp/commands"
while read -r name; do
  case $seen in *"|$name|"*) ;; *) bad "$name is not asked to end here" ;; esac
done <"$tmp/commands"
ls "$tmp"/*.tmp* 2>/dev/null && bad "temporary files are left"
finish
