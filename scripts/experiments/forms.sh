#!/bin/sh
# forms.sh SGATLIN OUT [DATA [JOBS]]: layer forms (docs/method.md, layer forms): sequential, parallel, midpoint and rk4, mlp and sgatlin,
# three seeds, at equal steps and at equal FLOPs; then the sequential models run in the other forms as they are, and how far each
# model's layers are from a flow. DATA holds train.* and valid.* (default: 20,000 stories of the built-in corpus, made into OUT). STEPS, SEEDS,
# BATCH, THREADS, and ROWS held-out rows scale it. Every run is an ordinary run directory: what is there is gone on with. OUT/forms.tsv,
# forms-mean.tsv, defect-mean.tsv.
set -eu
sgatlin=$1 out=$2 data=${3:-$2/worlds} jobs=${4:-1}
steps=${STEPS:-600} seeds=${SEEDS:-"1 2 3"} batch=${BATCH:-32} threads=${THREADS:-2} rows=${ROWS:-0}
text() { find "$data" -name "$1.*" \( -name '*.txt' -o -name '*.txt.zst' -o -name '*.jsonl*' \) | head -n 1; }
mkdir -p "$out"
[ "$data" != "$out/worlds" ] || [ -f "$data/train.txt" ] || "$sgatlin" -q data worlds --stories 20000 --seed 1 -o "$data"
[ -f "$out/tokenizer.json" ] || "$sgatlin" -q tokenizer train -n 2048 "$(text train)" -o "$out/tokenizer.json"
# The cache of tokens is made once, not by all at the same time.
[ -d "$out/first" ] || "$sgatlin" -q train --data "$data" --tokenizer "$out/tokenizer.json" -o "$out/first" --kind mlp --steps 1 \
  --set model.hidden_size=64 --set train.seq_len=128 --set train.batch_size=8

# Steps of a form at equal FLOPs: stages of a layer are 1, 1, 2 and 4.
steps_of() { case $1 in midpoint) echo $((steps / 2)) ;; rk4) echo $((steps / 4)) ;; *) echo "$steps" ;; esac; }

one() { # KIND FORM STEPS SEED NAME
  dir="$out/$5-$1-$2-$4"
  [ -f "$dir.done" ] && return
  more=
  [ -d "$dir/checkpoints" ] && more=--resume
  form="--layer-form $2"
  [ "$2" = sequential ] && form=
  # shellcheck disable=SC2086
  if [ -n "$more" ]; then
    "$sgatlin" -q -t "$threads" train --resume -o "$dir"
  else
    "$sgatlin" -q -t "$threads" train --data "$data" --tokenizer "$out/tokenizer.json" -o "$dir" --kind "$1" $form --steps "$3" --seed "$4" \
      --set model.hidden_size=64 --set model.num_hidden_layers=4 --set model.head_dim=32 --set train.seq_len=128 --set train.batch_size="$batch" \
      --set feedforward.num_neurons=256 --set eval.every=0
  fi
  "$sgatlin" -q -t "$threads" eval "$dir" --data "$(text valid)" --max-rows "$rows" --rows pad --json >"$dir.json"
  "$sgatlin" -q -t "$threads" eval "$dir" --data "$(text valid)" --max-rows 16 --rows pad --ode-defect --json >"$dir.defect.json"
  [ "$2" != sequential ] || for f in parallel midpoint rk4; do
    "$sgatlin" -q -t "$threads" eval "$dir" --data "$(text valid)" --max-rows "$rows" --layer-form $f --rows pad --json >"$dir.as-$f.json"
  done
  : >"$dir.done"
}

# Weights before any training: the first step of a warm-up has rate 0.
start() { # KIND SEED
  dir="$out/start-$1-$2"
  [ -f "$dir.done" ] && return
  "$sgatlin" -q -t "$threads" train --data "$data" --tokenizer "$out/tokenizer.json" -o "$dir" --kind "$1" --steps 1 --seed "$2" \
    --set model.hidden_size=64 --set model.num_hidden_layers=4 --set model.head_dim=32 --set train.seq_len=128 --set train.batch_size="$batch" \
    --set feedforward.num_neurons=256 --set eval.every=0
  "$sgatlin" -q -t "$threads" eval "$dir" --data "$(text valid)" --max-rows 16 --rows pad --ode-defect --json >"$dir.defect.json"
  : >"$dir.done"
}

