#!/bin/sh
# Prompts from files, arguments and pipes; tokens named in words; ids that are none; control characters on a terminal.
. tests/cli/common.sh
M=tests/golden/eval/model
T=tests/golden/bpe/stories_alpha_512.json

# One final line break is the file's, LF or CRLF; a second one is the prompt's. A byte order mark is nobody's.
try 0 generate $M -p 'The sky was' --greedy --ids
cp "$tmp/out" "$tmp/greedy"
for form in 'The sky was' 'The sky was\n' 'The sky was\r\n' '\357\273\277The sky was' '\357\273\277The sky was\r\n'; do
  # shellcheck disable=SC2059
  printf "$form" >"$tmp/prompt"
  try 0 generate $M -f "$tmp/prompt" --greedy --ids
  same "$tmp/greedy" "$tmp/out"
  "$SGATLIN" generate $M -f - --greedy --ids <"$tmp/prompt" >"$tmp/out" || bad "from standard input: $form"
  same "$tmp/greedy" "$tmp/out"
  "$SGATLIN" attribute $M --prompt - --json <"$tmp/prompt" >"$tmp/a" || bad "attribute: $form"
  "$SGATLIN" attribute $M --prompt 'The sky was' --json >"$tmp/b" || bad "attribute"
  same "$tmp/a" "$tmp/b"
done
try 0 generate $M -p "$(printf '\357\273\277The sky was')" --greedy --ids
same "$tmp/greedy" "$tmp/out"

# With a tokenizer of all bytes and a model for it, the line break that is kept can be counted.
mkdir -p "$tmp/data"
for i in 1 2 3 4; do printf 'The sky was blue.\n<|endoftext|>\n'; done >"$tmp/data/train.txt"
cp "$tmp/data/train.txt" "$tmp/data/valid.txt"
try 0 train -q --data "$tmp/data" --tokenizer $T -o "$tmp/run" --kind mlp --set model.hidden_size=16 \
  --set model.head_dim=8 --set model.num_hidden_layers=1 --set feedforward.num_neurons=16 --set train.seq_len=16 \
  --set train.batch_size=2 --set train.steps=1 --set schedule.warmup_steps=0
count() {
  try 0 generate "$tmp/run" "$@" -n 1 --greedy --json
  sed -n 's/.*"prompt_tokens":\([0-9]*\).*/\1/p' "$tmp/out"
}
printf 'fox\n' >"$tmp/one"
printf 'fox\n\n' >"$tmp/two"
printf 'fox\r\n\r\n' >"$tmp/crlf"
bare=$(count -p fox)
[ "$(count -f "$tmp/one")" = "$bare" ] || bad "the file's line break is counted"
[ "$(count -f "$tmp/two")" = $((bare + 1)) ] || bad "the prompt's line break is lost"
[ "$(count -f "$tmp/crlf")" = $((bare + 2)) ] || bad "the prompt's CRLF is lost"
[ "$(count -p "fox
")" = $((bare + 1)) ] || bad "a line break in --prompt is lost"
printf '\n' >"$tmp/empty"
[ "$(count -f "$tmp/empty")" = "$(count)" ] || bad "a file of one line break is an empty prompt"

# What is no UTF-8 text.
printf '\377\376T\000h\000e\000' >"$tmp/utf16"
try 3 generate $M -f "$tmp/utf16" --greedy
has err "is UTF-16"
printf 'The\000sky' >"$tmp/zero"
try 3 generate $M -f "$tmp/zero" --greedy
has err "byte 3 is zero"
"$SGATLIN" attribute $M --prompt - <"$tmp/zero" >"$tmp/out" 2>"$tmp/err" && bad "a zero byte ends a prompt"
has err "standard input: byte 3 is zero"

# An empty text is no token, wherever one is named.
for command in "attribute $M -p sky --target" "attribute $M -p sky --target blue --against" "graph $M -p sky -o $tmp/g.json --target" \
  "steer $M -l 0 -p sky --toward" "steer $M -l 0 -p sky --toward blue --away" "ablate $M -p sky --each layer --target"; do
  # shellcheck disable=SC2086
  try 2 $command ''
  has err "an empty text is no token"
done
[ -e "$tmp/g.json" ] && bad "a graph of no token"
printf '{"before":"The ","after":" was","facts":{"sky":{"":3}}}' >"$tmp/facts.json"
try 3 facts patch $M --facts "$tmp/facts.json"
has err "an empty noun or answer is no word"
printf '{"before":"The ","after":" was","facts":{"":{"blue":3}}}' >"$tmp/facts.json"
try 3 facts patch $M --facts "$tmp/facts.json"
has err "an empty noun or answer is no word"

# A byte order mark is no text for the tokenizer's commands either.
printf 'The sky' >"$tmp/plain"
printf '\357\273\277The sky' >"$tmp/marked"
try 0 tokenizer encode -T $T "$tmp/plain"
cp "$tmp/out" "$tmp/want"
try 0 tokenizer encode -T $T "$tmp/marked"
same "$tmp/want" "$tmp/out"
printf '{"text":"The sky"}\n' >"$tmp/plain.jsonl"
printf '\357\273\277{"text":"The sky"}\n' >"$tmp/marked.jsonl"
try 0 tokenizer encode -T $T --jsonl "$tmp/plain.jsonl"
cp "$tmp/out" "$tmp/want"
try 0 tokenizer encode -T $T --jsonl "$tmp/marked.jsonl"
same "$tmp/want" "$tmp/out"

