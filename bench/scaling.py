"""Seconds of a training step of slimpajama;1..9 on 1 to 1,024 machines, on paper (docs/scaling.md): python3 bench/scaling.py [SGATLIN].

Not measured: what the sizes say of a machine of RATE, a network of BYTES_PER_SECOND a direction and machine, and LATENCY a message, with
parallel/sharded sums as src/train/parts.c and --channel-ranks do them. A batch of 128 rows has 128 parts at most; beyond that the channels
are split, and what is no feedforward layer is then computed by each machine of a group.
"""
import json, subprocess, sys

CORES, RATE = 32, 32 * 125e9          # of a machine: half of what a core's matrix product gives (SPEED.md), in training
BYTES_PER_SECOND, LATENCY = 12.5e9, 10e-6  # 100 Gbit/s


def step(p, machines):
    rows, T, D, L = p["batch_size"], p["seq_len"], p["d_model"], p["n_layers"]
    whole = p["forward_flops_per_sequence"] + p["head_flops_per_sequence"]
    alike = L * (8 * T * D * D + 4 * T * T * D) + p["head_flops_per_sequence"]  # what a group of channel ranks does alike
    R = min(machines, rows)
    N = machines // R
    S = p["parameters"]
    pools = L * 2 * p["num_channels"] * p["num_neurons"] * D
    held = S - pools + pools / N
    compute = 3 * rows / R * (alike + (whole - alike) / N) / RATE
    pieces = held / R / 2**20 + L
    sums = 4 * held * (R - 1) / R / BYTES_PER_SECOND + (R - 1) * pieces * LATENCY if R > 1 else 0  # half of it: gradients
    hidden = min(sums, compute * 2 / 3 * (L - 1) / L)  # while backward goes on
    channels = 4 * L * rows / R * 4 * T * D * (N - 1) / N / BYTES_PER_SECOND if N > 1 else 0
    return compute, sums - hidden + sums + channels


command = sys.argv[1] if len(sys.argv) > 1 else "build/sgatlin"
counts = [4 ** k for k in range(6)]
print("| scale | parameters | FLOPs of a step | " + " | ".join(str(c) for c in counts) + " | three quarters of the time is compute up to |")
print("| --- " * (len(counts) + 4) + "|")
for s in range(1, 10):
    out = subprocess.run([command, "flops", "-k", "sgatlin", "-p", f"slimpajama;{s}", "--json"], capture_output=True, check=True).stdout
    p = json.loads(out)
    p = p[0] if isinstance(p, list) else p
    cells, last, falling = [], 0, False
    for c in [2 ** k for k in range(11)]:
        compute, waiting = step(p, c)
        if c in counts:
            cells.append(f"{compute + waiting:.3g} ({100 * compute / (compute + waiting):.0f} %)")
        falling = falling or compute < 0.75 * (compute + waiting)
        if not falling:
            last = c
    flops = 3 * p["batch_size"] * (p["forward_flops_per_sequence"] + p["head_flops_per_sequence"])
    print(f"| {s} | {p['parameters'] / 1e6:.0f}M | {flops:.3g} | " + " | ".join(cells) + f" | {last} |")
