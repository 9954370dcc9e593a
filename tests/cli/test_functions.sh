#!/bin/sh
# functions: fitted, shown, read back, timed, verified; the same for any number of threads; refusals.
. tests/cli/common.sh
model=tests/golden/eval/model
"$SGATLIN" -q data worlds --stories 400 --seed 1 -o "$tmp/worlds" || bad "no text"
try 0 -q record $model --data "$tmp/worlds/train.txt" --documents 300 --values f32 -o "$tmp/rec"
fit() { # OUT OPTION...
  out=$1
  shift
  try 0 -q functions fit $model --recording "$tmp/rec" --features 12 --steps 30 --samples 64 --least 12 --layer 1 --json -o "$out" "$@"
}
fit "$tmp/F"
cp "$tmp/out" "$tmp/fit.json"
OMP_NUM_THREADS=1 fit "$tmp/G"
same "$tmp/out" "$tmp/fit.json"
same "$tmp/F" "$tmp/G"
try 0 functions show "$tmp/F"
has out 'layer 1'
python3 - "$SGATLIN" "$tmp" <<'EOP' || bad "the answers do not hold together"
import json, subprocess, sys
command, tmp = sys.argv[1:]
fit = json.load(open(tmp + "/fit.json"))
l = fit["layers"][0]
assert l["layer"] == 1 and l["functions"] + l["rows_kept"] == l["neurons"] == 192 and l["functions"] > 20
assert l["edges"] <= 8 * l["functions"] and l["named"] <= l["edges"] and l["read_back"] <= 1e-4
assert l["error"]["together"] < l["error"]["alone"] and l["bytes_matrix"] == 2 * 192 * 32 * 4
h = l["held_out"]
assert abs(1 - (h["loss"] - fit["loss"]) / (h["loss_zero"] - fit["loss"]) - h["recovered"]) < 1e-4
assert abs(h["loss"] - fit["all"]["loss"]) < 1e-9 and fit["positions"]["documents_held_out"] >= 30
def run(*a):
    r = subprocess.run([command, "-q", *a], capture_output=True, text=True)
    assert r.returncode == 0, r.stderr
    return r.stdout
found = 0
for i in range(64):
    n = json.loads(run("functions", "show", tmp + "/F", "--neuron", "1:2:%d" % i, "--json"))
    assert n["channel"] == 2 and n["index"] == i and n["stands"] == (n["formula"] is not None)
    if not n["stands"]: continue
    found += 1
    assert 1 <= len(n["points"]) <= 32 and len(n["edges"]) <= 8 and n["bytes"] > 0
    z = ",".join("%g" % (0.37 * ((7 * k + i) % 9 - 4)) for k in range(12))
    value = float(run("functions", "parse", "--z", z, "--", n["formula"]))
    again = json.loads(run("functions", "parse", "--z", z, "--json", "--", n["formula"]))
    assert abs(value - again["value"]) < 1e-6 * max(1, abs(value)) and again["features"] <= 12
    if found == 6: break
assert found == 6
open(tmp + "/neuron", "w").write("1:2:%d" % i)
EOP
try 0 functions show "$tmp/F" --neuron "$(cat "$tmp/neuron")" --svg "$tmp/n.svg"
has out ' samples, R2 '
grep -q 'the function' "$tmp/n.svg" || bad "no figure"
try 0 functions bench "$tmp/F" --pool 2000 --seconds 0 --dir "$tmp" --json -q
python3 - "$tmp/out" <<'EOP' || bad "times do not hold together"
import json, sys
a = json.load(open(sys.argv[1]))
assert [p["neurons"] for p in a["pools"]] == [192, 2001] and a["layer"] == 1
for p in a["pools"]:
    assert p["difference"] < 1e-5 and p["matrix_us"] > 0 and abs(p["times_faster"] - p["matrix_us"] / p["functions_us"]) < 1e-5 * p["times_faster"]
    assert abs(p["features_us"] + p["values_us"] + p["outputs_us"] - p["functions_us"]) < 1e-3 * p["functions_us"] + 1e-6
EOP
ls "$tmp" | grep -q pool && bad "the pool's file stayed"
fit "$tmp/B" --outputs 16 --base --no-named --no-logic
try 0 functions bench "$tmp/B" --pool 0 --seconds 0 --dir "$tmp" -q
has out 'outputs through 16'
try 0 verify "$tmp/F" "$tmp/B" --json
has out 'formulas'
head -c 5000 "$tmp/F" >"$tmp/cut"
cp "$tmp/cut" "$tmp/cut.safetensors"
try 3 functions show "$tmp/cut"
try 3 verify "$tmp/cut.safetensors"
try 0 functions parse '1 + 2*x(3*z1 + 1)' --z 0,2
[ "$(cat "$tmp/out")" = 15 ] || bad "1 + 2*(3*2 + 1) is not 15"
try 2 functions parse '1 + 2*x(3*z1 + 1)' --z 0
has err 'z1'
try 3 functions parse '1 + cosh(z1)'
has err 'character'
try 2 functions parse '1' --z nan
try 2 functions fit $model --recording "$tmp/rec" -o "$tmp/H" --features 33
has err '32 dimensions'
try 2 functions fit $model --recording "$tmp/rec" -o "$tmp/H" --layer 7
try 2 functions fit $model --recording "$tmp/rec" -o "$tmp/H" --least 600
has err 'least'
try 2 functions show "$tmp/F" --neuron 1:3:0
has err 'channels 0 to 2'
try 2 functions show "$tmp/F" --neuron 0:0
has err 'no functions of layer 0'
try 2 functions show "$tmp/F" --neuron 1
try 0 functions show "$tmp/F" --svg "$tmp/x.svg"; has out "samples, R2"; grep -q "<circle\|<path" "$tmp/x.svg" || bad "no points in the figure"
[ -e "$tmp/H" ] && bad "a refused fit wrote a file"
# Layers that differ: what cannot be functions is named, and another model's recording is refused.
mixed "$tmp/run"
try 0 -q record "$tmp/run" --data "$tmp/worlds" --documents 20 -o "$tmp/mixed"
try 0 -q functions fit "$tmp/run" --recording "$tmp/mixed" --features 8 --samples 32 --least 16 --steps 2 -o "$tmp/M" --json
python3 - "$tmp/out" <<'EOP' || bad "layers that differ"
import json, sys
a = json.load(open(sys.argv[1]))
assert [l["layer"] for l in a["layers"]] == [0, 1, 2] and [s["layer"] for s in a["skipped"]] == [3] and "moe" in a["skipped"][0]["why"]
EOP
try 3 functions fit "$tmp/run" --recording "$tmp/mixed" --layer 3 -o "$tmp/H"
has err 'moe'
try 2 functions fit "$tmp/run" --recording "$tmp/rec" -o "$tmp/H"
finish
