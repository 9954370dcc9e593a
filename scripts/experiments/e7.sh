#!/bin/sh
# e7.sh SGATLIN DATA OUT: attention sinks and what may relieve them (docs/method.md, options of a feedforward layer; attention): is there a sink at
# this size at all (a head whose share is over twice what even attention gives), and does a sink MLP, do always-on neurons, does a learned logit lower
# the excess without costing loss? KINDS x FORMS (rows of documents, packed or not) x WAYS on DATA (train.*, valid.*), with one tokenizer.
# Each way at its own best rate: RATES are tried with the first seed for a quarter of the steps, then SEEDS run at the best. Every run is an
# ordinary run directory: what is there is gone on with, so the script may be cut anywhere. Each kind's figure: heads without, and with the sink MLP.
# OUT/e7.tsv has a line a run, OUT/e7-table.txt the table.
#
#   KINDS="sgatlin peer monet mlp" FORMS="pad pack" WAYS="none mlp-32 mlp-128 on-4 on-16 logit" RATES="0.002 0.004 0.008" SEEDS="1 2 3" STEPS=1500
#   SET="train.batch_size=8 train.seq_len=512" ROWS=128 VOCABULARY=8192 THREADS=1 BEFORE=nice
set -eu
sgatlin=$(realpath "$1") data=$(realpath "$2") out=$3
kinds=${KINDS:-"sgatlin peer monet mlp"} forms=${FORMS:-"pad pack"} ways=${WAYS:-"none mlp-32 mlp-128 on-4 on-16 logit"}
rates=${RATES:-"0.002 0.004 0.008"} seeds=${SEEDS:-"1 2 3"} steps=${STEPS:-1500} rows=${ROWS:-128}
set_=${SET:-"train.batch_size=8 train.seq_len=512"}
sg() { ${BEFORE:-nice} "$sgatlin" -q -t "${THREADS:-1}" "$@"; }
text() { find "$data" -name "$1.*" \( -name '*.txt' -o -name '*.txt.zst' -o -name '*.jsonl*' \) | head -n 1; }
mkdir -p "$out"
tokenizer="$out/tokenizer.json"
[ -f "$tokenizer" ] || sg tokenizer train -n "${VOCABULARY:-8192}" "$(text train)" -o "$tokenizer"

of_way() {
  case $1 in
    none) ;;
    mlp-*) echo "feedforward.sink_mlp.width=${1#mlp-}" ;;
    on-*) echo "feedforward.always_on.neurons=${1#on-}" ;;
    logit) echo "model.attention_sink=logit" ;;
    *) echo "e7.sh: no way $1: none, mlp-WIDTH, on-NEURONS, logit" >&2; exit 2 ;;
  esac
}

# One run with its held-out loss and its sinks, as JSON files beside it.
one() { # KIND FORM WAY RATE SEED STEPS
  run="$out/$1.$2.$3.$4.$5.$6"
  [ ! -s "$run.sinks.json" ] || return 0
  options=
  for s in $set_ $(of_way "$3"); do options="$options --set $s"; done
  if [ -d "$run/checkpoints" ]; then
    sg train --resume -o "$run"
  else
    rm -rf "$run"
    # shellcheck disable=SC2086
    sg train --preset tinystories --kind "$1" --data "$data" --tokenizer "$tokenizer" -o "$run" --steps "$6" --set data.rows="$2" \
      --set train.seed="$5" --set optimizer.learning_rate="$4" --set eval.every=0 --set checkpoint.every=100 $options
  fi
  sg eval "$run" --data "$(text valid)" --max-rows "$rows" --json >"$run.eval.new"
  mv "$run.eval.new" "$run.eval.json"
  sg sinks "$run" --data "$(text valid)" --rows "$rows" --json >"$run.sinks.new"
  mv "$run.sinks.new" "$run.sinks.json"
}

loss() { sed -n 's/.*"loss": *\([-0-9.e]*\).*/\1/p' "$1" | head -n 1; }
best_rate() { # KIND FORM WAY
  first=${seeds%% *} quarter=$((steps / 4))
  case $rates in *' '*) ;; *) echo "$rates"; return ;; esac
  for r in $rates; do
    one "$1" "$2" "$3" "$r" "$first" "$quarter" >&2
    echo "$(loss "$out/$1.$2.$3.$r.$first.$quarter.eval.json") $r"
  done >"$out/rates.new" # not into a pipe, which would hide that a run failed
  sort -g "$out/rates.new" | head -n 1 | cut -d ' ' -f 2
}

