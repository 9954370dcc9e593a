#!/usr/bin/env python3
"""Weights as `sgatlin` reads them against the safetensors library, by hand, in an environment that has it:

    pip install safetensors==0.8.0 numpy
    python3 tests/peers/compare_safetensors.py build/sgatlin [--mutants 2000] [--seed 1]

1. A model of the golden folder is stored as F64, F16 and BF16, whole and in shards with an index. What `sgatlin trace` computes from it must be to
   the bit what it computes from the same numbers stored as float32.
2. Mutants of a small file (bytes changed, cut, added; headers with other types, shapes, offsets, names): whatever `sgatlin info` opens, the
   library must open too, with the same tensors. The other way round it may be stricter, and the counts say how often.
"""
import argparse
import json
import os
import random
import shutil
import struct
import subprocess
import sys
import tempfile

import numpy as np
from safetensors import TensorSpec, safe_open, serialize_file
from safetensors.numpy import load_file, save_file

MODEL = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "golden", "models", "sgatlin_product_dense_identity")


def bfloat16(x):
    """The upper halves, rounded to nearest even."""
    b = x.astype(np.float32).view(np.uint32).astype(np.uint64)
    return ((b + 0x7FFF + ((b >> 16) & 1)) >> 16).astype(np.uint16)


def stored(tensors, kind):
    """(what is written: name -> (shape, numbers), the same numbers as float32)"""
    out, back = {}, {}
    for name, x in tensors.items():
        y = {"F64": x.astype(np.float64), "F16": x.astype(np.float16), "F32": x, "BF16": bfloat16(x)}[kind]
        out[name] = (x.shape, np.ascontiguousarray(y))
        back[name] = (y.astype(np.uint32) << 16).view(np.float32) if kind == "BF16" else y.astype(np.float32)
    return out, back


def trace(sgatlin, model, ids, out):
    subprocess.run([sgatlin, "-q", "trace", model, "--ids", ids, "-o", out], check=True, stdout=subprocess.DEVNULL)
    return load_file(out)


def model_directory(d, name, dtype):
    path = os.path.join(d, name)
    os.makedirs(path)
    config = json.load(open(os.path.join(MODEL, "config.json")))
    json.dump({**config, "dtype": dtype}, open(os.path.join(path, "config.json"), "w"))
    return path


def types(sgatlin, d):
    tensors = load_file(os.path.join(MODEL, "model.safetensors"))
    ids = os.path.join(d, "ids.json")
    json.dump([[3, 5, 7, 11, 2, 4], [1, 1, 9, 30, 8, 6]], open(ids, "w"))
    bad = 0
    for kind, dtype in (("F64", "float64"), ("F16", "float16"), ("BF16", "bfloat16"), ("F32", "float32")):
        data, back = stored(tensors, kind)
        reference = model_directory(d, kind + "-reference", "float32")
        save_file(back, os.path.join(reference, "model.safetensors"))
        want = trace(sgatlin, reference, ids, os.path.join(d, "want"))
        for shards in (1, 3):
            path = model_directory(d, f"{kind}-{shards}", dtype)
            names, index = list(data), {}
            for s in range(shards):
                file = "model.safetensors" if shards == 1 else f"model-{s + 1:05}-of-{shards:05}.safetensors"
                part = {n: TensorSpec(dtype=dtype, shape=data[n][0], data_ptr=data[n][1].ctypes.data, data_len=data[n][1].nbytes)
                        for n in names[s::shards]}
                serialize_file(part, os.path.join(path, file), {"format": "pt"})
                index.update({n: file for n in part})
            if shards > 1:
                total = sum(x[1].nbytes for x in data.values())
                json.dump({"metadata": {"total_size": total}, "weight_map": index}, open(os.path.join(path, "model.safetensors.index.json"), "w"))
            got = trace(sgatlin, path, ids, os.path.join(d, "got"))
            same = got.keys() == want.keys() and all(got[k].tobytes() == want[k].tobytes() for k in want)
            bad += not same
            print(f"{kind} in {shards} file(s): {len(want)} sites and logits {'equal to the bit' if same else 'DIFFER'}", flush=True)
    return bad


