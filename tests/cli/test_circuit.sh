#!/bin/sh
# circuit, circuit score: sums, errors as nodes, true removal, weights without a prompt, keep the best k, bad input by name.
. tests/cli/common.sh
W="$tmp/worlds"
"$SGATLIN" -q data worlds --stories 200 --seed 1 -o "$W"
small="--set model.hidden_size=32 --set model.num_hidden_layers=2 --set model.head_dim=16 --set train.seq_len=48 --set train.batch_size=8
  --set feedforward.num_neurons=32"
# shellcheck disable=SC2086
{
  "$SGATLIN" -q train --data "$W" -o "$tmp/run" --kind mlp --steps 20 --set tokenizer.vocab_size=600 $small
  "$SGATLIN" -q train --data "$W" -o "$tmp/rival" --tokenizer "$tmp/run/tokenizer.json" --steps 20 $small --set feedforward.num_channels=2 \
    --set feedforward.key_dim=16 --set feedforward.top_k=4 --set feedforward.num_neurons=64
}
"$SGATLIN" -q sparse train "$tmp/run" --data "$W" --top-k 6 --features 64 -b 128 --buffer 8 --steps 40 -o "$tmp/tc" >"$tmp/out"
"$SGATLIN" -q sparse train "$tmp/run" --data "$W" --top-k 6 --features 64 --layers 1 -b 128 --buffer 8 --steps 8 -o "$tmp/one" >"$tmp/out"

try 0 circuit "$tmp/run" "$tmp/tc" --prompt "Long ago, there was" --verify 3 --json
for key in own_bias error_share invariant dependent true not_followed depths; do has out "\"$key\":"; done
# The terms and the target's own bias are its value.
python3 - "$tmp/out" <<'END' || bad "terms do not add up"
import json, sys
d = json.load(open(sys.argv[1]))
total = sum(t["contribution"] for t in d["terms"]) + d["own_bias"]
assert abs(total - d["target"]["value"]) < 1e-4, (total, d["target"])
t = d["total"]
held = sum(t["embedding"]) + sum(t["b_e"]) + sum(t["b_d"]) + sum(map(sum, t["error"])) + d["own_bias"]
assert abs(held - d["target"]["value"]) < 1e-4, (held, d["target"])
for f in d["terms"]:
    if f["kind"] == "feature":
        assert abs(f["invariant"] * f["dependent"] - f["contribution"]) < 1e-6
assert sum(f.get("true") is not None for f in d["terms"]) == 3
END
try 0 circuit "$tmp/run" "$tmp/tc" --prompt "Long ago, there was" --verify 2; has out 'errors are'; has out 'best paths of 3 steps'
try 0 circuit "$tmp/run" "$tmp/tc" --prompt "Long" --feature 1:3@1 --order positive --skip-bos --depth 2; has out 'before its activation'
try 0 circuit "$tmp/run" "$tmp/tc" --invariant --feature 1:3 -n 5; has out 'de-embedding'
try 0 circuit "$tmp/run" "$tmp/tc" --invariant --feature 1:3 --head 1:0 --json; has out '"head_layer":1'

# All features kept with their errors is the model itself.
try 0 circuit score "$tmp/run" "$tmp/tc" --data "$W" --prompts 2 --tokens 8 --removals 3 --rival "$tmp/rival" --svg "$tmp/f.svg" --json
has out '"k":16384,"left":1.0'; has out '"rival_loss":'; has out '"agreement":'
python3 - "$tmp/out" <<'END' || bad "curves do not end at the model"
import json, sys
d = json.load(open(sys.argv[1]))
for way in ("features", "random", "neurons", "rival"):
    assert abs(d["left"][way][-1]["left"] - 1) < 1e-3, way
END
grep -q "own neurons" "$tmp/f.svg" || bad "no curve"
try 0 circuit score "$tmp/run" "$tmp/tc" --data "$W" --prompts 1 --tokens 6 --removals 0; has out 'kept'

