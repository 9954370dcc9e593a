#!/bin/sh
# svd, svd score, previous: singular directions and their test, directions of previous tokens; what is refused.
. tests/cli/common.sh
W="$tmp/worlds"
"$SGATLIN" -q data worlds --stories 600 --seed 1 -o "$W"
"$SGATLIN" -q train --data "$W" -o "$tmp/run" --steps 20 --set model.hidden_size=32 --set model.num_hidden_layers=2 --set model.head_dim=16 \
  --set train.seq_len=48 --set train.batch_size=8 --set tokenizer.vocab_size=600 --set feedforward.num_neurons=64 \
  --set feedforward.num_channels=2 --set feedforward.key_dim=16 --set feedforward.top_k=4

try 0 svd "$tmp/run"
has out "ov of layer 0, head 0: 32 x 32, 16 directions"
has out "  writes  -"
try 0 svd "$tmp/run" --matrix qk --layer 1 --head 1 --distance 2 --directions 2 -n 3 --json
has out '"matrix":"qk","layer":1,"head":1,"distance":2,"channel":null'
[ "$(grep -o '"score":' "$tmp/out" | wc -l)" = 24 ] || bad "2 directions x 2 sides x 2 ends x 3 tokens: $(cat "$tmp/out")"
# The values' squares add up to the matrix's.
sed 's/.*"frobenius2":\([0-9.e-]*\),"values":\[\([^]]*\)\].*/\1,\2/' "$tmp/out" |
  awk -F, '{ for (i = 2; i <= NF; i++) s += $i * $i; d = s / $1 - 1; exit !(d * d < 1e-14) }' || bad "squares: $(cat "$tmp/out")"
try 0 svd "$tmp/run" --matrix mlp_out --layer 1 --cosine
has out "mlp_out of layer 1: 128 x 32"
try 0 svd "$tmp/run" --matrix mlp_in --layer 0 --channel 1 --json
has out '"side":"neurons"'
for m in embedding embedding_centred; do try 0 svd "$tmp/run" --matrix $m --directions 1; done
# Models without a tokenizer: ids.
try 0 svd tests/golden/models/mlp --matrix mlp_in --directions 1 --json

try 0 svd score "$tmp/run" --data "$W" --labels "$W/labels.json" --rotations 3 --draws 1 --svg "$tmp/f.svg"
for m in qk ov mlp_in mlp_out "mlp_in, cut" embedding_centred; do has out "$m"; done
grep -q '<polyline' "$tmp/f.svg" || bad "no curve in the figure"
try 0 svd score "$tmp/run" --data "$W" --rotations 3 --json -t 1
cp "$tmp/out" "$tmp/one"
try 0 svd score "$tmp/run" --data "$W" --rotations 3 --json -t 2
same "$tmp/one" "$tmp/out"
has out '"rank_correlation":'

try 0 previous "$tmp/run" --data "$W" --tokens 8000 --min-count 20 --seq-len 40
has out "layers.1.resid_post"
has out "weight one back"
try 0 previous "$tmp/run" --data "$W" --tokens 8000 --min-count 20 --seq-len 40 --json -t 1
cp "$tmp/out" "$tmp/one"
try 0 previous "$tmp/run" --data "$W" --tokens 8000 --min-count 20 --seq-len 40 --json -t 2
same "$tmp/one" "$tmp/out"
has out '"looks_back":'

"$SGATLIN" -q sparse train "$tmp/run" --data "$W" --top-k 4 --features 32 -b 64 --buffer 4 --steps 10 -o "$tmp/tc" >"$tmp/out"
try 0 previous "$tmp/run" --data "$W" --tokens 8000 --min-count 20 --seq-len 40 --sparse "$tmp/tc"; has out "of the token before"
try 0 previous "$tmp/run" --data "$W" --tokens 8000 --min-count 20 --seq-len 40 --sparse "$tmp/tc" --json
python3 - "$tmp/out" <<'END' || bad "features of previous tokens"
import json, sys
f = json.load(open(sys.argv[1]))["features"]
assert [l["layer"] for l in f["layers"]] == [0, 1] and all(0 < l["live"] <= 32 for l in f["layers"])
gap = [x["previous_f1"] - x["current_f1"] for x in f["best"]]
assert gap == sorted(gap, reverse=True) and all(0 <= x["current_f1"] <= 1 for x in f["best"])
END
try 4 previous "$tmp/run" --data "$W" --tokens 8000 --min-count 20 --seq-len 40 --sparse "$tmp/tc" --max-memory 300K; has err "--max-memory"

# Errors.
try 2 svd "$tmp/run" --layer 2; has err "layers 0 to 1"
try 2 svd "$tmp/run" --head 5; has err "heads 0 to 1"
try 2 svd "$tmp/run" --matrix mlp_in --channel 2; has err "channels 0 to 1"
try 2 svd "$tmp/run" --distance 48; has err "reads 48 positions"
try 2 svd score tests/golden/models/mlp --data "$W"; has err "tokenizer.json"
try 2 previous tests/golden/models/mlp --data "$W"; has err "tokenizer.json"
try 2 previous "$tmp/run" --data "$W" --tokens 2000 --min-count 5000; has err "lower --min-count"
try 4 previous "$tmp/run" --data "$W" --tokens 8000 --min-count 20 --max-memory 1K; has err "--max-memory"
echo '{"xyzzy": ["magic"]}' >"$tmp/other.json"
try 2 svd score "$tmp/run" --data "$W" --labels "$tmp/other.json"; has err "another corpus"
echo '[1]' >"$tmp/other.json"
try 3 svd score "$tmp/run" --data "$W" --labels "$tmp/other.json"; has err "expected an object"
try 4 svd score "$tmp/run" --data "$W" --max-memory 1K; has err "--max-memory"
finish
