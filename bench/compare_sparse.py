#!/usr/bin/env python3
"""Training speed of transcoders: `sgatlin sparse train` against PyTorch (bench/peers/torch_sparse.py) or SAELens's own trainer (--peer saelens: bench/peers/saelens_sparse.py), chunk
by chunk in turn.

  compare_sparse.py MODEL TEXT [--python PYTHON] [--peer torch|saelens] [--kind relu|topk|jumprelu] [--penalty X] [--features M] [--warm N] [--pairs N]

MODEL: a model directory of kind mlp with a tokenizer; the peer makes one of the same sizes. A chunk is the activations of a
buffer and its steps on all layers. --warm chunks of sgatlin come first, unmeasured but shown: an L1 run begins
with half of all features active, when nothing is saved; what a dense trainer pays does not depend on it. Processor time, one thread.
"""
import argparse
import json
import os
import statistics
import subprocess

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def served(command, **more):
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, **more)


def chunk(process):
    process.stdin.write("go\n")
    process.stdin.flush()
    seconds, act = process.stdout.readline().split()
    return float(seconds), float(act)


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("model")
    p.add_argument("text")
    p.add_argument("--python", default="python3")
    p.add_argument("--peer", default="torch", choices=["torch", "saelens"])
    p.add_argument("--kind", default="relu", choices=["relu", "topk", "jumprelu"])
    p.add_argument("--penalty", default="0.01")
    p.add_argument("--features", type=int, default=2048)
    p.add_argument("--batch", type=int, default=1024)
    p.add_argument("--buffer", type=int, default=8)
    p.add_argument("--seq", type=int, default=256)
    p.add_argument("--warm", type=int, default=0)
    p.add_argument("--pairs", type=int, default=5)
    p.add_argument("--apart", action="store_true", help="the peer runs the model once for each layer, as who trains one at a time")
    a = p.parse_args()
    with open(os.path.join(a.model, "config.json")) as f:
        c = json.load(f)
    sizes = [str(a.features), str(a.batch), str(a.buffer), str(a.seq)]
    ours = served([os.path.join(ROOT, "build/bench/sparse"), a.model, a.text, a.kind, a.penalty, *sizes],
                  env=dict(os.environ, OMP_NUM_THREADS="1"))
    peer = served([a.python, os.path.join(ROOT, f"bench/peers/{a.peer}_sparse.py"), "--serve", "--kind", a.kind, "--penalty", a.penalty,
                   "--top-k", a.penalty if a.kind == "topk" else "1", "--features", sizes[0], "--batch", sizes[1], "--buffer", sizes[2],
                   "--seq", sizes[3], "--width", str(c["hidden_size"]), "--layers", str(c["num_hidden_layers"]), "--vocab",
                   str(c["vocab_size"]), "--threads", "1", "--cpu-time", *(["--apart"] if a.apart else [])])
    tokens = a.batch * a.buffer
    chunk(peer)
    for i in range(a.warm):
        seconds, act = chunk(ours)
        print(f"warm {i}: {tokens / seconds:.0f} tokens/s, {act:.1f} act", flush=True)
    rows = []
    for _ in range(a.pairs):
        (s, act), (q, theirs) = chunk(ours), chunk(peer)
        rows.append((tokens / s, tokens / q, q / s))
        print(f"sgatlin {tokens / s:.0f} tokens/s ({act:.1f} act), {a.peer} {tokens / q:.0f} ({theirs:.1f} act), ratio {q / s:.2f}", flush=True)
    for process in (ours, peer):
        process.stdin.close()
        process.wait()
    ratios = [r[2] for r in rows]
    print(f"{a.kind} {a.penalty}, M {a.features}: sgatlin {statistics.median(r[0] for r in rows):.0f}, "
          f"{a.peer} {statistics.median(r[1] for r in rows):.0f} tokens/s of all layers; ratio {statistics.median(ratios):.2f} "
          f"({min(ratios):.2f} to {max(ratios):.2f})")


if __name__ == "__main__":
    main()
