#!/bin/sh
# precision.sh SGATLIN DATA OUT: what training with other numbers costs in held-out loss. Kinds x seeds x ways on
# DATA (train.txt, valid.txt) with one tokenizer; the same seed starts from the same weights and sees the same batches. Then each run's loss over the
# same held-out rows, always in float32. A run that is there is gone on with; OUT/table.txt is written.
#
#   KINDS="sgatlin mlp" SEEDS="1 2 3" WAYS="float32 bf16" STEPS=1500 SET="..." ROWS=256 THREADS=1 BEFORE="chrt -i 0"
set -eu
sgatlin=$1 data=$2 out=$3
kinds=${KINDS:-"sgatlin mlp"} seeds=${SEEDS:-"1 2 3"} ways=${WAYS:-"float32 bf16"} steps=${STEPS:-1500} rows=${ROWS:-256}
set_=${SET:-"train.batch_size=8 train.seq_len=256"}
sg() { ${BEFORE:-nice} "$sgatlin" -q -t "${THREADS:-1}" "$@"; }
mkdir -p "$out"
tokenizer="$out/tokenizer.json"
[ -f "$tokenizer" ] || sg tokenizer train -n "${VOCABULARY:-8192}" "$data/train.txt" -o "$tokenizer"
one() { # KIND SEED WAY
  run="$out/$1.$2.$3"
  [ ! -s "$run.json" ] || return 0
  options=
  for s in $set_; do options="$options --set $s"; done
  if [ -d "$run/checkpoints" ]; then
    sg train --resume -o "$run"
  else
    rm -rf "$run"
    # shellcheck disable=SC2086
    sg train --preset tinystories --kind "$1" --data "$data" --tokenizer "$tokenizer" -o "$run" --steps "$steps" $options \
      --set train.seed="$2" --set train.precision="$3" --set eval.every=0 --set checkpoint.every=50
  fi
  sg eval "$run" --data "$data/valid.txt" --max-rows "$rows" --json >"$run.new"
  mv "$run.new" "$run.json"
}
for seed in $seeds; do for kind in $kinds; do for way in $ways; do one "$kind" "$seed" "$way"; done; done; done
python3 - "$out" "$kinds" "$seeds" "$ways" >"$out/table.txt" <<'PY'
import json, sys
out, kinds, seeds, ways = sys.argv[1], *(s.split() for s in sys.argv[2:])
loss = lambda k, s, w: json.load(open(f"{out}/{k}.{s}.{w}.json"))["loss"]
print("| kind | " + " | ".join(f"{w}, seed {s}" for w in ways for s in seeds) + " | " + " | ".join(f"mean {w}" for w in ways) + " |")
for k in kinds:
    of = {w: [loss(k, s, w) for s in seeds] for w in ways}
    mean = {w: sum(of[w]) / len(seeds) for w in ways}
    print(f"| {k} | " + " | ".join(f"{x:.4f}" for w in ways for x in of[w]) + " | " + " | ".join(f"{mean[w]:.4f}" for w in ways) + " |")
    for w in ways[1:]:
        d = [b - a for a, b in zip(of[ways[0]], of[w])]
        m = sum(d) / len(d)
        sd = (sum((x - m) ** 2 for x in d) / max(1, len(d) - 1)) ** 0.5
        print(f"| {k}, {w} - {ways[0]} | " + " | ".join(f"{x:+.4f}" for x in d) + f" | mean {m:+.4f} sd {sd:.4f} |")
PY
cat "$out/table.txt"
