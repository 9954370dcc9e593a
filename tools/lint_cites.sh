#!/bin/sh
# lint_cites.sh: what code and documents cite is there. Each citation is resolved:
#   docs/NAME.md, SECTION    a document of this repository, and a heading (or bold opening words) that holds SECTION;
#                            (method: X) and (method, X) mean docs/method.md
#   NAME.md                  a document of this repository, by its path from the root, from its own folder or from docs/
#   (method 3), section 3    a numbered section of docs/method.md
#   no. 12, nos. 17-23       an item of the list in tests/golden/README.md
# Names that tests give to files of their own stand in `examples`.
set -eu
cd "$(dirname "$0")/.."
examples=' notes.md set/notes.md data/train.md '

headings=$(mktemp)
trap 'rm -f "$headings" "$headings.bad"' EXIT
for d in docs/*.md; do
  sed -n "s|^##* *\(.*\)|$d	\1|p; s|^\*\*\([^*]*[^*.]\)\.*\*\*.*|$d	\1|p; s|^\*\([A-Za-z][^*]*[^*.:]\)[.:]*\*[^*].*|$d	\1|p" "$d"
done | tr 'A-Z' 'a-z' >"$headings"
items=$(sed -n 's/^\([0-9][0-9]*\)\. .*/\1/p' tests/golden/README.md | tail -n 1)

# The text of a file without line ends and comment stars, so that a citation may run over a line's end.
git ls-files '*.c' '*.h' '*.sh' '*.md' '*.ts' '*.mjs' '*.py' Makefile | grep -v '^tools/lint_cites.sh' | while read -r f; do
  [ ! -f "$f" ] || echo "$f"
done | xargs awk -v headings="$headings" -v items="$items" -v examples="$examples" '
    function bad(what, why) { printf "%s: \"%s\": %s\n", f, what, why }
    function there(path) { if (!(path in known)) known[path] = !system("test -f \"" path "\""); return known[path] }
    function document(name,   folder) {
      folder = f; sub(/[^\/]*$/, "", folder)
      if (index(examples, " " name " ")) return "-"
      if (there(name)) return name
      if (there(folder name)) return folder name
      if (there("docs/" name)) return "docs/" name
      if (there("tests/" name)) return "tests/" name
      return ""
    }
    function section(doc, text,   n, i, part) {
      sub(/^ *(section )?/, "", text)
      if (match(text, /^[0-9]+/)) return (doc, substr(text, 1, RLENGTH)) in number
      match(text, /^[a-z][a-z0-9 \047-]*[a-z0-9]/)
      text = " " substr(text, 1, RLENGTH) " "
      n = split(titles[doc], part, "\n")
      for (i = 1; i <= n; i++) if (part[i] != "" && index(" " part[i] " ", text)) return 1
      return 0
    }
    BEGIN {
      while ((getline line < headings) > 0) {
        split(line, h, "\t")
        if (match(h[2], /^[0-9]+\. /)) { number[h[1], substr(h[2], 1, RLENGTH - 2)] = 1; h[2] = substr(h[2], RLENGTH + 1) }
        gsub(/[`,.:()?]/, "", h[2])
        titles[h[1]] = titles[h[1]] "\n" h[2]
      }
    }
    FNR == 1 { check(); f = FILENAME; text = plain = "" }
    { sub(/^ *(\*|\/\/|#) /, " "); text = text " " tolower($0); plain = plain " " $0 }
    END { check() }
    function check(   rest, name, cite, doc, what, n) {
      gsub(/ +/, " ", text); rest = plain
      while (match(rest, /[A-Za-z0-9_.\/-]*[a-zA-Z0-9_-]\.md([^a-zA-Z0-9_]|$)/)) {
        name = substr(rest, RSTART, RLENGTH); sub(/[^a-zA-Z0-9_]$/, "", name)
        rest = substr(rest, RSTART + RLENGTH)
        if (document(name) == "") bad(name, "no such document")
      }
      rest = text
      while (match(rest, /(docs\/[a-z-]+\.md,|\(method[,:]) [a-z0-9][a-z0-9 \047-]*/)) {
        cite = substr(rest, RSTART, RLENGTH); rest = substr(rest, RSTART + RLENGTH)
        doc = cite; sub(/[,:] .*/, "", doc); if (doc == "(method") doc = "docs/method.md"
        what = cite; sub(/^[^,:]*[,:] /, "", what)
        if (there(doc) && !section(doc, what)) bad(cite, "no heading of " doc " has these words")
      }
      rest = text
      while (match(rest, /[ (]method [0-9]+/)) {
        cite = substr(rest, RSTART + 1, RLENGTH - 1); rest = substr(rest, RSTART + RLENGTH)
        n = cite; sub(/[^0-9]*/, "", n)
        if (!(("docs/method.md", n) in number)) bad(cite, "docs/method.md has no section of this number")
      }
      rest = text
      while (match(rest, /[ (]nos?\. [0-9]+(-[0-9]+)?/)) {
        cite = substr(rest, RSTART + 1, RLENGTH - 1); rest = substr(rest, RSTART + RLENGTH)
        n = cite; sub(/.*[ -]/, "", n)
        if (n + 0 < 1 || n + 0 > items + 0) bad(cite, "tests/golden/README.md has items 1 to " items)
      }
    }' >"$headings.bad"
[ ! -s "$headings.bad" ] || { cat "$headings.bad"; exit 1; }
