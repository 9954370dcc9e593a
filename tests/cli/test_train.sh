#!/bin/sh
# sgatlin train: the run directory, settings, stop, kill -9 and resume, lock, damage, exit codes.
# Hundreds of checkpoints with their fsyncs are no work for a disk.
[ -w /dev/shm ] && TMPDIR=${TMPDIR:-/dev/shm} && export TMPDIR
. tests/cli/common.sh
export OMP_WAIT_POLICY=passive

TOK=tests/golden/bpe/stories_alpha_300.json
mkdir "$tmp/data"
head -c 40000 tests/golden/bpe/stories.txt >"$tmp/data/train.txt"
tail -c 8000 tests/golden/bpe/stories.txt >"$tmp/data/valid.txt"
SIZES="--set model.hidden_size=32 --set model.num_hidden_layers=2 --set model.head_dim=16 --set train.seq_len=32
 --set train.batch_size=4 --set feedforward.num_neurons=36 --set feedforward.num_channels=2 --set feedforward.top_k=2
 --set feedforward.key_dim=8 --set schedule.warmup_steps=5 --set eval.batches=2"
sum() { sha256sum <"$1" | cut -c 1-64; }
# shellcheck disable=SC2086
start() { # RUN OPTION...: a new run
  run=$1
  shift
  "$SGATLIN" train --data "$tmp/data" --tokenizer $TOK $SIZES -o "$run" "$@" >"$tmp/out" 2>"$tmp/err" </dev/null
}

# ---- settings
try 0 train --keys
for key in feedforward.kind feedforward.router feedforward.activation feedforward.num_neurons feedforward.num_channels feedforward.top_k \
  feedforward.key_dim model.hidden_size model.num_hidden_layers model.head_dim train.steps train.batch_size train.seq_len train.seed \
  train.grad_accumulation train.flops_budget optimizer.learning_rate optimizer.weight_decay optimizer.clip optimizer.kind optimizer.beta1 optimizer.beta2 optimizer.eps schedule.kind \
  schedule.warmup_steps schedule.decay_fraction eval.every checkpoint.every checkpoint.keep data.rows data.split data.field; do
  has out "$key "
done
try 0 train --print-config --kind peer --set train.steps=1e3
has out '"kind": "peer"'
has out '"router": "product_key_value"'
has out '"steps": 1000'
cp "$tmp/out" "$tmp/peer.json"
try 0 train --print-config --config "$tmp/peer.json"
same "$tmp/out" "$tmp/peer.json"
try 0 train --print-config --config "$tmp/peer.json" --kind mlp --set feedforward.num_neurons=77
has out '"num_neurons": 77'
has out '"steps": 1000'
grep -q router "$tmp/out" && bad "a router of peer was kept for mlp"
try 0 train --print-config --preset 'slimpajama;3'
has out '"hidden_size": 384'
try 2 train --print-config --set train.step=5
has err 'did you mean "train.steps"?'
try 2 train --print-config --set optimizer.learning_rate=fast
has err 'optimizer.learning_rate is "fast"'
try 2 train --print-config --set data.rows=stack
try 2 train --print-config --preset small
try 2 train --data "$tmp/data"
has err '-o RUN'
echo '{"train": {"stepps": 3}}' >"$tmp/bad.json"
try 2 train --print-config --config "$tmp/bad.json"
has err 'bad.json: unknown key "train.stepps"; did you mean "train.steps"?'

# ---- a dry run says what it will take and leaves nothing behind
# shellcheck disable=SC2086
try 0 train --data "$tmp/data" --tokenizer $TOK $SIZES --steps 7 --dry-run --json -o "$tmp/dry"
for key in parameters flops memory_bytes seconds micro_batch checkpoint_bytes; do has out "\"$key\":"; done
has out '"steps":7'
[ -e "$tmp/dry" ] && bad "a dry run left its directory"
# shellcheck disable=SC2086
try 0 train --data "$tmp/data" --set tokenizer.vocab_size=280 $SIZES --steps 7 --dry-run
has err 'parameters'
# shellcheck disable=SC2086
try 4 train --data "$tmp/data" --tokenizer $TOK $SIZES --steps 7 --max-memory 1M -o "$tmp/none"
has err '--max-memory'
[ -e "$tmp/none" ] && bad "a run that could not start left its directory"

