#!/bin/sh
# Metarouters from the command: train (resumed, on any threads: the same bits), generate, record, attribute, trace with the balance, quantize,
# topics by topics.jsonl, file and field, and configurations that are refused.
. tests/cli/common.sh

"$SGATLIN" -q data worlds --stories 200 --seed 1 -o "$tmp/worlds" || bad "no text"
small="$tiny --set feedforward.top_k=3"
meta="--set feedforward.meta.experts=3 --set feedforward.meta.choice=sequence --set feedforward.meta.prefix=8"
# shellcheck disable=SC2086
{
  try 0 -q train --data "$tmp/worlds" -o "$tmp/run" --steps 12 $small $meta
  OMP_NUM_THREADS=1 try 0 -q train --data "$tmp/worlds" -o "$tmp/one" --steps 12 $small $meta
  try 0 -q train --data "$tmp/worlds" -o "$tmp/token" --steps 2 $small --set feedforward.meta.experts=2 --set feedforward.meta.top_k=2 \
    --set feedforward.gates.kind=jumprelu --kind peer
}
model="$tmp/run/checkpoints/step-00000012"
for key in '"aux/balance":' '"aux/largest_pool":' '"train/total":'; do
  grep -qF "$key" "$tmp/run/metrics.jsonl" || bad "metrics.jsonl lacks $key"
done
grep -q '"meta"' "$model/config.json" || bad "config.json does not say meta"
resumed "$tmp/run" "$tmp/one"
python3 - "$tmp/run/metrics.jsonl" "$model/config.json" "$model/model.safetensors" <<'EOP' || bad "what a run with a metarouter writes is wrong"
import json, struct, sys
first = json.loads(open(sys.argv[1]).readline())
assert abs(first["train/total"] - first["train/loss"] - 0.01 * first["aux/balance"]) < 1e-6
assert 1 / 3 <= first["aux/largest_pool"] <= 1
meta = json.load(open(sys.argv[2]))["feedforward"]["meta"]
assert meta == {"experts": 3, "top_k": 1, "choice": "sequence", "prefix": 8}, meta
data = open(sys.argv[3], "rb").read()
names = json.loads(data[8:8 + struct.unpack("<Q", data[:8])[0]])
assert names["model.layers.0.mlp.meta.gate.weight"]["shape"] == [3, 32]
assert "model.layers.1.mlp.meta.gate.weight" not in names and "model.layers.1.mlp.meta.2.experts.w_in" in names
EOP

# What reads a model reads this one.
try 0 generate "$tmp/run" --prompt The -n 12 --greedy
try 0 attribute "$tmp/run" 'The dog' --json
python3 - "$tmp/out" <<'EOP' || bad "an attribution's terms do not add up"
import json, sys
assert abs(json.load(open(sys.argv[1]))["residue"]) < 1e-3
EOP
try 0 -q record "$tmp/run" --data "$tmp/worlds" --documents 20 -o "$tmp/rec"
try 0 verify "$tmp/rec"
try 0 usage "$tmp/rec" --json
try 0 -q record "$tmp/token" --data "$tmp/worlds" --documents 10 -o "$tmp/rec2"
try 0 usage "$tmp/rec2" --active --json
echo '[[5,6,7,8],[9,10,1,0]]' >"$tmp/ids.json"
try 0 trace "$tmp/run" --ids "$tmp/ids.json" --grad --set train.aux.balance=0.5 -o "$tmp/t.safetensors" -q
for name in balance total layers.1.meta.choice layers.1.meta.probabilities grad.model.layers.0.mlp.meta.gate.weight; do
  grep -aq "\"$name\"" "$tmp/t.safetensors" || bad "trace does not write $name"
done
try 3 functions fit "$tmp/run" --recording "$tmp/rec" --layer 1 -o "$tmp/F"
has err 'feedforward.meta.experts'
try 0 ablate "$tmp/run" --prompt 'The dog' --edit 'layers.0.meta.choice=2' --json
try 0 -q quantize "$tmp/run" --to int4 -o "$tmp/int4"
try 0 eval "$tmp/int4" --data "$tmp/worlds" --json
try 0 verify "$tmp/run"
try 0 info "$tmp/run" --json
has out '"meta":{"experts":3,"top_k":1,"choice":"sequence","prefix":8,"group":0}'
try 0 info "$tmp/run"
has out '1 of 3 pools by sequence'

