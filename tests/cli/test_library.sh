#!/bin/sh
# The program of docs/library.md: made with pkg-config from an installed library, it trains, records and attributes; what it says is what
# the command says; the page quotes it as it is.
. tests/cli/common.sh
build=$(dirname "$SGATLIN")
grep -q -e fsanitize -e coverage "$build/flags" && skip "not for a build with sanitizers or counters: make install would build it anew"
same_flags=
grep -q -e -Werror "$build/flags" && same_flags=WERROR=1 # else everything would be compiled anew
make BUILD="$build" $same_flags install DESTDIR="$tmp/root" PREFIX=/opt/sg >"$tmp/log" 2>&1 || { bad "make install"; tail -n 5 "$tmp/log"; finish; }
prefix="$tmp/root/opt/sg"
pc() { PKG_CONFIG_PATH="$prefix/lib/pkgconfig" pkg-config --define-variable=prefix="$prefix" --define-variable=libdir="$prefix/lib" "$@"; }
cc -std=c11 -Wall -Wextra -Werror examples/read_a_model.c $(pc --cflags --libs sgatlin) -Wl,-rpath,"$prefix/lib" -o "$tmp/read_a_model" ||
  { bad "the example does not compile"; finish; }

"$tmp/read_a_model" >"$tmp/out" 2>&1 && bad "no directory, and no complaint"
"$tmp/read_a_model" "$tmp/work" 12 >"$tmp/out" 2>"$tmp/err" || { bad "the example fails"; cat "$tmp/err"; finish; }
cp "$tmp/out" "$tmp/said"
has said "trained: 12 steps"; has said "recorded: "; has said " Once upon a time there was a -> "
[ "$(grep -c '^  layer ' "$tmp/said")" = 3 ] || bad "not three neurons"
[ "$(grep -c '^    fires at ' "$tmp/said")" = 3 ] || bad "not three neurons' places"
"$tmp/read_a_model" "$tmp/work" >"$tmp/again" 2>"$tmp/err" || { bad "a second call fails"; cat "$tmp/err"; }
sed 's/held-out loss.*//' "$tmp/said" >"$tmp/a"; sed 's/held-out loss.*//' "$tmp/again" >"$tmp/b"
same "$tmp/a" "$tmp/b" # the run is done: nothing is trained, the recording is there

# The command reads the same run and recording, and finds the same neurons.
prompt=" Once upon a time there was a"
try 0 attribute "$tmp/work/run" --prompt "$prompt" --json
cp "$tmp/out" "$tmp/attribution.json"
sed -n 's/^  layer \([0-9]*\), channel \([0-9]*\), neuron \([0-9]*\): \(.*\)$/\1 \2 \3 \4/p' "$tmp/said" >"$tmp/neurons"
python3 - "$tmp/attribution.json" "$tmp/neurons" "$tmp/said" <<'END' || bad "the command attributes otherwise"
import json, re, sys
a = json.load(open(sys.argv[1]))
terms = [t for t in a["terms"] if t["kind"] == "neuron"][:3]
mine = [line.split() for line in open(sys.argv[2])]
assert len(mine) == len(terms) == 3, (mine, terms)
for t, (layer, channel, index, effect) in zip(terms, mine):
    assert (t["layer"], t["channel"], t["index"]) == (int(layer), int(channel), int(index)), (t, mine)
    assert abs(t["effect"] - float(effect)) < 1e-6, (t, effect)
logit = float(re.search(r"logit (\S+) =", open(sys.argv[3]).read()).group(1))
assert abs(a["target_logit"] - logit) < 1e-6, (a["target_logit"], logit)
END
try 0 usage "$tmp/work/recording" --json
has out '"sequences":'

# Every line of code on the page stands in the program; every call that it names in the header.
awk '/^```c$/ { code = 1; next } /^```$/ { code = 0 } code' docs/library.md >"$tmp/lines"
[ "$(wc -l <"$tmp/lines")" -gt 6 ] || bad "docs/library.md shows no code"
while IFS= read -r line; do grep -qxF -e "$line" examples/read_a_model.c || bad "docs/library.md: not in the example: $line"; done <"$tmp/lines"
grep -o '`sg_[a-z_]*' docs/library.md | tr -d '`' | sort -u >"$tmp/names"
while IFS= read -r name; do grep -q "\b$name\b" include/sgatlin.h || bad "docs/library.md: not in sgatlin.h: $name"; done <"$tmp/names"
# Every public function is exported, and nothing else of ours.
sed -n 's/^SG_API [^(]*[ *]\(sg_[a-z_0-9]*\)(.*/\1/p' include/sgatlin.h | sort >"$tmp/declared"
if command -v nm >/dev/null 2>&1; then
  nm -D --defined-only "$prefix/lib/libsgatlin.so" | sed -n 's/.* T //p' | sort >"$tmp/exported"
  same "$tmp/declared" "$tmp/exported"
fi
finish