# ---- a whole run
start "$tmp/whole" --steps 240 --set eval.every=50 --set checkpoint.every=3 --set checkpoint.keep=2 --json -t 1 || bad "training failed: $(cat "$tmp/err")"
has out '"steps":240'
has out '"perplexity":'
for f in config.json tokenizer.json metrics.jsonl log.txt checkpoints/latest checkpoints/best; do
  [ -s "$tmp/whole/$f" ] || bad "the run has no $f"
done
[ "$(cat "$tmp/whole/checkpoints/latest")" = step-00000240 ] || bad "latest is $(cat "$tmp/whole/checkpoints/latest")"
cp "$tmp/whole/metrics.jsonl" "$tmp/out"
for key in step tokens flops time train/loss train/grad_norm train/lr perf/tokens_per_s perf/peak_rss_bytes eval/loss eval/perplexity eval/ppl \
  eval/accuracy; do has out "\"$key\":"; done
for layer in 0 1; do
  for key in min_max_ratio coeff_of_variation fraction_nonzero entropy; do
    for form in "" _flat _per_sequence; do has out "\"usage/l$layer/$key$form\":"; done
  done
done
n=$(find "$tmp/whole/checkpoints" -name 'step-*' -type d | wc -l)
[ "$n" -le 3 ] || bad "$n checkpoints were kept"
digest=$(sum "$tmp/whole/checkpoints/step-00000240/model.safetensors")
grep -q '2026-\|20[0-9][0-9]-' "$tmp/whole/log.txt" || bad "log.txt has no time"
# shellcheck disable=SC2086
try 2 train --data "$tmp/data" --tokenizer $TOK $SIZES -o "$tmp/whole"
has err 'already holds a run'
try 2 train --resume -o "$tmp/whole" --steps 50
try 1 train --resume -o "$tmp/nowhere"
[ -e "$tmp/nowhere" ] && bad "resume made a directory"
try 0 train --resume -o "$tmp/whole"
has err 'are done already'
# its own settings start another like it, and two threads give the same bytes
try 0 train --config "$tmp/whole/config.json" --data "$tmp/data" --tokenizer $TOK -o "$tmp/two" -t 2
[ "$(sum "$tmp/two/checkpoints/step-00000240/model.safetensors")" = "$digest" ] || bad "two threads: other bytes"

# ---- the memory that a dry run foretells is what the run takes, within 15 %
sanitized=$(grep -o fsanitize "$(dirname "$SGATLIN")/flags" | head -n 1) # which takes memory of its own
MEMORY="--set model.hidden_size=128 --set train.seq_len=512 --set train.batch_size=8 --set eval.batches=1 --set log.every=1 --steps 2"
for kind in sgatlin mlp; do
  # shellcheck disable=SC2086
  try 0 train --data "$tmp/data" --tokenizer $TOK --kind $kind $MEMORY --dry-run --json
  plan=$(sed 's/.*"memory_bytes":\([0-9]*\).*/\1/' "$tmp/out")
  # shellcheck disable=SC2086
  try 0 train --data "$tmp/data" --tokenizer $TOK --kind $kind $MEMORY -o "$tmp/memory-$kind"
  peak=$(sed -n 's/.*"perf\/peak_rss_bytes":\([0-9]*\).*/\1/p' "$tmp/memory-$kind/metrics.jsonl" | tail -n 1)
  [ "$peak" -gt 50000000 ] || bad "$kind: a peak of $peak bytes is too small to tell"
  [ "$sanitized" ] || { [ $((plan * 100)) -gt $((peak * 85)) ] && [ $((plan * 100)) -lt $((peak * 115)) ]; } || bad "$kind: foretold $plan bytes, took $peak"
done
# and a limit is kept
# shellcheck disable=SC2086
try 0 train --data "$tmp/data" --tokenizer $TOK $MEMORY --max-memory 190M -o "$tmp/limited"
peak=$(sed -n 's/.*"perf\/peak_rss_bytes":\([0-9]*\).*/\1/p' "$tmp/limited/metrics.jsonl" | tail -n 1)
[ "$sanitized" ] || [ "${peak:-0}" -lt $((190 * 1048576)) ] || bad "--max-memory 190M: took $peak bytes"