printf 'kind\trows\tway\trate\tseed\tloss\teven\tlargest_share\texcess\tsink_heads\tto_logit\n' >"$out/e7.tsv.new"
for form in $forms; do for kind in $kinds; do for way in $ways; do
  rate=$(best_rate "$kind" "$form" "$way")
  for seed in $seeds; do
    one "$kind" "$form" "$way" "$rate" "$seed" "$steps"
    run="$out/$kind.$form.$way.$rate.$seed.$steps"
    python3 - "$run" "$kind" "$form" "$way" "$rate" "$seed" >>"$out/e7.tsv.new" <<'PY'
import json, sys
run, *names = sys.argv[1:]
s, e = json.load(open(run + ".sinks.json")), json.load(open(run + ".eval.json"))
heads = s["heads"]
mean = lambda key: sum(h.get(key, 0) for h in heads) / len(heads)
print("\t".join(names) + "\t%.4f\t%.4f\t%.4f\t%.4f\t%.3f\t%.4f" % (e["loss"], s["even"], max(h["share"] for h in heads), mean("excess"), s["sink_heads"], mean("logit")))
PY
  done
done; done; done
mv "$out/e7.tsv.new" "$out/e7.tsv"

# Without beside with the widest sink MLP, of the first seed.
widest=$(for w in $ways; do case $w in mlp-*) echo "${w#mlp-}" ;; esac; done | sort -n | tail -n 1)
[ -z "$widest" ] || for form in $forms; do for kind in $kinds; do
  a=$(awk -F '\t' -v k="$kind" -v f="$form" '$1 == k && $2 == f && $3 == "none" { print $4 "." $5; exit }' "$out/e7.tsv")
  b=$(awk -F '\t' -v k="$kind" -v f="$form" -v w="mlp-$widest" '$1 == k && $2 == f && $3 == w { print $4 "." $5; exit }' "$out/e7.tsv")
  [ -z "$a" ] || [ -z "$b" ] || (cd "$out" && sg sinks "$kind.$form.none.$a.$steps" "$kind.$form.mlp-$widest.$b.$steps" --data "$(text valid)" --rows "$rows" \
    --svg "$kind.$form.svg" >/dev/null)
done; done

python3 - "$out/e7.tsv" >"$out/e7-table.txt" <<'PY'
import csv, sys
rows = list(csv.DictReader(open(sys.argv[1]), delimiter="\t"))
def stat(rs, key):
    x = [float(r[key]) for r in rs]
    m = sum(x) / len(x)
    return m, (sum((v - m) ** 2 for v in x) / max(1, len(x) - 1)) ** 0.5
print("| rows | kind | way | rate | held-out loss | even | largest share | mean excess | sink heads | to the logit |")
print("| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |")
groups = {}
for r in rows: groups.setdefault((r["rows"], r["kind"], r["way"]), []).append(r)
for (form, kind, way), rs in groups.items():
    m = {k: stat(rs, k) for k in ("loss", "even", "largest_share", "excess", "sink_heads", "to_logit")}
    sd = lambda k, f: (f + " sd " + f) % m[k] if len(rs) > 1 else f % m[k][0]
    print("| %s | %s | %s | %s | %s | %.4f | %s | %s | %.3f | %s |" % (form, kind, way, rs[0]["rate"], sd("loss", "%.4f"), m["even"][0], sd("largest_share", "%.3f"),
          sd("excess", "%+.4f"), m["sink_heads"][0], "%.3f" % m["to_logit"][0] if way == "logit" else ""))
print()
for (form, kind, way), rs in groups.items():
    if way != "none": continue
    share, even, excess = (stat(rs, k)[0] for k in ("largest_share", "even", "excess"))
    print("%s, %s: the largest share of a head is %.1f times even attention's: %s" % (kind, form, share / even, "a sink" if share > 2 * even else "no sink at this size"))
    for (f, k, w), other in groups.items():
        if (f, k) != (form, kind) or w == "none" or share <= 2 * even: continue
        e, l = stat(other, "excess")[0], stat(other, "loss")[0] - stat(rs, "loss")[0]
        print("  %s: mean excess %+.0f %%, loss %+.4f" % (w, 100 * (e / excess - 1) if excess else 0, l))
PY
cat "$out/e7-table.txt"
