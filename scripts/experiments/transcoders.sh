#!/bin/sh
# transcoders.sh SGATLIN OUT: the table that transcoders were first shown with, made small: models of 4 layers with relu and no norm on
# stories, one a seed, each with transcoders at three penalties; loss recovered by layer, match with the original neurons; beside them top-k
# transcoders and, of the first seed, some whose encoder is random. One thread, some minutes; cut off, it goes on where it stopped. OUT/table.txt
# has the tables, OUT/pareto.svg the first seed's figure. Settings are variables:
#
#   DATA (a directory with train.* and valid.*; else stories of worlds), STEPS (500) of the models, TSTEPS (600) of the transcoders, of BATCH (1024) positions, D (64), F (256), M (1024), RATE (3e-3),
#   LAMBDAS ("0.0005 0.002 0.008"), SEEDS ("1 2 3"), TOPK ("8 32"), RANDOM_OF (the LAMBDAS: penalties with a random encoder), ROWS (48) that are evaluated
#   STEPS=20000 D=256 F=1024 M=8192 TSTEPS=20000 sh scripts/experiments/transcoders.sh build/sgatlin OUT
set -eu
sg=$1 out=$2
steps=${STEPS:-500} tsteps=${TSTEPS:-600} D=${D:-64} F=${F:-256} M=${M:-1024} batch=${BATCH:-1024} rows=${ROWS:-48}
lambdas=${LAMBDAS:-0.0005 0.002 0.008} seeds=${SEEDS:-1 2 3} topk=${TOPK-8 32}
random=${RANDOM_OF-$lambdas}
mkdir -p "$out"
data=${DATA:-$out/stories}
[ -d "$data" ] || "$sg" -q data worlds --stories 8000 --seed 0 -o "$data"
[ -f "$out/tokenizer.json" ] || "$sg" -q -t 1 tokenizer train -n 1024 "$data"/train.* -o "$out/tokenizer.json"
model() { # SEED
  [ ! -f "$out/model-$1.trained" ] || return 0
  if [ -d "$out/model-$1/checkpoints" ]; then
    "$sg" -q -t 1 train --resume -o "$out/model-$1"
  else
    rm -rf "$out/model-$1"
    "$sg" -q -t 1 train --data "$data" --tokenizer "$out/tokenizer.json" -o "$out/model-$1" --kind mlp --steps "$steps" --preset tinystories \
      --seed "$1" --set model.norm=none --set feedforward.activation=relu --set model.hidden_size="$D" --set model.head_dim=16 \
      --set model.num_hidden_layers=4 --set feedforward.num_neurons="$F" --set train.seq_len=64 --set train.batch_size=16 --set data.rows=pack \
      --set eval.every=0 --set schedule.warmup_steps=50 --set optimizer.learning_rate="${RATE:-3e-3}"
  fi
  : >"$out/model-$1.trained"
}
train() { # SEED NAME OPTION...
  seed=$1 name=$2
  shift 2
  [ -f "$out/$name.txt" ] || {
    rm -rf "${out:?}/$name"
    "$sg" -q -t 1 sparse train "$out/model-$seed" --data "$data" --features "$M" -b "$batch" --buffer 16 --steps "$tsteps" --seed "$seed" "$@" \
      -o "$out/$name" >"$out/$name.new"
    mv "$out/$name.new" "$out/$name.txt"
  }
  sets="$sets $out/$name"
}
first=${seeds%% *}
for seed in $seeds; do
  model "$seed"
  sets=
  for l in $lambdas; do train "$seed" "l1-$l-$seed" --l1 "$l"; done
  for k in $topk; do train "$seed" "topk-$k-$seed" --top-k "$k"; done
  if [ "$seed" = "$first" ]; then
    for l in $random; do train "$seed" "random-$l-$seed" --l1 "$l" --frozen-encoder; done
  fi
  # shellcheck disable=SC2086
  [ -s "$out/eval-$seed.json" ] || {
    "$sg" -q -t 1 sparse eval "$out/model-$seed" $sets --data "$data" --max-rows "$rows" --svg "$out/pareto-$seed.svg" --json >"$out/eval.new"
    mv "$out/eval.new" "$out/eval-$seed.json"
  }
  for l in $lambdas; do
    [ -s "$out/match-$l-$seed.json" ] || {
      "$sg" -q -t 1 sparse match "$out/model-$seed" "$out/l1-$l-$seed" --data "$data" --max-rows "$rows" --json >"$out/match.new"
      mv "$out/match.new" "$out/match-$l-$seed.json"
    }
  done
