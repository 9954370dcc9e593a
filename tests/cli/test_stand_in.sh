#!/bin/sh
# test_stand_in.sh: what lies in place of a file (a pointer of Git LFS, a web page, another format) is said, for every kind of file.
. tests/cli/common.sh
MODEL=tests/golden/eval/model
lfs='version https://git-lfs.github.com/spec/v1
oid sha256:4d7a214614ab2935c943f9e0ff69d22eadbb8f32b1258daaa5e2ca24d17e2393
size 22'
page='<!DOCTYPE html>
<html><head><title>Sign in</title></head></html>'

printf 'The dog was red.\n<|endoftext|>\nThe cat was old.\n' >"$tmp/text.txt"
try 0 record $MODEL --data "$tmp/text.txt" -o "$tmp/rec"
try 0 graph $MODEL --prompt "The dog" -o "$tmp/graph.json"

# refused FILE ARGUMENT...: with FILE replaced by each stand-in the command ends with 3 and says what it sees.
refused() {
  file=$1
  shift
  cp "$file" "$tmp/kept"
  printf '%s\n' "$lfs" >"$file"
  try 3 "$@"
  has err "$file: is a pointer of Git LFS"
  printf '/annex/objects/SHA256E-s22--4d7a.safetensors\n' >"$file"
  try 3 "$@"
  has err "$file: is a pointer of git-annex"
  case $file in *.txt) ;; *)
    printf '\n %s\n' "$page" >"$file"
    try 3 "$@"
    has err "$file: is a web page"
    ;;
  esac
  cp "$tmp/kept" "$file"
}

cp -r $MODEL "$tmp/m"
for file in config.json tokenizer.json model.safetensors; do refused "$tmp/m/$file" generate "$tmp/m" --prompt The -n 1; done
for file in recording.json tokenizer.json shard-00000.safetensors index-layer-0.safetensors; do
  refused "$tmp/rec/$file" neighbors "$tmp/rec" --find dog --layer 0
done
refused "$tmp/graph.json" explore "$tmp/graph.json"
cp "$tmp/text.txt" "$tmp/other.txt"
refused "$tmp/other.txt" eval $MODEL --data "$tmp/other.txt"
gzip -k "$tmp/text.txt"
refused "$tmp/text.txt.gz" eval $MODEL --data "$tmp/text.txt.gz"
zstd -q "$tmp/text.txt" 2>/dev/null && refused "$tmp/text.txt.zst" eval $MODEL --data "$tmp/text.txt.zst"
echo '[[5,6,7,8]]' >"$tmp/ids.json"
refused "$tmp/ids.json" eval $MODEL --ids "$tmp/ids.json"

# Weights of other formats, by their first bytes; a page without a doctype; an answer of a server.
for head in 'PK\003\004 zip' '\200\002 pickle' 'GGUF GGUF'; do
  printf '%b and more bytes behind it' "${head% *}" >"$tmp/m/model.safetensors"
  try 3 info "$tmp/m"
  has err "${head#* }"
done
printf '\357\273\277<html>' >"$tmp/m/model.safetensors"
try 3 info "$tmp/m"
has err "a web page"
printf 'Entry not found' >"$tmp/m/model.safetensors"
try 3 info "$tmp/m"
has err "answer of an error"

# A text that only speaks of such things is text.
printf 'The version https://git-lfs.github.com/spec/v1 is a line.\n<|endoftext|>\n<html> is a mark.\n' >"$tmp/text.txt"
try 0 eval $MODEL --data "$tmp/text.txt"
finish
