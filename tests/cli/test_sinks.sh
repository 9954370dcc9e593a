#!/bin/sh
# sinks: the numbers against those made of a trace's patterns, values and streams, by definition.
. tests/cli/common.sh
model=tests/golden/eval/model
printf 'The dog was red and the sky was blue.\n<|endoftext|>\nThe cat had a hat.\n<|endoftext|>\n' >"$tmp/two.txt"
try 0 sinks $model --data "$tmp/two.txt" --json --svg "$tmp/s.svg"
cp "$tmp/out" "$tmp/sinks.json"
grep -q 'even attention' "$tmp/s.svg" || bad "no figure"
for i in 0 1; do
  [ $i = 0 ] && text='The dog was red and the sky was blue.' || text='The cat had a hat.'
  "$SGATLIN" -q tokenizer encode -T $model/tokenizer.json --text "$text
" --json >"$tmp/$i.json" || bad "encode"
done
python3 - "$tmp" "$SGATLIN" $model <<'EOF' || bad "sinks are not what a trace says"
import json, math, struct, subprocess, sys
tmp, command, model = sys.argv[1:]
said = json.load(open(tmp + "/sinks.json"))
L, H, d, D = 3, 2, 16, 32
share = [[0.0] * H for _ in range(L)]; out = [[0.0] * H for _ in range(L)]; ratio = [0.0] * L; even = n = 0
def ids_of(x):
    while isinstance(x, dict): x = x.get("ids", x.get("documents"))
    return x[0] if isinstance(x[0], list) else x
for i in range(2):
    ids = ids_of(json.load(open("%s/%d.json" % (tmp, i)))) + [1]
    ids = ids[:24]
    json.dump([ids], open(tmp + "/ids.json", "w"))
    subprocess.run([command, "-q", "trace", model, "--ids", tmp + "/ids.json", "--only", "*.attn.pattern", "--only", "*.attn.v", "--only", "*.attn.z",
                    "--only", "*.resid_post", "-o", tmp + "/t.safetensors"], check=True)
    data = open(tmp + "/t.safetensors", "rb").read()
    k = struct.unpack("<Q", data[:8])[0]; header = json.loads(data[8:8 + k]); T = len(ids)
    def tensor(name):
        a, b = header[name]["data_offsets"]
        return struct.unpack("<%df" % ((b - a) // 4), data[8 + k + a:8 + k + b])
    size = lambda x: math.sqrt(sum(v * v for v in x))
    n += T - 1; even += sum(1 / (t + 1) for t in range(1, T))
    for l in range(L):
        P, v, z, r = (tensor("layers.%d.%s" % (l, s)) for s in ("attn.pattern", "attn.v", "attn.z", "resid_post"))
        for h in range(H):
            for t in range(1, T):
                p = P[(t * H + h) * T]
                share[l][h] += p
                out[l][h] += p * size(v[h * d:(h + 1) * d]) / size(z[(t * H + h) * d:(t * H + h + 1) * d])
        norms = [size(r[t * D:(t + 1) * D]) for t in range(T)]
        ratio[l] += norms[0] / sorted(norms[1:])[(T - 2) // 2]
assert said["rows"] == 2 and said["positions"] == n, (said["rows"], said["positions"], n)
assert abs(said["even"] - even / n) < 1e-7
for head in said["heads"]:
    l, h = head["layer"], head["head"]
    assert abs(head["share"] - share[l][h] / n) < 1e-5, (head, share[l][h] / n)
    assert abs(head["share_out"] - out[l][h] / n) < 1e-4
    assert abs(head["excess"] - (share[l][h] - even) / n) < 1e-5
for l in range(L): assert abs(said["norm_ratio"][l] - ratio[l] / 2) < 1e-4
assert abs(said["sink_heads"] - sum(share[l][h] / n > 0.3 for l in range(L) for h in range(H)) / (L * H)) < 1e-9
EOF
OMP_NUM_THREADS=1 try 0 sinks $model --data "$tmp/two.txt" --json
same "$tmp/out" "$tmp/sinks.json"
try 0 sinks $model --data "$tmp/two.txt" --rows 1
has out '1 documents'
try 2 sinks $model --data "$tmp/two.txt" --seq-len 1
has err 'seq-len'
finish
