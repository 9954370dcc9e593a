#!/bin/sh
# ablations.sh SGATLIN DATA OUT: the ablations of the sparse layer at equal FLOPs (docs/results-scaling.md): activation, router, channels C, neurons
# chosen K, neurons of a pool F, and C x K at one number of chosen neurons. Each part is a `sweep` at one budget: whatever costs more a token has
# fewer steps. DATA holds train.* and valid.*. What is there is gone on with; OUT/table.txt is written. DRY=1 says how long it takes, and stops.
#
#   KIND=sgatlin PRESET="ladder;64x2" BUDGET=4e11 SEEDS=3 RATES=3e-3,1e-2 (each choice takes its own best) PARTS="activation router channels top_k
#   neurons shape" CHANNELS=2,4,8,16 TOP_K=2,4,8,16 NEURONS=144,484,1936 SHAPES="4x16 8x8 16x4 32x2" SET="..." VOCABULARY=2048 JOBS=1 THREADS=1
set -eu
sgatlin=$1 data=$2 out=$3
kind=${KIND:-sgatlin} preset=${PRESET:-"ladder;64x2"} budget=${BUDGET:-4e11} seeds=${SEEDS:-3} rates=${RATES:-3e-3,1e-2}
set_=${SET:-"train.seq_len=128 train.batch_size=8 schedule.warmup_steps=20"}
parts=${PARTS:-"activation router channels top_k neurons shape"}
sg() { nice -n "${NICE:-10}" "$sgatlin" -q -t "${THREADS:-1}" "$@"; }
mkdir -p "$out"
tokenizer="$out/tokenizer.json"
[ -f "$tokenizer" ] || sg tokenizer train -n "${VOCABULARY:-2048}" "$data/train.txt" -o "$tokenizer"

begin() { # PART, then how its choices are named to sweep
  part=$1
  shift
  if [ ! -f "$out/$part/study.json" ]; then
    for s in $set_; do set -- "$@" --set "$s"; done
    sg sweep --data "$data" --tokenizer "$tokenizer" --kind "$kind" --preset "$preset" --budget "$budget" --seeds "$seeds" -o "$out/$part" "$@" \
      --plan - >/dev/null
  fi
  [ -z "${DRY:-}" ] || sg sweep -o "$out/$part" --dry-run --json >"$out/$part.dry"
}
shapes() {
  for shape in ${SHAPES:-4x16 8x8 16x4 32x2}; do
    for rate in $(echo "$rates" | tr , ' '); do
      printf '%s\n' "--choice=feedforward.num_channels=${shape%x*},feedforward.top_k=${shape#*x},optimizer.learning_rate=$rate"
    done
  done
}
for part in $parts; do
  lr="--vary=optimizer.learning_rate=$rates"
  case $part in
  activation) begin $part --vary=feedforward.activation=identity,gelu,relu,swish "$lr" ;;
  router) begin $part --vary=feedforward.router=product_dense,dense,product_key_value,key_value "$lr" ;;
  channels) begin $part "--vary=feedforward.num_channels=${CHANNELS:-2,4,8,16}" "$lr" ;;
  top_k) begin $part "--vary=feedforward.top_k=${TOP_K:-2,4,8,16}" "$lr" ;;
  neurons) begin $part "--vary=feedforward.num_neurons=${NEURONS:-144,484,1936}" "$lr" ;;
  shape)
    # shellcheck disable=SC2046
    begin $part $(shapes)
    ;;
  *) echo "ablations.sh: PARTS: no part \"$part\"" >&2 && exit 2 ;;
  esac
done
if [ "${DRY:-}" ]; then
  python3 - "$out" "${JOBS:-1}" $parts <<'PY'
import json, sys
out, jobs, total = sys.argv[1], int(sys.argv[2]), 0
for part in sys.argv[3:]:
    d = json.load(open(f"{out}/{part}.dry"))
    total += d["seconds"]
    print(f"{part}: {len(d['runs'])} runs, {d['seconds'] / 60:.1f} minutes of one process")
print(f"in all {total / 60:.1f} minutes of one process, {total / 60 / jobs:.1f} with JOBS={jobs}")
PY
  exit
fi
for part in $parts; do
  sg sweep -o "$out/$part" --plan - | sed 's/.*--run //' |
    xargs -r -P "${JOBS:-1}" -I{} nice -n "${NICE:-10}" "$sgatlin" -q -t "${THREADS:-1}" sweep -o "$out/$part" --run {}
  sg sweep -o "$out/$part" --json >"$out/$part.new" 2>"$out/$part.log"
  mv "$out/$part.new" "$out/$part.json"
done
python3 - "$out" $parts <<'PY' | tee "$out/table.txt"
import json, math, sys
out, parts = sys.argv[1], sys.argv[2:]
print("| part | choice | parameters | steps | seconds | held-out loss | sd over seeds | perplexity | learning rate |")
print("| --- | --- | --- | --- | --- | --- | --- | --- | --- |")
for part in parts:
    best = {}
    for v in json.load(open(f"{out}/{part}.json"))["variants"]:
        rate = next(s.split("=")[1] for s in v["set"] if s.startswith("optimizer.learning_rate="))
        name = ", ".join(s.split(".", 1)[1] for s in v["set"] if not s.startswith("optimizer."))
        if v["valid_loss"] is not None and (name not in best or v["valid_loss"] < best[name][0]["valid_loss"]):
            best[name] = v, rate
        best.setdefault(name, (v, rate))
    for name, (v, rate) in best.items():
        if v["valid_loss"] is None:
            print(f"| {part} | {name} | {v['parameters']:,} | {v['steps']:,} | | diverged | | | |")
            continue
        sd = "" if v["standard_deviation"] is None else f"{v['standard_deviation']:.4f}"
        print(f"| {part} | {name} | {v['parameters']:,} | {v['steps']:,} | {v['seconds']:.1f} | {v['valid_loss']:.4f} | {sd} | {v['perplexity']:.2f} | {rate} |")
PY
