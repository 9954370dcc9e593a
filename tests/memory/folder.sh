# folder.sh: the folder that the commands of commands.txt run in, made in $work, an empty one. Sourced from the repository's root with $sg, the
# program by its whole path; leaves the caller in $work, with $sizes, $composed and $bench for the commands.
sizes="--set model.hidden_size=16 --set model.num_hidden_layers=1 --set model.head_dim=8 --set train.seq_len=16 --set train.batch_size=2
 --set feedforward.num_neurons=16 --set feedforward.num_channels=1 --set feedforward.top_k=2 --set feedforward.key_dim=8
 --set schedule.warmup_steps=1 --set eval.batches=1 --set checkpoint.every=2"
composed="$(echo $sizes | sed 's/--set feedforward.num_neurons=16//; s/--set feedforward.key_dim=8//') --set feedforward.num_experts=4
 --set feedforward.expert_dim=2 --set feedforward.router_group=1"
bench="--set model.hidden_size=16 --set model.head_dim=8 --set model.num_hidden_layers=1 --set tokenizer.vocab_size=200 -b 2 -s 8 -n 1"
cp -r tests/golden/eval/model "$work/model"
cp tests/golden/eval/model/targets.json "$work/targets.json"
cp -r tests/golden/models/mlp "$work/mlp"
sed -n '/"stories"/,/^ \]/s/^  "\(.*\)",\{0,1\}$/\1\n<|endoftext|>/p' tests/golden/eval/facts/mining.json | head -n 60 >"$work/stories.txt"
cd "$work" || exit 1
for i in 1 2 3 4 5 6 7 8 9; do
  printf 'The dog was red. The cat had a hat and the moon was old number %s.\n<|endoftext|>\n' $i
done >text.txt
mkdir data && cp text.txt data/train.txt && cp text.txt data/valid.txt
printf '{"text": "The dog", "meta": {"set": "A"}}\n{"text": "was red", "meta": {"set": "B"}}\n' >lines.jsonl
printf '{"text": "The dog"}\n{"text": "was red"}\n' >text.jsonl
echo '[5,6,7]' >three.json
# shellcheck disable=SC2086
{
  "$sg" label make model --names named.sqlite -q && "$sg" label export model --names named.sqlite -o names.json -q &&
    "$sg" record model --data text.txt -o rec -q && "$sg" facts mine stories.txt --min-count 2 -o facts.json -q &&
    "$sg" sparse train model --data text.txt --l1 0.01 --features 16 -b 32 --buffer 2 --seq-len 16 --steps 3 -o tc -q &&
    "$sg" data greater-than -n 200 -o spans -q &&
    "$sg" train --data spans --tokenizer spans/tokenizer.json -o spans-run --steps 1 -q $sizes --set train.seq_len=48 &&
    "$sg" sparse train spans-run --data spans --l1 0.01 --features 16 -b 32 --buffer 2 --steps 2 -o spans-tc -q &&
    "$sg" train --data data --tokenizer model/tokenizer.json -o run --steps 3 -q $sizes &&
    "$sg" train --data data --tokenizer model/tokenizer.json -o gates --steps 1 -q $sizes --set feedforward.gates.kind=jumprelu &&
    "$sg" train --data data --tokenizer model/tokenizer.json -o pools --steps 1 -q $sizes --set feedforward.meta.experts=2 &&
    "$sg" record gates --data text.txt -o gated -q &&
    "$sg" train --data data --tokenizer model/tokenizer.json -o composed --kind monet --steps 1 -q $composed &&
    "$sg" convert composed --to peer --pairs 1 -o chosen -q >/dev/null &&
    "$sg" functions fit model --recording rec --layer 1 --features 4 --least 8 --samples 8 --steps 1 --cells 2 -o functions -q
} >/dev/null || exit 1