# topics
try 0 topics "$tmp/run" --data "$tmp/worlds" --documents 40 --json --svg "$tmp/topics.svg"
cp "$tmp/out" "$tmp/topics.json"
grep -q '</svg>' "$tmp/topics.svg" || bad "no figure"
python3 - "$tmp/topics.json" "$tmp/worlds/topics.jsonl" <<'EOP' || bad "topics does not add up"
import json, math, sys
a = json.load(open(sys.argv[1]))
assert a["by"] == "topic" and a["documents"] + a["without_topic"] <= 40 and a["permutations"] == 200
told = [json.loads(l) for l in open(sys.argv[2])]
told = {t["story"]: t["topic"] for t in told if t["split"] == "valid"}
n = a["documents"]
assert a["topic_documents"] == [sum(told[i] == t for i in range(n)) for t in a["topics"]]
(g,) = a["gates"]
assert (g["layer"], g["layers"], g["choice"], g["pools"]) == (0, 2, "sequence", 3)
for what, total in (("tokens", a["tokens"]), ("documents", n)):
    s = g[what]
    J = s["counts"]
    N = sum(map(sum, J))
    assert N == total, (what, N, total)
    row = [sum(r) / N for r in J]
    col = [sum(r[e] for r in J) / N for e in range(3)]
    mi = sum(J[t][e] / N * math.log2(J[t][e] / N / row[t] / col[e]) for t in range(len(J)) for e in range(3) if J[t][e])
    H = -sum(p * math.log2(p) for p in row if p)
    assert abs(mi - s["mi"]) < 1e-6 and abs(H - s["topic_entropy"]) < 1e-6
    assert abs((s["mi"] - s["null"]) / H - s["separation"]) < 1e-6 and 0 < s["p"] <= 1
    assert abs(s["purity"] - sum(max(r[e] for r in J) for e in range(3)) / N) < 1e-6
EOP
try 0 topics "$tmp/run" --data "$tmp/worlds" --documents 40
has out 'separation'
mkdir "$tmp/two"
head -c 4000 "$tmp/worlds/train.txt" >"$tmp/two/a.txt"
head -c 3000 "$tmp/worlds/train.txt" >"$tmp/two/b.txt"
try 0 topics "$tmp/run" --data "$tmp/two" --by file --permutations 10 --json
has out '"topics":["a.txt","b.txt"]'
printf '{"text": "The dog ran.", "source": "A"}\n{"text": "The moon.", "source": "B"}\n{"text": "The sun."}\n' >"$tmp/lines.jsonl"
try 0 topics "$tmp/run" --data "$tmp/lines.jsonl" --permutations 10 --json
has out '"without_topic":1'
try 3 topics "$tmp/run" --data "$tmp/lines.jsonl" --by nothing
has err 'none of 3 documents has a topic'
try 2 topics "$tmp/run" --data "$tmp/two" --by source
has err '--by file'
try 2 topics "$tmp/run" --data "$tmp/worlds" --seq-len 64
has err 'beyond-context'
try 3 topics tests/golden/eval/model --data "$tmp/worlds"
has err 'feedforward.meta.experts'

# What is refused, by name.
refused() { # NAME SETTINGS
  what=$1
  shift
  # shellcheck disable=SC2086
  try 2 train --data "$tmp/worlds" -o "$tmp/bad" --steps 2 $small "$@"
  has err "$what"
}
refused 'feedforward.meta.choice' --set feedforward.meta.experts=2 --set feedforward.meta.choice=word
refused 'feedforward.meta.top_k' --set feedforward.meta.experts=2 --set feedforward.meta.top_k=3
refused 'feedforward.meta.experts' --set feedforward.meta.experts=33
refused 'feedforward.meta.prefix' --set feedforward.meta.experts=2 --set feedforward.meta.prefix=8
refused 'there is no feedforward.meta.experts' --set feedforward.meta.group=2
refused 'feedforward.kind' --kind mlp --set feedforward.num_channels=0 --set feedforward.top_k=0 --set feedforward.key_dim=0 --set feedforward.meta.experts=2
refused 'feedforward.meta.group' --set feedforward.meta.experts=2 --set feedforward.meta.group=2 --set model.layer_form=midpoint
refused 'feedforward.meta.experts is set' --set feedforward.meta.experts=2 --set train.pool_precision=int4
refused 'train.aux.balance: no layer' --set train.aux.balance=1
for edit in 's/"experts": *3/"experts": 0/' 's/"experts": *3/"experts": 99/' 's/"prefix": *8/"prefix": -1/' 's/"sequence"/"text"/'; do
  rm -rf "$tmp/broken"
  cp -r "$model" "$tmp/broken" && rm -f "$tmp/broken/MANIFEST.json" && sed -i "$edit" "$tmp/broken/config.json"
  try 3 info "$tmp/broken"
  has err 'meta'
done
finish
