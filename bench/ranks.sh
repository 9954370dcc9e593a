#!/bin/sh
# ranks.sh: seconds of a training step by ranks of one thread each, beside one process with as many threads, alternated; processor seconds of a step,
# of all ranks together, in the program and in the kernel, by what more steps take more; and the bytes that a rank sends a step beside the formula.
# ROUNDS (3) of STEPS (8) each, of which two are not counted; KIND (sgatlin); WAYS (1t 2t 2r 4t 4r split: threads of one process, ranks, two ranks with
# channels split). About 3 minutes of a quiet machine with two processors; docs/scaling.md has the table of one.
set -eu
cd "$(dirname "$0")/.."
export SGATLIN="${SGATLIN:-build/sgatlin}" OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
export KIND="${KIND:-sgatlin}" STEPS="${STEPS:-8}" ROUNDS="${ROUNDS:-3}" WAYS="${WAYS:-1t 2t 2r 4t 4r split}" PRESET="${PRESET:-tinystories}" SEQ="${SEQ:-256}" BATCH="${BATCH:-16}"
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
"$SGATLIN" -q data worlds --stories 3000 --seed 1 -o "$tmp/data"
"$SGATLIN" -q tokenizer train "$tmp/data/train.txt" -n 2048 -o "$tmp/tok.json"
python3 - "$tmp" <<'PY'
import json, os, resource, shutil, statistics, subprocess, sys
e, tmp = os.environ, sys.argv[1]
names = {"1t": "1 process, 1 thread", "2t": "1 process, 2 threads", "4t": "1 process, 4 threads", "2r": "2 ranks", "4r": "4 ranks", "split": "2 ranks, channels split"}
ways = [w for w in e["WAYS"].split() if w != "split" or e["KIND"] == "sgatlin"]
steps = int(e["STEPS"])
def used():
    u = resource.getrusage(resource.RUSAGE_CHILDREN)
    return u.ru_utime, u.ru_stime
def run(way, steps):
    """Seconds of the steps but for the first two, bytes sent a step, processor seconds of it all (program, kernel)."""
    ranks = 2 if way == "split" else int(way[0]) if way[1] == "r" else 1
    threads = int(way[0]) if way[1:] == "t" else 1
    shutil.rmtree(f"{tmp}/run", ignore_errors=True)
    command = [e["SGATLIN"], "train", "--data", f"{tmp}/data", "--tokenizer", f"{tmp}/tok.json", "-o", f"{tmp}/run", "-q", "-t", str(threads), "-k", e["KIND"],
               "--steps", str(steps), "--preset", e["PRESET"], "--seq-len", e["SEQ"], "--batch-size", e["BATCH"], "--max-memory", "3G"]
    for s in "data.rows=pack train.micro_batch=2 train.parts=8 eval.every=0 eval.batches=1 log.every=1".split():
        command += ["--set", s]
    if way == "split":
        command += ["--channel-ranks", "2"]
    if ranks > 1:
        command = ["mpirun", "--oversubscribe", "--bind-to", "none", "-n", str(ranks)] + command
    before = used()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    lines = [json.loads(l) for l in open(f"{tmp}/run/metrics.jsonl")]
    at = [l["time"] for l in lines if "train/loss" in l]
    sent = [l["perf/sent_bytes"] for l in lines if "perf/sent_bytes" in l]
    return [b - a for a, b in zip(at[1:], at[2:])], sent[-1] / steps if sent else 0, [b - a for a, b in zip(before, used())]
few, walls, all_, sent = [{w: [] for w in ways} for _ in range(4)]
for _ in range(int(e["ROUNDS"])):
    for w in ways:
        few[w].append(run(w, 2)[2])  # what is not a step, and two of them
        wall, sent[w], cpu = run(w, steps)
        walls[w] += wall
        all_[w].append(cpu)
# The start touches fresh memory, which takes the kernel now more, now less: the least of the rounds.
cpus = {w: [(min(c[k] for c in all_[w]) - min(c[k] for c in few[w])) / (steps - 2) for k in range(2)] for w in ways}
info = json.loads(subprocess.run([e["SGATLIN"], "info", f"{tmp}/run", "--json"], check=True, capture_output=True, text=True).stdout)
S = info["parameters"]
print(f"load of the machine {os.getloadavg()[0]:.1f}, {S:,} parameters")
for w in ways:
    wall = walls[w]
    line = f"{names[w]:24s} least {min(wall):.4f} s, median {statistics.median(wall):.4f} s ({len(wall)} steps), processor {cpus[w][0]:.3f} s a step and {cpus[w][1]:.3f} s in the kernel"
    if sent[w]:
        line += f", sends {sent[w]:,.0f} bytes a step"
        if w != "split":
            line += f" (8 S (R-1)/R = {8 * S * (int(w[0]) - 1) / int(w[0]):,.0f})"
    print(line)
for n in "24":
    if n + "t" in ways and n + "r" in ways:
        by = lambda of: of(walls[n + "r"]) / of(walls[n + "t"])
        print(f"{n} ranks over {n} threads: least {by(min):.3f}, median {by(statistics.median):.3f}, "
              f"processor {cpus[n + 'r'][0] / cpus[n + 't'][0]:.3f}")
PY