def mutant(r, whole):
    n = struct.unpack("<Q", whole[:8])[0]
    header, data = json.loads(whole[8:8 + n]), whole[8 + n:]
    k = r.random()
    if k < 0.3:
        b = bytearray(whole)
        for _ in range(r.randrange(1, 4)):
            b[r.randrange(min(len(b), 8 + n + 16))] = r.randrange(256)
        return bytes(b)
    if k < 0.4:
        return whole[:r.randrange(len(whole))]
    if k < 0.45:
        return whole + bytes(r.randrange(1, 9))
    name = r.choice([x for x in header if x != "__metadata__"])
    e = header[name]
    change = r.randrange(8)
    if change == 0:
        e["dtype"] = r.choice(["F64", "BF16", "F16", "I32", "F8_E4M3", "U8", 5])
    elif change == 1:
        e["shape"][r.randrange(len(e["shape"]))] = r.choice([0, -1, 1, 2**62, 2**64, 1.5, "3"])
    elif change == 2:
        e["data_offsets"][r.randrange(2)] += r.choice([-4, 4, 1, 2**40, -2**40])
    elif change == 3:
        e["shape"] = e["shape"] + [1]
    elif change == 4:
        header["__metadata__"] = r.choice([{"a": "b"}, {"a": 1}, {}, None, "x"])
    elif change == 5:
        header[name + "x"] = dict(e)
    elif change == 6:
        e[r.choice(["dtype", "shape", "more"])] = e.pop("dtype", 1)
    text = json.dumps(header).encode() + b" " * r.randrange(9)
    return struct.pack("<Q", len(text) + (r.choice([-1, 1, 2**30, 0, 0, 0]))) + text + data


def library_opens(path):
    try:
        with safe_open(path, framework="numpy") as f:
            return {k: (list(f.get_slice(k).get_shape()), f.get_slice(k).get_dtype()) for k in f.keys()}
    except Exception:
        return None


def mutants(sgatlin, d, count, seed):
    r = random.Random(seed)
    path = model_directory(d, "mutant", "float32")
    file = os.path.join(path, "model.safetensors")
    whole = open(os.path.join(MODEL, "model.safetensors"), "rb").read()
    both = stricter = neither = bad = 0
    for i in range(count):
        open(file, "wb").write(mutant(r, whole))
        p = subprocess.run([sgatlin, "info", path, "--tensors", "--json"], capture_output=True)
        theirs = library_opens(file)
        if p.returncode not in (0, 3):
            bad += 1
            print(f"mutant {i}: exit code {p.returncode}: {p.stderr.decode()[:200]}")
        elif p.returncode == 0:
            ours = {t["name"]: t["shape"] for t in json.loads(p.stdout)["tensors"]}
            if theirs is None or {k: v[0] for k, v in theirs.items()} != ours:
                bad += 1
                print(f"mutant {i}: opened here, {'refused' if theirs is None else 'other tensors'} there")
            both += 1
        else:
            stricter += theirs is not None
            neither += theirs is None
    print(f"{count} mutants: {both} opened by both, {neither} by neither, {stricter} by the library alone (other tensors than the model's, mostly)")
    return bad


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("sgatlin")
    p.add_argument("--mutants", type=int, default=2000)
    p.add_argument("--seed", type=int, default=1)
    a = p.parse_args()
    d = tempfile.mkdtemp()
    try:
        bad = types(a.sgatlin, d) + mutants(a.sgatlin, d, a.mutants, a.seed)
    finally:
        shutil.rmtree(d)
    sys.exit(f"{bad} differences" if bad else 0)


if __name__ == "__main__":
    main()
