#!/bin/sh
# Corpora as they come: pipes, other endings, other encodings, other line ends, nothing at all. Each reader says once what it mended.
. tests/cli/common.sh
M=tests/golden/eval/model
export TMPDIR="$tmp"
tiny="--kind mlp --set model.hidden_size=32 --set model.num_hidden_layers=1 --set model.head_dim=16 --set feedforward.num_neurons=64
 --set train.batch_size=4 --set train.seq_len=32 --set tokenizer.vocab_size=300 --steps 1"
i=0
while [ $i -lt 30 ]; do
  printf 'The sky was blue on day %d. The dog was happy.\n<|endoftext|>\n' $i
  i=$((i + 1))
done >"$tmp/lf.txt"
sed 's/$/\r/' "$tmp/lf.txt" >"$tmp/crlf.txt"

# CRLF: the same documents, bytes and merges.
try 0 tokenizer train -n 300 "$tmp/lf.txt" -o "$tmp/lf.json" --json
sed 's/"file":"[^"]*"//' "$tmp/out" >"$tmp/lf.out"
try 0 tokenizer train -n 300 "$tmp/crlf.txt" -o "$tmp/crlf.json" --json
sed 's/"file":"[^"]*"//' "$tmp/out" >"$tmp/crlf.out"
same "$tmp/lf.out" "$tmp/crlf.out"
same "$tmp/lf.json" "$tmp/crlf.json"
has out '"documents":30'
# Of several lines, and a last line without an end.
printf 'one\ntwo\n\n<|endoftext|>\nthree' >"$tmp/two.txt"
printf 'one\r\ntwo\r\n\r\n<|endoftext|>\r\nthree' >"$tmp/two_crlf.txt"
try 0 eval $M --data "$tmp/two.txt" --json
cp "$tmp/out" "$tmp/two.out"
try 0 eval $M --data "$tmp/two_crlf.txt" --json
same "$tmp/two.out" "$tmp/out"
printf 'x\r\ny' >"$tmp/x.txt"
try 0 tokenizer encode -T $M/tokenizer.json "$tmp/x.txt"
has err "CRLF"

# A run that was begun before CRLF was read as LF keeps CR: its text stays the one it was begun with.
mkdir "$tmp/old"
sed 's/day/day\r\n/' "$tmp/lf.txt" | sed 's/$/\r/' >"$tmp/old/train.txt"
# shellcheck disable=SC2086
try 0 train --data "$tmp/old" -o "$tmp/oldrun" $tiny --set data.line_ends=as-is
sed -i '/"line_ends"/d' "$tmp/oldrun/config.json"
try 0 train --resume -o "$tmp/oldrun" --steps 2
has err "resuming"
# shellcheck disable=SC2086
try 0 train --data "$tmp/old" -o "$tmp/newrun" $tiny
hash() { sed -n 's/.*"data_hash": "\([^"]*\)".*/\1/p' "$1/config.json"; }
[ "$(hash "$tmp/oldrun")" != "$(hash "$tmp/newrun")" ] || bad "as-is and lf read the same text"

# Pipes: the same as the file, packed as well; every command that reads text.
try 0 eval $M --data "$tmp/lf.txt" --json
cp "$tmp/out" "$tmp/file.out"
for how in cat 'gzip -c' 'zstd -qc'; do
  # shellcheck disable=SC2086
  $how "$tmp/lf.txt" | "$SGATLIN" eval $M --data - --json >"$tmp/out" 2>"$tmp/err" || bad "eval from a pipe ($how)"
  same "$tmp/file.out" "$tmp/out"