if [ "${ONE:-}" ]; then
  # shellcheck disable=SC2086
  case $ONE in start*) start ${ONE#start} ;; *) one $ONE ;; esac
  exit
fi
for seed in $seeds; do
  for kind in mlp sgatlin; do
    echo "start $kind $seed"
    for form in rk4 midpoint sequential parallel; do
      echo "$kind $form $steps $seed steps"
      n=$(steps_of $form)
      [ "$n" = "$steps" ] || echo "$kind $form $n $seed flops"
    done
  done
done | xargs -P "$jobs" -I{} env ONE={} sh "$0" "$sgatlin" "$out" "$data"

number() { sed -n 's/.*"'"$2"'":\([-0-9.e]*\).*/\1/p' "$1"; }
{
  printf 'kind\tform\tcompared at\tseed\tsteps\theld-out loss\n'
  for seed in $seeds; do
    for kind in mlp sgatlin; do
      for form in sequential parallel midpoint rk4; do
        n=$(steps_of $form)
        printf '%s\t%s\tsteps\t%s\t%s\t%s\n' $kind $form "$seed" "$steps" "$(number "$out/steps-$kind-$form-$seed.json" loss)"
        at=steps
        [ "$n" = "$steps" ] || at=flops
        printf '%s\t%s\tFLOPs\t%s\t%s\t%s\n' $kind $form "$seed" "$n" "$(number "$out/$at-$kind-$form-$seed.json" loss)"
        [ $form = sequential ] || printf '%s\t%s\tuntrained\t%s\t%s\t%s\n' $kind $form "$seed" "$steps" \
          "$(number "$out/steps-$kind-sequential-$seed.as-$form.json" loss)"
      done
    done
  done
} >"$out/forms.tsv"
# Mean and standard deviation over seeds.
awk -F '\t' 'NR > 1 { k = $1 "\t" $2 "\t" $3; if (!(k in n)) order[++m] = k; n[k]++; s[k] += $6; q[k] += $6 * $6 }
  END { print "kind\tform\tcompared at\tmean loss\tsd"; for (i = 1; i <= m; i++) { k = order[i]; a = s[k] / n[k]; v = n[k] > 1 ? (q[k] - n[k] * a * a) / (n[k] - 1) : 0
    printf "%s\t%.4f\t%.4f\n", k, a, (v > 0 ? sqrt(v) : 0) } }' "$out/forms.tsv" | tee "$out/forms-mean.tsv"

# The defect of each layer in the form that the model was trained in (before training: of sequential), mean and range over seeds.
defects() { # FILE FORM: a line a layer
  grep -o '"layer":[^}]*' "$1" | sed 's/.*"layer":\([0-9]*\),.*"'"$2"'":\([-0-9.e]*\).*/\1 \2/'
}
{
  printf 'kind\tmodel\tform\tlayer\tmean defect\tleast\tmost\n'
  for kind in mlp sgatlin; do
    for model in start steps; do
      for form in sequential parallel midpoint rk4; do
        for seed in $seeds; do
          f="$out/$model-$kind-$form-$seed.defect.json"
          [ $model = steps ] || f="$out/$model-$kind-$seed.defect.json"
          # One step of parallel is one of euler.
          defects "$f" "$(echo $form | sed 's/parallel/euler/')"
        done | awk -v k="$kind	$model	$form" '{ n[$1]++; s[$1] += $2; if (n[$1] == 1 || $2 < a[$1]) a[$1] = $2; if ($2 > b[$1]) b[$1] = $2; if ($1 > m) m = $1 }
          END { for (l = 0; l <= m; l++) printf "%s\t%d\t%.3f\t%.3f\t%.3f\n", k, l, s[l] / n[l], a[l], b[l] }'
      done
    done
  done
} | sed 's/	start	/	before training	/; s/	steps	/	trained in it	/' >"$out/defect-mean.tsv"
