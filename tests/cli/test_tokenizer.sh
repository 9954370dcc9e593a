#!/bin/sh
# tokenizer train, encode, decode, info.
. tests/cli/common.sh
golden=tests/golden/bpe
T=$golden/stories_alpha_512.json

# Training on the golden corpus gives the golden tokenizer: every text gets the same ids.
try 0 tokenizer train --vocab-size 512 $golden/stories.txt -o "$tmp/own.json" --json
has out '"vocab_size":512'
for tok in "$tmp/own.json" $T; do
  try 0 tokenizer encode -T "$tok" $golden/mixed.txt
  cp "$tmp/out" "$tmp/ids.$(basename "$tok")"
done
same "$tmp/ids.own.json" "$tmp/ids.stories_alpha_512.json"
try 0 tokenizer train -n 512 --alphabet seen -q $golden/stories.txt -o "$tmp/seen.json"
empty err
try 0 tokenizer encode -T "$tmp/seen.json" $golden/stories.txt
cp "$tmp/out" "$tmp/ids"
try 0 tokenizer encode -T $golden/stories_noalpha_512.json $golden/stories.txt
same "$tmp/ids" "$tmp/out"

# Every golden training: the ids of both corpora say whether each merge is the same.
for name in stories_alpha_300 stories_noalpha_2000 mixed_alpha_300 mixed_noalpha_600 mixed_alpha_5000; do
  alphabet=full
  case $name in *noalpha*) alphabet=seen ;; esac
  try 0 tokenizer train -q -n "${name##*_}" --alphabet $alphabet "$golden/${name%%_*}.txt" -o "$tmp/$name.json"
  for text in stories mixed; do
    try 0 tokenizer encode -T "$tmp/$name.json" $golden/$text.txt
    cp "$tmp/out" "$tmp/ids"
    try 0 tokenizer encode -T $golden/$name.json $golden/$text.txt
    same "$tmp/out" "$tmp/ids"
  done
done

# Twice the same bytes; more ids than the text has pairs; own special tokens; a part of the text.
try 0 tokenizer train --vocab-size 512 $golden/stories.txt -o "$tmp/again.json"
same "$tmp/own.json" "$tmp/again.json"
try 0 tokenizer train --vocab-size 5000 $golden/mixed.txt -o "$tmp/all.json" --json
has out '"vocab_size":2166'; has err "no pair is left"
try 0 tokenizer train -n 300 --special '<a>' --special '<b>' --no-nfkc --no-prefix-space $golden/stories.txt -o "$tmp/special.json"
try 0 tokenizer info --json "$tmp/special.json"
has out '"added":[{"id":0,"text":"<a>"},{"id":1,"text":"<b>"}]'; has out '"normalizer":"none"'
printf '<b>x' | "$SGATLIN" tokenizer encode -T "$tmp/special.json" >"$tmp/out"
grep -q '^1 ' "$tmp/out" || bad "special token in the text"
try 0 tokenizer train -n 300 --max-bytes 4k $golden/stories.txt -o "$tmp/part.json" --json
has out '"documents":'; grep -q '"bytes":[4567][0-9][0-9][0-9],' "$tmp/out" || bad "--max-bytes: $(cat "$tmp/out")"
printf '{"body":"one two"}\n{"body":"two three"}\n' >"$tmp/lines.jsonl"
try 0 tokenizer train -n 260 --field body "$tmp/lines.jsonl" -o "$tmp/field.json" --json
has out '"documents":2'
try 3 tokenizer train -n 260 "$tmp/lines.jsonl" -o "$tmp/field2.json"
has err "lines.jsonl"; has err text
[ -e "$tmp/field2.json" ] && bad "a failed training left a file"
printf 'one\n\ntwo\n\n\nthree\n' >"$tmp/blank.txt"
try 0 tokenizer train -n 260 --split blank-lines "$tmp/blank.txt" -o "$tmp/blank.json" --json
has out '"documents":3'

# Lines of JSON against the golden ids, and back.
for name in stories_alpha_512 stories_noalpha_2000 mixed_alpha_600; do
  G=$golden/$name.encode.jsonl
  try 0 tokenizer encode -T $golden/$name.json --jsonl $G
  cp "$tmp/out" "$tmp/ids.jsonl"
  sed 's/.*"ids": \(\[[0-9, ]*\]\).*/{"ids":\1}/; s/, /,/g' $G >"$tmp/want"
  same "$tmp/want" "$tmp/ids.jsonl"
  try 0 tokenizer decode -T $golden/$name.json --jsonl "$tmp/ids.jsonl"
  [ "$(wc -l <"$tmp/out")" = "$(wc -l <$G)" ] || bad "$name: decode lost lines"
done

