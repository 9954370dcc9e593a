#!/bin/sh
# What the loader and the kernel are told about our programs, read from the files themselves: a flag in the Makefile that does not
# arrive is no protection.
. tests/cli/common.sh

command -v readelf >/dev/null || bad "readelf is missing (Debian: binutils)"
here=$(dirname "$SGATLIN")

# hardened FILE: position independent, all relocations done at the start and read-only from then on, no stack or segment that is
# writable and executable, no search path of its own.
hardened() {
  readelf -W -h -l -d "$1" >"$tmp/elf"
  grep -q 'Type: *DYN' "$tmp/elf" || bad "$1 is not position independent"
  grep -q GNU_RELRO "$tmp/elf" || bad "$1: no GNU_RELRO"
  grep -Eq 'FLAGS.*NOW|BIND_NOW' "$tmp/elf" || bad "$1: relocations are lazy, so their table stays writable"
  grep GNU_STACK "$tmp/elf" | grep -q 'RW ' || bad "$1: $(grep GNU_STACK "$tmp/elf")"
  grep -E '^ +[A-Z_]+ +0x' "$tmp/elf" | grep -q 'RWE' && bad "$1: a segment is writable and executable"
  grep -Eq 'TEXTREL|RPATH|RUNPATH' "$tmp/elf" && bad "$1: $(grep -E 'TEXTREL|RPATH|RUNPATH' "$tmp/elf")"
  readelf -W --dyn-syms "$1" >"$tmp/symbols"
  grep -q '__[at]san_init' "$tmp/symbols" && return # these have guards of their own
  grep -q '__stack_chk_fail' "$tmp/symbols" || bad "$1: no stack protector"
  for name in memcpy snprintf; do
    grep -Eq "__v?${name}_chk" "$tmp/symbols" || bad "$1: $name is not checked (_FORTIFY_SOURCE)"
  done
}
hardened "$SGATLIN"
readelf -W -d "$SGATLIN" | grep -q 'Flags:.*PIE' || bad "$SGATLIN: a library, not a PIE program"
[ -f "$here/libsgatlin.so" ] || bad "$here/libsgatlin.so is missing"
hardened "$here/libsgatlin.so"
finish
