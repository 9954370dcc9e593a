#!/bin/sh
# graph --circuit-tracer: the folder that circuit-tracer's frontend opens, against the fields and types that its
# package states (frontend/graph_models.py, feature_models.py) and what its pages do with them. In a browser, with its
# own files: web/test/tracer.mjs.
. tests/cli/common.sh

M=tests/golden/eval/model
D=$tmp/graphs
head -c 30000 tests/golden/bpe/stories.txt >"$tmp/text.txt"
try 0 record $M "$tmp/text.txt" -o "$tmp/rec" --layers 0
try 0 graph $M 'The dog was' --circuit-tracer "$D" --recording "$tmp/rec"
has err "circuit-tracer start-server --graph_file_dir $D"
try 0 graph $M 'The dog was' --circuit-tracer "$D" -o "$tmp/noah.json"
try 0 graph $M 'The sky was' --circuit-tracer "$D" --slug 'a b/../c' --recording "$tmp/rec" --target 'id:3'
grep -q '"slug": "noah"' "$tmp/noah.json" || bad "the slug is not that of -o"
printf '[9, 0, 6]' >"$tmp/ids.json"
try 0 graph tests/golden/models/glu --ids "$tmp/ids.json" --circuit-tracer "$tmp/glu"

cat >"$tmp/schema.py" <<'EOP'
import json, math, os, sys

folder, count, kind = sys.argv[1], int(sys.argv[2]), sys.argv[3]
failures = []


def check(what, good):
    if not good:
        failures.append(what)


def load(path):
    def refuse(name):
        raise ValueError(name)

    with open(path, encoding="utf-8") as f:
        return json.load(f, parse_constant=refuse)


def is_real(x):
    return isinstance(x, (int, float)) and not isinstance(x, bool) and math.isfinite(x)


def fields(where, o, wanted):
    for name, test in wanted.items():
        check(f"{where}: {name} is {o.get(name)!r}", name in o and test(o[name]))


def text(x):
    return isinstance(x, str)


def whole(x):
    return isinstance(x, int) and not isinstance(x, bool)


def texts(x):
    return isinstance(x, list) and all(map(text, x))


def reals(x):
    return isinstance(x, list) and all(map(is_real, x))


metadata = {"slug": text, "scan": text, "transcoder_list": texts, "prompt_tokens": texts, "prompt": text,
            "node_threshold": is_real, "schema_version": lambda x: x == 1}
node = {"node_id": text, "feature": whole, "layer": text, "ctx_idx": whole, "feature_type": text, "token_prob": is_real,
        "is_target_logit": lambda x: isinstance(x, bool), "run_idx": whole, "reverse_ctx_idx": whole, "jsNodeId": text,
        "clerp": text, "influence": lambda x: x is None or is_real(x), "activation": lambda x: x is None or is_real(x)}

