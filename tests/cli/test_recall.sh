#!/bin/sh
# knockout, enrich, extract: curves over facts that a model knows; the same bits for any threads; what is refused.
. tests/cli/common.sh
model=tests/golden/eval/model
sed -n '/"stories"/,/^ \]/s/^  "\(.*\)",\{0,1\}$/\1\n<|endoftext|>/p' tests/golden/eval/facts/mining.json > "$tmp/stories.txt"
"$SGATLIN" -q facts mine "$tmp/stories.txt" --min-count 5 -o "$tmp/facts.json" >/dev/null || bad "facts mine"
F="--facts $tmp/facts.json"

try 0 knockout $model $F --svg "$tmp/k.svg"
has out "prompts known"
has out "non_subject"
has out "random"
grep -q '<polyline' "$tmp/k.svg" || bad "no curve in the figure"
try 0 knockout $model $F --sets subject,last --window 3
grep -q "bos" "$tmp/out" && bad "a set that was not asked for"
try 0 enrich $model $F --top 5 --at 1 --svg "$tmp/e.svg"
has out "subject_last, another's"
has out "feedforward"
try 0 enrich $model $F --top 9 --data "$tmp/stories.txt"
has out "documents name"
try 0 enrich $model $F --top 9 --data "$tmp/stories.txt" --json
cp "$tmp/out" "$tmp/documents"
try 0 enrich $model $F --top 9 --json
python3 - "$tmp/documents" "$tmp/out" "$tmp/stories.txt" "$tmp/facts.json" <<'EOF' || bad "attributes out of documents"
import json, re, sys
a, b = (json.load(open(p)) for p in sys.argv[1:3])
assert a["attributes"] == "documents" and b["attributes"] == "facts" and "documents" not in b
assert a["prompts"] == b["prompts"] and a["facts"] == b["facts"]  # every mined subject is in the text it was mined from
d, text = a["documents"], open(sys.argv[3]).read().split("<|endoftext|>\n")
nouns = json.load(open(sys.argv[4]))["facts"]
assert d["read"] == len([t for t in text if t.strip()]) and 0 < d["naming"] <= d["read"]
assert d["subjects"] <= len(nouns) and d["attributes"] > 1
naming = sum(any(re.search(r" %s(?![0-9A-Za-z])" % n, t) for n in nouns) for t in text)
assert d["naming"] == naming, (d["naming"], naming)
for p, q in zip(a["places"], b["places"]):  # answers are among the words of the documents
    assert all(x >= y - 1e-9 for x, y in zip(p["rate"], q["rate"]) if y is not None), (p, q)
EOF
printf 'Nothing of the kind.\n' >"$tmp/other.txt"
try 2 enrich $model $F --data "$tmp/other.txt"; has err "names a subject"
try 0 extract $model $F --lens raw --svg "$tmp/x.svg"
has out "answer first"
has out "subject as before layer 1"
cp "$tmp/out" "$tmp/table"
try 0 extract $model $F --lens raw --json
python3 - "$tmp/table" "$tmp/out" <<'EOF' || bad "ranks of the table count from 1, those of the JSON from 0"
import json, sys
rows = [l.split()[2:] for l in open(sys.argv[1]) if l.startswith("  its rank")]
d = json.load(open(sys.argv[2]))
for row, kind in zip(rows, ("attention", "feedforward")):
    assert row == ["%.1f" % (1 + x) for x in d[kind]["rank"][:len(row)]] and float(row[0]) >= 1, (row, d[kind])
assert len(rows) == 2
EOF
grep -q 'attention without subject' "$tmp/x.svg" || bad "no curve in the figure"
for c in "knockout --draws 2" "enrich --top 9" "enrich --top 9 --data $tmp/stories.txt" "extract"; do
  # shellcheck disable=SC2086
  set -- $c
  name=$1
  shift
  try 0 $name $model $F "$@" --json -t 1
  cp "$tmp/out" "$tmp/one"
  try 0 $name $model $F "$@" --json -t 2
  same "$tmp/one" "$tmp/out"
  has out '"accuracy":'
done

# Errors.
try 2 knockout $model $F --sets subjects; has err 'no set "subjects"'
try 2 knockout $model $F --window 9; has err "wider than the model"
try 2 enrich $model $F --at 3; has err "layers 0 to 2"
try 2 extract $model $F --type home; has err '"home"'
try 2 knockout tests/golden/models/mlp $F; has err "tokenizer.json"
echo '[{"type":"quality","prompt":"The dog was","noun":"dog","answer":"the","occurrences":1}]' >"$tmp/other.json"
for c in knockout enrich extract; do
  try 2 $c $model --facts "$tmp/other.json"; has err "facts of another world"
  try 1 $c $model --facts "$tmp/none.json"; has err "none.json"
done
# A layer that was pruned is one that adds nothing: what the same model says whose output map of that layer is zero, number by number.
# What the layer alone would say is null.
for i in 1 2 3 4 5 6; do printf 'The dog was red.\n<|endoftext|>\nThe cat was old and the moon was a dog.\n<|endoftext|>\n'; done >"$tmp/text.txt"
try 0 prune $model --calibrate "$tmp/text.txt" --data "$tmp/stories.txt" --remove 1 --method depth --no-latency --rows 2 --seq-len 8 -o "$tmp/small" -q
grep -q '"pruned_sublayers"' "$tmp/small/config.json" || bad "nothing is pruned"
cp -r $model "$tmp/zero" && chmod -R u+w "$tmp/zero"
python3 - "$tmp/zero/model.safetensors" <<'EOF' || bad "no output map of layer 2"
import json, struct, sys
with open(sys.argv[1], "r+b") as f:
    n = struct.unpack("<Q", f.read(8))[0]
    (begin, end), = [v["data_offsets"] for k, v in json.loads(f.read(n)).items() if k.startswith("model.layers.2.mlp.experts.w_out")]
    f.seek(8 + n + begin)
    f.write(bytes(end - begin))
EOF
"$SGATLIN" -q facts mine "$tmp/stories.txt" --min-count 2 -o "$tmp/more.json" >/dev/null
for c in "knockout" "enrich --top 9" "extract"; do
  for m in small zero; do
    try 0 $c "$tmp/$m" --facts "$tmp/more.json" --json
    cp "$tmp/out" "$tmp/$m.json"
  done
  python3 - "$tmp/small.json" "$tmp/zero.json" <<'EOF' || bad "$c: a pruned layer is not one that adds nothing"
import json, sys
a, b = (json.load(open(p)) for p in sys.argv[1:])
assert a["prompts"] > 0
if "blocked" in a:
    for key in ("rate", "rank", "control"):
        assert a["feedforward"][key][2] is None
        b["feedforward"][key][2] = None
assert a == b, (a, b)
EOF
done
finish
