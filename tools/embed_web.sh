#!/bin/sh
# embed_web.sh FILE...: a C file that holds the page's files and a table of them (server/web.h). index.html comes first and is "/" too.
set -eu
echo '#include "web.h"'
n=0
for f; do
  echo "static const unsigned char data_$n[] = {"
  od -An -v -tu1 "$f" | sed 's/  */,/g; s/^,//; s/$/,/'
  echo "0};"
  n=$((n + 1))
done
echo 'const http_asset web_assets[] = {'
n=0
for f; do
  case $f in
    *.html) type='text/html; charset=utf-8' ;;
    *.js) type='text/javascript; charset=utf-8' ;;
    *.css) type='text/css; charset=utf-8' ;;
    *.svg) type='image/svg+xml' ;;
    *) echo "embed_web.sh: $f: no type for this file" >&2; exit 1 ;;
  esac
  echo "  {\"/$(basename "$f")\", \"$type\", data_$n, sizeof data_$n - 1},"
  n=$((n + 1))
done
echo '  {0}};'
