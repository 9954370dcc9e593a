#!/bin/sh
# decode.sh [DIR]: decoding one stream from files, at D 1024, L 12: an mlp (F 4096, 159M parameters), sgatlin with pools of 991M (C 8,
# F 5041; 1.05G parameters) and an mlp of equal size (F 40328). Models of random weights are written to DIR (9.1 GB) and kept there; without
# DIR they go to a temporary folder and away again. Each of ROUNDS (5) rounds runs all three in turn for each of THREADS ("1 2");
# medians are printed, and how much faster sgatlin is than the mlp of equal size beside what the bytes that a token reads promise.
#
# TYPES ("float32"; of float32 bf16 f16 int8 int4) writes each model in each type (`sgatlin quantize`), runs them in turn too, and prints how much faster each is than
# float32 beside what the bytes promise. MODELS ("mlp sgatlin mlp_equal") takes fewer; CPU=1 counts processor time (a busy machine, THREADS=1).
# MODELS=sgatlin_4g is one more: sgatlin with pools of 4.02 billion (F 20449); it is written as float32 first (16.4 GB of disk and of memory).
#
#   sh bench/decode.sh                       # about 4 minutes, 9.1 GB of disk, memory to keep them cached
#   ROUNDS=7 THREADS=1 sh bench/decode.sh /tmp/models
#   MODELS=sgatlin_4g TYPES=int4 sh bench/decode.sh
set -eu
cd "$(dirname "$0")/.."
make --no-print-directory -j2 build/sgatlin build/bench/write_model >&2
if [ $# -gt 0 ]; then
  dir=$1
  mkdir -p "$dir"
else
  dir=$(mktemp -d)
  trap 'rm -rf "$dir"' EXIT
fi
tmp=$(mktemp -d)
[ $# -gt 0 ] && trap 'rm -rf "$tmp"' EXIT || trap 'rm -rf "$dir" "$tmp"' EXIT
write() { # NAME KEY=VALUE...
  name=$1
  shift
  [ -f "$dir/$name/model.safetensors" ] ||
    build/bench/write_model "$dir/$name" model.hidden_size=1024 model.head_dim=64 model.num_hidden_layers=12 "$@" >&2
}
models=${MODELS:-mlp sgatlin mlp_equal} runs=
wanted() { case " $models " in *" $1 "*) return 0 ;; esac; return 1; }
wanted mlp && write mlp feedforward.kind=mlp feedforward.num_neurons=4096
wanted sgatlin && write sgatlin feedforward.kind=sgatlin feedforward.num_channels=8 feedforward.num_neurons=5041
wanted sgatlin_4g && write sgatlin_4g feedforward.kind=sgatlin feedforward.num_channels=8 feedforward.num_neurons=20449
wanted mlp_equal && write mlp_equal feedforward.kind=mlp feedforward.num_neurons=40328
for model in $models; do
  for type in ${TYPES:-float32}; do
    name=$model.$type
    [ "$type" = float32 ] && name=$model
    [ -f "$dir/$name/model.safetensors" ] || build/sgatlin quantize "$dir/$model" --to "$type" -o "$dir/$name" >&2
    runs="$runs $name"
  done
done
for round in $(seq "${ROUNDS:-5}"); do
  for threads in ${THREADS:-1 2}; do
    for model in $runs; do
      build/sgatlin bench "$dir/$model" --forward-only ${CPU:+--cpu-time} --json -q -t "$threads" -n 3 -b 1 -s 8 >"$tmp/$model.$threads.$round"
    done
  done
done
python3 - "$tmp" "${ROUNDS:-5}" "$runs" ${THREADS:-1 2} <<'PY'
import json, statistics, sys
folder, rounds, names, threads = sys.argv[1], int(sys.argv[2]), sys.argv[3].split(), sys.argv[4:]
load = lambda model, t: [json.load(open(f"{folder}/{model}.{t}.{r + 1}"))[0] for r in range(rounds)]
middle = lambda runs, key: statistics.median(run[key] for run in runs)
print(f"{'model':17s} {'threads':>7s} {'parameters':>10s} {'tokens/s':>8s} {'MB/token':>8s} {'of copy':>7s} {'open ms':>7s} {'first token ms':>14s}")
def ratio(t, runs, fast, slow, text):
    rates = [a["decode_tokens_per_s"] / b["decode_tokens_per_s"] for a, b in zip(runs[fast], runs[slow])]
    promise = runs[slow][0]["decode_bytes_per_token"] / runs[fast][0]["decode_bytes_per_token"]
    print(f"{text}, {t} thread(s): {statistics.median(rates):.2f} ({min(rates):.2f} to {max(rates):.2f}); the bytes promise {promise:.2f}")
for t in threads:
    runs = {model: load(model, t) for model in names}
    for model, b in runs.items():
        print(f"{model:17s} {t:>7s} {b[0]['parameters'] / 1e6:9.0f}M {middle(b, 'decode_tokens_per_s'):8.1f} "
              f"{b[0]['decode_bytes_per_token'] / 1e6:8.1f} {100 * middle(b, 'decode_share_of_bandwidth'):6.0f}% "
              f"{1e3 * middle(b, 'open_seconds'):7.2f} {1e3 * middle(b, 'first_token_seconds'):14.0f}")
    if "sgatlin" in runs and "mlp_equal" in runs:
        ratio(t, runs, "sgatlin", "mlp_equal", "sgatlin over mlp of equal size")
    for model in names:
        whole = model.split(".")[0]
        if model != whole and whole in runs:
            ratio(t, runs, model, whole, f"{model} over float32")
PY
