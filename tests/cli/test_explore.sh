#!/bin/sh
# explore: the address on stdout, the page and the calls behind it, the end by a signal, wrong settings.
. tests/cli/common.sh

model=tests/golden/eval/model
try 2 explore
try 1 explore "$tmp/none"
try 2 explore "$model" --port 65536
try 2 explore "$model" --host 0.0.0.0
has err "expected one IPv4 address"
empty out

# What is known of the corpus is read before the address is printed.
try 1 explore "$model" --worlds "$tmp/none"
has err "$tmp/none/labels.json"
echo '{"before": 3}' >"$tmp/bad.json"
try 3 explore "$model" --facts "$tmp/bad.json"
has err "$tmp/bad.json"
empty out

# A text whose documents are offered is looked at before the address is printed, too.
try 1 explore "$model" --data "$tmp/none.txt"
has err "$tmp/none.txt"
: >"$tmp/empty.txt"
try 3 explore "$model" --data "$tmp/empty.txt"
has err "$tmp/empty.txt holds no document"
try 3 explore "$model" --data "$tmp/bad.json"
has err 'field "text" is missing'
cp "$tmp/bad.json" "$tmp/bad.csv"
try 2 explore "$model" --data "$tmp/bad.csv"
has err "not a text file by its name"
echo '{"story": 5}' >"$tmp/bad.jsonl"
try 3 explore "$model" --data "$tmp/bad.jsonl" --field story
has err 'line 1: field "story" is no string'
try 2 explore tests/golden/models/mlp --data "$tmp/empty.txt"
has err "tokenizer.json"
empty out

# A graph's file in place of a model: damaged ones are told before the address, and options of a model make no sense.
"$SGATLIN" -q graph "$model" --prompt 'The old dog sat' -o "$tmp/dog.json" >/dev/null || bad "graph failed"
try 2 explore "$tmp/dog.json" --recording "$tmp"
has err "--recording needs a model"
head -c 2000 "$tmp/dog.json" >"$tmp/cut.json"
try 3 explore "$tmp/cut.json"
has err "$tmp/cut.json"
has err "expected a graph: a file of 'sgatlin graph -o FILE.json'"
empty out
try 3 explore "$model/model.safetensors"
has err "expected a graph"
empty out

# A study's directory: the same.
mkdir "$tmp/study"
echo '{"format":1}' >"$tmp/study/study.json"
try 3 explore "$tmp/study"; has err "study.json"; empty out
try 2 explore "$tmp/study" --data "$tmp/empty.txt"; has err "--data needs a model"
for o in --force --beyond-context; do try 2 explore "$tmp/study" $o; has err "$o needs a model"; done

start() { # ARGUMENT...
  rm -f "$tmp/url"
  "$SGATLIN" explore "$@" >"$tmp/url" 2>"$tmp/err" </dev/null &
  pid=$!
  for _ in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
    [ -s "$tmp/url" ] && break
    sleep 0.1
  done
}

start "$model"
grep -qE '^http://127\.0\.0\.1:[0-9]+/#token=[0-9a-f]{32}$' "$tmp/url" || bad "the address: $(cat "$tmp/url")"
[ "$(wc -l <"$tmp/url")" = 1 ] || bad "more than the address on stdout"
port=$(sed 's|.*:\([0-9]*\)/.*|\1|' "$tmp/url")
# The port is taken now; the message says so.
try 1 explore "$model" --port "$port"
has err "port $port"
# It listens on loopback alone: 0100007F in /proc/net/tcp.
hex=$(printf '%04X' "$port")
grep -q "0100007F:$hex 00000000:0000 0A" /proc/net/tcp || bad "not listening on 127.0.0.1:$port"
grep -q "00000000:$hex 00000000:0000 0A" /proc/net/tcp && bad "listening for everybody"
# On ::1 with the same port, where the machine has it, and there on nothing else.
if grep -q '^00000000000000000000000000000001 ' /proc/net/if_inet6 2>/dev/null; then
  grep -q "00000000000000000000000001000000:$hex 0*:0000 0A" /proc/net/tcp6 || bad "not listening on [::1]:$port"
