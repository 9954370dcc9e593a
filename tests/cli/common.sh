# common.sh: sourced by the tests of this folder. They run from the repository's root; SGATLIN=path tests another build.
set -u
SGATLIN=${SGATLIN:-build/sgatlin}
tmp=$(mktemp -d) || exit 1
trap 'rm -rf "$tmp"' EXIT
unset NO_COLOR
for name in $(env | sed -n 's/^\(SGATLIN_[A-Z_]*\)=.*/\1/p'); do unset "$name"; done
failures=0

bad() {
  failures=$((failures + 1))
  echo "  $*"
}

# try CODE ARGUMENT...: runs the command, leaves its output in $tmp/out and $tmp/err, and checks the exit code.
try() {
  want=$1
  shift
  "$SGATLIN" "$@" >"$tmp/out" 2>"$tmp/err" </dev/null
  code=$?
  [ "$code" = "$want" ] || { bad "sgatlin $*: exit code $code, expected $want"; sed 's/^/    /' "$tmp/err"; }
}

# has out|err TEXT: the last output holds TEXT as it stands.
has() {
  grep -qF -e "$2" "$tmp/$1" || { bad "std$1 does not hold: $2"; head -n 5 "$tmp/$1" | sed 's/^/    /'; }
}

empty() {
  [ ! -s "$tmp/$1" ] || { bad "std$1 is not empty"; head -n 5 "$tmp/$1" | sed 's/^/    /'; }
}

same() {
  cmp -s "$1" "$2" || { bad "differ: $1 $2"; diff "$1" "$2" | head -n 10 | sed 's/^/    /'; }
}

finish() {
  [ "$failures" = 0 ] || { echo "$failures failed"; exit 1; }
  exit 0
}
