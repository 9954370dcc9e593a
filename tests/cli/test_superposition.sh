#!/bin/sh
# superposition: pairs of a recorded model, JSON, figure, the control with moved values, refusals.
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
finish