fi
grep -q "00000000000000000000000000000000:$hex 0*:0000 0A" /proc/net/tcp6 2>/dev/null && bad "listening for everybody (IPv6)"
kill -TERM "$pid"
wait "$pid"
[ $? = 143 ] || bad "SIGTERM did not end it in order"
cp "$tmp/err" "$tmp/err1"
grep -q "warning" "$tmp/err1" && bad "a warning on loopback: $(cat "$tmp/err1")"

start "$model" -q
[ ! -s "$tmp/err" ] || bad "-q is not quiet: $(cat "$tmp/err")"
kill -TERM "$pid"
wait "$pid"

printf 'One.\n\nTwo.\n' >"$tmp/two.txt"
start "$model" --data "$tmp/two.txt" --split blank-lines
[ -s "$tmp/url" ] || bad "--data: $(cat "$tmp/err")"
kill -TERM "$pid"
wait "$pid"

# A run that was trained on a corpus of worlds brings what that knows of itself; where it is damaged, the page does without.
try 0 -q data worlds --stories 60 --seed 1 -o "$tmp/world"
try 0 -q train "$tmp/world" -o "$tmp/run" --steps 1 --set model.hidden_size=16 --set model.num_hidden_layers=1 --set model.head_dim=8 \
  --seq-len 32 --batch-size 2 --set tokenizer.vocab_size=400 --set feedforward.num_neurons=64 --set feedforward.num_channels=2 \
  --set feedforward.key_dim=8 --set feedforward.top_k=2 --set eval.every=0
start "$tmp/run"
grep -q "facts and topics: $tmp/world, the run's own text" "$tmp/err" || bad "the run's own world: $(cat "$tmp/err")"
kill -TERM "$pid"
wait "$pid"
echo '{' >"$tmp/world/facts.json"
start "$tmp/run"
[ -s "$tmp/url" ] || bad "a damaged world of its own: $(cat "$tmp/err")"
grep -q "warning: $tmp/world/facts.json" "$tmp/err" || bad "no warning: $(cat "$tmp/err")"
kill -TERM "$pid"
wait "$pid"

# Transcoders, and a second model of the same tokens.
"$SGATLIN" -q sparse train "$tmp/run" --data "$tmp/world" --top-k 2 --features 16 -b 32 --buffer 2 --steps 2 -o "$tmp/tc" >"$tmp/out"
start "$tmp/run" --sparse "$tmp/tc" --beside "$tmp/run" --beside-sparse "$tmp/tc"
[ -s "$tmp/url" ] || bad "transcoders and a second model: $(cat "$tmp/err")"
kill -TERM "$pid"
wait "$pid"
try 2 explore "$model" --beside "$tmp/run"; has err "its tokens are not those of the first model"
try 2 explore "$model" --sparse "$tmp/tc"; has err "$tmp/tc"
try 2 explore "$tmp/run" --beside-sparse "$tmp/tc"; has err "name it with --beside"
try 2 explore "$tmp/dog.json" --beside "$tmp/run"; has err "--beside needs a model"

# Answers under load are the command's, digit by digit (python3 is no package of this project).
if command -v python3 >/dev/null; then
  python3 bench/soak.py "$SGATLIN" "$model" --seconds 3 --answers >"$tmp/soak" 2>&1 || bad "under load: $(cat "$tmp/soak")"
fi

start "$tmp/dog.json"
grep -qE '^http://127\.0\.0\.1:[0-9]+/#token=[0-9a-f]{32}$' "$tmp/url" || bad "a graph: $(cat "$tmp/url" "$tmp/err")"
kill -TERM "$pid"
wait "$pid"
[ $? = 143 ] || bad "SIGTERM did not end a graph's page in order"
finish
