#!/bin/sh
# The rows of a run: packed where documents are long and nobody chose, a batch that fits, what is cut always said with its share, and
# advice that works when it is followed.
. tests/cli/common.sh
export OMP_WAIT_POLICY=passive
T="--kind mlp --set model.hidden_size=32 --set model.num_hidden_layers=1 --set model.head_dim=16 --set feedforward.num_neurons=64
 --set tokenizer.vocab_size=300 --set eval.batches=1"
# documents FILE COUNT SENTENCES
documents() {
  d=0
  while [ $d -lt "$2" ]; do
    s=0
    while [ $s -lt "$3" ]; do printf 'On day %d the dog of house %d was happy. ' $s $d; s=$((s + 1)); done
    printf '\n<|endoftext|>\n'
    d=$((d + 1))
  done >"$1"
}
for name in long short one few; do mkdir "$tmp/$name"; done
documents "$tmp/long/train.txt" 20 60
documents "$tmp/long/valid.txt" 4 60
documents "$tmp/short/train.txt" 600 1
documents "$tmp/short/valid.txt" 20 1
documents "$tmp/few/train.txt" 12 1
documents "$tmp/few/valid.txt" 2 1
documents "$tmp/one/train.txt" 1 300
documents "$tmp/one/valid.txt" 1 1
key() { sed 's/.*"'"$1"'":"\{0,1\}\([^,"}]*\).*/\1/' "$tmp/out"; }
# shellcheck disable=SC2086
plan() { try 0 train --data "$tmp/$1" $T --dry-run --json $2; }

# ---- the form of the rows: by the text, unless somebody chose
plan long "--set train.seq_len=64 --set train.batch_size=4 --steps 5"
has out '"row_form":"pack"'; has out '"cut_tokens":0'
has err "data.rows=pack), because 9"
plan long "--set train.seq_len=64 --set train.batch_size=4 --set data.rows=pad"
has out '"row_form":"pad"'
has err "lie beyond the rows of 64 tokens and are never used; --set data.rows=pack uses them"
has err "held-out text:"
awk -v share="$(key cut_share)" -v epochs="$(key epochs)" 'BEGIN { exit !(share > 0.9 && share < 1 && epochs + share > 0.99 && epochs + share < 1.01) }' ||
  bad "cut_share $(key cut_share), epochs $(key epochs): one pass over cut rows is the rest of an epoch"
plan long "--set train.seq_len=64 --set train.batch_size=4 --preset tinystories"
has out '"row_form":"pad"'
plan short "--set train.seq_len=64 --set train.batch_size=4"
has out '"row_form":"pad"'; has out '"cut_tokens":0'; has out '"epochs":1.0'
plan long "--set train.seq_len=2048 --set train.batch_size=4 --set data.rows=auto"
has out '"row_form":"pad"'
# Said in the run's log, kept in its settings, and taken up by resume.
# shellcheck disable=SC2086
try 0 train --data "$tmp/long" -o "$tmp/pad" $T --set train.seq_len=64 --set train.batch_size=4 --set data.rows=pad --steps 3 --json
has out '"cut_share":0.9'; has out '"row_form":"pad"'
grep -q "training text: .* never used" "$tmp/pad/log.txt" || bad "log.txt does not say what is cut"
# shellcheck disable=SC2086
try 0 train --data "$tmp/long" -o "$tmp/pack" $T --set train.seq_len=64 --set train.batch_size=4 --steps 3
grep -q '"rows": "pack"' "$tmp/pack/config.json" || bad "config.json does not say pack"
grep -q "data.rows=pack" "$tmp/pack/log.txt" || bad "log.txt does not say pack"
try 0 train --resume -o "$tmp/pack"
has err "documents packed"

# ---- one document of a plain .txt, and a text smaller than the preset's batch
plan one "--set train.seq_len=64"
has out '"row_form":"pack"'
[ "$(key steps)" -ge 8 ] || bad "$(key steps) steps of one document"
has err "instead of the preset's 256"
plan few "--set train.seq_len=64"
has out '"row_form":"pad"'; has out '"batch_size":1'
plan short ""
has out '"batch_size":64'
# shellcheck disable=SC2086
try 0 train --data "$tmp/one" -o "$tmp/r1" $T --set train.seq_len=64 --steps 2
has err "held-out loss"

# ---- a batch that does not fit: the advice printed makes it start
n=0
for data in long one few; do
  for form in pad pack; do
    for batch in 13 5000 100000; do
      for length in 16 64 100000; do
        ask="--set data.rows=$form --set train.batch_size=$batch --set train.seq_len=$length"
        # shellcheck disable=SC2086
        "$SGATLIN" train --data "$tmp/$data" $T $ask --dry-run --max-memory 64G >"$tmp/out" 2>"$tmp/err" && continue
        code=$?
        [ $code = 2 ] || { [ $code = 4 ] || bad "$data $ask: exit code $code"; continue; }
        advice=$(grep -o -e '--set [a-z._]*=[a-z0-9-]*' "$tmp/err" | tr '\n' ' ')
        [ -n "$advice" ] || bad "$data $ask: no advice"
        n=$((n + 1))
        # shellcheck disable=SC2086
        "$SGATLIN" train --data "$tmp/$data" $T $ask $advice --dry-run --max-memory 64G >"$tmp/out" 2>"$tmp/err"
        code=$?
        # A row of 100,000 tokens may be more than the memory: the text is enough all the same.
        [ $code = 0 ] || [ $code = 4 ] || { bad "$data $ask: the advice $advice fails"; cat "$tmp/err"; }
      done
    done
  done
done
[ $n -gt 12 ] || bad "only $n pieces of advice were tried"
# shellcheck disable=SC2086
try 2 train --data "$tmp/few" $T --dry-run --set train.batch_size=4 --set train.seq_len=64 --set train.grad_accumulation=8
has err "--set train.grad_accumulation=1"
# shellcheck disable=SC2086
try 0 train --data "$tmp/few" $T --dry-run --set train.batch_size=4 --set train.seq_len=64 --set train.grad_accumulation=1
finish
