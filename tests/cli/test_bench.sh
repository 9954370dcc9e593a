#!/bin/sh
# bench: the keys that scripts read, the tables, wrong values.
. tests/cli/common.sh

small="--set model.hidden_size=32 --set model.head_dim=16 --set model.num_hidden_layers=1 --set tokenizer.vocab_size=200 -b 2 -s 16 -n 2"
try 0 bench -q -k sgatlin -k mlp --set feedforward.num_neurons=144 $small --json
# The keys are these, in this order: a new one belongs into the help and here.
keys='kind preset model isa threads batch seq rounds parameters allocations precision bf16_path gemm_gflops gemm_shape copy_gbytes_per_s train_tokens_per_s forward_tokens_per_s
decode_tokens_per_s decode_bytes_per_token decode_share_of_bandwidth flops_per_token forward_flops_per_token utilisation forward_utilisation
planned_bytes peak_rss_bytes open_seconds first_token_seconds train_kernels forward_kernels decode_kernels'
if command -v python3 >/dev/null; then
  python3 - "$tmp/out" $keys >"$tmp/wrong" 2>&1 <<'PY'
import json, sys
models = json.load(open(sys.argv[1]))
for m in models:
    if list(m) != sys.argv[2:]:
        print("keys:", *m)
    for part in ("train_kernels", "forward_kernels", "decode_kernels"):
        if abs(sum(k["share"] for k in m[part]) - 1) > 1e-6:
            print(part, "shares do not add up to 1")
        for k in m[part]:
            if list(k) != ["name", "seconds", "share", "flops", "bytes", "limit", "share_of_limit"] or k["limit"] not in ("memory", "flops"):
                print(part, *k.items())
    numbers = ("gemm_gflops", "train_tokens_per_s", "forward_tokens_per_s", "decode_tokens_per_s", "flops_per_token", "utilisation",
               "peak_rss_bytes", "planned_bytes", "threads")
    for name in numbers:
        if not m[name] > 0:
            print(name, m[name])
    if m["open_seconds"] is not None or m["model"] is not None or m["preset"] != "tinystories":
        print("random weights", m["preset"], m["model"])
PY
  [ ! -s "$tmp/wrong" ] || { bad "bench --json"; cat "$tmp/wrong"; }
fi
has out '"allocations":0'
has out '"kind":"mlp"'
empty err
try 0 bench -q $small --forward-only --json
has out '"train_tokens_per_s":null'
try 0 bench -q $small --kernels
has out "train tok/s"; has out "head backward"; has out "of limit"
has out "decoding a token"; has out "planned"
# A saved model, mapped: opening is measured, its sizes are its own.
model=tests/golden/models/sgatlin_product_dense_identity
try 0 bench -q $model -b 1 -s 8 -n 1 --json
for key in open_seconds first_token_seconds train_tokens_per_s; do
  grep -q "\"$key\":[0-9]" "$tmp/out" || bad "bench MODEL does not give $key"
done
has out "\"model\":\"$model\""; has out '"preset":null'
try 0 bench -q $model -b 1 -s 8 -n 1 --forward-only
has out "opened in"
try 2 bench $model -k mlp
has err "no --kind"
try 1 bench "$tmp/none"
try 2 bench -k nothing
has err 'nothing'
try 2 bench --set feedforward.num_neurons=1000
has err "perfect square"
try 2 bench -n 0
try 0 bench $small -k mlp --set train.precision=bf16 --json
has out '"precision":"bf16"'; has out '"bf16_path":"'
has out '"name":"weights to bf16"'
try 0 bench $small -k mlp --set train.precision=auto --json
has out '"precision":"'
try 2 bench $small -k mlp --set train.precision=f16
has err 'train.precision is "f16": choose float32, bf16 or auto'
for isa in generic avx2; do
  SGATLIN_ISA=$isa "$SGATLIN" version >/dev/null 2>&1 || continue # not on this processor
  SGATLIN_ISA=$isa "$SGATLIN" bench -q $small --json >"$tmp/out" 2>"$tmp/err" || bad "bench fails with SGATLIN_ISA=$isa"
done
finish
