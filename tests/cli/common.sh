# common.sh: sourced by the tests of this folder. They run from the repository's root; SGATLIN=path tests another build.
set -u
SGATLIN=${SGATLIN:-build/sgatlin}
tmp=$(mktemp -d) || exit 1
ended=''
at_end() {
  code=$?
  rm -rf "$tmp"
  [ -n "$ended" ] || { echo "  the test ended before its finish"; code=1; }
  exit "$code"
}
trap at_end EXIT
unset NO_COLOR
for name in $(env | sed -n 's/^\(SGATLIN_[A-Z_]*\)=.*/\1/p'); do unset "$name"; done
failures=0

bad() {
  failures=$((failures + 1))
  echo "  $*"
}

# try CODE ARGUMENT...: runs the command, leaves its output in $tmp/out and $tmp/err, and checks the exit code.
try() {
  want=$1
  shift
  "$SGATLIN" "$@" >"$tmp/out" 2>"$tmp/err" </dev/null
  code=$?
  [ "$code" = "$want" ] || { bad "sgatlin $*: exit code $code, expected $want"; sed 's/^/    /' "$tmp/err"; }
}

# has out|err TEXT: the last output holds TEXT as it stands.
has() {
  grep -qF -e "$2" "$tmp/$1" || { bad "std$1 does not hold: $2"; head -n 5 "$tmp/$1" | sed 's/^/    /'; }
}

empty() {
  [ ! -s "$tmp/$1" ] || { bad "std$1 is not empty"; head -n 5 "$tmp/$1" | sed 's/^/    /'; }
}

same() {
  cmp -s "$1" "$2" || { bad "differ: $1 $2"; diff "$1" "$2" | head -n 10 | sed 's/^/    /'; }
}

# tiny: the settings of a run of a sparse kind that trains in seconds, with a checkpoint at step 6.
tiny="--set model.hidden_size=32 --set model.num_hidden_layers=2 --set model.head_dim=16 --set train.seq_len=32 --set train.batch_size=4
 --set tokenizer.vocab_size=300 --set feedforward.num_neurons=36 --set feedforward.num_channels=3 --set feedforward.key_dim=8
 --set eval.every=0 --set checkpoint.every=6 --set schedule.warmup_steps=1 --set log.every=1"

# resumed RUN COPY: of two runs of 12 steps the second has the first's bytes, and has them again when it goes on from its checkpoint of step 6.
resumed() {
  last=checkpoints/step-00000012
  same "$1/$last/model.safetensors" "$2/$last/model.safetensors"
  rm -r "${2:?}/$last"
  printf 'step-00000006\n' >"$2/checkpoints/latest"
  try 0 -q train --resume -o "$2"
  for file in model optimizer; do same "$1/$last/$file.safetensors" "$2/$last/$file.safetensors"; done
}

# mixed DIR: a run whose layers differ: sgatlin, peer of another size, the first again, moe without attention, attention alone, mlp.
mixed() {
  [ -d "$tmp/worlds" ] || "$SGATLIN" -q data worlds --stories 120 --seed 1 -o "$tmp/worlds"
  "$SGATLIN" -q train --data "$tmp/worlds" -o "$1" --steps 3 --set model.hidden_size=32 --set model.num_hidden_layers=6 --set model.head_dim=16 \
    --set train.seq_len=48 --set train.batch_size=4 --set tokenizer.vocab_size=400 --set feedforward.num_neurons=25 --set feedforward.num_channels=3 \
    --set feedforward.key_dim=8 --set feedforward.top_k=2 --set eval.every=0 --set 'model.layers=[{},
      {"feedforward": {"kind": "peer", "router": "product_key_value", "activation": "gelu", "num_neurons": 16, "num_channels": 2, "top_k": 3, "key_dim": 4}},
      {"same_as": 0}, {"attention": false, "feedforward": {"kind": "moe", "activation": "sigmoid", "num_neurons": 7, "num_channels": 5, "top_k": 2}},
      {"feedforward": false}, {"feedforward": {"kind": "mlp", "activation": "gelu", "num_neurons": 11}}]'
}

# The one end of a test; one that ends elsewhere has failed.
finish() {
  ended=yes
  [ "$failures" = 0 ] || { echo "$failures failed"; exit 1; }
  exit 0
}

# skip WHY: the test cannot run here; run.sh says so.
skip() {
  ended=yes
  echo "skipped: $*"
  exit 0
}
