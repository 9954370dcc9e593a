#!/bin/sh
# format.sh FILE...: lays C files out by .clang-format (version 14): code at 120 columns, comments that stand alone at 100.
# clang-format knows one width, so such comments go first, by their lines, at 100; then everything at 120, which leaves them.
set -eu
cd "$(dirname "$0")/.."
format=${CLANG_FORMAT:-$(command -v clang-format-14 || echo clang-format)}
narrow=$(mktemp)
trap 'rm -f "$narrow"' EXIT
sed 's/^ColumnLimit: .*/ColumnLimit: 100/' .clang-format >"$narrow"
for f; do
  lines=$(awk '
    !inside && /^ *\/\*/ { inside = 1; from = NR; wide = 0 }
    inside && length($0) > 100 { wide = 1 }
    inside && /\*\// { if (wide && /\*\/$/) print "--lines=" from ":" NR; inside = 0 }' "$f")
  # shellcheck disable=SC2086
  [ -z "$lines" ] || "$format" --style="file:$narrow" $lines -i "$f"
  "$format" --style=file:.clang-format -i "$f"
done
