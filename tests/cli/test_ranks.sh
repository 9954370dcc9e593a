#!/bin/sh
# sgatlin train under mpirun: any number of ranks gives the same bits and goes on with what any other left; a rank that dies or hangs ends
# all; mistakes are named. Ranks share the processors that there are.
[ -w /dev/shm ] && TMPDIR=${TMPDIR:-/dev/shm} && export TMPDIR
. tests/cli/common.sh
export ASAN_OPTIONS=${ASAN_OPTIONS:-detect_leaks=0} # MPI keeps what it has until the process ends
export OMP_WAIT_POLICY=passive OMP_NUM_THREADS=1 OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1

# Without mpirun's MPI part the command says what to install; alone it needs none.
mkdir "$tmp/bare"
cp "$SGATLIN" "$tmp/bare/sgatlin"
OMPI_COMM_WORLD_SIZE=2 "$tmp/bare/sgatlin" train --data x -o y >"$tmp/out" 2>"$tmp/err"
[ $? = 3 ] || bad "a command without its MPI part: another exit code"
has err 'libopenmpi-dev'
has err '2 processes were started by mpirun'
command -v mpirun >/dev/null 2>&1 && [ -f "$(dirname "$SGATLIN")/sgatlin-mpi.so" ] || {
  echo "skipped: no MPI here (libopenmpi-dev, openmpi-bin)"
  finish
}

TOK=tests/golden/bpe/stories_alpha_300.json
mkdir "$tmp/data"
head -c 40000 tests/golden/bpe/stories.txt >"$tmp/data/train.txt"
tail -c 8000 tests/golden/bpe/stories.txt >"$tmp/data/valid.txt"
SIZES="--set model.hidden_size=32 --set model.num_hidden_layers=2 --set model.head_dim=16 --set train.seq_len=32
 --set train.batch_size=8 --set feedforward.num_neurons=36 --set schedule.warmup_steps=3 --set eval.batches=2"
# ranks N ARGUMENT...: exit code into $code
ranks() {
  n=$1
  shift
  mpirun --oversubscribe -n "$n" "$SGATLIN" "$@" >"$tmp/out" 2>"$tmp/err" </dev/null
  code=$?
}
# shellcheck disable=SC2086
start() { # N RUN OPTION...: a new run of N ranks, 0: without mpirun
  n=$1 run=$2
  shift 2
  if [ "$n" = 0 ]; then
    "$SGATLIN" train --data "$tmp/data" --tokenizer $TOK $SIZES -o "$tmp/$run" "$@" >"$tmp/out" 2>"$tmp/err" </dev/null
    code=$?
  else
    ranks "$n" train --data "$tmp/data" --tokenizer $TOK $SIZES -o "$tmp/$run" "$@"
  fi
  [ "$code" = "${want:-0}" ] || { bad "$n ranks, $run $*: exit code $code"; head -n 20 "$tmp/err"; }
}
equal() { # RUN RUN STEP
  for f in model optimizer; do
    cmp -s "$tmp/$1/checkpoints/step-0000000$3/$f.safetensors" "$tmp/$2/checkpoints/step-0000000$3/$f.safetensors" ||
      bad "$1 and $2 have another $f.safetensors after step $3"
  done
}

# ---- every kind: 1, 2, 4 ranks and one process with the same parts
all=$SIZES
for kind in $(sed -n 's/^  X(\([a-z0-9_]*\)).*/\1/p' src/ffn/kinds.h); do
  case $kind in mlp | glu) more= ;; monet) more="--set feedforward.num_channels=2 --set feedforward.top_k=2 --set feedforward.num_experts=4 --set feedforward.expert_dim=4" ;; moe) more="--set feedforward.num_channels=4 --set feedforward.top_k=2" ;;
  *) more="--set feedforward.num_channels=2 --set feedforward.top_k=2 --set feedforward.key_dim=8" ;; esac
  SIZES=$all
  [ "$kind" != monet ] || SIZES=$(echo $all | sed 's/--set feedforward.num_neurons=36//') # it has no such size
  # shellcheck disable=SC2086
  for n in 0 2 4; do start $n $kind-$n --kind $kind $more --steps 4 --set train.parts=4; done
  for n in 2 4; do equal $kind-0 $kind-$n 4; done
done
SIZES=$all

# ---- a run goes on with any number of ranks, in the middle of an accumulation, too; lion keeps one moment
MORE="--set feedforward.num_channels=2 --set feedforward.top_k=2 --set feedforward.key_dim=8 --set train.grad_accumulation=2
 --set checkpoint.every=3 --set optimizer.kind=lion --set checkpoint.keep=9"
