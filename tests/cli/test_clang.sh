#!/bin/sh
# All sources are read by clang, too, with warnings as errors: what gcc lets pass (a field without its value, an extension) is an error there,
# and the sanitizers for threads and the fuzzers are built with it.
. tests/cli/common.sh

clang=$(command -v clang || command -v clang-14 || command -v clang-16 || command -v clang-19) || skip "no clang here"
here=$(dirname "$SGATLIN")
ls src/*/*.c cli/*.c server/*.c >"$tmp/files"
xargs -P 2 -n 8 "$clang" -fsyntax-only -std=c11 -D_GNU_SOURCE -Iinclude -Isrc -I"$here/gen" -fopenmp -Wall -Wextra -Wconversion -Wno-sign-conversion \
  -Wshadow -Werror <"$tmp/files" >"$tmp/out" 2>&1 || bad "$(grep 'error: ' "$tmp/out" | head -n 5)"
[ "$(wc -l <"$tmp/files")" -gt 200 ] || bad "only $(wc -l <"$tmp/files") files were read"
finish
