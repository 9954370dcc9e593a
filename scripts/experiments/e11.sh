#!/bin/sh
# e11.sh SGATLIN OUT: a pool of about 10^9 weights trained in little memory (docs/method.md, pools in four bits): STEPS steps of one sgatlin layer with int4
# pools under --max-memory LIMIT; the process's peak beside the plan of `train --dry-run`, the loss of the first and the last steps, and what the same
# weights in float32 would need. A run that was cut goes on: start it again. OUT/table.txt is written.
#
#   STEPS=50 NEURONS=61504 WIDTH=1024 LIMIT=3G THREADS=2 BATCH=8 LENGTH=128
set -eu
sgatlin=$1 out=$2
steps=${STEPS:-50} neurons=${NEURONS:-61504} width=${WIDTH:-1024} limit=${LIMIT:-3G}
mkdir -p "$out"
[ -f "$out/worlds/valid.txt" ] || "$sgatlin" -q data worlds --stories 2000 --seed 1 -o "$out/worlds"
[ -f "$out/tokenizer.json" ] || "$sgatlin" -q tokenizer train -n 1024 "$out/worlds/train.txt" -o "$out/tokenizer.json"
python3 - "$sgatlin" "$out" "$steps" "$neurons" "$width" "$limit" "${THREADS:-2}" "${BATCH:-8}" "${LENGTH:-128}" <<'PY'
import json, os, resource, subprocess, sys, time
sgatlin, out, steps, neurons, width, limit, threads, batch, length = sys.argv[1:]
def train(run, precision, *more):
    there = os.path.exists(f"{run}/checkpoints")
    how = ["--resume", "-o", run] if there else [
        "--preset", "tinystories", "--kind", "sgatlin", "--data", f"{out}/worlds", "--tokenizer", f"{out}/tokenizer.json", "-o", run, "--steps", steps,
        *(x for s in (f"model.hidden_size={width}", "model.num_hidden_layers=1", f"feedforward.num_neurons={neurons}", "feedforward.num_channels=8",
                      "feedforward.top_k=8", f"train.pool_precision={precision}", f"train.batch_size={batch}", f"train.seq_len={length}", "eval.every=0", "eval.batches=1",
                      "optimizer.learning_rate=2e-3", "schedule.warmup_steps=5", "log.every=1", "checkpoint.keep=1") for x in ("--set", s))]
    begin = time.monotonic()
    p = subprocess.run([sgatlin, "-q", "-t", threads, "train", *how, *more], stdout=subprocess.PIPE, text=True)
    return p, time.monotonic() - begin
if not os.path.exists(f"{out}/plan.json"):
    p = train(f"{out}/plan", "int4", "--dry-run", "--json", "--max-memory", limit)[0]
    if p.returncode:
        sys.exit(f"e11.sh: planning ended with {p.returncode}")
    open(f"{out}/plan.json", "w").write(p.stdout)
plan = json.load(open(f"{out}/plan.json"))
p, seconds = train(f"{out}/run", "int4", "--max-memory", limit)
if p.returncode:
    sys.exit(f"e11.sh: training ended with {p.returncode}")
peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024  # the largest of the children: this run
losses = [json.loads(l)["train/loss"] for l in open(f"{out}/run/metrics.jsonl") if "train/loss" in l]
memory = plan["memory_bytes"]
lines = [f"| parameters | {plan['parameters']:,} |", f"| planned memory, int4 | {memory / 1e9:.3f} GB |", f"| peak of the process | {peak / 1e9:.3f} GB, {peak / memory:.3f} of the plan |",
         f"| weights, gradients and two moments of these parameters in float32 | {16 * plan['parameters'] / 1e9:.2f} GB |", f"| seconds of {steps} steps, with start and checkpoint | {seconds:.0f} |",
         f"| training loss, first five and last five steps | {sum(losses[:5]) / 5:.3f}, {sum(losses[-5:]) / 5:.3f} |"]
open(f"{out}/table.txt", "w").write("\n".join(["| | |", "| --- | --- |", *lines]) + "\n")
print(open(f"{out}/table.txt").read(), end="")
PY
