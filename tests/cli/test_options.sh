#!/bin/sh
# The command line itself: unknown words, values, variables, exit codes, broken output, colour, signals.
. tests/cli/common.sh

# Wrong usage: code 2, a message with the nearest name, nothing on stdout.
try 2
empty out; has err "usage: sgatlin COMMAND"
try 2 verson
empty out; has err "unknown command 'verson'; did you mean 'version'?"
try 2 qqqqqq
has err "unknown command 'qqqqqq'"; has err "hint:"
try 2 help verson
has err "did you mean 'version'?"
try 2 version --jsn
empty out; has err "unknown option '--jsn'; did you mean '--json'?"
try 2 version -Z
has err "unknown option '-Z'"
try 2 version extra
has err "unexpected argument 'extra'"
try 2 version --json=1
has err "takes no value"
try 2 version --threads
has err "--threads needs a value (N)"
try 2 version --threads --json
has err "write --threads=--json if that is the value"
for bad in 0 -1 x 1.5 4097 99999999999999999999 '' ' 1' 0x2 1k; do
  try 2 version --threads "$bad"
  has err "--threads: expected a whole number from 1 to 4096, found '$bad'"
done
try 2 version --color purple
has err "one of auto|always|never"
try 2 version --color alway
has err "did you mean 'always'?"

# Forms of one option.
for form in "--threads 1" "--threads=1" "-t 1" "-t1" "-vt1" "-vqt 1" "--threads 2 --threads 1" "-t 2 -t1 --"; do
  try 0 version --json $form
  has out '"threads":1,'
done
try 0 -t 1 version --json
has out '"threads":1,'
try 0 version --json --no-json
has out "compiler"
try 2 version --no-threads
has err "unknown option '--no-threads'"

# Variables; the command line wins.
SGATLIN_THREADS=1 SGATLIN_JSON=1 "$SGATLIN" version >"$tmp/out" || bad "variables"
has out '"threads":1,'
SGATLIN_THREADS=x "$SGATLIN" version --json -t 1 >"$tmp/out" || bad "the command line does not win"
SGATLIN_JSON=1 "$SGATLIN" version --no-json >"$tmp/out" || bad "--no-json over the variable"
has out "compiler"
SGATLIN_THREADS=x "$SGATLIN" version >"$tmp/out" 2>"$tmp/err"
[ $? = 2 ] || bad "SGATLIN_THREADS=x passes"
has err "SGATLIN_THREADS: expected a whole number"
SGATLIN_HELP=1 "$SGATLIN" version --json >"$tmp/out" || bad "SGATLIN_HELP"
has out "version"

# Version.
try 0 --version
cp "$tmp/out" "$tmp/version"
grep -Eqx 'sgatlin [0-9]+\.[0-9]+\.[0-9]+ \(commit [0-9a-f]+|sgatlin .*unknown.*' "$tmp/version" || grep -q '^sgatlin [0-9].*(commit ' "$tmp/version" || bad "version line"
has out "compiler"; has out "oneDNN"; has out "CPU path"
try 0 -V
same "$tmp/version" "$tmp/out"
SGATLIN_ISA=generic "$SGATLIN" version --json | grep -q '"isa":"generic"' || bad "SGATLIN_ISA=generic"

# What begins with SGATLIN_ and means nothing is refused by its name; set for another command it stands.
for value in foo AVX2 avx512vnni ' generic'; do
  for call in version --version "version --json" "flops --json" "info tests/golden/eval/model"; do
    SGATLIN_ISA=$value "$SGATLIN" $call >"$tmp/out" 2>"$tmp/err"
    [ $? = 2 ] || bad "SGATLIN_ISA='$value' $call"
    empty out; has err "SGATLIN_ISA: unknown value '$value'"
  done
done
SGATLIN_BF16=fast "$SGATLIN" version >"$tmp/out" 2>"$tmp/err"
[ $? = 2 ] || bad "SGATLIN_BF16=fast"
empty out; has err "SGATLIN_BF16: unknown value 'fast'"
SGATLIN_BF16=emulated "$SGATLIN" version --json | grep -q '"bf16":"emulated"' || bad "SGATLIN_BF16=emulated"
SGATLIN_ISA= "$SGATLIN" version >"$tmp/out" || bad "an empty SGATLIN_ISA"
SGATLIN_STEPZ=4 "$SGATLIN" version >"$tmp/out" 2>"$tmp/err"
[ $? = 2 ] || bad "SGATLIN_STEPZ passes"
empty out; has err "SGATLIN_STEPZ is set"; has err "did you mean SGATLIN_STEPS?"
SGATLIN_stepS=4 "$SGATLIN" --version >"$tmp/out" 2>"$tmp/err" && bad "a name in small letters passes"
SGATLIN_STEPS=4 SGATLIN_LAYER=nonsense SGATLIN_TEST_VERBOSE=1 "$SGATLIN" version >"$tmp/out" || bad "variables of other commands"
SGATLIN_STEPZ=4 "$SGATLIN" help version >"$tmp/out" || bad "help is there in any case"

