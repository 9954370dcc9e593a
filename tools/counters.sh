#!/bin/sh
# counters.sh [FOLDER...]: what the C of each folder (src cli server tests) measures: functions, their lines (median, 90th of a hundred,
# longest, share over 50), share with 7 or more parameters, lines over 120 columns, comments' share of the characters, median .c file.
# Functions are told by the layout of tools/format.sh: they begin at column 0 and end with a brace there.
set -eu
cd "$(dirname "$0")/.."
[ $# -gt 0 ] || set -- src cli server tests
awk_functions='
  function parameters(s,   i, c, depth, n, any) {
    for (i = index(s, "("); i <= length(s); i++) {
      c = substr(s, i, 1)
      if (c == "(") depth++
      else if (c == ")" && !--depth) break
      else if (c == "," && depth == 1) n++
      else if (c != " ") any = 1
    }
    return any && s !~ /\(void\)/ ? n + 1 : 0
  }
  FNR == 1 { open = 0; sig = "" }
  open { lines++; if (/^}/) { print lines, n; open = 0 } next }
  sig == "" && !/^(static |const |inline |unsigned |struct |enum )*[a-zA-Z_][a-zA-Z0-9_]*[ *]+\**[a-zA-Z_][a-zA-Z0-9_ *]*\(/ { next }
  { if (sig == "") lines = 0; sig = sig $0; lines++ }
  sig ~ /^typedef|^extern|= *[{(]|^#/ { sig = ""; next }
  /\{ *$/ { n = parameters(sig); open = 1; sig = ""; next }
  /\{.*\} *$/ { print lines, parameters(sig); sig = ""; next }
  /; *$/ { sig = "" }'
awk_comments='
  { total += length($0) + 1
    s = $0
    while (s != "") {
      if (inside) { i = index(s, "*/"); if (!i) { comment += length(s); s = ""; break } comment += i + 1; s = substr(s, i + 2); inside = 0 }
      else if (match(s, /\/\*|\/\/|"([^"\\]|\\.)*"/)) {
        if (substr(s, RSTART, 1) == "\"") { s = substr(s, RSTART + RLENGTH); continue }
        if (substr(s, RSTART, 2) == "//") { comment += length(s) - RSTART + 1; break }
        comment += 2; s = substr(s, RSTART + 2); inside = 1
      } else break
    }
    wide += length($0) > 120; lines++ }
  END { printf "%.1f %.0f", lines ? 100 * wide / lines : 0, total ? 100 * comment / total : 0 }'
printf '%-8s %9s %6s %4s %7s %8s %8s %9s %9s %11s\n' folder functions median p90 longest over50 params7 over120 comments median-file
for folder; do
  files=$(git ls-files "$folder" | grep '\.[ch]$' | while read -r f; do [ ! -f "$f" ] || echo "$f"; done)
  [ -n "$files" ] || continue
  # shellcheck disable=SC2086
  f=$(awk "$awk_functions" $files | sort -n | awk '
    { l[NR] = $1; over += $1 > 50; many += $2 >= 7 }
    END { if (NR) printf "%9d %6d %4d %7d %7.1f%% %7.1f%%", NR, l[int((NR + 1) / 2)], l[int(NR * 0.9 + 0.5)], l[NR], 100 * over / NR, 100 * many / NR }')
  # shellcheck disable=SC2086
  c=$(awk "$awk_comments" $files)
  # shellcheck disable=SC2086
  m=$(for x in $files; do case $x in *.c) wc -l <"$x" ;; esac; done | sort -n | awk '{ l[NR] = $1 } END { print l[int((NR + 1) / 2)] }')
  printf '%-8s %s %8.1f%% %8.0f%% %11d\n' "$folder" "$f" "${c% *}" "${c#* }" "$m"
done
