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
for key in own_bias error_share invariant dependent true not_followed depths deembedding; do
  [ $key = deembedding ] || has out "\"$key\":"
done
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
