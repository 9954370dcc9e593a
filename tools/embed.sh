#!/bin/sh
# embed.sh data|web|schema FILE...: a C file that holds the bytes of each FILE and a table of them: data for the library (core/embedded.h), web for
# the page's files, of which the first is "/" too (server/web.h); schema: one file, the explorer's calls (server/schema.h).
set -eu
kind=$1
shift
case $kind in
  data) echo '#include "core/embedded.h"'; table='sgi_embedded_file sgi_embedded_files' ;;
  web) echo '#include "web.h"'; table='http_asset web_assets' ;;
  schema)
    printf '#include "schema.h"\nconst char schema_text[] = {'
    od -An -v -td1 "$1" | sed 's/  */,/g; s/^,//; s/$/,/'
    printf '0};\nconst size_t schema_bytes = sizeof schema_text - 1;\n'
    exit ;;
  *) echo "embed.sh: $kind: expected data, web or schema" >&2; exit 1 ;;
esac
n=0
for f; do
  echo "static const unsigned char data_$n[] = {"
  od -An -v -tu1 "$f" | sed 's/  */,/g; s/^,//; s/$/,/'
  echo "0};"
  n=$((n + 1))
done
row() { # FILE
  [ "$kind" = data ] && { echo "\"$(basename "$1")\""; return; }
  case $1 in
    *.html) type='text/html; charset=utf-8' ;;
    *.js) type='text/javascript; charset=utf-8' ;;
    *.css) type='text/css; charset=utf-8' ;;
    *.svg) type='image/svg+xml' ;;
    *) echo "embed.sh: $1: no type for this file" >&2; exit 1 ;;
  esac
  echo "\"/$(basename "$1")\", \"$type\""
}
echo "const $table[] = {"
n=0
for f; do
  names=$(row "$f")
  echo "  {$names, data_$n, sizeof data_$n - 1},"
  n=$((n + 1))
done
echo '  {0}};'
