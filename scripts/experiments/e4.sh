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
sg() { nice -n "${NICE:-10}" "$sgatlin" -q -t "${THREADS:-1}" "$@"; }
mkdir -p "$out"
data="$out/worlds" tokenizer="$out/tokenizer.json"
[ -f "$data/valid.txt" ] || sg data worlds --stories "$stories" --seed 1 -o "$data"
[ -f "$tokenizer" ] || sg tokenizer train -n "$vocabulary" "$data/train.txt" -o "$tokenizer"
value() { sed -n "s/.*\"$1\":\([-0-9.e+]*\).*/\1/p" "$2" | head -n 1; }
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
  if [ ! -f "$5.trained" ]; then
    if [ -d "$5/checkpoints" ]; then
      sg train --resume -o "$5"
    else
      rm -rf "$5"
      # shellcheck disable=SC2046
      sg train --preset tinystories --data "$data" --tokenizer "$tokenizer" -o "$5" $(options "$1") --set "model.hidden_size=$width" \
        --set "model.num_hidden_layers=$layers" --set model.head_dim=32 --set "train.seq_len=$length" --set "train.batch_size=$batch" \
        --set "train.seed=$2" --set "optimizer.learning_rate=$3" --set "train.flops_budget=$4" --set schedule.warmup_steps=20 --set eval.every=0
    fi
    : >"$5.trained"
  fi
  [ -s "$5.json" ] || { sg eval "$5" --data "$data/valid.txt" --rows pad --max-rows 256 --json >"$5.new" && mv "$5.new" "$5.json"; }
  [ -s "$5.info" ] || { sg info "$5" --json >"$5.new" && mv "$5.new" "$5.info"; }
}
for variant in monet peer peer-small; do
  if [ ! -s "$out/$variant.rate" ]; then
    least=
    for r in $rates; do
      train "$variant" 0 "$r" "$(awk -v b="$budget" 'BEGIN { printf "%.4g", b / 4 }')" "$out/search.$variant.$r"
      loss=$(value loss "$out/search.$variant.$r.json")
      if [ -z "$least" ] || awk -v a="$loss" -v b="$least" 'BEGIN { exit !(a < b) }'; then least=$loss rate=$r; fi
    done
    echo "$rate" >"$out/$variant.rate"
  fi
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
