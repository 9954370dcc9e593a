#!/usr/bin/env python3
"""Training and forward speed of sgatlin against PyTorch (bench/peers/torch_lm.py), alternated.

  compare.py [--python PYTHON] [--kind K]... [--pairs N] [--compile] [--bf16] [--check] [--cpu-time]

Each pair runs `sgatlin bench` and the peer's steps in turn, so that a machine that slows down slows both; the peer keeps
its process and has warmed up. Printed: tokens/s of both (medians) and the ratio pair by pair (median, least, most).
The sparse kinds meet the fastest of the peer's forms. --bf16: the peer under autocast to bfloat16, this program with
train.precision=bf16, and beside both their float32 forms. --check first proves that the peer computes the same losses and
gradients on the golden models. PYTHON: an interpreter that has torch and safetensors.
"""
import argparse
import glob
import json
import os
import statistics
import subprocess
import sys
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
PEER = os.path.join(ROOT, "bench/peers/torch_lm.py")


class Peer:
    def __init__(self, a, kind, *options):
        command = [a.python, PEER, "--serve", "--kind", kind, "--batch", str(a.batch), "--seq", str(a.seq), *options]
        if a.cpu_time:
            command += ["--cpu-time", "--threads", "1"]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                                        stderr=subprocess.DEVNULL)
        first = self.process.stdout.readline()
        self.tokens = int(first) if first else 0

    def __bool__(self):
        return self.tokens > 0

    def rate(self, what, seconds=0.0):
        times, begin = [], time.monotonic()
        while not times or time.monotonic() - begin < seconds:
            self.process.stdin.write(what + "\n")
            self.process.stdin.flush()
            times.append(float(self.process.stdout.readline()))
        return self.tokens / statistics.median(times)

    def close(self):
        self.process.stdin.close()
        self.process.wait()


def fastest(a, kind):
    """Options of the peer's fastest form of a kind, training."""
    if not a.kinds[kind]["router"]:
        return []
    if a.sparse:
        return ["--sparse", a.sparse]
    rates = {}
    for form in ("bag", "gather", "dense"):
        peer = Peer(a, kind, "--sparse", form)
        rates[form] = statistics.median(peer.rate("train") for _ in range(2))
        peer.close()
    print(f"  {kind}: peer's forms " + ", ".join(f"{f} {r:.0f}" for f, r in rates.items()) + " tokens/s", file=sys.stderr)
    return ["--sparse", max(rates, key=rates.get)]


def ours(a, kind, *options):
    command = [a.sgatlin, "bench", "--json", "-q", "--rounds", str(a.rounds), "--kind", kind, "--batch", str(a.batch), "--seq", str(a.seq), *options]
    if a.cpu_time:
        command += ["--cpu-time", "--threads", "1"]
    b = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)[0]
    return {"train": b["train_tokens_per_s"], "forward": b["forward_tokens_per_s"]}


def spread(x):
    return f"{statistics.median(x):.2f} ({min(x):.2f} to {max(x):.2f})"


def compare(a, kind):
    form = fastest(a, kind)
    peers = {"eager": Peer(a, kind, *form)}
    if a.compile:
        peers["compiled"] = Peer(a, kind, *form, "--compile")
    if a.bf16:
        peers["bf16"] = Peer(a, kind, *form, "--bf16")
        if a.compile:
            peers["bf16 compiled"] = Peer(a, kind, *form, "--bf16", "--compile")
    precisions = {"sgatlin": [], **({"sgatlin bf16": ["--set", "train.precision=bf16"]} if a.bf16 else {})}
    rates = {}
    for _ in range(a.pairs):
        for name, options in precisions.items():
            for what, rate in ours(a, kind, *options).items():
                rates.setdefault((what, name), []).append(rate)
        for name, peer in peers.items():
            for what in ("train", "forward"):
                rates.setdefault((what, name), []).append(peer.rate(what, 1.0) if peer else float("nan"))
    for what in ("train", "forward"):
        for name, peer in peers.items():
            # like against like; the float32 forms of both stand in lines of their own
            own = "sgatlin bf16" if "bf16" in name else "sgatlin"
            mine, other = rates[what, own], rates[what, name]
            if not peer:
                print(f"{kind:8s} {what:8s} {name}: does not run here")
                continue
            ratio = [x / y for x, y in zip(mine, other)]
            print(f"{kind:8s} {what:8s} {own} {statistics.median(mine):6.0f}  torch {name} {' '.join(form[1:]):6s} "
                  f"{statistics.median(other):6.0f} tokens/s  ratio {spread(ratio)}", flush=True)
        if a.bf16:
            ratio = [x / y for x, y in zip(rates[what, "sgatlin bf16"], rates[what, "sgatlin"])]
            print(f"{kind:8s} {what:8s} sgatlin bf16 over sgatlin float32: ratio {spread(ratio)}", flush=True)
    for peer in peers.values():
        peer.close()


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--python", default=sys.executable)
    p.add_argument("--sgatlin", default=os.path.join(ROOT, "build/sgatlin"))
    p.add_argument("--kind", action="append", help="default: every kind that both have")
    p.add_argument("--pairs", type=int, default=5)
    p.add_argument("--rounds", type=int, default=7, help="of sgatlin in a pair; with 2 its process is still cold")
    p.add_argument("--batch", type=int, default=4)
    p.add_argument("--seq", type=int, default=1024)
    p.add_argument("--sparse", choices=["bag", "gather", "dense"], help="the peer's form, instead of its fastest")
    p.add_argument("--compile", action="store_true", help="also against torch.compile")
    p.add_argument("--bf16", action="store_true", help="also both sides in bf16")
    p.add_argument("--cpu-time", action="store_true", help="one thread each, processor time: for a busy machine")
    p.add_argument("--check", action="store_true")
    a = p.parse_args()
    if a.check:
        models = sorted(d for at in ("models", "monet/lm") for d in glob.glob(os.path.join(ROOT, "tests/golden", at, "*"))
                        if os.path.isdir(d))
        if subprocess.run([a.python, PEER, "--check", *models], stdout=subprocess.DEVNULL).returncode:
            sys.exit("compare.py: the peer does not compute what the golden models say")
        print(f"peer: losses and gradients of {len(models)} golden models agree")
    a.kinds = json.loads(subprocess.run([a.sgatlin, "version", "--json"], stdout=subprocess.PIPE, check=True).stdout)["kinds"]
    theirs = subprocess.run([a.python, PEER, "--kinds"], stdout=subprocess.PIPE, check=True, text=True).stdout.split()
    for kind in a.kind or [k for k in a.kinds if k in theirs]:
        if kind not in a.kinds or kind not in theirs:
            sys.exit(f"compare.py: {kind}: sgatlin has {' '.join(a.kinds)}, the peer {' '.join(theirs)}")
        compare(a, kind)


if __name__ == "__main__":
    main()
