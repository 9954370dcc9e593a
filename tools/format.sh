#!/bin/sh
# format.sh FILE...: lays C files out by .clang-format (version 14): code at 120 columns, comments that stand alone at 100.
# clang-format knows one width, so such comments go first, by their lines, at 100; then everything at 120, which leaves them.
set -eu
cd "$(dirname "$0")/.."
format=${CLANG_FORMAT:-$(command -v clang-format-14 || echo clang-format)}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
sed 's/^ColumnLimit: .*/ColumnLimit: 100/' .clang-format >"$work/narrow"

# Rulers, "/* ---- title ----- */", end at column 100, also such as were torn at their blanks.
rulers() {
  awk '
    function put(title) { while (length(title) < 97) title = title "-"; print title " */" }
    held != "" && /^ *\*$/ { next }
    held != "" && /^ *\* -+( \*\/)?$/ { if (/\*\/$/) { put(held " "); held = "" } else torn = 1; next }
    held != "" && torn && /^ *\*\/$/ { put(held " "); held = ""; torn = 0; next }
    held != "" { print held; held = "" }
    /^ *\/\* -+ .*[^- ] -+ \*\/$/ { sub(/ -+ \*\/$/, ""); put($0 " "); next }
    /^ *\/\* -+ .*[^- ] -+$/ { sub(/ -+$/, ""); held = $0; torn = 1; next }
    /^ *\/\* -+ [^*]*[^-*]$/ { held = $0; next }
    { print }
    END { if (held != "") print held }' "$1"
}
# A comment behind code that does not fit there goes above it.
above() {
  awk '
    length($0) > 120 && !/^ *\/\*/ && /[^ ] +\/\* [^*]* \*\/$/ {
      match($0, /^ */); indent = substr($0, 1, RLENGTH)
      match($0, / +\/\* [^*]* \*\/$/)
      comment = substr($0, RSTART); sub(/^ */, "", comment)
      print indent comment; print substr($0, 1, RSTART - 1); next
    }
    { print }' "$1"
}
# A comment whose end alone did not fit takes its last word along.
ends() {
  awk '
    have && /^ *\*\/$/ && length(last) > 97 {
      indent = $0; sub(/\*\/$/, "", indent)
      word = last; sub(/.* /, "", word); sub(/ [^ ]*$/, "", last)
      print last; print indent "* " word " */"; have = 0; next
    }
    have { print last }
    { last = $0; have = 1 }
    END { if (have) print last }' "$1"
}

for f; do
  rulers "$f" >"$work/ruled.c"
  above "$work/ruled.c" >"$work/new.c"
  lines=$(awk '
    !inside && /^ *\/\*/ { inside = 1; from = NR; wide = 0 }
    inside && length($0) > 100 { wide = 1 }
    inside && /\*\// { if (wide && /\*\/$/) print "--lines=" from ":" NR; inside = 0 }' "$work/new.c")
  # shellcheck disable=SC2086
  [ -z "$lines" ] || "$format" --style="file:$work/narrow" $lines -i "$work/new.c"
  ends "$work/new.c" >"$work/ended.c"
  "$format" --style=file:.clang-format -i "$work/ended.c"
  cmp -s "$work/ended.c" "$f" || cat "$work/ended.c" >"$f"
done