done
"$SGATLIN" eval $M --data /dev/stdin --json <"$tmp/lf.txt" >"$tmp/out" 2>"$tmp/err" || bad "eval /dev/stdin"
same "$tmp/file.out" "$tmp/out"
"$SGATLIN" tokenizer train -n 300 - -o "$tmp/piped.json" <"$tmp/lf.txt" 2>"$tmp/err" || bad "tokenizer train from a pipe"
same "$tmp/lf.json" "$tmp/piped.json"
mkfifo "$tmp/fifo"
cat "$tmp/lf.txt" >"$tmp/fifo" &
try 0 tokenizer train -n 300 "$tmp/fifo" -o "$tmp/piped.json"
same "$tmp/lf.json" "$tmp/piped.json"
printf '{"body":"The sky was blue."}\n{"body":"The dog was cold."}\n' >"$tmp/b.jsonl"
"$SGATLIN" eval $M --data - --field body --json <"$tmp/b.jsonl" >"$tmp/out" 2>"$tmp/err" || bad "JSON lines from a pipe"
has out '"rows":2'
"$SGATLIN" facts mine - <"$tmp/lf.txt" >"$tmp/out" 2>"$tmp/err" || bad "facts mine from a pipe"
has out "happy 30"
try 2 train --data - -o "$tmp/run"
has err "training needs a file"
[ -e "$tmp/run" ] && bad "a run was made"
leftover=$(find "$tmp" -maxdepth 2 -path "*/sgatlin-??????/tokens*" -newer "$tmp/lf.txt" 2>/dev/null | head -n 1)
[ -z "$leftover" ] || bad "left behind: $leftover"

# Half a surrogate pair: U+FFFD, one note; the whole pair stays; numbers of unread fields may be anything.
cat >"$tmp/half.jsonl" <<'X'
{"text":"The sky was blue.","id":1}
{"text":"cut \ud83e","id":123456789012345678901234567890}
{"text":"\udd99 was cut, \ud83e\udd99 was not","score":NaN,"most":[Infinity,-1e999]}
X
try 0 tokenizer train -n 300 "$tmp/half.jsonl" -o "$tmp/half.json" --json
has out '"documents":3'
has err "2 halves of a surrogate pair became U+FFFD, the first in half.jsonl at line 2"
[ "$(grep -c U+FFFD "$tmp/err")" = 1 ] || bad "more than one note"
"$SGATLIN" tokenizer encode -T $M/tokenizer.json --jsonl <"$tmp/half.jsonl" >"$tmp/out" 2>"$tmp/err" || bad "encode --jsonl"
[ "$(wc -l <"$tmp/out")" = 3 ] || bad "not three lines"
has err "the first in standard input at line 2"

# Another encoding: counted and placed, by every reader, from the token cache as well.
mkdir "$tmp/latin"
sed 's/dog/d\xf3g/' "$tmp/lf.txt" >"$tmp/latin/train.txt"
head -n 8 "$tmp/latin/train.txt" >"$tmp/latin/valid.txt"
said="30 bytes are no UTF-8 and became U+FFFD, the first in train.txt at byte"
# shellcheck disable=SC2086
try 0 train --data "$tmp/latin" -o "$tmp/lrun" $tiny
has err "$said"; has err "the first in valid.txt"
grep -qF "$said" "$tmp/lrun/log.txt" || bad "not in log.txt"
for again in 1 2; do
  try 0 eval $M --data "$tmp/latin" --json
  has err "4 bytes are no UTF-8 and became U+FFFD, the first in valid.txt at byte"
done
try 0 tokenizer train -n 300 "$tmp/latin/train.txt" -o "$tmp/l.json"
has err "$said"
try 0 record $M --data "$tmp/latin/valid.txt" --tokenizer $M/tokenizer.json --dry-run
has err "4 bytes are no UTF-8"

# Shards with other endings are read; what is not is named once.
mkdir -p "$tmp/shards/train"
printf '{"text":"a"}\n{"text":"b"}\n' >"$tmp/shards/train/a.jsonl"
printf '{"text":"c"}\n' | gzip -c >"$tmp/shards/train/b.json.gz"
printf '{"text":"d"}\n' >"$tmp/shards/train/C.JSONL"
printf '{"text":"e"}\n' | zstd -qc >"$tmp/shards/train/d.json.zst"
printf '{"text":"f"}\n' >"$tmp/shards/train/e.ndjson"
printf '{"text":"g"}\n' >"$tmp/shards/train/f.json"
printf '{"source":"me"}\n' >"$tmp/shards/train/about.json"
printf '1,2,3\n' >"$tmp/shards/train/x.csv"
printf '{"text":"v"}\n' >"$tmp/shards/valid.json"
# shellcheck disable=SC2086
try 0 train --data "$tmp/shards" -o "$tmp/srun" $tiny --set train.batch_size=1
has err "7 documents"
has err "2 entries with 22 bytes were passed over: about.json, x.csv"
[ "$(grep -c 'passed over' "$tmp/err")" = 1 ] || bad "not named once"
printf '[{"text":"a"}]\n' >"$tmp/array.json"
try 3 tokenizer train -n 300 "$tmp/array.json" -o "$tmp/a.json"
has err "jq -c '.[]'"
cp "$tmp/array.json" "$tmp/shards/train/z.json"
try 3 tokenizer train -n 300 "$tmp/shards/train" -o "$tmp/a.json"
has err "z.json"

