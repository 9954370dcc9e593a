#!/bin/sh
# data worlds.
. tests/cli/common.sh

try 0 data worlds --stories 200 --seed 7 -o "$tmp/a"
empty out; has err "train.txt"
try 0 data worlds -n 200 --seed 7 -o "$tmp/b/deep" --json
has out '"stories":200'; has out '"seed":"7"'; has out '"train.txt":'
empty err
for f in train.txt valid.txt labels.json topics.jsonl facts.json corpus.json; do
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

# Twice the same call gives the same bytes; nothing else is written over by chance.
cp "$tmp/a/facts.json" "$tmp/facts.json"
try 0 data worlds -n 200 --seed 8 -o "$tmp/a"
same "$tmp/a/train.txt" "$tmp/c/train.txt"
same "$tmp/a/facts.json" "$tmp/facts.json"
try 1 data worlds -n 201 --seed 8 -o "$tmp/a"
has err "200 stories with seed 8"
mkdir "$tmp/mine" && echo keep >"$tmp/mine/train.txt"
try 1 data worlds -n 200 -o "$tmp/mine"
has err "$tmp/mine"; has err "--force"
grep -qx keep "$tmp/mine/train.txt" || bad "a file of the user is gone"
[ "$(ls "$tmp/mine")" = train.txt ] || bad "files were left in a refused directory"
mkdir "$tmp/empty"
try 0 data worlds -n 200 --seed 8 -o "$tmp/empty" --json
has out '"topics":9'; has out '"facts":'; has out '"distinct_words":'; has out '"corpus.json":'
same "$tmp/empty/train.txt" "$tmp/c/train.txt"

# TinyStories form: one line a story, <|endoftext|> behind each; 1 of 20 stories is held out, and none is in both files.
[ "$(grep -cx '<|endoftext|>' "$tmp/c/train.txt")" = 190 ] || bad "train.txt has not 190 stories"
[ "$(grep -cx '<|endoftext|>' "$tmp/c/valid.txt")" = 10 ] || bad "valid.txt has not 10 stories"
[ "$(grep -c . "$tmp/c/topics.jsonl")" = 200 ] || bad "topics.jsonl has not one line a story"
cat "$tmp/c/train.txt" "$tmp/c/valid.txt" | grep -vx '<|endoftext|>' | sort | uniq -d | grep -q . && bad "a story is there twice"
finish
