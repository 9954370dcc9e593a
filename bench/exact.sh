#!/bin/sh
# exact.sh [KIND...]: true effects of every neuron of a 30-token prompt beside as many single reruns, in turns, by processor time on
# one thread, on models of random weights in the demo's size (D 128, L 4, F 256, V 2048; `make demo`). A few seconds a kind; moe, whose
# experts have many units, two minutes.
#
#   sh bench/exact.sh sgatlin mlp
set -eu
cd "$(dirname "$0")/.."
make --no-print-directory build/bench/exact build/bench/write_model >&2
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
[ $# -gt 0 ] || set -- sgatlin peer mlp glu
for kind; do
  build/bench/write_model "$tmp/$kind" feedforward.kind="$kind" model.hidden_size=128 model.num_hidden_layers=4 model.head_dim=32 \
    tokenizer.vocab_size=2048 feedforward.num_neurons=256 >&2
  OMP_NUM_THREADS=1 build/bench/exact "$tmp/$kind" "${TOKENS:-30}" "${REPEATS:-3}"
done
