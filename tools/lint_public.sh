#!/bin/sh
# lint_public.sh: the command and the server include no inner header of the library. They stand on sgatlin.h, on src/report/ (results as
# documents) and on core/ (memory, files, JSON: what any C program brings along); what else they need, a program needs, too (docs/library.md): it
# belongs into sgatlin.h or becomes a result. Headers of report/ include no others of the library either, so that nothing comes in through them.
set -eu
cd "$(dirname "$0")/.."
bad=0
for room in cli server report; do
  case $room in report) files='src/report/*.h' ;; *) files="$room/*.[ch]" ;; esac
  found=$(sed -n 's/^#include "\(.*\/[^"]*\)"/\1/p' $files | grep -vE '^(core/|report/|\.\./(server|mpi)/)' | sort -u)
  for header in $found; do
    echo "$room includes $header: what it needs of it belongs into include/sgatlin.h, or is a result (src/report)"
    bad=1
  done
done
exit $bad