# shellcheck disable=SC2086
start 0 whole $MORE --steps 8 --set train.parts=8
# shellcheck disable=SC2086
start 2 part $MORE --steps 3 --set train.parts=8 --set schedule.kind=constant --set schedule.warmup_steps=0
# shellcheck disable=SC2086
start 0 rest $MORE --steps 9 --set train.parts=8 --set schedule.kind=constant --set schedule.warmup_steps=0
for n in 3 1 4; do
  cp -r "$tmp/part" "$tmp/part-$n"
  ranks "$n" train --resume -o "$tmp/part-$n" --steps 6
  [ "$code" = 0 ] || bad "resumed by $n ranks: exit code $code"
  equal part-$n rest 6
done
"$SGATLIN" train --resume -o "$tmp/part-3" --steps 9 2>"$tmp/err" || bad "a run of three ranks does not go on alone"
equal part-3 rest 9
has err 'resuming step-00000006'

# ---- the usual parts are those of eight ranks, whoever runs; what is sent is what the formula says
# shellcheck disable=SC2086
start 1 usual-1 --kind mlp --steps 2
start 2 usual-2 --kind mlp --steps 2
has err '2 ranks: 8 parts of 1 rows a step; each keeps 1/2 of the optimizer'
equal usual-1 usual-2 2
grep -q '"parts":8' "$tmp/usual-2/config.json" || grep -q '"parts": 8' "$tmp/usual-2/config.json" || bad "config.json does not say the parts"

# ---- channels over ranks: the losses of one process up to rounding, checkpoints that one process goes on with, and the same bits twice
losses() { # RUN: step, loss and norms of each line
  sed -n 's/.*"step": *\([0-9]*\).*"train\/loss": *\([0-9.e+-]*\).*"train\/grad_norm": *\([0-9.e+-]*\).*"train\/param_norm": *\([0-9.e+-]*\).*/\1 \2 \3 \4/p' \
    "$tmp/$1/metrics.jsonl"
}
near() { # RUN RUN: every number within 2e-5
  losses "$1" >"$tmp/a"
  losses "$2" >"$tmp/b"
  [ -s "$tmp/a" ] && [ "$(wc -l <"$tmp/a")" = "$(wc -l <"$tmp/b")" ] || bad "$1 and $2 have other steps"
  paste -d ' ' "$tmp/a" "$tmp/b" | awk '{ for (i = 1; i <= 4; i++) { d = $i - $(i + 4); if (d < 0) d = -d; if (d > 2e-5 * ($i > 1 ? $i : 1)) bad = 1 } } END { exit bad }' ||
    { bad "$1 and $2 go different ways"; paste "$tmp/a" "$tmp/b" | head -n 20; }
}
for router in product_dense dense product_key_value key_value; do
  C="--kind sgatlin --set feedforward.router=$router --set feedforward.num_channels=4 --set feedforward.top_k=2 --set feedforward.key_dim=8
   --set log.every=1 --set checkpoint.every=3 --set checkpoint.keep=9 --set train.parts=2"
  # shellcheck disable=SC2086
  start 0 whole-$router $C --steps 6
  # shellcheck disable=SC2086
  start 2 two-$router $C --steps 6 --channel-ranks 2
  near whole-$router two-$router
  [ $router = product_dense ] || continue
  has err 'the channels of a layer are split over 2 ranks: 2 and '
  # shellcheck disable=SC2086
  start 4 four $C --steps 6 --channel-ranks 4
  near whole-$router four
  # shellcheck disable=SC2086
  start 4 both $C --steps 6 --channel-ranks 2
  equal both two-$router 6
  rm -r "$tmp/both/checkpoints/step-00000006"
  "$SGATLIN" train --resume -o "$tmp/both" 2>"$tmp/err" || bad "one process does not go on with split channels"
  near whole-$router both
  cp -r "$tmp/two-$router" "$tmp/again"
  rm -r "$tmp/again/checkpoints/step-00000006"
  ranks 2 train --resume -o "$tmp/again" --channel-ranks 2
  equal again two-$router 6
done
# Who is left out by chance goes by the number of the channel in the whole; routers that layers share are split like others.
C="--set feedforward.num_channels=4 --set feedforward.top_k=2 --set feedforward.key_dim=8 --set feedforward.router_group=2
 --set train.gate_dropout=0.3 --steps 4 --set log.every=1 --set train.parts=2"
