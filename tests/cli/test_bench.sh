#!/bin/sh
# bench: the keys that scripts read, the tables, wrong values.
. tests/cli/common.sh

small="--set model.hidden_size=32 --set model.head_dim=16 --set model.num_hidden_layers=1 --set tokenizer.vocab_size=200 -b 2 -s 16 -n 2"
try 0 bench -q -k sgatlin -k mlp --set feedforward.num_neurons=144 $small --json
for key in kind preset isa threads batch seq rounds parameters allocations gemm_gflops copy_gbytes_per_s train_tokens_per_s \
  forward_tokens_per_s decode_tokens_per_s flops_per_token utilisation peak_rss_bytes planned_bytes train_kernels forward_kernels \
  share_of_limit; do
  has out "\"$key\":"
done
has out '"allocations":0'
has out '"kind":"mlp"'
empty err
try 0 bench -q $small --forward-only --json
has out '"train_tokens_per_s":null'
try 0 bench -q $small --kernels
has out "train tok/s"; has out "head backward"; has out "of limit"
try 2 bench -k nothing
has err 'nothing'
try 2 bench --set feedforward.num_neurons=1000
has err "perfect square"
try 2 bench -n 0
for isa in generic avx2; do
  SGATLIN_ISA=$isa "$SGATLIN" bench -q $small --json >"$tmp/out" 2>"$tmp/err" || bad "bench fails with SGATLIN_ISA=$isa"
done
finish