# The graph of features: edges into each node add up to what it read, errors are nodes, circuit-tracer's folder, a picture.
try 0 circuit "$tmp/run" "$tmp/tc" --prompt "Long ago, there was" --svg "$tmp/g.svg" -o "$tmp/g.json" --circuit-tracer "$tmp/graphs" \
  --node-threshold 1 --edge-threshold 1 --depth 0 --json
has out '"error_share":'; has out '"graph":'
python3 - "$tmp/g.json" "$tmp/graphs" <<'END' || bad "the graph of features"
import json, os, sys
g = json.load(open(sys.argv[1]))
by = {n["node_id"]: n for n in g["nodes"]}
into = {}
for l in g["links"]:
    into[l["target"]] = into.get(l["target"], 0) + l["weight"]
kinds = [n["feature_type"] for n in g["nodes"]]
assert kinds.count("mlp reconstruction error") == len(g["metadata"]["prompt_tokens"]) + 1, kinds
assert g["sgatlin"]["features"] and 0 < g["sgatlin"]["error_share"] < 1
assert all("feature" in n["clerp"] for n in g["nodes"] if n["feature_type"] == "cross layer transcoder")
for i, n in by.items():
    if n["feature_type"] in ("cross layer transcoder", "logit"):
        assert abs(into[i] - n["input"]) < 1e-4 * (1 + n["edges_abs"]), n
slug = g["metadata"]["slug"]
assert json.load(open(os.path.join(sys.argv[2], slug + ".json")))["nodes"] == g["nodes"]
features = os.path.join(sys.argv[2], g["metadata"]["scan"].replace("./graph_data/", ""))
one = json.load(open(os.path.join(features, os.listdir(features)[0])))
assert len(one["top_logits"]) == 10 and one["transcoder_id"].startswith("layer ")
END
grep -q "what the features of layer 0 miss" "$tmp/g.svg" || bad "no error in the picture"
try 0 circuit "$tmp/run" "$tmp/tc" --prompt "Long" --target the --against was --svg "$tmp/g.svg" --depth 0; has out 'errors), '; has out 'back to what the features miss'
try 2 circuit "$tmp/run" "$tmp/tc" --prompt "Long" --feature 1:3 --svg "$tmp/g.svg"; has err "leave --invariant and --feature out"

# Greater-than: the corpus, its tokens, the sweep.
try 0 data greater-than -n 3000 --seed 1 -o "$tmp/spans" --json; has out '"templates":12'
try 0 data greater-than -n 3000 --seed 1 -o "$tmp/again" -q
same "$tmp/spans/train.txt" "$tmp/again/train.txt"; same "$tmp/spans/tokenizer.json" "$tmp/again/tokenizer.json"
python3 - "$tmp/spans" <<'END' || bad "sentences"
import re, sys
seen = {}
for part in ("train", "valid"):
    for s in open(sys.argv[1] + f"/{part}.txt").read().split("\n<|endoftext|>\n"):
        a, b = re.findall(r"1\d(\d\d)", s)
        assert int(b) > int(a) and 2 <= int(a) <= 98, s
        front = s.strip()[:-3]
        assert seen.setdefault(front, part) == part, front
assert list(seen.values()).count("valid") > 50
END
try 0 tokenizer encode -T "$tmp/spans/tokenizer.json" --text "the year 1732 to 1745."; cp "$tmp/out" "$tmp/ids"
# shellcheck disable=SC2086
"$SGATLIN" -q train --kind mlp --data "$tmp/spans" --tokenizer "$tmp/spans/tokenizer.json" -o "$tmp/spanrun" --steps 30 \
  --set model.hidden_size=32 --set model.num_hidden_layers=2 --set model.head_dim=16 --set train.seq_len=24 --set train.batch_size=16 \
  --set feedforward.num_neurons=48
