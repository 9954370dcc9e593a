# common.sh: sourced by the tests of this folder. They run from the repository's root; SGATLIN=path tests another build.
set -u
SGATLIN=${SGATLIN:-build/sgatlin}
tmp=$(mktemp -d) || exit 1
trap 'rm -rf "$tmp"' EXIT
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

finish() {
  [ "$failures" = 0 ] || { echo "$failures failed"; exit 1; }
  exit 0
}