done
cp "$out/pareto-$first.svg" "$out/pareto.svg"
python3 - "$out" "$F" "$lambdas" "$seeds" <<'PY' >"$out/table.txt"
import json, os, statistics, sys
out, F, lambdas, seeds = sys.argv[1], int(sys.argv[2]), sys.argv[3].split(), sys.argv[4].split()
evals = {s: json.load(open(f"{out}/eval-{s}.json")) for s in seeds}
sets = {s: {os.path.basename(t["directory"].rstrip("/")): t for t in evals[s]["sets"]} for s in seeds}
def mean(x, form="%.3f"):
    x = [v for v in x if v is not None]
    return "-" if not x else form % statistics.mean(x) + (" ± " + form % statistics.stdev(x) if len(x) > 1 else "")
def of(name, read, form="%.3f"):
    return mean([read(sets[s][name % s]) for s in seeds if name % s in sets[s]], form)
L = len(next(iter(sets[seeds[0]].values()))["layers"])
print("models: held-out loss " + mean([evals[s]["loss"] for s in seeds]) + "; layers " + str(L) + "; neurons a layer " + str(F))
print("\n| | all layers | " + " | ".join(f"layer {l}" for l in range(L)) + " |\n| --- |" + " --- |" * (L + 1))
zero = f"l1-{lambdas[0]}-%s"
for key, what in (("loss_zero", "loss, at 0"), ("loss_mean", "loss, at its mean")):
    print(f"| {what} | " + of(zero, lambda t: t["all"][key]) + " | " + " | ".join(of(zero, lambda t: t["layers"][l][key]) for l in range(L)) + " |")
def line(name, what):
    rows = (("features that act", lambda x: x.get("l0"), "%.1f"), ("dead, %", lambda x: 100 * x["dead_share"] if "dead_share" in x else None, "%.0f"),
            ("loss, replaced", lambda x: x["loss_replaced"], "%.3f"), ("recovered", lambda x: x["recovered"], "%.3f"),
            ("recovered of mean", lambda x: x["recovered_of_mean"], "%.3f"), ("own neurons, as many", lambda x: x["own"]["recovered"], "%.3f"),
            ("linear map of that rank", lambda x: x["linear"]["recovered"], "%.3f"))
    for label, read, form in rows:
        print(f"| {what}: {label} | " + of(name, lambda t: read(t["all"]), form) + " | " + " | ".join(of(name, lambda t: read(t["layers"][l]), form) for l in range(L)) + " |")
for l in lambdas: line(f"l1-{l}-%s", f"L1 {l}")
more = [n[: -len(seeds[0])] for n in sets[seeds[0]] if not n.startswith("l1-")]
for n in more: line(n + "%s", n.rstrip("-") + ("" if n.startswith("topk") else ", one seed"))
print("\n| penalty | layer | live features | encoder above 0.5 | 0.8 | 0.95 | both above 0.5 | chance, encoder above 0.5 | both | median encoder | decoder |\n|" + " --- |" * 11)
for l in lambdas:
    got = [json.load(open(f"{out}/match-{l}-{s}.json"))["layers"] for s in seeds]
    share = lambda key, at, k: mean([100 * g[k][key][at] for g in got], "%.1f")
    for k in range(L):
        print(f"| {l} | {k} | " + " | ".join([mean([g[k]["live"] for g in got], "%.0f"), share("encoder", "0.5", k), share("encoder", "0.8", k), share("encoder", "0.95", k),
              share("both", "0.5", k), share("chance_encoder", "0.5", k), share("chance_both", "0.5", k), mean([g[k]["median_encoder"] for g in got]), mean([g[k]["median_decoder"] for g in got])]) + " |")
PY
cat "$out/table.txt"
