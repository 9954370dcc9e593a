#!/bin/sh
# lint_format.sh: C is laid out by tools/format.sh.
set -eu
cd "$(dirname "$0")/.."
format=${CLANG_FORMAT:-$(command -v clang-format-14 || echo clang-format)}
if ! "$format" --version 2>/dev/null | grep -q 'version 14\.'; then
  echo "skipped: no clang-format of version 14 here (Debian: clang-format-14)"
  exit 0
fi
files=$(git ls-files '*.c' '*.h')
bad=$({
  # shellcheck disable=SC2086
  "$format" --style=file:.clang-format --dry-run $files 2>&1 | sed -n 's/^\([^ :]*\):[0-9]*:[0-9]*: warning: .*/\1/p'
  # shellcheck disable=SC2086
  awk '
    FNR == 1 { inside = 0 }
    !inside && /^ *\/\*/ { inside = 1; wide = 0 }
    inside && length($0) > 100 { wide = 1 }
    inside && /\*\// { if (wide && /\*\/$/) print FILENAME; inside = 0 }' $files
} | sort -u | paste -sd ' ' -)
[ -z "$bad" ] || { echo "not laid out; run: sh tools/format.sh $bad"; exit 1; }
