#!/bin/sh
# demo.sh SGATLIN DIR: the main job from nothing to a model that tells a story. Everything it makes lies in DIR; run again, it goes on where it
# stopped.
set -eu
sgatlin=$1 dir=$2
say() { printf '\n== %s\n' "$*"; }
started=$(date +%s)

say "1. A corpus: 20,000 stories of the built-in world, with the truth about it"
[ -f "$dir/worlds/facts.json" ] || "$sgatlin" data worlds --stories 20000 --seed 1 -o "$dir/worlds"

# One size for both models, and one budget of FLOPs, so that their numbers can be compared.
settings="--set model.hidden_size=128 --set model.num_hidden_layers=4 --set model.head_dim=32 --set train.seq_len=256
 --set train.batch_size=16 --set tokenizer.vocab_size=2048 --set feedforward.num_neurons=256
 --set optimizer.learning_rate=3e-3 --set eval.every=400 --set eval.batches=8 --set checkpoint.every=400 --set checkpoint.keep=1"
train() { # NAME KIND BUDGET [OPTION]...
  run=$dir/$1 kind=$2 budget=$3
  shift 3
  if [ -f "$run/config.json" ]; then
    "$sgatlin" train --resume -o "$run"
  else
    # shellcheck disable=SC2086
    "$sgatlin" train --data "$dir/worlds" -o "$run" --kind "$kind" $settings --set train.flops_budget="$budget" "$@"
  fi
}

say "2. A tokenizer and a model with sparsely gated linear neurons"
train sgatlin sgatlin 3e13

say "3. The same budget with dense layers (mlp, glu), the same tokenizer and data"
train mlp mlp 3e13 --tokenizer "$dir/sgatlin/tokenizer.json"
train glu glu 3e13 --tokenizer "$dir/sgatlin/tokenizer.json"

say "4. Held-out stories: the models beside two baselines"
"$sgatlin" eval "$dir/sgatlin" --data "$dir/worlds" --train "$dir/worlds"
"$sgatlin" eval "$dir/mlp" --data "$dir/worlds"
"$sgatlin" eval "$dir/glu" --data "$dir/worlds"

say "5. Three stories that the model tells"
"$sgatlin" generate "$dir/sgatlin" --prompt "Once upon a time" --samples 3 --temperature 0.7 --max-tokens 220 --seed 7

say "6. What its neurons fire on in 200 of those stories, and a label for each neuron"
"$sgatlin" record "$dir/sgatlin" -n 200 -o "$dir/rec"
"$sgatlin" label make "$dir/sgatlin" --recording "$dir/rec"

now=$(date +%s)
say "Done in $((now - started)) s. What next:"
cat <<TXT
  see why it said it     $sgatlin explore $dir/sgatlin --recording $dir/rec --open
  the same as text       $sgatlin attribute $dir/sgatlin "Noah's favourite food was" --target macaroni
  your own text          $sgatlin train book.txt -o run
  train longer           $sgatlin train --data $dir/worlds -o $dir/long --steps 4000 --set train.batch_size=16 --set train.seq_len=256
  interrupted?           make demo goes on where it stopped; a run of your own: $sgatlin train --resume -o run
  all commands           $sgatlin help
TXT
