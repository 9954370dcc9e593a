#!/bin/sh
# What stands beside any kind, and attention's sinks, from the command: train (resumed, on any threads: the same bits), what a model then counts,
# generate with and without kept keys, record and verify, attribute with an exact sum, neurons of the two channels more taken away, sinks of two
# models, weights in fewer bytes, and configurations that are refused.
. tests/cli/common.sh

"$SGATLIN" -q data worlds --stories 200 --seed 1 -o "$tmp/worlds" || bad "no text"
small="$tiny --set model.num_hidden_layers=3 --set feedforward.top_k=2"
beside="--set feedforward.sink_mlp.width=6 --set feedforward.always_on.neurons=4 --set model.attention_sink=logit"
other='[{},{"feedforward":{"kind":"mlp","activation":"gelu","num_neurons":11,"sink_mlp":{"width":6}}},{"same_as":0}]'
# shellcheck disable=SC2086
{
  try 0 -q train --data "$tmp/worlds" -o "$tmp/run" --steps 12 $small $beside --set "model.layers=$other"
  OMP_NUM_THREADS=1 try 0 -q train --data "$tmp/worlds" -o "$tmp/one" --steps 12 $small $beside --set "model.layers=$other"
  try 0 -q train --data "$tmp/worlds" -o "$tmp/plain" --steps 6 $small --set 'model.layers=[{},{},{"same_as":0}]'
  try 0 -q train --data "$tmp/worlds" -o "$tmp/low" --steps 2 $small $beside --set train.precision=bf16
}
resumed "$tmp/run" "$tmp/one"
last=checkpoints/step-00000012
python3 - "$tmp/run/$last" <<'EOF' || bad "the tensors of the model are others"
import json, struct, sys
f = open(sys.argv[1] + "/model.safetensors", "rb")
header = json.loads(f.read(struct.unpack("<Q", f.read(8))[0]))
shape = lambda name: header[name]["shape"]
assert shape("model.sink_mlp.up_proj.weight") == [6, 32] and shape("model.sink_mlp.down_proj.weight") == [32, 6]
assert shape("model.layers.0.mlp.always.w_in") == [4, 32] and shape("model.layers.0.mlp.always.w_out") == [4, 32]
assert shape("model.layers.1.self_attn.sinks") == [2]
assert sum("sink_mlp" in n for n in header) == 2 and sum("always" in n for n in header) == 2
c = json.load(open(sys.argv[1] + "/config.json"))
assert c["attention_sink"] == "logit" and c["feedforward"]["always_on"] == {"neurons": 4, "activation": "gelu"}
EOF

# Every position decoded from what is kept has the logits of the whole text: the same choices.
try 0 generate "$tmp/run" --prompt 'The dog' -n 12 --greedy --ids
cp "$tmp/out" "$tmp/kept"
try 0 generate "$tmp/run" --prompt 'The dog' -n 12 --greedy --ids --edit 'layers.0.mlp.out*=1'
same "$tmp/out" "$tmp/kept"
try 0 eval "$tmp/run" --data "$tmp/worlds" --json

