#!/bin/sh
# sweep.sh [BENCH-OPTION]...: how the cost of a sgatlin model grows with F, C, K, T and D; one size changes at a time from
# the tinystories preset. Prints training and forward tokens/s, their share of the matrix product's rate, MFLOP a token.
set -eu
here=$(cd "$(dirname "$0")/.." && pwd)
one() { # LABEL OPTION...
  label=$1
  shift
  "${SGATLIN:-$here/build/sgatlin}" bench -q -k sgatlin -n "${ROUNDS:-5}" --json "$@" |
    python3 -c 'import json, sys
b = json.load(sys.stdin)[0]
t = b["train_tokens_per_s"]
print("%-16s %8s %5s %8.0f %4.0f%% %9.1f" % (sys.argv[1], "%.0f" % t if t else "-", "%.0f%%" % (100 * b["utilisation"]) if t else "-",
      b["forward_tokens_per_s"], 100 * b["forward_utilisation"], b["forward_flops_per_token"] / 1e6))' "$label"
}
printf '%-16s %8s %5s %8s %5s %9s\n' size train use forward use MFLOP
one "preset" "$@"
for c in 4 16; do one "C $c" "$@" --set feedforward.num_channels=$c; done
for k in 2 16; do one "K $k" "$@" --set feedforward.top_k=$k; done
for t in 256 4096; do one "T $t" "$@" -s $t -b $((4096 / t)); done
for d in 128 512 1024; do one "D $d" "$@" --set model.hidden_size=$d; done
for f in 256 4096 16384 65536; do one "F $f" "$@" --forward-only --set feedforward.num_neurons=$f; done
for f in 1024 65536; do one "D 1024, F $f" "$@" --forward-only --set model.num_hidden_layers=1 --set model.hidden_size=1024 --set feedforward.num_neurons=$f; done
