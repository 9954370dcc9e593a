#!/bin/sh
# lint_public.sh: which inner headers of the library the command and the server still include. They stand on sgatlin.h, on src/report/ (results as
# documents) and on core/ (memory, files, JSON: what any C program brings along); what else they need, a program needs, too (docs/library.md): it
# belongs into sgatlin.h or becomes a result. Headers of report/ include no others of the library either, so that nothing comes in through them.
# The lists only get shorter: a header that is not in one fails, and one that nobody includes any more has to be taken off.
set -eu
cd "$(dirname "$0")/.."
list='
cli ranks/ranks.h train/run.h
'
bad=0
for room in cli server report; do
  case $room in report) files='src/report/*.h' ;; *) files="$room/*.[ch]" ;; esac
  listed=$(echo "$list" | sed -n "s/^$room //p" | tr ' ' '\n' | sort -u)
  found=$(sed -n 's/^#include "\(.*\/[^"]*\)"/\1/p' $files | grep -vE '^(core/|report/|\.\./(server|mpi)/)' | sort -u)
  for header in $found; do
    echo "$listed" | grep -qxF "$header" ||
      { echo "$room includes $header: what it needs of it belongs into include/sgatlin.h (tools/lint_public.sh)"; bad=1; }
  done
  for header in $listed; do
    echo "$found" | grep -qxF "$header" || { echo "tools/lint_public.sh: $room no longer includes $header: take it off"; bad=1; }
  done
done
exit $bad
