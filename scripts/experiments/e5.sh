#!/bin/sh
# e5.sh SGATLIN OUT: does Monet become PEER (docs/method.md, Monet to peer)? A monet model on the built-in corpus at each width; converted; what a distillation
# of X percent of its training's FLOPs recovers of its feedforward layers' part in the loss; and a peer of the converted model's form trained from scratch
# with the FLOPs of both together. Rates are searched first, at a quarter of the steps (training) or at 2 % (distillation), one seed; then SEEDS seeds.
# Whatever is there is kept, a run that was cut goes on: start it again. OUT/table.txt and OUT/recovered.svg are written from what there is.
#
#   WIDTHS="64 128" SHARES="0 1 2 5 10 20" SEEDS="0" STEPS=400 PAIRS=4 RATES="2e-3 4e-3 8e-3" FACTORS="0.5 1 2" THREADS=1 NICE=10
set -eu
sgatlin=$1 out=$2
widths=${WIDTHS:-"64 128"} shares=${SHARES:-"0 1 2 5 10 20"} seeds=${SEEDS:-0} steps=${STEPS:-400} pairs=${PAIRS:-4}
rates=${RATES:-"2e-3 4e-3 8e-3"} factors=${FACTORS:-"0.5 1 2"} stories=${STORIES:-4000} vocabulary=${VOCABULARY:-1024} rows=${ROWS:-48}
layers=${LAYERS:-4} length=${LENGTH:-128} batch=${BATCH:-8}
# shellcheck source=scripts/experiments/common.sh
. "$(dirname "$0")/common.sh"
corpus "$stories" "$vocabulary"

# train RUN WIDTH SEED RATE STEPS|- BUDGET|- OPTIONS...: to its end; RUN.json has the loss.
train() {
  run=$1 width=$2 seed=$3 rate=$4 n=$5 budget=$6
  shift 6
  [ "$n" = - ] || set -- "$@" --steps "$n"
  [ "$budget" = - ] || set -- "$@" --set "train.flops_budget=$budget"
  trained "$run" --preset tinystories --set "model.hidden_size=$width" --set "model.num_hidden_layers=$layers" --set model.head_dim=32 \
    --set "train.seq_len=$length" --set "train.batch_size=$batch" --set "train.seed=$seed" --set "optimizer.learning_rate=$rate" "$@"
  judged "$run" --rows pad --max-rows 256
}
# search RATE RUN WIDTH OPTIONS...: a quarter of the steps.
search() {
  rate=$1 run=$2 width=$3
  shift 3
  train "$run" "$width" 0 "$rate" $((steps / 4)) - "$@"
}
monet="--kind monet --set feedforward.num_experts=32 --set feedforward.expert_dim=8 --set feedforward.num_channels=8 --set feedforward.top_k=8
 --set feedforward.router_group=4"
side=3
peer="--kind peer --set feedforward.router=product_key_value --set feedforward.activation=relu2 --set feedforward.bias=true
 --set feedforward.num_neurons=$((32 * side * 32 * side)) --set feedforward.num_channels=8 --set feedforward.top_k=$((side * side * pairs))
 --set feedforward.key_dim=32 --set feedforward.router_group=4"
scaled() { awk -v a="$1" -v b="$2" 'BEGIN { printf "%.4g", a * b }'; }
# distilled STUDENT RUN SHARE FACTOR JSON
distilled() {
  [ -s "$5" ] && return
  if [ "$3" = 0 ]; then
    sg convert "$2" --to peer --pairs "$pairs" --data "$data" --rows "$rows" -o "$1.again" --json >"$5.new"
    rm -rf "$1.again"
  else
    sg distill --teacher "$2" --student "$1" --data "$data" --rows "$rows" -b "$batch" -s "$length" --flops-share "$(scaled "$3" 0.01)" --points 0 \
      --layer-rate "$(scaled 1e-3 "$4")" --learning-rate "$(scaled 3e-4 "$4")" -o "$1.learned" --json >"$5.new"
    sg eval "$1.learned" --data "$data/valid.txt" --rows pad --max-rows 256 --json >"${5%.json}.eval.json"
    rm -rf "$1.learned"
  fi
  mv "$5.new" "$5"
}
# shellcheck disable=SC2086
for width in $widths; do
  best_rate "monet.$width" search "$width" $monet
  best_rate "peer.$width" search "$width" $peer
  for seed in $seeds; do
    run="$out/monet.$width.$seed"
    train "$run" "$width" "$seed" "$(cat "$out/monet.$width.rate")" "$steps" - $monet
    [ -f "$run.student/config.json" ] || sg convert "$run" --to peer --pairs "$pairs" -o "$run.student" --json >"$run.converted"
    [ -s "$run.cost.json" ] || {
      sg distill --teacher "$run" --student "$run.student" --data "$data" --rows 1 --layer-steps 1 --steps 0 -o "$run.cost" --json >"$run.new"
      mv "$run.new" "$run.cost.json"
    }
    flops=$(value teacher_flops "$run.cost.json")
    if [ ! -s "$out/factor.$width" ]; then
      least=
      for f in $factors; do
        distilled "$run.student" "$run" 2 "$f" "$out/search.$width.$f.distill"
        loss=$(sed -n 's/.*"loss":\([-0-9.e]*\),"recovered":[-0-9.e]*}\].*/\1/p' "$out/search.$width.$f.distill")
        if [ -z "$least" ] || less "$loss" "$least"; then least=$loss factor=$f; fi
      done
      echo "$factor" >"$out/factor.$width"
    fi
    for x in $shares; do
      distilled "$run.student" "$run" "$x" "$(cat "$out/factor.$width")" "$out/distill.$width.$seed.$x.json"
    done
    train "$out/peer.$width.$seed" "$width" "$seed" "$(cat "$out/peer.$width.rate")" - "$(scaled "$flops" 1.1)" $peer
  done
