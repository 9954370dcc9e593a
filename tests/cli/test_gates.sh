#!/bin/sh
# JumpReLU gates from the command: train (resumed, on any threads: the same bits), record, usage --active, attribute, trace with the losses
# that training adds, and configurations that are refused.
. tests/cli/common.sh

"$SGATLIN" -q data worlds --stories 200 --seed 1 -o "$tmp/worlds" || bad "no text"
small="$tiny --set feedforward.top_k=5"
gates="--set feedforward.gates.kind=jumprelu --set train.aux.target_active=6"
# shellcheck disable=SC2086
{
  try 0 -q train --data "$tmp/worlds" -o "$tmp/run" --steps 12 $small $gates
  OMP_NUM_THREADS=1 try 0 -q train --data "$tmp/worlds" -o "$tmp/one" --steps 12 $small $gates
  try 0 -q train --data "$tmp/worlds" -o "$tmp/long" --steps 6 $small $gates
}
for key in '"aux/sparsity":' '"aux/mean_active":' '"train/total":'; do
  grep -qF "$key" "$tmp/run/metrics.jsonl" || bad "metrics.jsonl lacks $key"
done
resumed "$tmp/run" "$tmp/one" # weights, thresholds and moments

# At the start as many act as are wanted: the first step's mean is near the target.
python3 - "$tmp/run/metrics.jsonl" "$tmp/run/checkpoints/step-00000012/config.json" <<'EOF' || bad "the thresholds do not start at the target"
import json, sys
assert json.load(open(sys.argv[2]))["feedforward"]["gates"] == {"kind": "jumprelu", "bandwidth": 0.25}
first = json.loads(open(sys.argv[1]).readline())
assert abs(first["aux/mean_active"] - 6) < 0.5, first["aux/mean_active"]
assert abs(first["train/total"] - first["train/loss"] - first["aux/sparsity"]) < 1e-6
EOF

try 0 -q record "$tmp/run" --data "$tmp/worlds" --documents 20 -o "$tmp/rec"
try 0 usage "$tmp/rec" --active --json --svg "$tmp/active.svg"
cp "$tmp/out" "$tmp/active.json"
python3 - "$tmp/active.json" "$tmp/rec" <<'EOF' || bad "usage --active does not count what acts"
import json, struct, sys
said = json.load(open(sys.argv[1]))["layers"]
info = json.load(open(sys.argv[2] + "/recording.json"))
sizes = info["sizes"]
assert len(said) == 2 and all(len(s["thresholds"]) == 3 for s in sizes)
data = open(sys.argv[2] + "/" + info["shards"][0]["file"], "rb").read()
n = struct.unpack("<Q", data[:8])[0]
header = json.loads(data[8:8 + n])
def tensor(name, kind):
    a, b = header[name]["data_offsets"]
    return struct.unpack("<%d%s" % ((b - a) // 4, kind), data[8 + n + a:8 + n + b])
target = tensor("target", "i")
for l in range(2):
    s = tensor("layers.%d.router.scores" % l, "f")
    v = tensor("layers.%d.neurons" % l, "f") if header["layers.%d.neurons" % l]["dtype"] == "F32" else None
    counts = [sum(s[p * 15 + i] > sizes[l]["thresholds"][i // 5] for i in range(15)) for p in range(len(target)) if target[p] != info["pad"]]
    assert abs(sum(counts) / len(counts) - said[l]["mean_active"]) < 1e-9
    assert [counts.count(k) for k in range(16)] == said[l]["histogram"]
    assert abs(said[l]["flops"] - 4 * 32 * said[l]["mean_active"]) < 1e-6
    assert -1 <= said[l]["correlation_with_loss"] <= 1
EOF
grep -q '</svg>' "$tmp/active.svg" || bad "no figure"
try 0 usage "$tmp/rec" --active
has out 'candidates'
try 0 verify "$tmp/rec"
try 0 attribute "$tmp/run" 'The dog' --json
python3 - "$tmp/out" <<'EOF' || bad "an attribution's terms do not add up"
import json, sys
a = json.load(open(sys.argv[1]))
assert abs(a["residue"]) < 1e-3, a["residue"]
EOF
try 0 generate "$tmp/run" --prompt The -n 5 --greedy
echo '[[5,6,7,8],[9,10,1,0]]' >"$tmp/ids.json"
try 0 trace "$tmp/run" --ids "$tmp/ids.json" --grad --set train.aux.sparsity=0.5 --set train.aux.target_active=3 -o "$tmp/t.safetensors" -q
grep -aq '"total"' "$tmp/t.safetensors" || bad "trace does not write total"
try 2 trace "$tmp/run" --ids "$tmp/ids.json" --set train.aux.sparsity=0.5 -o "$tmp/t2.safetensors"
has err '--grad'
try 2 trace "$tmp/run" --ids "$tmp/ids.json" --grad --set train.steps=5 -o "$tmp/t2.safetensors"
has err 'train.aux'

# What is refused, by name.
# shellcheck disable=SC2086
{
  try 2 train --data "$tmp/worlds" -o "$tmp/bad" --steps 2 $small --set feedforward.gates.kind=topk
  has err 'feedforward.gates.kind'
  try 2 train --data "$tmp/worlds" -o "$tmp/bad" --steps 2 --kind mlp --set feedforward.gates.kind=jumprelu
  has err 'feedforward.gates.kind'
  try 2 train --data "$tmp/worlds" -o "$tmp/bad" --steps 2 $small --set feedforward.gates.bandwidth=1
  has err 'feedforward.gates.bandwidth'
  for k in target_active sparsity uniformity ambiguity; do # what no layer has is not weighed
    try 2 train --data "$tmp/worlds" -o "$tmp/bad" --steps 2 $small --set train.aux.$k=1
    has err "train.aux.$k: no layer of the model has"
  done
}
model="$tmp/run/checkpoints/step-00000012"
cp -r "$model" "$tmp/broken" && rm -f "$tmp/broken/MANIFEST.json" && sed -i 's/"bandwidth": *[0-9.]*/"bandwidth": -1/' "$tmp/broken/config.json"
try 3 info "$tmp/broken"
has err 'bandwidth'
"$SGATLIN" -q record tests/golden/eval/model --data "$tmp/worlds" --documents 3 -o "$tmp/plain" || bad "record"
try 2 usage "$tmp/plain" --active --model tests/golden/eval/model
has err 'has gates'
finish
