#!/bin/sh
# forms.sh SGATLIN OUT [JOBS]: layer forms on the built-in corpus (docs/method.md, layer forms): sequential, parallel, midpoint and
# rk4, mlp and sgatlin, three seeds, at equal steps and at equal FLOPs; then the sequential models run in the other forms as they are, and
# how far each model's layers are from a flow. Every run is an ordinary run directory: what is there is gone on with. OUT/forms.tsv.
set -eu
sgatlin=$1 out=$2 jobs=${3:-1}
steps=${STEPS:-600} seeds=${SEEDS:-"1 2 3"}
mkdir -p "$out"
[ -f "$out/worlds/train.txt" ] || "$sgatlin" -q data worlds --stories 20000 --seed 1 -o "$out/worlds"
[ -f "$out/tokenizer.json" ] || "$sgatlin" -q tokenizer train -n 2048 "$out/worlds/train.txt" -o "$out/tokenizer.json"
# The cache of tokens is made once, not by all at the same time.
[ -d "$out/first" ] || "$sgatlin" -q train --data "$out/worlds" --tokenizer "$out/tokenizer.json" -o "$out/first" --kind mlp --steps 1 \
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
    "$sgatlin" -q -t 2 train --resume -o "$dir"
  else
    "$sgatlin" -q -t 2 train --data "$out/worlds" --tokenizer "$out/tokenizer.json" -o "$dir" --kind "$1" $form --steps "$3" --seed "$4" \
      --set model.hidden_size=64 --set model.num_hidden_layers=4 --set model.head_dim=32 --set train.seq_len=128 --set train.batch_size=32 \
      --set feedforward.num_neurons=256 --set eval.every=0
  fi
  "$sgatlin" -q -t 2 eval "$dir" --data "$out/worlds/valid.txt" --rows pad --json >"$dir.json"
  "$sgatlin" -q -t 2 eval "$dir" --data "$out/worlds/valid.txt" --max-rows 16 --rows pad --ode-defect --json >"$dir.defect.json"
  [ "$2" != sequential ] || for f in parallel midpoint rk4; do
    "$sgatlin" -q -t 2 eval "$dir" --data "$out/worlds/valid.txt" --layer-form $f --rows pad --json >"$dir.as-$f.json"
  done
  : >"$dir.done"
}

if [ "${ONE:-}" ]; then
  # shellcheck disable=SC2086
  one $ONE
  exit
fi
for seed in $seeds; do
  for kind in mlp sgatlin; do
    for form in rk4 midpoint sequential parallel; do
      echo "$kind $form $steps $seed steps"
      n=$(steps_of $form)
      [ "$n" = "$steps" ] || echo "$kind $form $n $seed flops"
    done
  done
done | xargs -P "$jobs" -I{} env ONE={} STEPS="$steps" sh "$0" "$sgatlin" "$out"

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