# shellcheck disable=SC2086
start 0 whole-drop $C
# shellcheck disable=SC2086
start 2 two-drop $C --channel-ranks 2
near whole-drop two-drop
C="--set feedforward.num_channels=4 --set feedforward.top_k=2 --set feedforward.key_dim=8 --steps 3 --set log.every=1 --set train.parts=2"
# shellcheck disable=SC2086
start 0 peer-whole --kind peer $C
# shellcheck disable=SC2086
start 2 peer-two --kind peer $C --channel-ranks 2
near peer-whole peer-two
want=3 start 2 odd --kind mlp --steps 2 --channel-ranks 2
has err 'needs layers that are all alike and whose channels add up; here they are mlp'
want=2 start 2 odd --kind sgatlin --set feedforward.num_channels=3 --set feedforward.top_k=2 --steps 2 --channel-ranks 2
has err 'it must divide feedforward.num_channels = 3'
want=2 start 3 odd --kind sgatlin --set feedforward.top_k=2 --steps 2 --channel-ranks 2
has err 'must divide the number of ranks, 3'
want=2 start 0 odd --kind sgatlin --set feedforward.top_k=2 --steps 2 --channel-ranks 2
has err 'mpirun -n 2 sgatlin train'

# ---- mistakes
want=2 start 4 few --kind mlp --set train.batch_size=6 --steps 2
has err '4 ranks share a batch of 6 rows, which can be cut into 2 equal parts'
[ -d "$tmp/few" ] && bad "a run that could not start left its directory"
[ "$(grep -c 'sgatlin: ' "$tmp/err")" = 1 ] || bad "a mistake is told more than once"
want=2 start 2 wrong --kind mlp --set train.parts=3 --steps 2
has err 'train.parts is 3: expected a power of two'
want=2 start 2 usual-1 --kind mlp --steps 2
has err 'already holds a run'
ranks 2 train --resume -o "$tmp/nothing"
[ "$code" != 0 ] || bad "a run that is not there was resumed"
has err 'there is no run to resume'
start 0 alone --kind mlp --steps 2
ranks 2 train --resume -o "$tmp/alone" --steps 3
has err '1 of 2 ranks compute no rows'
[ "$code" = 0 ] || bad "a run of one part was not resumed by two ranks: $code"
# Numbers that are not finite: found by the rank that has the rows, told once.
want=5 start 2 nan --kind mlp --steps 30 --lr 1e6 --set optimizer.eps=1e-30 --set optimizer.clip=0 --set schedule.warmup_steps=0
has err 'the step was not taken'
[ "$(grep -c 'was not taken' "$tmp/err")" = 1 ] || bad "a refused step is told more than once"

# ---- stopped in order; a rank that dies; one that hangs
children() { # PID: its children, by number
  for p in /proc/[0-9]*; do
    [ "$(sed -n 's/^PPid:[[:space:]]*//p' "$p/status" 2>/dev/null)" = "$1" ] && echo "${p#/proc/}"
  done | sort -n
}
# shellcheck disable=SC2086
long() { # RUN OPTION...: two ranks that train until something happens, in the background; waits for a checkpoint
  run=$tmp/$1
  shift
  mpirun --oversubscribe -n 2 "$SGATLIN" train --data "$tmp/data" --tokenizer $TOK $SIZES -o "$run" --kind mlp --steps 1000000 \
    --set checkpoint.every=20 --set eval.every=0 --rank-timeout 4 "$@" >"$tmp/out" 2>"$tmp/err" </dev/null &
  job=$!
  tries=0
  while [ ! -f "$run/checkpoints/latest" ] && [ $tries -lt 300 ]; do
    sleep 0.1
    tries=$((tries + 1))
  done
}
ended() { # WHAT: the job ends within a minute
  tries=0
  while kill -0 $job 2>/dev/null && [ $tries -lt 600 ]; do
    sleep 0.1
    tries=$((tries + 1))
  done
  kill -9 $job 2>/dev/null && bad "$1: the job did not end within a minute"
  wait $job
  code=$?
}
good() { # RUN: its last checkpoint is whole, and one process goes on from it
  "$SGATLIN" verify "$tmp/$1" >"$tmp/verified" 2>&1 || { bad "$1: not whole"; head -n 5 "$tmp/verified"; }
}
long stop
kill -USR1 $job
ended "stopped"
has err 'stopped after step'
good stop
long dead
sh -c "kill -9 $(children $job | tail -n 1)"
ended "a rank that died"
[ "$code" != 0 ] || bad "a rank died and the job ended with 0"
has err 'rank 1'
good dead
long hung
stopped=$(children $job | tail -n 1)
kill -STOP "$stopped"
ended "a rank that hung"
[ "$code" != 0 ] || bad "a rank hung and the job ended with 0"
has err "rank 1 ("
has err "process $stopped) has not been heard of for 4 s"
tries=0
while kill -0 "$stopped" 2>/dev/null && [ $tries -lt 100 ]; do
  sleep 0.1
  tries=$((tries + 1))
done
[ $tries -lt 100 ] || bad "the rank that hung is still there"
good hung
finish
