#!/bin/sh
# make install into an empty root: a program made with pkg-config alone compiles, links both ways and runs; uninstall leaves nothing.
. tests/cli/common.sh
root="$tmp/a root"
quiet() { "$@" >"$tmp/log" 2>&1 || { bad "$*"; tail -n 5 "$tmp/log"; }; }
build=$(dirname "$SGATLIN")
grep -q -e fsanitize -e coverage "$build/flags" && skip "not for a build with sanitizers or counters: make install would build it anew"
same_flags=
grep -q -e -Werror "$build/flags" && same_flags=WERROR=1 # else everything would be compiled anew
quiet make BUILD="$build" $same_flags install DESTDIR="$root" PREFIX=/opt/sg

"$root/opt/sg/bin/sgatlin" version >"$tmp/out" || bad "the installed command does not run"
for f in include/sgatlin.h lib/libsgatlin.a lib/libsgatlin.so lib/libsgatlin.so.0 lib/pkgconfig/sgatlin.pc share/man/man1/sgatlin.1 \
  share/man/man1/sgatlin-version.1 share/bash-completion/completions/sgatlin share/zsh/site-functions/_sgatlin \
  share/fish/vendor_completions.d/sgatlin.fish; do
  [ -s "$root/opt/sg/$f" ] || bad "not installed: $f"
done

cat >"$tmp/program.c" <<'END'
#include <sgatlin.h>
#include <stdio.h>
#include <string.h>

int main(void) {
  sg_error err;
  sg_config config;
  if (sg_config_load("/no/such/model", &config, &err) == SG_OK) return 1;
  printf("%s\n", err.text);
  return strstr(err.text, "/no/such/model") && sg_feedforward_name(0) ? 0 : 2;
}
END
ln -s "$root/opt/sg" "$tmp/sg" # pkg-config quotes no blanks for a shell's plain words
pc() { PKG_CONFIG_PATH="$tmp/sg/lib/pkgconfig" pkg-config --define-variable=prefix="$tmp/sg" --define-variable=libdir="$tmp/sg/lib" "$@"; }
quiet cc -std=c11 -Wall -Wextra -Werror "$tmp/program.c" $(pc --cflags --libs sgatlin) -Wl,-rpath,"$tmp/sg/lib" -o "$tmp/shared"
quiet "$tmp/shared"
quiet cc -std=c11 "$tmp/program.c" $(pc --cflags sgatlin) "$tmp/sg/lib/libsgatlin.a" $(pc --static --libs sgatlin | sed 's/-lsgatlin//') -o "$tmp/static"
quiet "$tmp/static"
if command -v readelf >/dev/null 2>&1; then
  readelf -d "$root/opt/sg/lib/libsgatlin.so" | grep -q 'SONAME.*\[libsgatlin.so.0\]' || bad "soname"
  readelf -d "$tmp/shared" | grep -q 'NEEDED.*\[libsgatlin.so.0\]' || bad "the shared program does not need libsgatlin.so.0"
fi
if command -v c++ >/dev/null 2>&1; then
  printf '#include <sgatlin.h>\nint main() { return sg_status_text(SG_OK) ? 0 : 1; }\n' >"$tmp/program.cc"
  quiet c++ -Wall -Wextra -Werror "$tmp/program.cc" $(pc --cflags --libs sgatlin) -Wl,-rpath,"$tmp/sg/lib" -o "$tmp/cxx"
  quiet "$tmp/cxx"
fi
quiet make BUILD="$build" $same_flags uninstall DESTDIR="$root" PREFIX=/opt/sg
left=$(find "$root" ! -type d)
[ -z "$left" ] || bad "left after uninstall: $left"
finish