# Verbs with sub-verbs; one that is a command, too (svd, svd score), takes what is no sub-verb for its argument.
for verb in $("$SGATLIN" --dump commands | sed -n 's/ .*//p' | sort -u); do
  if "$SGATLIN" --dump commands | grep -qx "$verb"; then
    try 2 $verb; has err "an argument is missing"
    [ $verb = circuit ] && more="tc --prompt x" || more= # it takes two
    # shellcheck disable=SC2086
    try 1 $verb no-such-verb $more; has err "no-such-verb: neither a model"
    continue
  fi
  try 2 $verb
  empty out; has err "$verb "
  try 0 $verb --help
  empty err
  try 0 help $verb
  try 2 $verb no-such-verb
  has err "unknown command '$verb no-such-verb'"
done

# Output that can not be written.
if [ -w /dev/full ]; then
  for words in "version --json" "help" "--version"; do
    "$SGATLIN" $words >/dev/full 2>"$tmp/err"
    [ $? = 4 ] || bad "$words >/dev/full: code is not 4"
    has err "sgatlin: standard output:"
  done
fi
"$SGATLIN" version >&- 2>"$tmp/err"
[ $? = 4 ] || bad "closed stdout: code is not 4"
{ sleep 0.2; "$SGATLIN" help 2>"$tmp/err"; echo $? >"$tmp/code"; } | true
[ "$(cat "$tmp/code")" = 0 ] || bad "closed pipe: code $(cat "$tmp/code")"
empty err

# Colour: never into a file unless asked, on a terminal unless told not to.
esc=$(printf '\033')
try 0 help
grep -q "$esc" "$tmp/out" && bad "colour in a file"
try 0 --color always help
grep -q "$esc" "$tmp/out" || bad "--color always"
NO_COLOR=1 "$SGATLIN" --color always help | grep -q "$esc" || bad "--color does not win over NO_COLOR"
if command -v script >/dev/null 2>&1; then
  terminal() { TERM=xterm script -qec "$1" /dev/null </dev/null; }
  terminal "$SGATLIN help" | grep -q "$esc" || bad "no colour on a terminal"
  terminal "$SGATLIN --color never help" | grep -q "$esc" && bad "--color never"
  terminal "env NO_COLOR=1 $SGATLIN help" | grep -q "$esc" && bad "NO_COLOR"
  terminal "env NO_COLOR= $SGATLIN help" | grep -q "$esc" || bad "an empty NO_COLOR counts"
  terminal "env TERM=dumb $SGATLIN help" | grep -q "$esc" && bad "TERM=dumb"
fi

# Control characters of a message do not reach the terminal.
try 2 "$(printf 'bad\033[31mname')"
grep -q "$esc" "$tmp/err" && bad "escape sequence passed on"
has err '\x1b'

# Man pages and completions.
mkdir "$tmp/man"
try 0 --dump man "$tmp/man"
"$SGATLIN" --dump commands | tr ' ' '-' | while read -r name; do
  [ -s "$tmp/man/sgatlin-$name.1" ] || echo "$name"
done >"$tmp/missing"
[ -s "$tmp/missing" ] && bad "no man page: $(cat "$tmp/missing")"
if command -v man >/dev/null 2>&1; then
  for f in "$tmp"/man/*.1; do
    LC_ALL=C.UTF-8 MANROFFSEQ='' man --warnings -E UTF-8 -l -Tutf8 -Z "$f" 2>"$tmp/err" >/dev/null
    [ ! -s "$tmp/err" ] || { bad "$(basename "$f")"; head -n 3 "$tmp/err"; }
  done
fi
try 1 --dump man "$tmp/no/such"
try 2 --dump completion tcsh
for shell in bash zsh fish; do
  try 0 --dump completion $shell
  has out "version"
done
if command -v bash >/dev/null 2>&1; then
  "$SGATLIN" --dump completion bash >"$tmp/bash"
  cat >"$tmp/complete" <<'END'
. "$1"
shift
COMP_WORDS=("$@")
COMP_CWORD=$(($# - 1))
_sgatlin
echo "${COMPREPLY[*]}"
END
  complete() { bash "$tmp/complete" "$tmp/bash" "$@"; }
  [ "$(complete sgatlin versi)" = version ] || bad "completion of a command"
  [ "$(complete sgatlin version --js)" = --json ] || bad "completion of an option"
  [ "$(complete sgatlin version --color al)" = always ] || bad "completion of a choice"
fi
finish
