#!/bin/sh
# e4.sh SGATLIN OUT: does Monet train better than PEER (docs/method.md, Monet to peer)? Both on the built-in corpus at equal FLOPs (peer's preset form, one router
# a layer) and with equal parameters (peer's pool cut to monet's size), each at the best of RATES, which are searched at a quarter of the FLOPs and one seed;
# then SEEDS seeds. Whatever is there is kept, a run that was cut goes on: start it again. OUT/table.txt is written.
#
#   FLOPS=2e12 SEEDS="0 1 2" RATES="2e-3 4e-3 8e-3" WIDTH=64 THREADS=1 NICE=10
set -eu
sgatlin=$1 out=$2
budget=${FLOPS:-2e12} seeds=${SEEDS:-"0 1 2"} rates=${RATES:-"2e-3 4e-3 8e-3"} width=${WIDTH:-64}
stories=${STORIES:-4000} vocabulary=${VOCABULARY:-1024} layers=${LAYERS:-4} length=${LENGTH:-128} batch=${BATCH:-8}
# shellcheck source=scripts/experiments/common.sh
. "$(dirname "$0")/common.sh"
corpus "$stories" "$vocabulary"
options() { # of a variant
  case $1 in
    monet) echo --kind monet --set feedforward.num_experts=32 --set feedforward.expert_dim=8 --set feedforward.num_channels=8 --set feedforward.top_k=8 \
      --set feedforward.router_group=4 ;;
    peer) echo --kind peer --set feedforward.num_neurons=1024 --set feedforward.num_channels=8 --set feedforward.top_k=8 --set "feedforward.key_dim=$((width / 2))" ;;
    # 2 N m D and 2 H N D / 4 of monet are 2 F D and 2 C Q (D + S) here: F 196, Q 8.
    peer-small) echo --kind peer --set feedforward.num_neurons=196 --set feedforward.num_channels=8 --set feedforward.top_k=8 --set feedforward.key_dim=8 ;;
  esac
}
train() { # VARIANT SEED RATE FLOPS RUN
  # shellcheck disable=SC2046
  trained "$5" --preset tinystories $(options "$1") --set "model.hidden_size=$width" --set "model.num_hidden_layers=$layers" --set model.head_dim=32 \
    --set "train.seq_len=$length" --set "train.batch_size=$batch" --set "train.seed=$2" --set "optimizer.learning_rate=$3" --set "train.flops_budget=$4"
  judged "$5" --rows pad --max-rows 256
  [ -s "$5.info" ] || { sg info "$5" --json >"$5.new" && mv "$5.new" "$5.info"; }
}
search() { train "$3" 0 "$1" "$(awk -v b="$budget" 'BEGIN { printf "%.4g", b / 4 }')" "$2"; } # RATE RUN VARIANT
for variant in monet peer peer-small; do
  best_rate "$variant" search "$variant"
  for seed in $seeds; do train "$variant" "$seed" "$(cat "$out/$variant.rate")" "$budget" "$out/$variant.$seed"; done
done
python3 - "$out" $seeds <<'PY'
import json, os, statistics, sys
out, seeds = sys.argv[1], sys.argv[2:]
lines = ["| | parameters | FLOPs a sequence | rate | held-out loss |", "| --- | --- | --- | --- | --- |"]
for v in ("monet", "peer", "peer-small"):
    got = [json.load(open(p))["loss"] for p in (f"{out}/{v}.{s}.json" for s in seeds) if os.path.exists(p)]
    if not got: continue
    info = json.load(open(f"{out}/{v}.{seeds[0]}.info"))
    sd = f" ± {statistics.stdev(got):.4f}" if len(got) > 1 else ""
    lines.append(f"| {v} | {info['parameters']:,} | {info['flops_per_sequence']:.3g} | {open(f'{out}/{v}.rate').read().strip()} | {statistics.mean(got):.4f}{sd} |")
open(f"{out}/table.txt", "w").write("\n".join(lines) + "\n")
print("\n".join(lines))
PY
