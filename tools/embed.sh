#!/bin/sh
# embed.sh FILE...: a C file that holds the bytes of each FILE and a table of them (core/embedded.h).
set -eu
echo '#include "core/embedded.h"'
n=0
for f; do
  echo "static const unsigned char data_$n[] = {"
  od -An -v -tu1 "$f" | sed 's/  */,/g; s/^,//; s/$/,/'
  echo "0};"
  n=$((n + 1))
done
echo 'const sgi_embedded_file sgi_embedded_files[] = {'
n=0
for f; do
  echo "  {\"$(basename "$f")\", data_$n, sizeof data_$n - 1},"
  n=$((n + 1))
done
echo '  {0}};'