# ---- kill -9 at any moment, again and again, to the end
# Delays are parts of a whole run's time, so that a fast machine is killed as often as a slow one.
# shellcheck disable=SC2086
started=$(date +%s%N)
"$SGATLIN" train --data "$tmp/data" --tokenizer $TOK $SIZES -o "$tmp/timed" --steps 240 --set eval.every=50 --set checkpoint.every=3 -t 1 >/dev/null 2>&1
whole=$((($(date +%s%N) - started) / 1000000))
part() { awk -v x="$1" -v whole="$whole" 'BEGIN { print x * whole / 1000 }'; }
kills=0
# shellcheck disable=SC2086
begin="$SGATLIN train --data $tmp/data --tokenizer $TOK $SIZES -o $tmp/killed --steps 240 --set eval.every=50 --set checkpoint.every=3 -t 1"
command=$begin
for delay in 0.1 0.12 0.08 0.15 0.18 0.2 0.1 0.25 0.15 0.2 0.3 0.2 0.25 0.4 0.3 0.5 0.6 0.8 1 2 99; do
  $command >"$tmp/out" 2>"$tmp/err" </dev/null &
  pid=$!
  { sleep "$(part "$delay")"; kill -9 $pid; } 2>/dev/null &
  killer=$!
  wait $pid 2>/dev/null
  code=$?
  [ $code = 137 ] || kill $killer 2>/dev/null
  wait $killer 2>/dev/null
  command=$begin
  [ -f "$tmp/killed/config.json" ] && command="$SGATLIN train --resume -o $tmp/killed -t $((kills % 2 + 1))"
  [ $code = 0 ] && break
  [ $code = 137 ] || { bad "after kill -9: exit code $code: $(cat "$tmp/err")"; break; }
  kills=$((kills + 1))
done
[ $kills -gt 5 ] || bad "only $kills kills"
[ "$(sum "$tmp/killed/checkpoints/step-00000240/model.safetensors")" = "$digest" ] || bad "after $kills kills: other bytes"
find "$tmp/killed" -name '*.tmp-*' | grep -q . && bad "a killed process's files were left"

# ---- signals: a checkpoint, then 130 or 143; resumed to the same bytes
for signal in INT TERM; do
  end=143
  [ $signal = INT ] && end=130
  # a job in the background ignores SIGINT, so the shell in between takes that back
  # shellcheck disable=SC2086
  env --default-signal=INT "$SGATLIN" train --data "$tmp/data" --tokenizer $TOK $SIZES -o "$tmp/$signal" --steps 24000 -t 1 >"$tmp/out" 2>"$tmp/err" </dev/null &
  pid=$!
  i=0
  while [ ! -s "$tmp/$signal/metrics.jsonl" ] && [ $i -lt 200 ]; do sleep 0.05; i=$((i + 1)); done
  if [ $signal = INT ]; then # while it runs, nobody else may
    try 1 train --resume -o "$tmp/$signal"
    has err 'is in use by another process'
  fi
  kill -$signal $pid
  wait $pid
  got=$?
  [ $got = $end ] || bad "SIG$signal: exit code $got, expected $end"
  grep -q 'go on with: sgatlin train --resume' "$tmp/$signal/log.txt" || bad "SIG$signal: no word on how to go on"
  [ -s "$tmp/$signal/checkpoints/latest" ] || bad "SIG$signal: no checkpoint"
done

# stopped in good order a dozen times, in the middle of whatever it computes
command="$SGATLIN train --data $tmp/data --tokenizer $TOK $SIZES -o $tmp/stopped --steps 240 --set eval.every=50 --set checkpoint.every=3 -t 1"
stops=0
for delay in 0.1 0.15 0.12 0.2 0.1 0.15 0.13 0.2 0.14 0.3 0.5 1 99; do
  $command >"$tmp/out" 2>"$tmp/err" </dev/null &
  pid=$!
  { sleep "$(part "$delay")"; kill -TERM $pid; } 2>/dev/null &
  killer=$!
  wait $pid
  code=$?
  kill $killer 2>/dev/null
  wait $killer 2>/dev/null
  [ -f "$tmp/stopped/config.json" ] && command="$SGATLIN train --resume -o $tmp/stopped -t $((stops % 2 + 1))"
  [ $code = 0 ] && break
  [ $code = 143 ] || { bad "after SIGTERM: exit code $code: $(cat "$tmp/err")"; break; }
  stops=$((stops + 1))