"$SGATLIN" -q sparse train "$tmp/spanrun" --data "$tmp/spans" --top-k 4 --features 64 -b 128 --buffer 8 --steps 20 -o "$tmp/spantc" >"$tmp/out"
try 0 circuit greater-than "$tmp/spanrun" "$tmp/spantc" --svg "$tmp/s.svg" --json -t 1; cp "$tmp/out" "$tmp/sweep"
try 0 circuit greater-than "$tmp/spanrun" "$tmp/spantc" --json -t 2; same "$tmp/sweep" "$tmp/out"
python3 - "$tmp/out" <<'END' || bad "the sweep"
import json, sys
d = json.load(open(sys.argv[1]))
assert d["prompts"] == 97 and -1 <= d["model"] <= 1
for x in d["sets"][0]["layers"]:
    f, n = x["features"], x["neurons"]
    assert abs(f["curve"][-1]["value"] - x["replaced"]) < 1e-5, x   # all features: the transcoder
    assert abs(n["curve"][-1]["value"] - d["model"]) < 1e-5, x      # all neurons: the model
    assert f["curve"][-1]["k"] == f["count"] and n["count"] <= 48
END
grep -q "neurons" "$tmp/s.svg" || bad "no curve of neurons"
try 0 circuit greater-than "$tmp/spanrun" "$tmp/spantc" --template 4 --century 18; has out '18..": 97 first years'
try 2 circuit greater-than "$tmp/spanrun" "$tmp/spantc" --template 4 --event 1; has err "events 0 to 0"
try 2 circuit greater-than "$tmp/run" "$tmp/tc"; has err "data greater-than"
try 1 data greater-than -n 10 -o "$W"; has err "no corpus greater-than"
try 2 data greater-than -n 0 -o "$tmp/none"
# Too few for a held-out sentence: refused, before anything is written, with a number that does.
try 2 data greater-than -n 10 --seed 1 -o "$tmp/few"; has err "none would stand in valid.txt"
[ ! -e "$tmp/few" ] || bad "a refused corpus was written"
least=$(sed -n 's/.*(--sentences \([0-9]*\)).*/\1/p' "$tmp/err")
try 2 data greater-than -n $((least - 1)) --seed 1 -o "$tmp/few"
try 0 data greater-than -n "$least" --seed 1 -o "$tmp/few" --json
grep -q '"valid":1[,}]' "$tmp/out" || bad "held out: $(cat "$tmp/out")"

# Others at their mean.
try 0 minimal "$tmp/run" --prompt "Long ago, there was" --others mean --data "$W" --tokens 2000 --json; has out '"others":"mean"'
try 0 minimal "$tmp/run" --prompt "Long ago, there was" --others mean --tokens 2000 --heads; has out 'at their mean'
try 0 minimal "$tmp/run" --prompt "Long ago, there was" --json; has out '"others":"zero"'
try 2 minimal "$tmp/run" --prompt "Long" --data "$W"; has err "give --others mean"

# Bad input.
try 2 circuit "$tmp/run" "$tmp/one" --prompt "Long"; has err "no transcoder of layer 0"
try 2 circuit "$tmp/run" "$tmp/tc" --prompt "Long" --feature 1:64; has err "features 0 to 63"
try 2 circuit "$tmp/run" "$tmp/tc" --prompt "Long" --feature 1:3@90; has err "position 90"
try 2 circuit "$tmp/run" "$tmp/tc" --prompt "Long" --feature x; has err "expected LAYER:NUMBER"
try 2 circuit "$tmp/run" "$tmp/tc" --prompt "Long" --feature 1:3 --target the; has err "not both"
try 2 circuit "$tmp/run" "$tmp/tc" --invariant; has err "needs --feature"
try 2 circuit "$tmp/run" "$tmp/tc" --invariant --feature 1:3 --head 5:0; has err "head 0 of layer 5"
try 2 circuit "$tmp/rival" "$tmp/tc" --prompt "Long"; has err "made from another model"
try 2 circuit score "$tmp/run" "$tmp/tc" --data "$W" --tokens 4000 --beyond-context; has err "give fewer --tokens"
finish
