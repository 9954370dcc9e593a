#!/bin/sh
# quantize.sh SGATLIN DATA OUT: what weights in fewer bytes cost in held-out loss (docs/results.md, weights in fewer bytes). Each kind is trained on
# DATA (train.txt, valid.txt) with one tokenizer; then its loss over the same held-out rows with float32, with every map and pool in each type,
# and with int8 and int4 in one part of the model alone. A run that is there is gone on with; OUT/table.txt is written.
#
#   KINDS="sgatlin peer mlp glu moe" STEPS=300 SET="..." ROWS=64 THREADS=1 NICE=10 JOBS=1
set -eu
sgatlin=$1 data=$2 out=$3
kinds=${KINDS:-"sgatlin peer mlp glu moe"} steps=${STEPS:-300} rows=${ROWS:-64} threads=${THREADS:-1}
set_=${SET:-"model.hidden_size=128 model.num_hidden_layers=4 model.head_dim=32 train.batch_size=8 train.seq_len=128"}
sg() { nice -n "${NICE:-10}" "$sgatlin" -q -t "$threads" "$@"; }
mkdir -p "$out"
tokenizer="$out/tokenizer.json"
[ -f "$tokenizer" ] || sg tokenizer train -n "${VOCABULARY:-2048}" "$data/train.txt" -o "$tokenizer"
# NAME TYPE and options; the parts are names of tensors.
router='*.router.*,*.mlp.gate.weight' embedding='model.embed_tokens.weight' attention='*.self_attn.*'
neurons='*.experts.*,*.up_proj.*,*.gate_up_proj.*,*.down_proj.*'
variants() {
  cat <<EOF
bf16 bf16
f16 f16
int8 int8
int4 int4
int4_mse int4 --clip mse
int4_group32 int4 --group-size 32
int8_embedding int8 --only $embedding
int4_embedding int4 --only $embedding
int8_router int8 --only $router
int4_router int4 --only $router
int8_neurons int8 --only $neurons
int4_neurons int4 --only $neurons
int8_attention int8 --only $attention
int4_attention int4 --only $attention
EOF
}
measure() { # KIND NAME MODEL
  [ -s "$out/$1.$2.json" ] || {
    sg eval "$3" --data "$data/valid.txt" --max-rows "$rows" --json >"$out/$1.$2.new"
    mv "$out/$1.$2.new" "$out/$1.$2.json"
  }
}
one() { # KIND
  run="$out/$1"
  if [ ! -f "$run.trained" ]; then
    options=
    for s in $set_; do options="$options --set $s"; done
    if [ -d "$run/checkpoints" ]; then
      sg train --resume -o "$run"
    else
      # shellcheck disable=SC2086
      sg train --preset tinystories --kind "$1" --data "$data" --tokenizer "$tokenizer" -o "$run" --steps "$steps" $options --set eval.every=0
    fi
    : >"$run.trained"
  fi
  measure "$1" float32 "$run"
  variants | while read -r name type options; do
    case "$name:$1" in *_router:mlp | *_router:glu) continue ;; esac # which have none
    set -f
    # shellcheck disable=SC2086
    [ -s "$out/$1.$name.json" ] || sg quantize "$run" --to "$type" $options -o "$out/$1.$name" --json >"$out/$1.$name.bytes"
    set +f
    measure "$1" "$name" "$out/$1.$name"
    rm -rf "${out:?}/$1.$name"
  done
}
if [ "${ONE:-}" ]; then
  one "$ONE"
  exit
fi
for kind in $kinds; do echo "$kind"; done | xargs -P "${JOBS:-1}" -I{} env ONE={} sh "$0" "$sgatlin" "$data" "$out"
python3 - "$out" $kinds <<'PY' | tee "$out/table.txt"
import json, math, os, sys
out, kinds = sys.argv[1], sys.argv[2:]
def read(kind, name):
    path = f"{out}/{kind}.{name}.json"
    return json.load(open(path))["loss"] if os.path.exists(path) else None
names = ["bf16", "f16", "int8", "int4", "int4_mse", "int4_group32"] + [f"{t}_{p}" for p in ("embedding", "router", "neurons", "attention") for t in ("int8", "int4")]
print("| stored | " + " | ".join(kinds) + " |\n| --- |" + " --- |" * len(kinds))
print("| float32: perplexity | " + " | ".join(f"{math.exp(read(k, 'float32')):.3f}" for k in kinds) + " |")
for name in names:
    cells = []
    for k in kinds:
        loss = read(k, name)
        cells.append("" if loss is None else f"{100 * math.expm1(loss - read(k, 'float32')):+.3f} %")
    print(f"| {name.replace('_', ', ', 1)} | " + " | ".join(cells) + " |")
PY
