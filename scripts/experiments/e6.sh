#!/bin/sh
# e6.sh SGATLIN OUT: neurons as functions (docs/method-functions.md): what a layer keeps when its neurons become functions of at most 8 edges,
# which of these get names, hard gates beside soft ones, and the time of a pool as rows and as functions. Two kinds on stories of worlds; made
# small. One thread, some minutes; cut off, it goes on where it stopped. Settings are variables:
#
#   STEPS (600), D (64), L (3), F (256), C (4), FEATURES (64), POSITIONS (32768), SAMPLES (256), POOL (1048576), WIDE (256: D of the timed layer)
set -eu
sg=$1 out=$2
steps=${STEPS:-600} D=${D:-64} L=${L:-3} F=${F:-256} C=${C:-4} features=${FEATURES:-64} positions=${POSITIONS:-32768} samples=${SAMPLES:-256}
pool=${POOL:-1048576} wide=${WIDE:-256}
mkdir -p "$out"
[ -d "$out/worlds" ] || "$sg" -q data worlds --stories 6000 --seed 1 -o "$out/worlds"
# train NAME KIND LAYERS D STEPS SEED OPTION...
train() {
  name=$1 kind=$2 layers=$3 size=$4 n=$5 seed=$6
  shift 6
  [ -f "$out/$name.done" ] && return
  rm -rf "$out/$name"
  "$sg" -q -t 1 train --data "$out/worlds" -o "$out/$name" --kind "$kind" --steps "$n" --seed "$seed" --set model.hidden_size="$size" \
    --set model.num_hidden_layers="$layers" --set model.head_dim=32 --set feedforward.num_neurons="$F" --set feedforward.num_channels="$C" \
    --set feedforward.top_k=8 --set feedforward.key_dim=32 --set tokenizer.vocab_size=1024 --set train.seq_len=128 --set train.batch_size=16 \
    --set data.rows=pack --set eval.every=0 --set schedule.warmup_steps=50 --set optimizer.learning_rate=4e-3 --set checkpoint.keep=1 "$@"
  touch "$out/$name.done"
}
fit() { # NAME MODEL OPTION...
  name=$1 model=$2
  shift 2
  [ -f "$out/$name.json" ] && return
  "$sg" -q -t 1 record "$out/$model" --data "$out/worlds/train.txt" --documents 1200 --values none --no-index -o "$out/$model.rec"
  "$sg" -q -t 1 functions fit "$out/$model" --recording "$out/$model.rec" --features "$features" --positions "$positions" --samples "$samples" "$@" \
    -o "$out/$name.functions" --json >"$out/$name.part"
  mv "$out/$name.part" "$out/$name.json"
}
for seed in ${SEEDS:-1}; do
  for kind in sgatlin peer; do
    train "$kind-$seed" $kind "$L" "$D" "$steps" "$seed"
    fit "$kind-$seed" "$kind-$seed"
  done
done
# Times: one wide layer that has been trained a little.
for kind in sgatlin peer; do
  train "wide-$kind" $kind 1 "$wide" 60 1
  for o in 0 64; do
    fit "wide-$kind-$o" "wide-$kind" --outputs $o --steps 50
    [ -f "$out/bench-$kind-$o.json" ] || {
      "$sg" -q -t 1 functions bench "$out/wide-$kind-$o.functions" --pool "$pool" --seconds 2 --dir "$out" --json >"$out/bench.part"
      mv "$out/bench.part" "$out/bench-$kind-$o.json"
    }
  done
done
python3 - "$out" <<'EOP'
import glob, json, os, sys
out = sys.argv[1]
print("| model | layer | functions | named | gates kept of tried | hard / soft | R2 | explained | recovered | with splines |\n|" + " --- |" * 10)
f = lambda x, s="%.3f": "-" if x is None else s % x
for path in sorted(glob.glob(out + "/*-[0-9].json")):
    name = os.path.basename(path)[:-5]
    if name.startswith(("wide", "bench")): continue
    a = json.load(open(path))
    for l in a["layers"]:
        g, h = l["logic"], l["held_out"]
        print("| %s | %d | %d of %d | %s | %d of %d | %s | %s | %s | %s | %s |" % (name, l["layer"], l["functions"], l["neurons"], f(l["named_share"]),
              g["kept"], g["tried"], f(g["hard_over_soft"]), f(l["r2"]), f(h["variance_explained"]), f(h["recovered"]), f(l["splines"]["recovered"])))
    print("| %s | all | | | | | | | %s | |" % (name, f(a["all"]["recovered"])))
print("\n| pool | outputs | neurons | rows, us | functions, us | features | values | outputs | times faster | read, rows | read, functions |\n|" + " --- |" * 11)
for path in sorted(glob.glob(out + "/bench-*.json")):
    a = json.load(open(path))
    for p in a["pools"]:
        print("| %s | %s | %d | %.1f | %.1f | %.1f | %.1f | %.1f | %.2f | %d | %d |" % (os.path.basename(path)[6:-5].split("-")[0], a["outputs"] or "rows",
              p["neurons"], p["matrix_us"], p["functions_us"], p["features_us"], p["values_us"], p["outputs_us"], p["times_faster"], p["read_matrix"], p["read_functions"]))
EOP
