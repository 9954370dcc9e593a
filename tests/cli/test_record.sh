#!/bin/sh
# record, neighbors, map, coactivation, cka, usage: from a text to every reading of it; kill -9 and go on; Python reads it.
. tests/cli/common.sh
model=tests/golden/eval/model

# Sixty stories of the model's small world.
awk 'BEGIN {
  split("cake dog girl sky tree lake grass mouse moon apple", n, " "); split("sweet happy blue tall cold green small big wet red", a, " ")
  for (i = 0; i < 60; i++) print "The " n[1 + i % 10] " was " a[1 + (i * 7) % 10] ". The " n[1 + (i * 3) % 10] " was " a[1 + i % 9] ". Then she smiled.\n<|endoftext|>"
}' >"$tmp/stories.txt"

try 0 record $model --data "$tmp/stories.txt" --dry-run --json
has out '"documents":60'
try 2 record $model --data "$tmp/stories.txt"
has err '-o REC'
try 0 record $model --data "$tmp/stories.txt" -o "$tmp/rec" --shard-size 20000
empty out
has err 'bytes a circuit'
[ -s "$tmp/rec/shard-00002.safetensors" ] || bad "no third shard"
[ -s "$tmp/rec/index-layer-2.safetensors" ] || bad "no index"
# The same request again finds everything done; another one is refused and changes nothing.
cp -r "$tmp/rec" "$tmp/first"
try 0 record $model --data "$tmp/stories.txt" -o "$tmp/rec" --shard-size 20000
has err 'were already there'
try 2 record $model --data "$tmp/stories.txt" -o "$tmp/rec" --layers 0
has err 'another'
diff -r "$tmp/rec" "$tmp/first" >"$tmp/diff" || bad "the recording changed"

# kill -9 at several moments: what stands is whole files, and the command goes on to the same bytes.
tries=0
for pause in 0.05 0.1 0.2 0.3 0.5; do
  "$SGATLIN" record $model --data "$tmp/stories.txt" -o "$tmp/killed" --shard-size 20000 -q &
  pid=$!
  sleep "$pause"
  kill -9 $pid 2>/dev/null && tries=$((tries + 1))
  wait $pid 2>/dev/null
done
try 0 record $model --data "$tmp/stories.txt" -o "$tmp/killed" --shard-size 20000
diff -r "$tmp/killed" "$tmp/first" >"$tmp/diff" || { bad "other bytes after a kill"; head -n 5 "$tmp/diff"; }

# A recording that is not finished says so.
cp -r "$tmp/first" "$tmp/part"
rm "$tmp/part/shard-00001.safetensors"
try 3 neighbors "$tmp/part" --find " dog"
has err 'not finished'
try 1 neighbors "$tmp" --find " dog"
has err 'recording.json'

# Python reads it with nothing but its standard library.
if command -v python3 >/dev/null; then
  python3 - "$tmp/rec" <<'EOF' || bad "Python does not read the recording"
