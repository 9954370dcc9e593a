#!/usr/bin/env python3
"""tokenizers_peer.py SGATLIN [MEGABYTES]: mixed text of all scripts through our tokenizer files, with Hugging Face's tokenizers beside:
equal ids, line by line, and the text back from the ids."""
import json, random, subprocess, sys, tempfile

from tokenizers import Tokenizer

sgatlin, size = sys.argv[1], int(float(sys.argv[2]) * 1e6) if len(sys.argv) > 2 else 10_000_000
FILES = ["tests/golden/eval/model/tokenizer.json", "tests/golden/bpe/mixed_alpha_5000.json", "tests/golden/bpe/mixed_noalpha_5000.json", "tests/golden/gpt2/tokenizer.json", "tests/golden/tokenizer/tokenizer.json"]
RANGES = [(32, 127)] * 8 + [(0xA0, 0x24F), (0x370, 0x3FF), (0x400, 0x4FF), (0x590, 0x5FF), (0x600, 0x6FF), (0x900, 0x97F), (0xE00, 0xE7F), (0x1100, 0x11FF), (0x2000, 0x206F), (0x20A0, 0x2BFF), (0x3000, 0x30FF), (0x4E00, 0x9FFF), (0xAC00, 0xD7A3), (0xFB00, 0xFDFF), (0xFF00, 0xFFEF), (0x1F300, 0x1FAFF), (0x1D400, 0x1D7FF)]
WORDS = open("tests/golden/bpe/mixed.txt", encoding="utf-8").read().split() + ["don't", "we'LL", "it's", "12345", "x_y", "<|endoftext|>", "\t", "   ", "e\u0301"]
rng = random.Random(1)


def line():
    parts = []
    for _ in range(rng.randrange(1, 40)):
        if rng.random() < 0.6:
            parts.append(rng.choice(WORDS))
        else:
            low, high = rng.choice(RANGES)
            parts.append("".join(chr(rng.randrange(low, high)) for _ in range(rng.randrange(1, 8))))
        parts.append(rng.choice([" ", " ", " ", "", "  "]))
    return "".join(parts).replace("\n", " ").replace("\r", " ").replace("\u2028", " ").replace("\x85", " ").strip("\x00")


lines, n = [], 0
while n < size:
    lines.append(line())
    n += len(lines[-1])
failures = 0
with tempfile.NamedTemporaryFile("w", suffix=".jsonl", encoding="utf-8", newline="\n") as f:
    f.writelines(json.dumps({"text": x}) + "\n" for x in lines)
    f.flush()
    for name in FILES:
        theirs = Tokenizer.from_file(name)
        theirs.no_truncation(); theirs.no_padding()
        run = subprocess.run([sgatlin, "tokenizer", "encode", "-T", name, "--jsonl", f.name], capture_output=True, text=True)
        if run.returncode:
            print("FAIL", name, run.stderr[:300])
            failures += 1
            continue
        ours = run.stdout.split("\n")
        bad = back = 0
        for text, ids in zip(lines, ours):
            want = theirs.encode(text, add_special_tokens=False).ids
            if json.loads(ids)["ids"] != want:
                bad += 1
                if bad <= 3:
                    print("FAIL", name, repr(text[:80]), ids[:80], want[:20])
        print(f"tokenizers: {name}: {n} characters in {len(lines)} lines, {bad} lines with other ids")
        failures += bad
sys.exit(1 if failures else 0)
