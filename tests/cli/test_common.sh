#!/bin/sh
# The frame of these tests: one that ends before its finish has failed, and every one stands in the frame.
. tests/cli/common.sh

# ends CODE LINE...: a test of these lines ends with CODE.
ends() {
  want=$1
  shift
  { echo '. tests/cli/common.sh'; printf '%s\n' "$@"; } >"$tmp/test.sh"
  sh "$tmp/test.sh" >"$tmp/out" 2>&1
  code=$?
  [ "$code" = "$want" ] || bad "ends with $code, expected $want: $*"
}
ends 0 finish
ends 0 '(exit 3)' 'echo x | cat' finish
ends 1 'bad this' finish
ends 1 'try 1 version' finish
ends 1
has out 'ended before its finish'
ends 1 'exit 0' finish
ends 1 'echo "$nothing"' finish # set -u
ends 0 'skip "not here"' 'bad this'
has out 'skipped: not here'

for f in tests/cli/test_*.sh; do
  [ "$(head -n 1 "$f")" = '#!/bin/sh' ] || bad "$f does not begin with #!/bin/sh"
  grep -qx '\. tests/cli/common\.sh' "$f" || bad "$f does not stand in common.sh"
  [ "$(tail -n 1 "$f")" = finish ] || bad "$f does not end with finish"
done
finish
