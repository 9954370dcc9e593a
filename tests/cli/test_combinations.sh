#!/bin/sh
# Options of a layer and of training together, one table: each row either trains, to the same bits by one process (one and two threads), two
# and four ranks, and goes on with what another number of ranks left; or it is refused by the names of both. Pools in int4 are one process's.
[ -w /dev/shm ] && TMPDIR=${TMPDIR:-/dev/shm} && export TMPDIR
. tests/cli/common.sh
export ASAN_OPTIONS=${ASAN_OPTIONS:-detect_leaks=0} # MPI keeps what it has until the process ends
export OMP_WAIT_POLICY=passive OMP_NUM_THREADS=1 OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
mpi=yes
command -v mpirun >/dev/null 2>&1 && [ -f "$(dirname "$SGATLIN")/sgatlin-mpi.so" ] || mpi=

TOK=tests/golden/bpe/stories_alpha_300.json
mkdir "$tmp/data"
head -c 30000 tests/golden/bpe/stories.txt >"$tmp/data/train.txt"
tail -c 4000 tests/golden/bpe/stories.txt >"$tmp/data/valid.txt"
common="--set model.hidden_size=16 --set model.num_hidden_layers=2 --set model.head_dim=8 --set train.seq_len=24 --set train.batch_size=4
 --set schedule.warmup_steps=1 --set eval.every=0 --set eval.batches=1 --set checkpoint.every=2 --set checkpoint.keep=9 --set log.every=1"
# Short words of the table.
options() {
  for word in $1; do
    case $word in
    sgatlin | peer) printf ' --kind %s --set feedforward.num_neurons=36 --set feedforward.num_channels=2 --set feedforward.top_k=3 --set feedforward.key_dim=8' "$word" ;;
    moe) printf ' --kind moe --set feedforward.num_neurons=16 --set feedforward.num_channels=4 --set feedforward.top_k=2' ;;
    monet) printf ' --kind monet --set feedforward.num_channels=2 --set feedforward.top_k=2 --set feedforward.num_experts=4 --set feedforward.expert_dim=4' ;;
    mlp | glu) printf ' --kind %s --set feedforward.num_neurons=24' "$word" ;;
    int4) printf ' --set train.pool_precision=int4' ;;
    gates) printf ' --set feedforward.gates.kind=jumprelu --set train.aux.target_active=3' ;;
    meta) printf ' --set feedforward.meta.experts=3 --set feedforward.meta.top_k=2' ;;
    sequence) printf ' --set feedforward.meta.experts=2 --set feedforward.meta.choice=sequence --set feedforward.meta.prefix=4' ;;
    group) printf ' --set feedforward.router_group=2' ;;
    bias) printf ' --set feedforward.bias=true' ;;
    mlp_beside) printf ' --set feedforward.sink_mlp.width=6' ;;
    always) printf ' --set feedforward.always_on.neurons=3' ;;
    logit) printf ' --set model.attention_sink=logit' ;;
    drop) printf ' --set train.gate_dropout=0.2' ;;
    parts) printf ' --set train.parts=2' ;;
    *) bad "the table has no word $word" ;;
    esac
  done
}

start() { # RANKS THREADS ARGUMENT...: exit code into $code
  n=$1 threads=$2
  shift 2
  if [ "$n" = 0 ]; then
    OMP_NUM_THREADS=$threads "$SGATLIN" -q "$@" >"$tmp/out" 2>"$tmp/err" </dev/null
  else
    mpirun --oversubscribe -n "$n" "$SGATLIN" -q "$@" >"$tmp/out" 2>"$tmp/err" </dev/null
  fi
  code=$?
}
train() { # RANKS THREADS NAME WORDS OPTION...
  n=$1 threads=$2 name=$3 words=$4
  shift 4
  # shellcheck disable=SC2046,SC2086
  start "$n" "$threads" train --data "$tmp/data" --tokenizer $TOK $common $(options "$words") --steps 4 -o "$tmp/$name" "$@"
}
done_by() { # WORDS WHO
  [ "$code" = 0 ] || { bad "$1, $2: exit code $code"; head -n 5 "$tmp/err"; }
}
equal() { # NAME NAME WORDS
  for f in model optimizer; do
    cmp -s "$tmp/$1/checkpoints/step-00000004/$f.safetensors" "$tmp/$2/checkpoints/step-00000004/$f.safetensors" ||
      bad "$3: $1 and $2 have another $f.safetensors"
  done
}
resume() { # RANKS FROM TO WORDS
  cp -r "$tmp/$2" "$tmp/$3"
  rm -r "$tmp/$3/checkpoints/step-00000004"
  printf 'step-00000002\n' >"$tmp/$3/checkpoints/latest"
  start "$1" 1 train --resume -o "$tmp/$3"
  done_by "$4" "resumed by $1 ranks"
}

