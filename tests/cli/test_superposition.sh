#!/bin/sh
# superposition: pairs of a recorded model, JSON, figure, the control with moved values, neurons merged, refusals.
. tests/cli/common.sh
model=tests/golden/eval/model
"$SGATLIN" -q data worlds --stories 60 --seed 1 -o "$tmp/worlds" || bad "no text"
try 0 -q record $model --data "$tmp/worlds" --documents 40 --values f32 -o "$tmp/rec"
try 0 superposition $model --recording "$tmp/rec" --layer 1 --min-together 4 --min-lift 2 --pairs 30 --places 4 --json --svg "$tmp/s.svg"
cp "$tmp/out" "$tmp/first.json"
python3 - "$tmp/first.json" <<'EOF' || bad "the answer does not hold together"
import json, math, sys
a = json.load(open(sys.argv[1]))
pairs = a["pairs"]
assert 0 < len(pairs) <= 30 and a["layer"] == 1 and a["settings"]["max_places"] == 4
scored = [p["excess"] for p in pairs if p["excess"] is not None]
assert len(scored) == a["scored_pairs"] and abs(sum(scored) / len(scored) - a["mean_excess"]) < 1e-6
for p in pairs:
    assert p["together"] >= 4 and p["lift"] >= 2 and p["places"] <= 4
    assert abs(p["lift"] - p["together"] * a["positions"] / (p["alone"][0] * p["alone"][1])) < 1e-5 * p["lift"]
    if p["excess"] is not None: assert abs(math.log(p["score"] / p["null"]) - p["excess"]) < 1e-4
rank = [p["together"] * math.log(p["lift"]) for p in pairs]
assert all(x >= y - 1e-3 for x, y in zip(rank, rank[1:]))
assert a["interval"][0] <= a["mean_excess"] <= a["interval"][1] and 0 < a["p"] <= 1
EOF
grep -q '</svg>' "$tmp/s.svg" || bad "no figure"
OMP_NUM_THREADS=1 try 0 superposition $model --recording "$tmp/rec" --layer 1 --min-together 4 --min-lift 2 --pairs 30 --places 4 --json
same "$tmp/out" "$tmp/first.json"
try 0 superposition $model --recording "$tmp/rec" --layer 1 --min-together 4 --min-lift 2 --pairs 30 --places 4 --shuffled
has out 'excess'
try 0 superposition $model --recording "$tmp/rec" --layer 0 --min-together 100000
has out 'no pair could be compared'
try 2 superposition $model
has err '--recording'
try 2 superposition $model --recording "$tmp/rec" --layer 9
has err 'layer'
try 0 -q record $model --data "$tmp/worlds" --documents 3 --values none -o "$tmp/none"
try 2 superposition $model --recording "$tmp/none" --layer 1 --shuffled
has err '--values'
try 1 superposition $model --recording "$tmp"
has err 'recording.json'

# Pairs that nearly always fire together as one neuron: a model of its own, whose loss is the one told; the control is another.
merge="superposition $model --recording $tmp/rec --layer 1 --pairs 1 --places 1 --min-together 5 --min-share 0.5"
try 0 $merge --merge 3 --data "$tmp/worlds" -o "$tmp/merged" --json
cp "$tmp/out" "$tmp/merge.json"
try 0 eval "$tmp/merged" --data "$tmp/worlds" --json
cp "$tmp/out" "$tmp/eval.json"
try 0 eval $model --data "$tmp/worlds" --json
python3 - "$tmp/merge.json" "$tmp/eval.json" "$tmp/out" "$tmp/merged" <<'EOF' || bad "the merges do not hold together"
import json, sys
a, after, before = (json.load(open(p)) for p in sys.argv[1:4])
pairs, counts, loss = a["merged"], a["merge"], a["loss"]
assert 0 < len(pairs) <= 3 and counts["model"] == sys.argv[4] and counts["most"] == 3
assert counts["found"] == len(pairs) + sum(counts["passed_over_" + k] for k in ("channels", "taken", "silent")) + counts["left"]
assert counts["passed_over_channels"] > 0
seen = set()
for p in pairs:
    i, j = ((n["channel"], n["neuron"]) for n in p["neurons"])
    assert i[0] == j[0] and not {i, j} & seen
    seen |= {i, j}
    assert 0.5 <= p["share"] <= 1 and p["together"] >= p["fitted"] >= 5 and 0.5 <= p["explained"] <= 1.0000001
    assert p["kept"] <= p["explained"] + 1e-9
assert abs(loss["before"] - before["loss"]) < 1e-6 and abs(loss["merged"] - after["loss"]) < 1e-6
assert loss["silenced"] not in (loss["before"], loss["merged"]) and loss["tokens"] == after["tokens"]
EOF
try 0 info "$tmp/merged"
try 0 attribute "$tmp/merged" --prompt "The dog"
try 0 verify "$tmp/merged"
same $model/tokenizer.json "$tmp/merged/tokenizer.json"
# Nothing is overwritten.
cp -r "$tmp/merged" "$tmp/as-it-was"
try 2 $merge --merge 3 -o "$tmp/merged"
has err 'is there already'
diff -r "$tmp/merged" "$tmp/as-it-was" || bad "a model was touched"
try 0 $merge --merge 3 -o "$tmp/plain"
has out 'into the first'; has out 'pairs that fire together so often are merged; passed over'
same "$tmp/plain/model.safetensors" "$tmp/merged/model.safetensors"
# Without a pair there is no model.
try 0 $merge --min-share 1 --min-together 1000 --merge 3 --data "$tmp/worlds" -o "$tmp/no" --json
has out '"merged":[]'; has out '"model":null'
try 0 $merge --min-share 1 --min-together 1000 --merge 3 -o "$tmp/no"
has out 'no model is written'
# What does not belong together, and what can not be merged.
try 2 $merge --merge 3
has err '-o DIR'
plain="superposition $model --recording $tmp/rec"
try 2 $plain -o "$tmp/no"
has err '--output belongs to --merge'
try 2 $plain --data "$tmp/worlds"
has err '--data belongs to --merge'
try 2 $plain --min-share 0.5
has err '--min-share belongs to --merge'
try 2 $merge --merge 3 --shuffled -o "$tmp/no"
has err '--shuffled'
try 2 superposition $model --recording "$tmp/none" --layer 1 --merge 3 -o "$tmp/no"
has err '--values'
try 0 -q quantize $model --to int8 -o "$tmp/int8"
try 0 -q record "$tmp/int8" --data "$tmp/worlds" --documents 5 -o "$tmp/rec8"
try 3 superposition "$tmp/int8" --recording "$tmp/rec8" --merge 3 -o "$tmp/no"
has err 'then quantize'
[ ! -e "$tmp/no" ] || bad "a model was written for no pair"
finish