# Readers: the sum is exact, the neurons beside a kind are in it, and taking one away is what the linear network says and the run does.
try 0 attribute "$tmp/run" 'The dog' --verify 3 --json
python3 - "$tmp/out" <<'EOF' || bad "an attribution does not add up"
import json, sys
a = json.load(open(sys.argv[1]))
assert abs(a["residue"]) < 1e-4, a["residue"]
EOF
try 0 attribute "$tmp/run" 'The dog' --top 400
has out 'always-on'
has out 'sink MLP'
try 0 attribute "$tmp/run" 'The dog' --true --json
try 0 graph "$tmp/run" 'The dog' -o "$tmp/g.json"
try 0 minimal "$tmp/run" --prompt 'The dog' --json
for at in '0 3' '0 4' '1 2'; do # layer and channel: always-on, sink MLP; in the mlp's layer the sink MLP's
  layer=${at% *} channel=${at#* }
  try 0 neuron "$tmp/run" --layer "$layer" --channel "$channel" --neuron 1 --prompt 'The dog' --json
  try 0 ablate "$tmp/run" 'The dog' --layer "$layer" --channel "$channel" --neuron 1 --json
  has out '"changed"'
done
try 0 ablate "$tmp/run" 'The dog' --layer 0 --channel 3 --json
has out 'layers.0.always'
try 2 ablate "$tmp/run" 'The dog' --layer 1 --channel 1 --neuron 1 # no always-on neurons there
try 0 ablate "$tmp/run" 'The dog' --edit 'layers.*.sink_mlp.out=0' --json
try 2 neuron "$tmp/run" --layer 0 --channel 3 --neuron 4
has err 'no neuron 4'

# A recording holds both, of every kind of layer; none without values.
try 0 -q record "$tmp/run" --data "$tmp/worlds" --documents 6 --values f32 -o "$tmp/rec"
try 0 verify "$tmp/rec" --json
has out 'beside'
python3 - "$tmp/rec" "$SGATLIN" "$tmp/run" "$tmp" <<'EOF' || bad "a recording holds other values than the run"
import json, struct, subprocess, sys
rec, command, run, tmp = sys.argv[1:]
info = json.load(open(rec + "/recording.json"))
assert info["beside"] == {"values": "F32", "layers": [{"layer": 0, "always": 4, "sink_mlp": 32}, {"layer": 1, "sink_mlp": 32},
                                                     {"layer": 2, "always": 4, "sink_mlp": 32}]}, info["beside"]
def read(path):
    data = open(path, "rb").read()
    n = struct.unpack("<Q", data[:8])[0]
    header = json.loads(data[8:8 + n])
    def tensor(name):
        a, b = header[name]["data_offsets"]
        kind = {"F32": "f", "I32": "i"}[header[name]["dtype"]]
        return struct.unpack("<%d%s" % ((b - a) // 4, kind), data[8 + n + a:8 + n + b])
    return tensor
shard = read(rec + "/" + info["shards"][0]["file"])
document, target = shard("document"), shard("target")
T = document.count(0)
json.dump([list(target[:T])], open(tmp + "/first.json", "w"))
subprocess.run([command, "-q", "trace", run, "--ids", tmp + "/first.json", "--only", "*.always", "--only", "*.sink_mlp.out", "-o", tmp + "/first.safetensors"],
               check=True)
trace = read(tmp + "/first.safetensors")
for l, what, width in ((0, "always", 4), (0, "sink_mlp.out", 32), (1, "sink_mlp.out", 32), (2, "always", 4)):
    a, b = shard("layers.%d.%s" % (l, what))[:T * width], trace("layers.%d.%s" % (l, what))
    assert len(a) == len(b) and max(abs(x - y) for x, y in zip(a, b)) < 1e-5, (l, what)
EOF
# An always-on neuron's card from the recording; the sink MLP's are not recorded one by one.
try 0 neuron "$tmp/run" --layer 0 --channel 3 --neuron 1 --recording "$tmp/rec" --json
python3 - "$tmp/rec" "$tmp/out" <<'EOF' || bad "the card of an always-on neuron"
import glob, json, struct, sys
values = []
for path in sorted(glob.glob(sys.argv[1] + "/*.safetensors")):
    data = open(path, "rb").read()
    n = struct.unpack("<Q", data[:8])[0]
    t = json.loads(data[8:8 + n]).get("layers.0.always")
    if t:
        a, b = t["data_offsets"]
        values += struct.unpack("<%df" % ((b - a) // 4), data[8 + n + a:8 + n + b])[1::4]
r = json.load(open(sys.argv[2]))["recorded"]
assert r["positions"] == len(values) and r["count"] == sum(v > 0 for v in values), r["count"]
assert r["for"] == min(32, r["count"]) and r["against"] == min(32, sum(v < 0 for v in values))
best = {side: [e for e in r["excerpts"] if e["side"] == side][0] for side in ("for", "against")}
assert abs(best["for"]["value"] - max(values)) < 1e-6 and values[best["for"]["position"]] == max(values)
assert abs(best["against"]["value"] - min(values)) < 1e-6
assert abs(best["for"]["after"][0]["value"] - values[best["for"]["position"] + 1]) < 1e-6
assert sum(r["values"]["counts"]) == len(values) and r["partners"] == []
EOF
try 2 neuron "$tmp/run" --layer 0 --channel 4 --neuron 1 --recording "$tmp/rec"
has err 'the sink MLP'
try 0 -q record "$tmp/run" --data "$tmp/worlds" --documents 2 --values none -o "$tmp/bare"
grep -q '"beside"' "$tmp/bare/recording.json" && bad "values were to be left out"
cp -r "$tmp/rec" "$tmp/lying" && sed -i 's/"always": *4/"always": 5/' "$tmp/lying/recording.json"
try 3 usage "$tmp/lying"
has err 'layers.0.always'

# Two models on one text, head by head in one figure.
try 0 sinks "$tmp/plain" "$tmp/run" --data "$tmp/worlds" --rows 5 --svg "$tmp/both.svg"
has out 'to logit'
grep -q "$tmp/run" "$tmp/both.svg" || bad "the figure does not name both models"
try 0 sinks "$tmp/plain" "$tmp/run" --data "$tmp/worlds" --rows 5 --json
cp "$tmp/out" "$tmp/both.json"
try 0 sinks "$tmp/run" --data "$tmp/worlds" --rows 5 --json
python3 - "$tmp/both.json" "$tmp/out" <<'EOF' || bad "two models at once are not each by itself"
import json, sys
both, alone = (json.load(open(p)) for p in sys.argv[1:])
assert both["after"]["heads"] == alone["heads"] and both["after"]["norm_ratio"] == alone["norm_ratio"]
assert alone["attention_sink"] and not both["attention_sink"] and "logit" not in both["heads"][0]
assert all(0 < h["logit"] < 1 and h["logit"] + h["share"] < 1 for h in alone["heads"])
EOF
try 2 sinks "$tmp/run" tests/golden/eval/model --data "$tmp/worlds" --rows 5 --seq-len 20
has err 'second model'

# Fewer bytes a weight: maps of both are among them.
try 0 -q quantize "$tmp/run" --to int8 --only '*' -o "$tmp/small"
try 0 eval "$tmp/small" --data "$tmp/worlds" --tokenizer "$tmp/run/tokenizer.json" --json
try 0 verify "$tmp/run/$last"

# Refused by name.
# shellcheck disable=SC2086
{
  try 2 train --data "$tmp/worlds" -o "$tmp/bad" --steps 2 $small --set feedforward.always_on.activation=gelu
  has err 'feedforward.always_on.neurons is 0'
  try 2 train --data "$tmp/worlds" -o "$tmp/bad" --steps 2 $small --set feedforward.always_on.neurons=2 --set feedforward.always_on.activation=tanh
  has err 'always_on.activation'
  try 2 train --data "$tmp/worlds" -o "$tmp/bad" --steps 2 $small --set feedforward.sink_mlp.width=-1
  has err 'feedforward.sink_mlp.width'
  try 2 train --data "$tmp/worlds" -o "$tmp/bad" --steps 2 $small --set model.attention_sink=value
  has err 'attention_sink'
  try 2 train --data "$tmp/worlds" -o "$tmp/bad" --steps 2 $small --set feedforward.sink_mlp.width=7 --set "model.layers=$other"
  has err 'feedforward.sink_mlp.width is 7'
}
cp -r "$tmp/run/$last" "$tmp/broken" && rm -f "$tmp/broken/MANIFEST.json" && sed -i 's/"width": *6/"width": 5/' "$tmp/broken/config.json"
try 3 info "$tmp/broken"
has err 'sink_mlp'
finish