import json, struct, sys, os
rec = sys.argv[1]
info = json.load(open(os.path.join(rec, "recording.json")))
positions = 0
for shard in info["shards"]:
    data = open(os.path.join(rec, shard["file"]), "rb").read()
    n = struct.unpack("<Q", data[:8])[0]
    header = json.loads(data[8:8 + n])
    shape = header["layers.1.router.indices"]["shape"]
    assert header["layers.1.router.indices"]["dtype"] == "I16" and shape == [shard["positions"], 3, 4], shape
    assert header["layers.1.router.scores"]["dtype"] == "F32" and header["layers.1.neurons"]["dtype"] == "F16"
    begin, end = header["layers.1.router.indices"]["data_offsets"]
    values = struct.unpack("<%dh" % ((end - begin) // 2), data[8 + n + begin:8 + n + end])
    assert min(values) >= 0 and max(values) < info["pool"]
    positions += shape[0]
assert positions == info["positions"]
EOF
fi

# Neighbours: the query is not its own neighbour, distances ascend, the excerpt marks the token.
try 0 neighbors "$tmp/rec" --find " dog" --layer 1 --json
has out '"layer":1,"channel":"all"'
has out '** dog**'
grep -o '"distance":[-0-9.e]*' "$tmp/out" | cut -d: -f2 >"$tmp/d"
[ "$(wc -l <"$tmp/d")" = 10 ] || bad "not ten neighbours"
sort -g "$tmp/d" >"$tmp/sorted"
same "$tmp/d" "$tmp/sorted"
try 0 neighbors "$tmp/rec" --at 1:2 --layer 1
has out "circuits of layer 1, all channels"
try 0 neighbors "$tmp/rec" --at 1:2 --channel 0 -n 3
has out "circuits of layer 2, channel 0"
has out 'excerpt'
[ "$(wc -l <"$tmp/out")" = 6 ] || bad "layer, heading, query and three neighbours expected"
try 0 neighbors "$tmp/rec" --position 5 --reference
has out "Ġ"
try 2 neighbors "$tmp/rec"
try 2 neighbors "$tmp/rec" --find " elephant"
try 2 neighbors "$tmp/rec" --at 99:0
try 2 neighbors "$tmp/rec" --position 1 --layer 7
has err 'layers 0, 1, 2'
try 2 neighbors "$tmp/rec" --position 1 --channel 3
# A typed prompt: the begin token's circuit is recorded as it is.
try 0 neighbors $model "$tmp/rec" --prompt 'The dog was' --layer 1 -n 5 --json
has out '"position":3},"neighbors"'
try 0 neighbors $model "$tmp/rec" --prompt 'The dog was' --pos 0 -n 2
has out '0 of the prompt'
has out '0.000000'
try 2 neighbors "$tmp/rec" --prompt 'The dog was'
try 2 neighbors $model "$tmp/rec" --find ' dog'
try 2 neighbors $model "$tmp/rec" --prompt 'The dog was' --pos 9
echo "[5, 6]" >"$tmp/ids.json"
try 2 neighbors tests/golden/models/glu "$tmp/rec" --ids "$tmp/ids.json"
has err 'feedforward kind (glu) has none'

# Excerpts for and against what it writes, each side from its own strongest down, no firing twice.
try 0 neuron $model --layer 1 --channel 1 --index 17 --recording "$tmp/rec"
has out '165 times for what it writes (value above 0), 141 against'
awk '$1 == "for" && $3 < 0 || $1 == "against" && $3 >= 0' "$tmp/out" | grep -q . && bad "a value on the wrong side"
for side in for against; do
  awk -v side=$side '$1 == side { print $3 < 0 ? -$3 : +$3 }' "$tmp/out" >"$tmp/down"
  [ "$(wc -l <"$tmp/down")" = 11 ] || bad "not eleven excerpts $side"
  sort -rn "$tmp/down" | cmp -s - "$tmp/down" || bad "$side: not from the strongest down"
done

# Sets that fire together, and the places where the first does.
try 0 coactivation "$tmp/rec" --layer 1 --min-count 5 --min-lift 2 -n 3 --json
has out '"weakest_pair_lift":'
units=$(sed 's/.*"sets":\[{"neurons":\[\([^]]*\)\].*/\1/; s/{"channel":\([0-9]*\),"neuron":\([0-9]*\)}/\1:\2/g' "$tmp/out")
count=$(sed 's/.*"sets":\[{"neurons":\[[^]]*\],"count":\([0-9]*\).*/\1/' "$tmp/out")
try 0 neighbors "$tmp/rec" --layer 1 --neurons "$units" --json
has out "\"count\":$count,"
try 2 neighbors "$tmp/rec" --neurons 0-3
try 0 coactivation "$tmp/rec" --layer 1 --channel 2 -o "$tmp/co.safetensors"
[ -s "$tmp/co.safetensors" ] || bad "no matrix"
try 2 coactivation "$tmp/rec" -o "$tmp/co2.safetensors"

try 0 cka $model "$tmp/rec" --top 20 --json
has out '"layer":2,"channel":"all","linear_cka":0.'
try 0 usage "$tmp/rec"
has out 'reference, all sequences'
try 0 usage "$tmp/rec" --json
has out '"normalized_entropy":'

# Maps: the same bytes for any number of threads; a picture that XML tools would take.
try 0 map "$tmp/rec" --layer 1 -o "$tmp/a.svg" --epochs 30 -t 1
has out 'trustworthiness'
try 0 map "$tmp/rec" --layer 1 -o "$tmp/b.svg" --epochs 30 -t 2
same "$tmp/a.svg" "$tmp/b.svg"
grep -q '</svg>' "$tmp/a.svg" || bad "no end of the picture"
grep -q '&lt;|endoftext|&gt;' "$tmp/a.svg" || bad "special tokens are not escaped"
try 0 map "$tmp/rec" --by target --epochs 10 --json
has out '"by":"target"'
try 0 map $model "$tmp/rec" --epochs 10 -o "$tmp/e.svg"
has out 'points of'
try 2 map "$tmp/rec"
try 2 map "$tmp/rec" -o "$tmp/c.svg" --documents 1 -k 500

# A dense model has no circuits: its neurons are kept one by one, and have card, list and labels; moe has both.
mkdir "$tmp/data"
cp "$tmp/stories.txt" "$tmp/data/train.txt"
cp "$tmp/stories.txt" "$tmp/data/valid.txt"
small() { # KIND RUN
  try 0 train --data "$tmp/data" --tokenizer $model/tokenizer.json -o "$2" --kind "$1" --steps 1 -q --set model.hidden_size=16 \
    --set model.num_hidden_layers=2 --set model.head_dim=8 --set train.seq_len=32 --set train.batch_size=2 --set feedforward.num_neurons=16
}
small mlp "$tmp/dense"
try 0 record "$tmp/dense" --data "$tmp/stories.txt" -o "$tmp/kept"
has err "try: sgatlin label list $tmp/dense --recording $tmp/kept"
try 0 neuron "$tmp/dense" -l 1 -i 3 --recording "$tmp/kept" --json
has out '"kept":true'
try 0 neuron "$tmp/dense" -l 1 -i 3 --recording "$tmp/kept"
has out 'above 0 at'
try 0 label list "$tmp/dense" --recording "$tmp/kept" --fires-on id:40 --json
has out '"question":"fires_on"'
try 0 verify "$tmp/kept"
has out 'values kept'
for command in "neighbors $tmp/kept --position 0" "usage $tmp/kept --active" "cka $tmp/dense $tmp/kept" "coactivation $tmp/kept"; do
  try 2 $command
  has err 'holds neurons alone and no circuits: its model has no router'
done
try 0 usage "$tmp/kept"
has out 'every neuron, where it acts'
try 0 usage "$tmp/kept" --json
has out '"acting":'; has out '"plain":{"min_max_ratio":'
try 2 neuron $model -l 1 -i 3 --recording "$tmp/kept"
small moe "$tmp/experts"
try 0 record "$tmp/experts" --data "$tmp/stories.txt" -o "$tmp/both"
try 0 neuron "$tmp/experts" -l 1 -c 1 -i 3 --recording "$tmp/both" --json
has out '"kept":true'
try 0 usage "$tmp/both"
finish
