#!/bin/sh
# Text at scale, in SlimPajama's layout: data tokens on shards and streams, a shard that was cut, losses by source.
. tests/cli/common.sh
M=tests/golden/eval/model
T=$M/tokenizer.json
number() { sed 's/.*"'"$1"'":\([-0-9.e]*\).*/\1/' "$tmp/out"; }

# Shards of lines {"text", "meta": {"redpajama_set_name"}}, three sources in turn; and each source alone.
mkdir "$tmp/mix"
tr -d '"\\\r' <tests/golden/bpe/stories.txt | grep -E '^[A-Za-z .,!?]{30,200}$' | head -n 90 >"$tmp/lines"
[ "$(wc -l <"$tmp/lines")" -ge 60 ] || bad "too few lines to test with"
awk -v dir="$tmp" 'BEGIN { split("C4 Github Book", name, " ") }
  { s = name[NR % 3 + 1]; line = "{\"text\": \"" $0 "\", \"meta\": {\"redpajama_set_name\": \"RedPajama" s "\"}}"
    print line > (dir "/mix/chunk_" int(NR / 40) ".jsonl"); print line > (dir "/" s ".jsonl") }' "$tmp/lines"
zstd -q --rm "$tmp"/mix/*.jsonl
[ "$(ls "$tmp/mix" | wc -l)" = 3 ] || bad "not three shards"

# A directory of shards, and the same as a stream: the same tokens; kept beside the text, and found there again.
try 0 data tokens "$tmp/mix" -T $T --json
documents=$(number documents) tokens=$(number tokens)
[ "$documents" = "$(wc -l <"$tmp/lines")" ] || bad "$documents documents"
zstdcat "$tmp"/mix/*.zst | "$SGATLIN" data tokens - -T $T --json -t 2 >"$tmp/out" 2>"$tmp/err" || bad "a stream is not tokenised"
[ "$(number documents) $(number tokens)" = "$documents $tokens" ] || bad "a stream has other tokens"
[ "$(number bytes)" = "$(zstdcat "$tmp"/mix/*.zst | wc -c)" ] || bad "a stream has other bytes: $(number bytes)"
try 0 data tokens "$tmp/mix" -T $T
has out "$documents documents, $tokens tokens"
has err "they were there already"

# Memory does not grow with the stream: 40 MB take hardly more than 4.
many() { awk -v n="$1" '{ a[NR] = $0 } END { for (i = 0; i < n; i++) for (k = 1; k <= NR; k++) print a[k] }' "$tmp/C4.jsonl"; }
size=$(wc -c <"$tmp/C4.jsonl")
for mb in 4 40; do
  many $((mb * 1000000 / size)) | "$SGATLIN" data tokens - -T $T --json >"$tmp/out" 2>"$tmp/err" || bad "$mb MB through a pipe"
  number peak_rss_bytes >"$tmp/peak$mb"
done
[ "$(cat "$tmp/peak40")" -lt $(($(cat "$tmp/peak4") + 24000000)) ] || bad "memory grows with the stream: $(cat "$tmp/peak4") to $(cat "$tmp/peak40")"

# By source: the parts make up the whole, and each is what its documents have alone.
for rows in pad windows; do
  try 0 eval $M --data "$tmp/mix" --rows $rows --by meta.redpajama_set_name --json
  cp "$tmp/out" "$tmp/all"
  for s in C4 Github Book; do
    try 0 eval $M --data "$tmp/$s.jsonl" --rows $rows --json
    loss=$(number loss | cut -c 1-8)
    grep -q "\"source\":\"RedPajama$s\",\"documents\":[0-9]*,\"tokens\":$(number tokens),\"loss\":$loss" "$tmp/all" ||
      bad "$rows, $s alone: loss $loss, $(number tokens) tokens; by source: $(cat "$tmp/all")"
  done
done
try 0 eval $M --data "$tmp/mix" --by meta.redpajama_set_name
has out 'RedPajamaGithub'
try 2 eval $M --data "$tmp/mix" --by meta.language
has err 'no document has a string field "meta.language"'
try 2 eval $M --data "$tmp/mix" --rows pack --by meta.redpajama_set_name
has err 'packed rows hold several documents'

# A shard that was cut in the middle, and one that is no JSON: named; nothing is kept of it.
cp -r "$tmp/mix" "$tmp/broken"
rm -rf "$tmp/broken/.sgatlin"
head -c 500 "$tmp/mix/chunk_1.jsonl.zst" >"$tmp/broken/chunk_1.jsonl.zst"
try 3 data tokens "$tmp/broken" -T $T
has err "chunk_1.jsonl.zst"
has err "in the middle of"
[ -z "$(ls "$tmp/broken/.sgatlin" 2>/dev/null)" ] || bad "tokens of a broken text were kept"
echo '{"text": "whole"' | "$SGATLIN" data tokens - -T $T >/dev/null 2>"$tmp/err"
try 2 data tokens "$tmp/mix"
has err "tokenizer"
finish