# Ids: a list, rows, or what 'tokenizer encode --json' prints; none at all is the beginning of a text.
"$SGATLIN" tokenizer encode -T $M/tokenizer.json --json --text 'The sky was' >"$tmp/ids.json" || bad "encode"
try 0 generate $M --prompt-ids "$tmp/ids.json" --greedy --ids
same "$tmp/greedy" "$tmp/out"
try 0 attribute $M --ids "$tmp/ids.json" --json
same "$tmp/b" "$tmp/out"
try 0 generate $M --greedy --ids -n 4
cp "$tmp/out" "$tmp/begun"
for none in '[]' '[[]]' '{"ids":[]}'; do
  echo "$none" >"$tmp/none.json"
  try 0 generate $M --prompt-ids "$tmp/none.json" --greedy --ids -n 4
  same "$tmp/begun" "$tmp/out"
  try 0 attribute $M --ids "$tmp/none.json" --json
  try 2 attribute $M --ids "$tmp/none.json" --no-bos
  has err "nothing to read"
done
for none in '[]' '{"ids":[]}' ''; do
  echo "$none" >"$tmp/none.json"
  try 0 tokenizer decode -T $T "$tmp/none.json" --json
  has out '{"text":""}'
done
for wrong in '{}' '{"ids":3}' '{"ids":["a"]}' '[[1],[2]]' '[1.5]' 'null'; do
  echo "$wrong" >"$tmp/wrong.json"
  "$SGATLIN" generate $M --prompt-ids "$tmp/wrong.json" >"$tmp/out" 2>"$tmp/err" && bad "taken for ids: $wrong"
done

# Broken UTF-8 is the same text in a stream, in JSON and decoded at once: one U+FFFD for each broken part.
printf '%s' '[172, 253, 246]' >"$tmp/odd.json"
try 0 tokenizer decode -T $T "$tmp/odd.json"
iconv -f UTF-8 -t UTF-8 "$tmp/out" >/dev/null 2>&1 || bad "broken UTF-8"
for seed in 1 2 3 4 5 6; do
  drawn="generate $tmp/run --seed $seed --temperature 50 --top-p 1 --no-stop-at-eos"
  # shellcheck disable=SC2086
  try 0 $drawn --ids
  cp "$tmp/out" "$tmp/drawn"
  try 0 tokenizer decode -T $T --json "$tmp/drawn"
  cp "$tmp/out" "$tmp/whole.json"
  try 0 tokenizer decode -T $T "$tmp/drawn"
  cp "$tmp/out" "$tmp/whole"
  echo >>"$tmp/whole"
  # shellcheck disable=SC2086
  try 0 $drawn --no-echo
  same "$tmp/whole" "$tmp/out"
  # shellcheck disable=SC2086
  try 0 $drawn --json
  sed 's/.*"text":/{"text":/' "$tmp/out" >"$tmp/text.json"
  same "$tmp/whole.json" "$tmp/text.json"
done
grep -q "$(printf '\357\277\275')" "$tmp/whole" || bad "nothing broken was drawn"

# On a terminal no token moves the cursor: control characters are written out. Elsewhere bytes stay bytes.
escape=$(printf '\033')
printf 'a\033[31m\302\233b\177' | "$SGATLIN" tokenizer encode -T $T >"$tmp/ids" || bad "encode"
try 0 tokenizer decode -T $T "$tmp/ids"
[ "$(cat "$tmp/out")" = "$(printf ' a\033[31m\302\233b\177')" ] || bad "bytes are changed on the way to a file"
if command -v script >/dev/null 2>&1; then
  terminal() {
    script -qec "$*" /dev/null </dev/null | tr -d '\r' >"$tmp/out"
    grep -q "$escape" "$tmp/out" && bad "an escape sequence reaches the terminal: $*"
    grep -q "$(printf '\302\233\|\177')" "$tmp/out" && bad "a control character reaches the terminal: $*"
  }
  terminal "$SGATLIN" tokenizer decode -T $T "$tmp/ids"
  has out ' a\x1b[31m\xc2\x9bb\x7f'
  terminal "$SGATLIN" --color never tokenizer decode -T $T --json "$tmp/ids"
  has out '{"text":" a\u001B[31m\u009Bb\u007F"}'
  printf 'a\033[31m\302\233b\177' >"$tmp/prompt"
  terminal "$SGATLIN" generate "$tmp/run" -f "$tmp/prompt" -n 1 --greedy
  has out ' a\x1b[31m\xc2\x9bb\x7f'
  terminal env NO_COLOR=1 "$SGATLIN" attribute "$tmp/run" --prompt - "<$tmp/prompt 2>$tmp/err"
  has out '\x1b'
fi

# A token that is a control character or a part of one is seen in tables.
"$SGATLIN" attribute "$tmp/run" --prompt - <"$tmp/prompt" >"$tmp/out" || bad "attribute"
has out '"\x1b"'; has out '"\xc2"'; has out '"\x7f"'
finish