# One text: from a file, from standard input, there and back.
printf 'Once upon a time' >"$tmp/text"
try 0 tokenizer encode -T $T "$tmp/text"
cp "$tmp/out" "$tmp/ids"
"$SGATLIN" tokenizer encode -T $T <"$tmp/text" | cmp -s - "$tmp/ids" || bad "standard input"
"$SGATLIN" tokenizer encode -T $T - <"$tmp/text" | cmp -s - "$tmp/ids" || bad "-"
grep -Eqx '[0-9]+( [0-9]+)*' "$tmp/ids" || bad "form of the ids: $(cat "$tmp/ids")"
try 0 tokenizer decode -T $T "$tmp/ids"
[ "$(cat "$tmp/out")" = " Once upon a time" ] || bad "there and back: $(cat "$tmp/out")"
tr ' ' '\n' <"$tmp/ids" | "$SGATLIN" tokenizer decode -T $T >"$tmp/text2"
same "$tmp/out" "$tmp/text2"
printf '{"ids":[%s]}' "$(tr ' ' ',' <"$tmp/ids")" | "$SGATLIN" tokenizer decode -T $T | cmp -s - "$tmp/text2" || bad "decode of JSON"
try 0 tokenizer encode -T $T --text "Once upon a time"
same "$tmp/out" "$tmp/ids"
try 2 tokenizer encode -T $T --text a "$tmp/text"
try 0 tokenizer encode -T $T --json "$tmp/text"
has out '"ids":['; has out '"tokens":['
: >"$tmp/none"
try 0 tokenizer encode -T $T "$tmp/none"
try 0 tokenizer decode -T $T "$tmp/none"
empty out
printf '0 41 1' | "$SGATLIN" tokenizer decode -T $T >"$tmp/out"
has out '<|pad|>'
printf '0 41 1' | "$SGATLIN" tokenizer decode -T $T --skip-special >"$tmp/out"
grep -q '<' "$tmp/out" && bad "--skip-special"

# Bad input names its place, with code 3.
printf '{"text":"a"}\n{"text":5}\n' >"$tmp/bad.jsonl"
try 3 tokenizer encode -T $T --jsonl "$tmp/bad.jsonl"
has err "bad.jsonl, line 2"
[ "$(wc -l <"$tmp/out")" = 1 ] || bad "the good line is missing"
printf '{"text":"a"\n' >"$tmp/bad.jsonl"
try 3 tokenizer encode -T $T --jsonl "$tmp/bad.jsonl"
has err "bad.jsonl, line 1"
for ids in '1 x' '1.5' '-3' '[1,"a"]' '99999999999999999999' '512' '999999'; do
  printf '%s\n' "$ids" | "$SGATLIN" tokenizer decode -T $T >"$tmp/out" 2>"$tmp/err"
  [ $? = 3 ] || bad "decode of '$ids' passes"
  empty out
done
printf '[1]\n[5,-1]\n' | "$SGATLIN" tokenizer decode -T $T --jsonl >"$tmp/out" 2>"$tmp/err"
[ $? = 3 ] || bad "decode of a negative id"
has err "standard input, line 2"
head -c 500 $T >"$tmp/cut.json"
try 3 tokenizer info "$tmp/cut.json"
try 1 tokenizer info "$tmp/missing.json"
has err "missing.json"
try 1 tokenizer encode -T $T "$tmp"
try 2 tokenizer encode
has err "--tokenizer FILE is missing"
try 2 tokenizer train -n 300 -o "$tmp/x.json"
try 2 tokenizer train $golden/stories.txt -o "$tmp/x.json"
has err "--vocab-size N is missing"
try 1 tokenizer train -n 300 "$tmp/none-there.txt" -o "$tmp/x.json"
try 3 tokenizer train -n 300 "$tmp/lines.jsonl" --field nothing -o "$tmp/x.json"
try 1 tokenizer train -n 300 $golden/stories.txt -o "$tmp/no/such/x.json"

printf '{"ids":[0,41,1]}\n[0]\n' | "$SGATLIN" tokenizer decode -T $T --jsonl --skip-special >"$tmp/out"
printf '{"text":"H"}\n{"text":""}\n' >"$tmp/want"
same "$tmp/want" "$tmp/out"
printf '{"body":"a"}\n' | "$SGATLIN" tokenizer encode -T $T --jsonl --field body >"$tmp/out"
has out '{"ids":['
sed 's/"NFKC"/"Lowercase"/' $T >"$tmp/lower.json"
try 3 tokenizer info "$tmp/lower.json"
has err "normalizer: Lowercase; only NFC, NFKC or null is supported"

# info.
try 0 tokenizer info $T
has out "512"; has out "NFKC"; has out "<|endoftext|> (special)"
try 0 tokenizer info --json $T
has out '"vocab_size":512'; has out '"merges":254'; has out '"single_bytes":256'

if [ -w /dev/full ]; then
  "$SGATLIN" tokenizer encode -T $T $golden/stories.txt >/dev/full 2>"$tmp/err"
  [ $? = 4 ] || bad "encode >/dev/full"
fi
# What other libraries' files are made of is told.
try 0 tokenizer info tests/golden/tokenizer-forms/llama3.json
has out 'ByteLevel without its pattern'; has out 'ignore_merges'
try 0 tokenizer info --json tests/golden/tokenizer-forms/smollm.json
has out '"pre_tokenizer":["Digits","ByteLevel"],"ignore_merges":false'
# A list of merges with the first line of merges.txt.
sed 's/"merges":\[/"merges":["#version: 0.2",/; s/\["\([^",]*\)","\([^",]*\)"\]/"\1 \2"/g' tests/golden/tokenizer-forms/gpt2.json >"$tmp/lines.json"
grep -q '"#version: 0.2","' "$tmp/lines.json" || bad "no list of lines"
try 0 tokenizer encode -T tests/golden/tokenizer-forms/gpt2.json $golden/stories.txt
cp "$tmp/out" "$tmp/ids"
try 0 tokenizer encode -T "$tmp/lines.json" $golden/stories.txt
same "$tmp/ids" "$tmp/out"
finish
