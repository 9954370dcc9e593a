#!/bin/sh
# setup.sh: installs the packages of packages.txt that are missing. Debian 12 as root, or with sudo.
set -eu
cd "$(dirname "$0")"
packages=$(sed 's/#.*//' packages.txt)
missing=
if command -v dpkg-query >/dev/null 2>&1; then
  for p in $packages; do
    dpkg-query -W -f '${db:Status-Status}' "$p" 2>/dev/null | grep -qx installed || missing="$missing $p"
  done
  [ -n "$missing" ] || exit 0
else
  # Not Debian: what the build needs is found by its headers or not at all.
  for h in oneapi/dnnl/dnnl.h jansson.h pcre2.h utf8proc.h zstd.h zlib.h xxhash.h lapacke.h microhttpd.h cmocka.h; do
    printf '#define PCRE2_CODE_UNIT_WIDTH 8\n#include <stddef.h>\n#include <stdarg.h>\n#include <setjmp.h>\n#include <stdint.h>\n#include <%s>\n' "$h" | ${CC:-cc} -E -x c - >/dev/null 2>&1 || missing="$missing $h"
  done
  command -v "${ESBUILD:-esbuild}" >/dev/null 2>&1 || missing="$missing esbuild(a program)"
  for d in d3-array d3-scale d3-shape d3-polygon; do
    [ -d "${NODE_MODULES:-/usr/share/nodejs}/$d" ] || missing="$missing $d(npm, in the folder NODE_MODULES)"
  done
  [ -z "$missing" ] && exit 0
  echo "setup: this system has no apt; install the libraries with these headers by hand:$missing (Debian's names: scripts/packages.txt)" >&2
  exit 1
fi
sudo=
if [ "$(id -u)" != 0 ]; then
  command -v sudo >/dev/null 2>&1 || { echo "setup: missing packages:$missing; run as root: apt-get install$missing" >&2; exit 1; }
  sudo=sudo
fi
command -v apt-get >/dev/null 2>&1 || { echo "setup: missing packages:$missing (no apt-get here; install them by hand)" >&2; exit 1; }
echo "setup: installing$missing"
export DEBIAN_FRONTEND=noninteractive
$sudo apt-get update -qq
$sudo apt-get install -y -qq --no-install-recommends $missing >/dev/null
