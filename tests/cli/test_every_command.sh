#!/bin/sh
# A model of any form is a model: each command of tests/memory/commands.txt that reads one is run on a pruned model, on one of mixed
# layers, on the other layer forms and on weights in fewer bytes. It does its work, or says by name why it cannot on this one; those that
# do not are listed here, so that a command that stops to read a form is seen.
[ -w /dev/shm ] && TMPDIR=${TMPDIR:-/dev/shm} && export TMPDIR
. tests/cli/common.sh
case $SGATLIN in /*) sg=$SGATLIN ;; *) sg=$PWD/$SGATLIN ;; esac
export OMP_NUM_THREADS=1 XDG_CACHE_HOME="$tmp/cache"
work="$tmp/work" root=$PWD
mkdir "$work"
. tests/memory/folder.sh
mv model plain
mkdir told && cp stories.txt told/train.txt && cp stories.txt told/valid.txt
small="--data told --tokenizer plain/tokenizer.json --set model.hidden_size=32 --set model.head_dim=16 --set train.seq_len=24 --set train.batch_size=2
 --set feedforward.num_neurons=64 --set feedforward.num_channels=3 --set feedforward.top_k=4 --set feedforward.key_dim=16 --set data.rows=pad --set schedule.warmup_steps=5 --steps 200 --set optimizer.learning_rate=2e-2 -q"

make_model() {
  # shellcheck disable=SC2086
  case $1 in
    # Attention of layer 1 and the feedforward of layer 2 are out.
    pruned) "$sg" prune plain --calibrate text.txt --data stories.txt --remove 2 --method random --seed 1 --no-latency --rows 2 --seq-len 8 -o model -q &&
      tr -d ' \n' <model/config.json | grep -q '"pruned_sublayers":\[2,5\]' ;;
    mixed) "$sg" train $small -o model --set model.num_hidden_layers=4 --set 'model.layers=[{}, {"attention": false},
      {"feedforward": {"kind": "mlp", "activation": "gelu", "num_neurons": 24}}, {"feedforward": false}]' ;;
    bf16 | int8 | int4) "$sg" quantize plain --to "$1" -o model -q ;;
    *) "$sg" train $small -o model --set model.num_hidden_layers=2 --set "model.layer_form=$1" ;;
  esac
}

# refused FORM COMMAND: the words of its refusal; nothing where it has to work.
refused() {
  case $1:$2 in
    pruned:svd*--layer\ 1* | mixed:svd*--layer\ 1*) echo "layer 1 of this model has no attention" ;;
    # Which neurons fire is another thing in a model of its own.
    mixed:attribute*--into* | parallel:attribute*--into*) echo "did not fire" ;;
    bf16:superposition*--merge* | int8:superposition*--merge* | int4:superposition*--merge*) echo "merge in the float32 model" ;;
    # Transcoder circuits and pruning write a stream that sublayers are added to one after the other.
    parallel:prune* | euler:prune* | midpoint:prune* | rk4:prune*) echo "plain sequential layers" ;;
    parallel:circuit*--invariant* | euler:circuit*--invariant*) ;;
    parallel:circuit* | euler:circuit*) echo "plain sequential layers" ;;
    # An exact sum over what was added needs that it was added once.
    euler:* | midpoint:* | rk4:*)
      case $2 in
        attribute* | minimal* | graph* | superposition* | sinks* | functions* | steer\ model\ Hello | ablate\ model\ Hello | neuron\ model\ Hello*)
          echo "layers add to the stream once" ;;
        *) case $1:$2 in euler:*) ;; *:ablate*--edit*) ;; *:ablate*) echo "this model has no such site" ;;
          *:knockout* | *:enrich* | *:extract*) echo "runs its sublayers more than once" ;;
          *:sparse\ train*) echo "computed once" ;;
          *\ tc | *\ tc\ *) echo "no sparse.json" ;;
        esac ;;
      esac ;;
  esac
}
for form in ${FORMS:-pruned mixed parallel euler midpoint rk4 bf16 int8 int4}; do
  rm -rf model named.sqlite names.json rec tc functions small* new*
  make_model "$form" >made 2>&1 || { bad "$form is not made: $(cat made)"; continue; }
  grep -E '^[^|#]*\| [^|]*\<model\>' "$root/tests/memory/commands.txt" >lines
  {
    echo '| label make model --names named.sqlite -q'
    echo '| label export model --names named.sqlite -o names.json -q'
    echo '| record model --data text.txt -o rec -q'
    echo '| sparse train model --data text.txt --l1 0.01 --features 16 -b 32 --buffer 2 --seq-len 16 --steps 3 -o tc -q'
    echo '| functions fit model --recording rec --layer 1 --features 4 --least 8 --samples 8 --steps 1 --cells 2 -o functions -q'
    cat lines
  } >all
  while IFS='|' read -r options command; do
    command=$(echo "${command# }" | sed "s|SMALL|$(echo $sizes)|; s|model/tokenizer|plain/tokenizer|")
    rm -rf new new.* new2 small small2 small3 graphs peers
    set -f
    timeout 120 "$sg" $command >o 2>e </dev/null
    code=$?
    set +f
    why=$(refused "$form" "$command")
    if [ "$code" = 0 ]; then
      [ -z "$why" ] || bad "$form: $command works, but is expected to be refused"
    elif [ -z "$why" ] || ! grep -q "$why" e || [ "$code" -gt 3 ]; then
      bad "$form: $command ends with $code: $(tail -n 2 e | cut -c 1-300)"
    fi
  done <all
done
cd "$root" || exit 1
finish
