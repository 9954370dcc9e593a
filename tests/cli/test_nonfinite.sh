#!/bin/sh
# test_nonfinite.sh: a model with NaN or infinite weights is refused by every command that reads one, whichever tensor it is in.
. tests/cli/common.sh
MODEL=tests/golden/eval/model
echo '[[5,6,7,8],[9,10,11,12]]' >"$tmp/ids.json"
printf 'The dog was red.\n<|endoftext|>\nThe cat was old.\n' >"$tmp/text.txt"
try 0 record $MODEL --data "$tmp/text.txt" -o "$tmp/rec"
cp -r $MODEL "$tmp/m"
weights=$tmp/m/model.safetensors

# spoil NAME ELEMENT BYTES: four bytes into the tensor, at its first, middle or last element.
spoil() {
  cp $MODEL/model.safetensors "$weights"
  python3 - "$weights" "$1" "$2" "$3" <<'P'
import json, sys
path, name, where, data = sys.argv[1:]
b = bytearray(open(path, "rb").read())
h = int.from_bytes(b[:8], "little")
s, e = json.loads(b[8:8 + h])[name]["data_offsets"]
at = 8 + h + {"first": s, "middle": s + (e - s) // 8 * 4, "last": e - 4}[where]
b[at:at + 4] = bytes.fromhex(data)
open(path, "wb").write(b)
P
}
nan=0000c07f inf=0000807f minus=000080ff payload=010080ff
refused() {
  try 3 "$@"
  has err "model.safetensors: tensor $name: element "
  empty out
}

# Every command, one tensor.
name=model.layers.1.mlp.experts.w_out
spoil $name middle $nan
refused eval "$tmp/m" --ids "$tmp/ids.json" --json
refused eval "$tmp/m" --data "$tmp/text.txt"
refused generate "$tmp/m" --prompt Hello -n 2
refused info "$tmp/m"
refused trace "$tmp/m" --ids "$tmp/ids.json" -o "$tmp/t.st"
refused attribute "$tmp/m" --prompt Hello --json
refused graph "$tmp/m" --prompt Hello -o "$tmp/g.json"
refused ablate "$tmp/m" --prompt Hello --each layer
refused steer "$tmp/m" --prompt Hello --layer 0 --channel 0 --neuron 1 --strength 2
refused neuron "$tmp/m" -l 1 -i 3 --json
refused margins "$tmp/m" --prompt Hello --json
refused record "$tmp/m" --data "$tmp/text.txt" -o "$tmp/rec2"
refused neighbors "$tmp/m" "$tmp/rec" --prompt Hello
refused map "$tmp/m" "$tmp/rec" --json --neighbors 3
refused cka "$tmp/m" "$tmp/rec"
refused explore "$tmp/m"
try 3 bench "$tmp/m" --rounds 1
printf '{"facts":[]}' >"$tmp/facts.json"
try 3 facts patch "$tmp/m" --facts "$tmp/facts.json"
[ ! -e "$tmp/t.st" ] && [ ! -e "$tmp/g.json" ] && [ ! -e "$tmp/rec2" ] || bad "a refused command left a file"

# Every tensor, both ends, every kind of value.
python3 -c 'import json,sys; b=open(sys.argv[1],"rb").read(); h=int.from_bytes(b[:8],"little"); print("\n".join(k for k in json.loads(b[8:8+h]) if k!="__metadata__"))' \
  $MODEL/model.safetensors >"$tmp/names"
value=$nan
while read -r name; do
  for where in first last; do
    spoil "$name" $where $value
    refused eval "$tmp/m" --ids "$tmp/ids.json" --json
  done
  case $value in "$nan") value=$inf ;; "$inf") value=$minus ;; "$minus") value=$payload ;; *) value=$nan ;; esac
done <"$tmp/names"

# Who wants to look may; a loss that is no number is never told with exit 0.
name=model.layers.1.mlp.experts.w_out
spoil $name middle $nan
try 0 info "$tmp/m" --allow-nonfinite
try 0 neuron "$tmp/m" -l 1 -i 3 --allow-nonfinite
spoil model.norm.weight first $nan
try 5 eval "$tmp/m" --ids "$tmp/ids.json" --json --allow-nonfinite
empty out

# Weights that are numbers, but too large: the numbers they make are looked at.
spoil model.layers.0.input_layernorm.weight first ffff7f7f
for c in "eval $tmp/m --ids $tmp/ids.json --json" "generate $tmp/m --prompt Hello -n 2" "attribute $tmp/m --prompt Hello --json" \
  "trace $tmp/m --ids $tmp/ids.json -o $tmp/t.st" "record $tmp/m --data $tmp/text.txt -o $tmp/rec3"; do
  try 5 $c
done
finish
