#!/bin/sh
# test_label.sh: labels and names of neurons: made, listed, given, exported and imported; two processes at once; files that are none.
. tests/cli/common.sh
cp -r tests/golden/eval/model "$tmp/model"
MODEL=$tmp/model
for i in 1 2 3 4 5 6; do printf 'The dog was red.\n<|endoftext|>\nThe cat was old and the moon was a dog.\n<|endoftext|>\n'; done >"$tmp/text.txt"
try 0 record "$MODEL" --data "$tmp/text.txt" -o "$tmp/rec"

# Without a file of names: labels of the page are made, export says how to make one.
try 0 label list "$MODEL" -n 3 --json
has out '"found":576'
try 1 label export "$MODEL"
has err "names.sqlite: no such file: 'sgatlin label make MODEL' makes it"
[ ! -e "$MODEL/names.sqlite" ] || bad "reading made a file of names"

try 0 label make "$MODEL" --recording "$tmp/rec" --json
has out '"labels":576'
has out '"recorded":true'
try 0 label export "$MODEL" -o "$tmp/a.json"
try 0 label set "$MODEL" 1.2.17 'food "after" was' --author ann
try 0 label list "$MODEL" --named --json
has out '"name":"food \"after\" was","author":"ann"'
has out '"found":1'
try 0 label list "$MODEL" --find 'FOOD "AFTER' --json
has out '"found":1'

# Round trip: the same document from an imported file; names stay when labels are made again.
try 0 label export "$MODEL" -o "$tmp/b.json"
try 0 label import "$MODEL" "$tmp/b.json" --names "$tmp/new.sqlite"
try 0 label export "$MODEL" --names "$tmp/new.sqlite" -o "$tmp/c.json"
cmp "$tmp/b.json" "$tmp/c.json" || bad "export of an import is another document"
try 0 label make "$MODEL" --recording "$tmp/rec" -t 1
try 0 label export "$MODEL" -o "$tmp/c.json"
cmp "$tmp/b.json" "$tmp/c.json" || bad "one thread makes other labels, or the name is gone"
try 0 label set "$MODEL" 1.2.17 ''
try 0 label export "$MODEL" -o "$tmp/c.json"
cmp "$tmp/a.json" "$tmp/c.json" || bad "a name that was taken away is still there"

# Lists: the questions' scores are the card's numbers.
try 0 label list "$MODEL" --raises id:40 --json -n 1
python3 - "$tmp/out" >"$tmp/at" <<'PY' || bad "no list"
import json, sys
n = json.load(open(sys.argv[1]))["neurons"][0]
print(n["layer"], n["channel"], n["index"], n["score"])
PY
read -r layer channel index score <"$tmp/at"
try 0 neuron "$MODEL" -l "$layer" -c "$channel" -i "$index" -n 150 --json
python3 - "$tmp/out" "$score" <<'PY' || bad "the score is not what the neuron writes"
import json, sys
w = json.load(open(sys.argv[1]))["writes"]
x = {t["id"]: t["value"] for t in w["top"] + w["bottom"]}[40]
assert abs(x - float(sys.argv[2])) < 1e-5 * (1 + abs(x)), (x, sys.argv[2])
PY
try 0 label list "$MODEL" -r "$tmp/rec" --sort frequency -n 1 --json
python3 - "$tmp/out" >"$tmp/at" <<'PY' || bad "no list"
import json, sys
n = json.load(open(sys.argv[1]))["neurons"][0]
print(n["layer"], n["channel"], n["index"], n["count"])
PY
read -r layer channel index count <"$tmp/at"
try 0 neuron "$MODEL" -l "$layer" -c "$channel" -i "$index" -r "$tmp/rec" --json
has out "\"count\":$count,"

# Shares of |value| by token add up to 1 over all tokens of the text.
python3 - "$SGATLIN" "$MODEL" "$tmp/rec" "$layer.$channel.$index" <<'PY' || bad "shares do not add up"
import json, subprocess, sys
sg, model, rec, at = sys.argv[1:]
def ask(*a):
    return json.loads(subprocess.run([sg, "label", "list", model, "-r", rec, "--json", "-n", "576", *a], capture_output=True, check=True).stdout)
total = 0
for token in range(150):
    n = [n for n in ask("--fires-on", f"id:{token}")["neurons"] if f'{n["layer"]}.{n["channel"]}.{n["index"]}' == at]
    total += n[0]["score"]
assert abs(total - 1) < 1e-6, total
PY

# Scores: the same for any number of threads; held-out text must be named.
try 0 label score "$MODEL" --data "$tmp/text.txt" --share 0.1 -n 60 --json -t 1
cp "$tmp/out" "$tmp/one"
try 0 label score "$MODEL" --data "$tmp/text.txt" --share 0.1 -n 60 --json -t 2
same "$tmp/out" "$tmp/one"
has out '"feedforward":"sgatlin"'
try 2 label score "$MODEL"
has err "give one with --data"

# Two processes: every name is there afterwards.
i=0
while [ $i -lt 12 ]; do
  "$SGATLIN" -q label set "$MODEL" 0.0.$i "name $i" --author a &
  "$SGATLIN" -q label set "$MODEL" 0.1.$i "name $i" --author b &
  i=$((i + 1))
done
wait
try 0 label list "$MODEL" --named --json -n 1
has out '"found":24'

# Other models, damage, no file at all.
cp -r "$MODEL" "$tmp/other"
printf '\001' | dd of="$tmp/other/model.safetensors" bs=1 seek=$(($(wc -c <"$tmp/other/model.safetensors") - 4)) conv=notrunc 2>/dev/null
try 2 label list "$tmp/other"
has err "names.sqlite was made for another model: its weights had the hash a63bc9345cc8e934, this model's have"
try 2 label import "$tmp/other" "$tmp/b.json" --names "$tmp/other.sqlite"
has err "was made for another model"
try 0 verify "$MODEL"
has out "24 names; of the model with the hash a63bc9345cc8e934"
try 0 verify "$tmp/new.sqlite"
try 2 verify "$tmp/other"
has out "WRONG"
printf 'x' | dd of="$tmp/new.sqlite" bs=1 seek=5 conv=notrunc 2>/dev/null
try 3 verify "$tmp/new.sqlite"
try 3 label export "$MODEL" --names "$tmp/new.sqlite"
has err "new.sqlite: expected a file of names, found a damaged or another one"
echo text >"$tmp/plain.sqlite"
try 3 label set "$MODEL" 0.0.0 x --names "$tmp/plain.sqlite"
has err "plain.sqlite"
[ "$(cat "$tmp/plain.sqlite")" = text ] || bad "a file that is no file of names was changed"
mkfifo "$tmp/pipe"
try 1 label list "$MODEL" --names "$tmp/pipe"
try 2 label set "$MODEL" 9.0.0 x
try 2 label set "$MODEL" 1-2 x
has err "is no neuron: expected layer, channel and index, such as 1.0.17"
try 2 label set "$MODEL" 0.0.0 "$(printf 'a\nb')"
try 2 label list "$MODEL" --raises a --near 0.0.1
has err "one question at a time"
finish