# Nothing to read is said of the file it is said of.
mkdir "$tmp/empty"
cp "$tmp/lf.txt" "$tmp/empty/train.txt"
: >"$tmp/empty/valid.txt"
printf ' \n\n' >"$tmp/blank.txt"
# shellcheck disable=SC2086
try 3 train --data "$tmp/empty" -o "$tmp/erun" $tiny
has err "valid.txt: holds no document"
[ -e "$tmp/erun" ] && bad "a run was made"
try 3 eval $M --data "$tmp/blank.txt"
has err "blank.txt: holds no document"
try 3 facts mine "$tmp/blank.txt"
has err "blank.txt: holds no document"
try 3 record $M --data "$tmp/blank.txt" --tokenizer $M/tokenizer.json --dry-run
has err "blank.txt: holds no document"
mv "$tmp/empty/valid.txt" "$tmp/empty/train.txt"
# shellcheck disable=SC2086
try 3 train --data "$tmp/empty" -o "$tmp/erun" $tiny
has err "train.txt: holds no document"

# Shards that are missing by the numbers of the others: refused by name before anything is made, allowed where that is said.
mkdir -p "$tmp/gap/train"
for i in 0000 0001 0003; do printf '{"text":"shard %s"}\n' $i >"$tmp/gap/train/chunk_$i.jsonl"; done
printf '{"text":"v"}\n' >"$tmp/gap/valid.jsonl"
try 3 train --data "$tmp/gap" -o "$tmp/gaprun" $tiny --set train.batch_size=1
has err "gap/train: 1 shard is missing by the numbers of the others: chunk_0002.jsonl"; has err "data.missing_shards=allow"
[ ! -e "$tmp/gaprun/config.json" ] || bad "a run was begun"
try 0 train --data "$tmp/gap" -o "$tmp/gaprun" $tiny --set train.batch_size=1 --set data.missing_shards=allow
has err "1 shard is missing"
try 3 data tokens "$tmp/gap/train" -T "$tmp/gaprun/tokenizer.json"; has err "chunk_0002.jsonl"; has err "--partial"
try 0 data tokens "$tmp/gap/train" -T "$tmp/gaprun/tokenizer.json" --partial; has err "1 shard is missing"
for i in 1 2 4; do printf '{"text":"shard %s"}\n' $i >"$tmp/gap/train/part-0000$i-of-00004.jsonl"; done
try 3 data tokens "$tmp/gap/train" -T "$tmp/gaprun/tokenizer.json"
has err "2 shards are missing"; has err "part-00003-of-00004.jsonl"
try 2 train --data "$tmp/gap" -o "$tmp/x" $tiny --set data.missing_shards=maybe; has err "data.missing_shards"
# A run that was begun before goes on as it was.
cp -r "$tmp/gaprun" "$tmp/oldgap" && sed -i '/"missing_shards"/d' "$tmp/oldgap/config.json"
rm "$tmp/gap/train"/part-*
try 0 train --resume -o "$tmp/oldgap"

# A copy that was cut: the file and where it ends.
gzip -c "$tmp/lf.txt" | head -c 100 >"$tmp/cut.txt.gz"
zstd -qc "$tmp/lf.txt" | head -c 100 >"$tmp/cut.txt.zst"
for packed in gz zst; do
  try 3 eval $M --data "$tmp/cut.txt.$packed"
  has err "ends at byte 100 in the middle of its"
done

# A single file is parted (tests/cli/test_words.sh has the rest).
# shellcheck disable=SC2086
try 0 train --data "$tmp/lf.txt" -o "$tmp/one" $tiny
has err "is a single file: its last 5 % (tokens: 30) are held out, the 403 before them trained on"
finish
