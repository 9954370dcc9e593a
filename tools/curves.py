#!/usr/bin/env python3
"""Loss curves of training runs: an SVG of train and held-out loss, and a Markdown table of the held-out numbers.

  python3 tools/curves.py RUN [RUN ...] [--x flops] -o curves.svg
"""
import argparse
import json
import math
import os

COLOURS = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00"]  # safe for colour-blind readers
WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 760, 400, 56, 190, 20, 46


def read(run, along):
    train, held_out = [], []
    with open(os.path.join(run, "metrics.jsonl"), encoding="utf-8") as f:
        for line in f:
            o = json.loads(line)
            if "train/loss" in o:
                train.append((o[along], o["train/loss"]))
            if "eval/loss" in o:
                held_out.append(o)
    return train, held_out


def smooth(points, width=5):
    out = []
    for i in range(len(points)):
        part = points[max(0, i - width):i + width + 1]
        out.append((points[i][0], sum(y for _, y in part) / len(part)))
    return out


def draw(runs, path, along):
    data = {run: read(run, along) for run in runs}
    most = max(p[0] for train, _ in data.values() for p in train)
    losses = [y for train, _ in data.values() for _, y in smooth(train) if _ > most / 50]
    low, high = math.floor(min(losses) * 2) / 2, math.ceil(max(losses) * 2) / 2

    def x(at):
        return LEFT + at / most * (WIDTH - LEFT - RIGHT)

    def y(loss):
        return TOP + (high - min(loss, high)) / (high - low) * (HEIGHT - TOP - BOTTOM)

    s = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" font-size="12">',
         f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>']
    tick = low
    while tick <= high + 1e-9:
        s.append(f'<path d="M{LEFT} {y(tick):.1f}H{WIDTH - RIGHT}" stroke="#ddd"/><text x="{LEFT - 8}" y="{y(tick) + 4:.1f}" text-anchor="end">{tick:g}</text>')
        tick += 0.5
    for k in range(6):
        at = most * k / 5
        s.append(f'<text x="{x(at):.1f}" y="{HEIGHT - BOTTOM + 18}" text-anchor="middle">{at:.0f}</text>' if along == "step" else f'<text x="{x(at):.1f}" y="{HEIGHT - BOTTOM + 18}" text-anchor="middle">{at:.1e}</text>')
    s.append(f'<text x="{(LEFT + WIDTH - RIGHT) / 2}" y="{HEIGHT - 8}" text-anchor="middle">{"training step" if along == "step" else "training FLOPs"}</text>')
    s.append(f'<text x="14" y="{HEIGHT / 2}" text-anchor="middle" transform="rotate(-90 14 {HEIGHT / 2})">loss (nats per token)</text>')
    for i, run in enumerate(runs):
        train, held_out = data[run]
        colour = COLOURS[i % len(COLOURS)]
        line = " ".join(f"{x(a):.1f},{y(b):.1f}" for a, b in smooth(train))
        s.append(f'<polyline points="{line}" fill="none" stroke="{colour}" stroke-width="1.5" opacity="0.8"/>')
        for o in held_out:
            s.append(f'<circle cx="{x(o[along]):.1f}" cy="{y(o["eval/loss"]):.1f}" r="4" fill="{colour}"/>')
        at = TOP + 16 + 20 * i
        s.append(f'<path d="M{WIDTH - RIGHT + 16} {at}h20" stroke="{colour}" stroke-width="2"/><circle cx="{WIDTH - RIGHT + 26}" cy="{at}" r="4" fill="{colour}"/>')
        s.append(f'<text x="{WIDTH - RIGHT + 42}" y="{at + 4}">{os.path.basename(os.path.normpath(run))}</text>')
    s.append(f'<text x="{WIDTH - RIGHT + 16}" y="{TOP + 30 + 20 * len(runs)}" fill="#555">dots: held-out</text></svg>')
    with open(path, "w", encoding="utf-8") as f:
        f.write("\n".join(s) + "\n")
    print("| run | step | held-out loss | perplexity | accuracy | last token's perplexity |\n| --- | --- | --- | --- | --- | --- |")
    for run in runs:
        for o in data[run][1]:
            print(f"| {os.path.basename(os.path.normpath(run))} | {o['step']} | {o['eval/loss']:.4f} ± {o['eval/standard_error']:.4f} | {o['eval/ppl']:.2f} "
                  f"| {100 * o['eval/accuracy']:.1f} % | {o['eval/perplexity_last_token']:.2f} |")


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("run", nargs="+")
    p.add_argument("--x", choices=["step", "flops"], default="step", help="what runs along (step)")
    p.add_argument("-o", "--output", required=True)
    a = p.parse_args()
    draw(a.run, a.output, a.x)


if __name__ == "__main__":
    main()
