#!/bin/sh
# data worlds, data info.
. tests/cli/common.sh

try 0 data worlds --stories 200 --seed 7 -o "$tmp/a"
empty out; has err "train.txt"
try 0 data worlds -n 200 --seed 7 -o "$tmp/b/deep" --json
has out '"stories":200'; has out '"seed":"7"'; has out '"train.txt":'
empty err
for f in train.txt valid.txt labels.json topics.jsonl facts.json; do
  [ -s "$tmp/a/$f" ] || bad "$f is missing"
  same "$tmp/a/$f" "$tmp/b/deep/$f"
done
try 0 data worlds -n 200 --seed 8 -o "$tmp/c" -q
empty err
cmp -s "$tmp/a/train.txt" "$tmp/c/train.txt" && bad "the seed changes nothing"
try 1 data worlds -n 200 --seed 8 -o "$tmp/a"
has err "--force"
same "$tmp/a/train.txt" "$tmp/b/deep/train.txt"
try 0 data worlds -n 200 --seed 8 -o "$tmp/a" --force
same "$tmp/a/train.txt" "$tmp/c/train.txt"
try 2 data worlds -n 200
try 2 data worlds -n 1 -o "$tmp/d"
try 2 data worlds -n 10 --seed -1 -o "$tmp/d"
[ -e "$tmp/d" ] && bad "wrong usage made a directory"
: >"$tmp/file"
try 1 data worlds -n 10 -o "$tmp/file/d"

try 0 data info "$tmp/c"
has out "documents"; has out "train.txt"; has out "valid.txt"; has out "all"
grep -q labels "$tmp/out" && bad "info counts labels"
try 0 data info "$tmp/c" --json
has out '"documents":200'
T=tests/golden/bpe/stories_alpha_512.json
try 0 data info tests/golden/bpe/stories.txt -T $T --json
has out '"documents":254'; has out '"tokens":'; has out '"bytes_per_token":'
printf 'one\n\nthree\n' >"$tmp/two.txt"
try 0 data info "$tmp/two.txt" --json
has out '"documents":1'
try 0 data info "$tmp/two.txt" --split blank-lines --json
has out '"documents":2,"bytes":8,"shortest":3,"longest":5,"mean":4.0'
printf '{"t":"abc"}\n{"t":"de"}\n' >"$tmp/l.jsonl"
try 0 data info "$tmp/l.jsonl" --field t --json
has out '"documents":2,"bytes":5'
try 3 data info "$tmp/l.jsonl"
has err "l.jsonl"
if command -v gzip >/dev/null 2>&1; then
  gzip -k "$tmp/two.txt"
  try 0 data info "$tmp/two.txt.gz" --split blank-lines --json
  has out '"documents":2,"bytes":8'
  head -c 20 "$tmp/two.txt.gz" >"$tmp/cut.txt.gz"
  try 3 data info "$tmp/cut.txt.gz"
fi
try 1 data info "$tmp/nothing-there"
try 2 data info
finish