graphs = load(f"{folder}/graph-metadata.json")["graphs"]
check(f"{len(graphs)} graphs", len(graphs) == count and len({g["slug"] for g in graphs}) == count)
seen = 0
for about in graphs:
    graph = load(f"{folder}/{about['slug']}.json")
    check(f"{about['slug']}: its metadata differs from the list's", graph["metadata"] == about)
    fields(about["slug"], about, metadata)
    # The page's own server serves this path out of the folder; another scan would be asked of other hosts.
    prefix = "./graph_data/"
    check(f"scan {about['scan']}", about["scan"].startswith(prefix + "features/") and not about["scan"].startswith("./features/"))
    view = graph["qParams"]
    fields("qParams", view, {"pinnedIds": texts, "supernodes": lambda x: x == [], "linkType": text, "clickedId": text, "sg_pos": text})
    nodes = {n["node_id"]: n for n in graph["nodes"]}
    check("two nodes have one id", len(nodes) == len(graph["nodes"]))
    for n in graph["nodes"]:
        fields(n["node_id"], n, node)
        if n["feature_type"] == "logit":
            check(f"{n['node_id']}: {n['clerp']}", abs(float(n["clerp"].split("(p=")[1].split(")")[0]) - n["token_prob"]) < 6e-4)
        elif n["feature_type"] != "embedding":
            check(f"{n['node_id']} would not be drawn", n["influence"] <= about["node_threshold"])
        if n["feature_type"] != "cross layer transcoder":
            continue
        # Cantor's pair of layer and number, which the page takes apart again.
        z = n["feature"]
        w = (math.isqrt(8 * z + 1) - 1) // 2
        y = z - w * (w + 1) // 2
        check(f"{n['node_id']}: feature {z}", n["node_id"] == f"{w - y}_{y}_{n['ctx_idx']}" and str(w - y) == n["layer"])
        check(f"{n['node_id']}: {n['clerp']}", f"layer {n['layer']} channel {n['channel']} neuron {n['neuron']}" in n["clerp"])
        check(f"{n['node_id']}: says nothing of what it does", kind == "ids" or " | " in n["clerp"])
        f = load(os.path.join(folder, about["scan"][len(prefix):], f"{z}.json"))
        seen += 1
        fields(f"feature {z}", f, {"transcoder_id": text, "index": lambda x: x == z, "top_logits": texts, "bottom_logits": texts,
                                   "examples_quantiles": lambda x: isinstance(x, list)})
        check(f"feature {z}: logits", len(f["top_logits"]) == len(f["bottom_logits"]) > 0)
        recorded = kind == "recorded" and n["layer"] == "0"
        check(f"feature {z}: recorded or not", ("activation_frequency" in f) == recorded)
        if f["examples_quantiles"]:
            fields(f"feature {z}", f, {"act_min": is_real, "act_max": is_real, "histogram": reals, "quantile_values": reals,
                                       "activation_frequency": lambda x: is_real(x) and 0 < x <= 1})
            check(f"feature {z}: range", f["act_min"] < f["act_max"] and sum(f["histogram"]) > 0)
            check(f"feature {z}: quantiles", len(f["quantile_values"]) == 99 and sorted(f["quantile_values"]) == f["quantile_values"])
        for q in f["examples_quantiles"]:
            check(f"feature {z}: a group without examples", text(q["quantile_name"]) and q["examples"])
            for e in q["examples"]:
                fields(f"feature {z}", e, {"tokens_acts_list": reals, "train_token_ind": whole, "tokens": texts,
                                           "is_repeated_datapoint": lambda x: x is False})
                acts, at = e["tokens_acts_list"], e["train_token_ind"]
                check(f"feature {z}: lengths", len(acts) == len(e["tokens"]) and 0 <= at < len(acts))
                check(f"feature {z}: does not fire at its own place", acts[at] > 0 and min(acts) >= 0)
                check(f"feature {z}: stronger than its strongest", acts[at] <= f["act_max"] + 1e-9)
    for link in graph["links"]:
        check(f"an edge of no node: {link}", link["source"] in nodes and link["target"] in nodes and is_real(link["weight"]))
check("no neuron was looked at", seen > 0)
for f in failures[:10]:
    print("  " + f)
sys.exit(bool(failures))
EOP
if command -v python3 >/dev/null; then
  python3 "$tmp/schema.py" "$D" 3 recorded || bad "the folder is not what the frontend reads"
  python3 "$tmp/schema.py" "$tmp/glu" 1 ids || bad "the folder of a model without gates"
fi
[ -s "$D/a-b-..-c.json" ] || bad "a slug is no name within the folder: $(ls "$D")"

# A graph of the same name takes the old one's place; one without a recording takes no examples away.
find "$D" -type f | sort >"$tmp/before"
find "$D/features" -type f -exec sha256sum {} + | sort >"$tmp/sums"
try 0 graph $M 'The dog was' --circuit-tracer "$D"
find "$D" -type f | sort >"$tmp/after"
same "$tmp/before" "$tmp/after"
find "$D/features" -type f -exec sha256sum {} + | sort >"$tmp/sums2"
same "$tmp/sums" "$tmp/sums2"
[ "$(grep -o '"slug"' "$D/graph-metadata.json" | wc -l)" = 3 ] || bad "the list has $(grep -o '"slug"' "$D/graph-metadata.json" | wc -l) graphs"

# A list that is something else is left alone, by name.
for content in '[]' '{}' '{"graphs": 3}' '{"graphs": [{}]}' '{"graphs": [{"slug": 5}]}' '{"graphs"'; do
  mkdir -p "$tmp/other"
  printf '%s' "$content" >"$tmp/other/graph-metadata.json"
  try 3 graph $M 'The dog was' --circuit-tracer "$tmp/other"
  has err "graph-metadata.json"
  [ "$(cat "$tmp/other/graph-metadata.json")" = "$content" ] || bad "a list that is none was written over"
done
try 2 graph $M 'The dog was'
has err '--circuit-tracer'
echo x >"$tmp/file"
try 1 graph $M 'The dog was' --circuit-tracer "$tmp/file/in"
try 2 graph tests/golden/models/glu --ids "$tmp/ids.json" --circuit-tracer "$tmp/glu" --recording "$tmp/rec"
finish
