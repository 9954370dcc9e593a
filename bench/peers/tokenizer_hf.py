#!/usr/bin/env python3
"""MB/s of Hugging Face tokenizers' encode_batch, the peer of bench_tokenizer.c.

  pip install tokenizers==0.23.3
  python3 bench/peers/tokenizer_hf.py TOKENIZER.json FILE.txt [THREADS [ROUNDS]]

The documents of FILE (between "<|endoftext|>" marks, white space around them dropped) are encoded in one batch; the best of the
rounds is printed as JSON. encode_batch_fast (no offsets) stands beside it.
"""
import json
import os
import sys
import time

if len(sys.argv) < 3:
    sys.exit(__doc__)
threads = int(sys.argv[3]) if len(sys.argv) > 3 else 1
rounds = int(sys.argv[4]) if len(sys.argv) > 4 else 5
os.environ["RAYON_NUM_THREADS"] = str(threads)
os.environ["TOKENIZERS_PARALLELISM"] = "true" if threads > 1 else "false"
import tokenizers  # noqa: E402 (reads the variables above)

tokenizer = tokenizers.Tokenizer.from_file(sys.argv[1])
with open(sys.argv[2], encoding="utf-8") as f:
    documents = [d for d in (d.strip(" \t\n\v\f\r") for d in f.read().split("<|endoftext|>")) if d]
size = sum(len(d.encode()) for d in documents)


def best(encode):
    seconds = []
    for _ in range(rounds):
        start = time.perf_counter()
        batch = encode(documents)
        seconds.append(time.perf_counter() - start)
    return round(size / min(seconds) / 1e6, 1), sum(len(e.ids) for e in batch)


speed, ids = best(tokenizer.encode_batch)
fast, _ = best(tokenizer.encode_batch_fast)
print(json.dumps({"what": "tokenizers " + tokenizers.__version__, "threads": threads, "bytes": size, "ids": ids,
                  "mb_per_s": speed, "fast_mb_per_s": fast}, separators=(",", ":")))
