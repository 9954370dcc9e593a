#!/bin/sh
# isoflop.sh SGATLIN DATA OUT: the scaling study itself (docs/results-scaling.md): kinds x sizes x budgets, two seeds at all budgets but the largest,
# each kind with the best of some learning rates; then one confirmation at five times the largest budget for some kinds at their best sizes.
# Budgets are sized by steps timed on this machine so that the study ends in MINUTES; they are kept in OUT/budgets. What is there is gone on with, also
# after a power cut. DRY=1 says what it would take, and stops. `sgatlin explore OUT/study` shows it as it goes.
# Where the best rate of a kind is the first or last of RATES, the command warns and OUT/study.txt says so: the best may lie beyond. A study's rates are
# fixed once it has begun; try wider ones at the smallest budget alone, which is the sweep's part of the cost,
#   sgatlin sweep --data DATA --tokenizer OUT/tokenizer.json --kind KIND --preset SWEPT --budget LEAST --vary optimizer.learning_rate=1e-2,2e-2,4e-2 -o OUT/rates
# (LEAST: the first of OUT/budgets, SWEPT: sweep_scale of OUT/study/study.json, the settings of SET with --set), and where one of them is better begin
# again in another OUT with RATES=3e-3,1e-2,3e-2.
#
#   MINUTES=100 KINDS=sgatlin,peer,moe,glu,mlp,monet SCALES="ladder;64x2,ladder;96x3,ladder;128x4,ladder;192x4" SEEDS=2,2,1 RATES=1e-3,3e-3,1e-2
#   CONFIRM="sgatlin moe mlp" SET="..." VOCABULARY=2048 JOBS=2 THREADS=1
set -eu
sgatlin=$1 data=$2 out=$3
kinds=${KINDS:-sgatlin,peer,moe,glu,mlp,monet} scales=${SCALES:-"ladder;64x2,ladder;96x3,ladder;128x4,ladder;192x4"} seeds=${SEEDS:-2,2,1}
rates=${RATES:-1e-3,3e-3,1e-2} jobs=${JOBS:-2} threads=${THREADS:-1}
set_=${SET:-"train.seq_len=256 train.batch_size=8 schedule.warmup_steps=20"}
sg() { nice -n "${NICE:-10}" "$sgatlin" -q -t "$threads" "$@"; }
settings() { for s in $set_; do printf '%s\n' "--set=$s"; done; }
mkdir -p "$out"
tokenizer="$out/tokenizer.json"
[ -f "$tokenizer" ] || sg tokenizer train -n "${VOCABULARY:-2048}" "$data/train.txt" -o "$tokenizer"

# Steps are timed at budgets 1 : 4 : 16; time grows with them, so the same proportions fill the minutes. A study that is only planned leaves nothing
# but its description, in OUT/size.
if [ ! -s "$out/budgets" ]; then
  rm -rf "$out/size"
  # shellcheck disable=SC2046
  sg isoflop --data "$data" --tokenizer "$tokenizer" --kinds "$kinds" --scales "$scales" --budgets 1e12,4e12,16e12 --seeds "$seeds" $(settings) \
    -o "$out/size" --dry-run --json >"$out/size.json"
  python3 - "$out/size.json" "${MINUTES:-100}" "$jobs" "$rates" "$kinds" "$scales" >"$out/budgets.new" <<'PY'
