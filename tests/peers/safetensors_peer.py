#!/usr/bin/env python3
"""safetensors_peer.py HELPER [COUNT]: generated files, right and damaged; what is accepted by one of us and Hugging Face's safetensors is
accepted by the other, with equal names, types and shapes.

Known and meant: we refuse what has no place here (dtypes such as F8, more than 8 dimensions, names that are empty or too long) and what the format itself forbids (a header that does not begin with {, a name that stands twice, of which the peer takes the
last); and numbers of a shape beyond 2^63, which jansson does not hold; both are counted as "narrower" and not as disagreements. What we accept and the peer refuses is always one.
"""
import json, os, random, re, struct, subprocess, sys, tempfile

from safetensors import SafetensorError, deserialize

helper, count = sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 100000
rng = random.Random(1)
SIZES = {"F32": 4, "F64": 8, "F16": 2, "BF16": 2, "I64": 8, "I32": 4, "I16": 2, "I8": 1, "U8": 1, "U16": 2, "U32": 4, "U64": 8, "BOOL": 1}
NARROWER = ("dtype", "dimension", "name", "type", "must begin with {", "too big integer", "duplicate object key")


def make():
    header, data = {}, b""
    for i in range(rng.randrange(0, 5)):
        dtype = rng.choice(list(SIZES))
        shape = [rng.randrange(0, 4) for _ in range(rng.randrange(0, 4))]
        n = SIZES[dtype]
        for s in shape:
            n *= s
        header[rng.choice("abcdefgh") + str(i)] = {"dtype": dtype, "shape": shape, "data_offsets": [len(data), len(data) + n]}
        data += rng.randbytes(n) if dtype != "BOOL" else bytes(rng.randrange(2) for _ in range(n))
    if rng.random() < 0.3:
        header["__metadata__"] = {"format": "pt"}
    text = json.dumps(header, separators=rng.choice([(",", ":"), (", ", ": ")])).encode()
    text += b" " * (-len(text) % 8 if rng.random() < 0.7 else 0)
    return text, data


def damage(text, data):
    """One of the lies a header can tell; half of the files stay right."""
    size = len(text)
    how = rng.randrange(16)
    if how == 0 and text:
        b = bytearray(text)
        b[rng.randrange(len(b))] ^= 1 << rng.randrange(8)
        text = bytes(b)
    elif how == 1:
        size = rng.choice([0, 1, len(text) - 1, len(text) + 1, 100 << 20, 1 << 40, (1 << 64) - 1])
    elif how == 2:
        data = data[: rng.randrange(len(data) + 1)]
    elif how == 3:
        data += b"\0" * rng.randrange(1, 9)
    elif how == 4:
        digits = [i for i, c in enumerate(text) if 48 <= c < 58]
        if digits:
            i = rng.choice(digits)
            text = text[:i] + rng.choice([b"9", b"-1", b"1.0", b"18446744073709551615", b"0", b"1e3"]) + text[i + 1 :]
            size = len(text)
    elif how == 5:
        text = text.replace(b"F32", rng.choice([b"f32", b"F8_E4M3", b"X"]), 1)
        size = len(text)
    elif how == 6 and len(text) > 2:
        i = rng.randrange(1, len(text))
        text = text[:i] + rng.choice([b" ", b",", b"}", b'"', b"\\", b"\xff", b"\0"]) + text[i:]
        size = len(text)
    elif how == 7:
        text = rng.choice([b" ", b"\n", b"[", b""]) + text
        size = len(text)
    return struct.pack("<Q", size % (1 << 64)) + text + data


def peer(blob):
    try:
        return {name: (t["dtype"], list(t["shape"]), bytes(t["data"])) for name, t in deserialize(blob)}
    except (SafetensorError, Exception) as e:  # its Rust side raises several kinds
        return str(e)


work = subprocess.Popen([helper], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, errors="replace")
directory = tempfile.mkdtemp(dir="/dev/shm" if os.path.isdir("/dev/shm") else None)
path = os.path.join(directory, "x.safetensors")
both = neither = narrower = 0
bad = []
for i in range(count):
    blob = damage(*make())
    with open(path, "wb") as f:
        f.write(blob)
    work.stdin.write(path + "\n")
    work.stdin.flush()
    ours, theirs = work.stdout.readline().rstrip("\n"), peer(blob)
    if ours.startswith("refused "):
        if isinstance(theirs, str):
            neither += 1
        elif any(w in ours for w in NARROWER):
            narrower += 1
        else:
            bad.append(("we refuse", ours, blob[:200]))
        continue
    if isinstance(theirs, str):
        bad.append(("we accept", theirs, blob[:200]))
        continue
    mine = {}
    for item in filter(None, ours.split("\t")):
        parts = item.split(" ")
        mine[bytes.fromhex(parts[0]).decode()] = (parts[1], [int(x) for x in parts[2:-1]])
    if mine != {k: (v[0], v[1]) for k, v in theirs.items()}:
        bad.append(("another reading", ours, blob[:200]))
    both += 1
work.stdin.close()
work.wait()
os.unlink(path)
os.rmdir(directory)
print(f"safetensors: {count} files, {both} accepted by both, {neither} by neither, {narrower} by the peer alone as meant, {len(bad)} disagreements")
kinds = {}
for x in bad:
    kinds.setdefault((x[0], re.sub(r"[0-9]+", "N", re.sub(r"/\S*: ", "", x[1]))[:90]), []).append(x)
for k, v in kinds.items():
    print(len(v), *k)
for x in [v[0] for v in kinds.values()][:10]:
    print("FAIL", *x)
sys.exit(1 if bad else 0)