works() { # WORDS
  parts='--set train.parts=4'
  case $1 in *int4*) parts= ;; esac
  # shellcheck disable=SC2086
  for threads in 1 2; do train 0 $threads one-$threads "$1" $parts; done_by "$1" "$threads threads"; done
  equal one-1 one-2 "$1"
  resume 0 one-2 went-on "$1"
  equal one-1 went-on "$1"
  [ -z "$mpi" ] || [ -z "$parts" ] || {
    # shellcheck disable=SC2086
    for n in 2 4; do train $n 1 ranks-$n "$1" $parts; done_by "$1" "$n ranks"; equal one-1 ranks-$n "$1"; done
    resume 4 ranks-2 rest "$1"
    equal one-1 rest "$1"
  }
  rm -rf "$tmp"/one-* "$tmp"/ranks-* "$tmp/went-on" "$tmp/rest"
}
refused() { # RANKS WORDS NAME...: the message holds each
  train "$1" 1 refused "$2"
  words=$2
  [ "$code" = 2 ] || [ "$code" = 3 ] || bad "$words: exit code $code, expected a refusal"
  shift 2
  for name in "$@"; do
    grep -qF "$name" "$tmp/err" || { bad "$words: the refusal does not name $name"; head -n 3 "$tmp/err"; }
  done
  [ ! -d "$tmp/refused/checkpoints" ] || bad "$words: a refused run left checkpoints"
  rm -rf "$tmp/refused"
}

works 'sgatlin gates mlp_beside always logit drop'
works 'peer gates group bias always drop'
works 'peer meta gates mlp_beside always bias drop'
works 'sgatlin sequence gates logit drop'
works 'monet mlp_beside always logit group'
works 'moe mlp_beside always logit'
works 'glu mlp_beside always'
works 'sgatlin int4 gates mlp_beside always logit drop'
works 'peer int4 gates group bias mlp_beside'

for kind in sgatlin peer; do
  refused 0 "$kind int4 meta" train.pool_precision feedforward.meta.experts
  refused 0 "$kind int4 parts" train.pool_precision=int4 train.parts
  refused 0 "$kind meta group" feedforward.meta feedforward.router_group
  [ -z "$mpi" ] || refused 2 "$kind int4" train.pool_precision=int4 ranks
done
for kind in monet moe mlp glu; do
  refused 0 "$kind int4" train.pool_precision $kind
  refused 0 "$kind drop" train.gate_dropout $kind
  refused 0 "$kind meta" feedforward.meta
done
for kind in monet moe mlp; do refused 0 "$kind gates" feedforward.gates.kind $kind; done
refused 0 'sgatlin bias' feedforward.bias sgatlin
[ -z "$mpi" ] || {
  split() { # WORDS NAME...
    words=$1
    shift
    train 2 1 refused "$words" --channel-ranks 2
    [ "$code" != 0 ] || bad "$words: channels over ranks are not refused"
    for name in --channel-ranks "$@"; do grep -qF -e "$name" "$tmp/err" || { bad "$words: the refusal does not name $name"; head -n 3 "$tmp/err"; }; done
    rm -rf "$tmp/refused"
  }
  split 'sgatlin gates' feedforward.gates
  split 'peer meta' feedforward.meta
  split 'sgatlin always' feedforward.always_on
  split 'peer mlp_beside' feedforward.sink_mlp
  split monet monet
}
finish
