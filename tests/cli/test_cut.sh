#!/bin/sh
# test_cut.sh: a file of the model or of the recording that is cut while the explorer serves it: the request fails with a sentence, the
# server lives.
. tests/cli/common.sh
MODEL=tests/golden/eval/model
printf 'The dog was red.\n<|endoftext|>\nThe cat was old.\n<|endoftext|>\nThe moon was a dog.\n' >"$tmp/text.txt"
try 0 record $MODEL --data "$tmp/text.txt" -o "$tmp/kept"

# ask PATH BODY: the status; the answer is in $tmp/answer.
ask() {
  python3 - "$(cat "$tmp/url")" "$1" "$2" "$tmp/answer" <<'P'
import sys, urllib.request, urllib.error
url, path, body, out = sys.argv[1:]
base, token = url.strip().split("/#token=")
request = urllib.request.Request(base + path, body.encode() if body else None,
                                 {"X-Sgatlin-Token": token, "Content-Type": "application/json"})
try:
    with urllib.request.urlopen(request, timeout=30) as r: code, text = r.status, r.read()
except urllib.error.HTTPError as e: code, text = e.code, e.read()
open(out, "wb").write(text)
print(code)
P
}

serve() {
  rm -rf "$tmp/m" "$tmp/rec" "$tmp/url"
  cp -r $MODEL "$tmp/m"
  cp -r "$tmp/kept" "$tmp/rec"
  "$SGATLIN" explore "$tmp/m" --recording "$tmp/rec" >"$tmp/url" 2>"$tmp/err" </dev/null &
  pid=$!
  for _ in $(seq 100); do [ -s "$tmp/url" ] && break; sleep 0.1; done
  code=$(ask /api/predict '{"text":"The dog"}')
  [ "$code" = 200 ] || bad "predict before: $code $(cat "$tmp/answer")"
}

lost() {
  [ "$code" = 500 ] || bad "$1: status $code, expected 500: $(head -c 200 "$tmp/answer")"
  grep -q "was cut or changed while the explorer serves it" "$tmp/answer" || bad "$1: $(head -c 200 "$tmp/answer")"
  grep -qF "$tmp" "$tmp/answer" && bad "$1: the answer names a path"
  kill -0 $pid 2>/dev/null || bad "$1: the server is gone"
  [ "$(ask / '')" = 200 ] || bad "$1: the page is not served"
}

ended() {
  kill -TERM $pid
  wait $pid
  code=$?
  [ $code = 143 ] || bad "the server ended with $code"
}

for cut in 0 100 4096 8192; do
  serve
  truncate -s $cut "$tmp/m/model.safetensors"
  code=$(ask /api/predict '{"text":"The cat was"}')
  lost "weights cut to $cut"
  has err "$tmp/m/model.safetensors: was"
  code=$(ask /api/attribute '{"text":"The cat was"}')
  lost "weights cut to $cut, again"
  ended
done

serve
truncate -s -8 "$tmp/m/model.safetensors" # within the last page: no signal, zeros
code=$(ask /api/predict '{"text":"The cat was"}')
lost "eight bytes less"
ended

serve
printf 'X' | dd of="$tmp/m/model.safetensors" bs=1 seek=5000 conv=notrunc 2>/dev/null
code=$(ask /api/predict '{"text":"The cat was"}')
lost "a byte changed"
kill -TERM $pid
wait $pid

serve
truncate -s 4096 "$tmp/rec/index-layer-1.safetensors"
code=$(ask /api/neighbors '{"layer":1,"position":2}')
lost "an index cut"
ended

# The model renamed over, as sgatlin does it: the server goes on with the one it opened.
serve
cp "$tmp/m/model.safetensors" "$tmp/new" && mv "$tmp/new" "$tmp/m/model.safetensors"
code=$(ask /api/predict '{"text":"The cat was"}')
[ "$code" = 200 ] || bad "a model renamed over: $code"
ended
finish