done
[ "$(sum "$tmp/stopped/checkpoints/step-00000240/model.safetensors")" = "$digest" ] || bad "after $stops stops: other bytes"

# ---- the newest checkpoint is damaged: it is named, the one before it is taken, the end is the same
start "$tmp/damaged" --steps 240 --set eval.every=50 --set checkpoint.every=90 --set checkpoint.keep=9 -t 1 || bad "training failed"
rm -r "$tmp/damaged/checkpoints/step-00000240"
printf 'x' | dd of="$tmp/damaged/checkpoints/step-00000180/model.safetensors" bs=1 seek=5000 conv=notrunc 2>/dev/null
try 0 train --resume -o "$tmp/damaged"
has err 'skipped checkpoint step-00000180: '
has err 'model.safetensors'
has err 'resuming step-00000090'
[ "$(sum "$tmp/damaged/checkpoints/step-00000240/model.safetensors")" = "$digest" ] || bad "after damage: other bytes"
for d in "$tmp"/damaged/checkpoints/step-*; do echo >"$d/MANIFEST.json"; done
try 3 train --resume -o "$tmp/damaged"
has err 'none of its'

# ---- numbers that are not finite end the run with 5, and the last good checkpoint stays
start "$tmp/nan" --steps 240 --set checkpoint.every=5 --set optimizer.learning_rate=1e6 --set optimizer.clip=0 --set schedule.warmup_steps=0 -t 1
[ $? = 5 ] || bad "not finite: exit code $?, expected 5: $(cat "$tmp/err")"
has err 'batch '
has err 'layer '

# ---- text in its other forms
mkdir "$tmp/lines" "$tmp/json"
sed 's/<|endoftext|>//' "$tmp/data/train.txt" | gzip >"$tmp/lines/train.txt.gz"
awk '{gsub(/[\\"]/, ""); if (length($0) > 3) printf "{\"id\": %d, \"body\": \"%s\"}\n", NR, $0}' "$tmp/data/train.txt" >"$tmp/json/train.jsonl"
# shellcheck disable=SC2086
try 0 train --data "$tmp/lines" --tokenizer $TOK $SIZES --steps 2 --set data.split=blank-lines --set data.rows=pack -o "$tmp/r1"
has err 'no valid.*: nothing will be evaluated'
# shellcheck disable=SC2086
try 0 train --data "$tmp/json" --tokenizer $TOK $SIZES --steps 2 --set data.field=body -o "$tmp/r2"
# shellcheck disable=SC2086
try 3 train --data "$tmp/json" --tokenizer $TOK $SIZES --steps 2 -o "$tmp/r3"
has err '"text"'

# ---- without --tokenizer one is trained
# shellcheck disable=SC2086
try 0 train --data "$tmp/data" $SIZES --set tokenizer.vocab_size=290 --steps 2 -o "$tmp/own"
has err 'training a tokenizer of 290 tokens'
grep -q '"vocab_size": 290' "$tmp/own/checkpoints/step-00000002/config.json" || bad "the model has another vocabulary"

# ---- a directory that cannot be written
cp "$SGATLIN" "$tmp/sgatlin" && cp $TOK "$tmp/tokenizer.json"
if [ "$(id -u)" = 0 ] && command -v setpriv >/dev/null 2>&1 && "$tmp/sgatlin" --version >/dev/null 2>&1; then
  mkdir "$tmp/locked"
  chmod 755 "$tmp" "$tmp/locked"
  # shellcheck disable=SC2086
  HOME=/nonexistent setpriv --reuid=65534 --regid=65534 --clear-groups "$tmp/sgatlin" train --data "$tmp/data" \
    --tokenizer "$tmp/tokenizer.json" $SIZES --steps 2 -o "$tmp/locked/run" >"$tmp/out" 2>"$tmp/err" </dev/null
  [ $? = 1 ] || bad "read-only directory: not refused"
  has err 'locked/run: could not make the directory: Permission denied'
fi
finish