done
python3 - "$out" "$widths" "$shares" "$seeds" <<'PY'
import json, math, os, statistics, sys
out, widths, shares, seeds = sys.argv[1], *(a.split() for a in sys.argv[2:5])
def read(name):
    path = f"{out}/{name}"
    return json.load(open(path)) if os.path.exists(path) else None
def mean(v):
    return "" if not v else f"{statistics.mean(v):.4f}" + (f" ± {statistics.stdev(v):.4f}" if len(v) > 1 else "")
curves, lines = {}, ["| width | " + " | ".join(f"{x} %" for x in shares) + " | monet's loss | loss at 10 % | peer from scratch, the FLOPs of both |",
                     "| --- |" + " --- |" * (len(shares) + 3)]
for w in widths:
    cells = []
    for x in shares:
        got = [d for d in (read(f"distill.{w}.{s}.{x}.json") for s in seeds) if d]
        ends = [d if x == "0" else d["curve"][-1] for d in got]
        share = [e["recovered"] for e in ends]
        if share: curves.setdefault(w, []).append((float(x), statistics.mean(share)))
        cells.append(mean(share))
    at10, teacher, scratch = ([d["loss"] for d in (read(name.format(w, s)) for s in seeds) if d]
                              for name in ("distill.{}.{}.10.eval.json", "monet.{}.{}.json", "peer.{}.{}.json"))
    lines.append(f"| {w} | " + " | ".join(cells) + f" | {mean(teacher)} | {mean(at10)} | {mean(scratch)} |")
for w, c in curves.items():
    above = next(((a, b) for a, b in zip(c, c[1:]) if a[1] < 0.98 <= b[1]), None)
    if above:
        (x0, y0), (x1, y1) = above
        lines.append(f"\nWidth {w}: 0.98 at {x0 + (0.98 - y0) / (y1 - y0) * (x1 - x0):.2f} % (between {x0:g} and {x1:g}).")
open(f"{out}/table.txt", "w").write("\n".join(lines) + "\n")
print("\n".join(lines))
W, H, L, B = 560, 320, 60, 40
most = max(float(x) for x in shares)
low = min([0.0] + [y for c in curves.values() for _, y in c])
high = max([1.0] + [y for c in curves.values() for _, y in c])
px = lambda x: L + x / most * (W - L - 90)
py = lambda y: H - B - (y - low) / (high - low) * (H - B - 30)
svg = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{W}" height="{H}" font-family="sans-serif" font-size="11"><rect width="{W}" height="{H}" fill="#fff"/>',
       f'<text x="{L}" y="16" font-size="13">Recovered share of the feedforward layers, monet to peer</text>']
for k in range(6):
    y = low + (high - low) * k / 5
    svg.append(f'<line x1="{L}" x2="{W - 90}" y1="{py(y):.1f}" y2="{py(y):.1f}" stroke="#ddd"/><text x="{L - 6}" y="{py(y) + 4:.1f}" text-anchor="end">{y:.2f}</text>')
for x in shares:
    svg.append(f'<text x="{px(float(x)):.1f}" y="{H - B + 16}" text-anchor="middle">{x}</text>')
svg.append(f'<text x="{(L + W - 90) / 2}" y="{H - 8}" text-anchor="middle">% of monet\'s training FLOPs</text>')
for k, (w, c) in enumerate(curves.items()):
    colour = ["#1f77b4", "#d62728", "#2ca02c", "#9467bd"][k % 4]
    svg.append(f'<polyline fill="none" stroke="{colour}" stroke-width="1.6" points="' + " ".join(f"{px(x):.1f},{py(y):.1f}" for x, y in c) + '"/>')
    svg += [f'<circle cx="{px(x):.1f}" cy="{py(y):.1f}" r="3" fill="{colour}"><title>{x:g} %: {y:.4f}</title></circle>' for x, y in c]
    svg.append(f'<text x="{W - 84}" y="{py(c[-1][1]) + 4:.1f}" fill="{colour}">D {w}</text>')
open(f"{out}/recovered.svg", "w").write("\n".join(svg) + "</svg>\n")
PY