import json, sys
d, minutes, jobs = json.load(open(sys.argv[1])), float(sys.argv[2]), int(sys.argv[3])
rates, kinds, scales = (s.split(",") for s in sys.argv[4:7])
runs = d["runs"]
# The sweep: every rate of every kind at the smallest budget and the middle size.
middle = scales[(len(scales) - 1) // 2].replace(";", "-").replace(":", "-")
swept = [r for r in runs if r["name"].endswith(f"{middle}-1e+12-s1")]
sweep = sum((r["seconds"] - r["evaluation_seconds"]) * len(rates) for r in swept)
judged = sum(r["evaluation_seconds"] for r in runs) + sum(r["evaluation_seconds"] * len(rates) for r in swept)  # does not grow with budgets
left = 0.9 * 60 * minutes * jobs - judged
if left < 0.2 * 60 * minutes * jobs:
    sys.exit(f"isoflop.sh: evaluations alone take {judged / 60 / jobs:.0f} of {minutes:.0f} minutes: give a shorter valid.txt, or more MINUTES")
times = left / (sum(r["seconds"] - r["evaluation_seconds"] for r in runs) + sweep)
print(",".join(f"{b * times:.2g}" for b in (1e12, 4e12, 16e12)))
PY
  mv "$out/budgets.new" "$out/budgets"
fi
budgets=$(cat "$out/budgets")

study="$out/study"
if [ ! -f "$study/study.json" ]; then
  # shellcheck disable=SC2046
  set -- --data "$data" --tokenizer "$tokenizer" --kinds "$kinds" --scales "$scales" --budgets "$budgets" --seeds "$seeds" $(settings)
  if [ "${DRY:-}" ]; then
    rm -rf "$out/whole"
    sg isoflop "$@" -o "$out/whole" --dry-run --json >"$out/whole.json"
    python3 - "$out/whole.json" "$budgets" "$jobs" <<'PY'
import json, sys
d, budgets, jobs = json.load(open(sys.argv[1])), sys.argv[2], int(sys.argv[3])
runs = d["runs"]
print(f"budgets {budgets}: {len(runs)} runs of {min(r['steps'] for r in runs):,} to {max(r['steps'] for r in runs):,} steps,",
      f"{min(r['parameters'] for r in runs):,} to {max(r['parameters'] for r in runs):,} parameters, memory up to {d['memory_bytes'] / 1e6:.0f} MB a run,",
      f"disk {d['disk_bytes'] / 1e6:.0f} MB")
print(f"{d['seconds'] / 60:.0f} minutes of one process, {d['seconds'] / 60 / jobs:.0f} with JOBS={jobs}, beside the sweep of learning rates")
PY
    exit
  fi
  sg isoflop "$@" --vary "optimizer.learning_rate=$rates" -o "$study" --plan - >/dev/null
fi
[ -z "${DRY:-}" ] || { sg isoflop -o "$study" --dry-run && exit; }

# First the sweep's runs, then the others, which are known then.
all() { # DIRECTORY
  while sg isoflop -o "$1" --plan - | sed 's/.*--run //' >"$out/left" && [ -s "$out/left" ]; do
    xargs -P "$jobs" -I{} nice -n "${NICE:-10}" "$sgatlin" -q -t "$threads" isoflop -o "$1" --run {} <"$out/left"
  done
}
all "$study"
# Runs had others beside them: times are of steps made anew, one form after the other.
[ -f "$study/timings.json" ] || sg isoflop -o "$study" --retime >/dev/null
sg isoflop -o "$study" >"$out/study.txt"
cat "$out/study.txt"

# Five times the largest budget, one seed, each kind at the size that was nearest to its best at the largest, with its own best settings.
for kind in ${CONFIRM-sgatlin moe mlp}; do
  if [ ! -f "$out/confirm-$kind/study.json" ]; then
    python3 - "$study/results.json" "$kind" >"$out/confirm.txt" <<'PY'
import json, math, sys
d, kind = json.load(open(sys.argv[1])), sys.argv[2]
best = max((o for o in d["optima"] if o["kind"] == kind), key=lambda o: o["budget"])
near = min((r for r in d["runs"] if r["kind"] == kind and not r["sweep"]),
           key=lambda r: abs(math.log(r["non_embedding_parameters"] / best["non_embedding_parameters"])))
chosen = next((b["set"] for b in d["best_settings"] if b["kind"] == kind), [])
print(f"{5 * best['budget']:.3g}", near["scale"], *[f"--set={s}" for s in chosen])
PY
    read -r budget scale more <"$out/confirm.txt"
    # shellcheck disable=SC2046,SC2086
    sg isoflop --data "$data" --tokenizer "$tokenizer" --kinds "$kind" --scales "$scale" --budgets "$budget" --seeds 1 $(settings) $more \
      -o "$out/confirm-$kind" --plan - >/dev/null
  fi
  all "$out/confirm-$kind"
  sg isoflop -o "$out/confirm-$kind" >"$out/confirm-$kind.txt"
  sed -n 1,2p "$out/confirm-$kind.txt"
done >"$out/confirmation.txt" # not into a pipe, which would hide that a run failed
cat "$out/confirmation.txt"
