#!/bin/sh
# lint_figures.sh: a figure in README's table that names a document as its source is a number of that document, or the
# rounding of one.
set -eu
cd "$(dirname "$0")/.."
awk -F'|' '
  NF >= 5 && $4 ~ /\]\([A-Za-z\/-]+\.md\)/ {
    text = ""; rest = $4
    while (match(rest, /\]\([A-Za-z\/-]+\.md\)/)) {
      file = substr(rest, RSTART + 2, RLENGTH - 3); rest = substr(rest, RSTART + RLENGTH)
      while ((getline line < file) > 0) text = text "\n" line
      close(file)
    }
    gsub(/,/, "", text)
    rest = $2 " " $3
    gsub(/,/, "", rest)
    while (match(rest, /[0-9]+(\.[0-9]+)?(e[0-9]+)?/)) {
      figure = substr(rest, RSTART, RLENGTH); rest = substr(rest, RSTART + RLENGTH)
      decimals = figure ~ /e/ || figure !~ /\./ ? 0 : length(figure) - index(figure, ".")
      found = 0; numbers = text
      while (!found && match(numbers, /[0-9]+(\.[0-9]+)?(e[0-9]+)?/)) {
        number = substr(numbers, RSTART, RLENGTH); numbers = substr(numbers, RSTART + RLENGTH)
        found = number == figure || (number ~ /\./ && sprintf("%." decimals "f", number) == figure)
      }
      if (!found) { printf "README.md:%d: %s is not in %s\n", FNR, figure, $4; bad = 1 }
    }
  }
  END { exit bad }' README.md
