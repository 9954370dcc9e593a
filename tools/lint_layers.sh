#!/bin/sh
# lint_layers.sh: includes go one way (docs/architecture.md, rooms); each line: a room and the rooms it may include from.
set -eu
cd "$(dirname "$0")/.."
bad=0
rooms='
core: core
math: core math
text: core text
ffn: core math ffn
model: core math ffn model
data: core text data
read: core math text ffn model data read
names: core math text ffn model data read names
compare: core math text ffn model data read compare
functions: core math text ffn model data read compare functions
ranks: core ranks
train: core math text ffn model data read ranks train
study: core math text ffn model data read train study
check: core math text ffn model data read names compare functions train check
report: core math text ffn model data read names compare functions train study check report
'
for room in src/*/; do
  name=$(basename "$room")
  allowed=$(echo "$rooms" | sed -n "s/^$name: //p")
  [ -n "$allowed" ] || { echo "tools/lint_layers.sh: src/$name is a new room: say what it may include"; bad=1; continue; }
  pattern=$(echo "$allowed" | tr ' ' '|')
  if grep -rnE '^#include "[a-z]+/' "$room" | grep -vE "#include \"($pattern)/"; then
    echo "src/$name includes from a room above it (allowed: $allowed)"
    bad=1
  fi
done
# The server is part of the command; neither the library nor other commands know it.
if grep -rnE '#include "(\.\./)?server/' src cli --include='*.[ch]' | grep -vE '^cli/cmd_(explore|verify).c'; then
  echo "only cli/cmd_explore.c and cli/cmd_verify.c include from server"
  bad=1
fi
# Sockets and HTTP know no model.
if grep -nE '#include "(\.\./cli|report|model|read|text|train|ffn|math)/|"api.h"' server/guard.[ch] server/peers.[ch] server/jobs.[ch] server/http.[ch] server/listen.[ch]; then
  echo "server: guard, peers, jobs and http know no model"
  bad=1
fi
# No feedforward kind is asked for by name outside src/ffn; the names are those of src/ffn/kinds.h.
kinds=$(sed -n 's/^  X(\([a-z0-9_]*\)).*/\1/p' src/ffn/kinds.h)
# Every file that defines a kind is in the list, and every name of the list has a file.
for kind in $(sed -n 's/^const sgi_ffn_ops sgi_ffn_\([a-z0-9_]*\) = .*/\1/p' src/ffn/*.c); do
  echo "$kinds" | grep -qx "$kind" || { echo "src/ffn/kinds.h does not list $kind"; bad=1; }
  [ -f "src/ffn/$kind.c" ] || { echo "the kind $kind has no file src/ffn/$kind.c"; bad=1; }
done
[ -n "$kinds" ] || { echo "src/ffn/kinds.h lists no kind"; bad=1; }
names=$(echo "$kinds" | tr '\n' '|' | sed 's/|$//')
if grep -rnE "(strcmp|strncmp)\([^)]*\"($names)\"" src cli server --include='*.c' | grep -v '^src/ffn/' | grep -v "strcmp(type, "; then
  echo "a feedforward kind is asked for by name outside src/ffn ($kinds)"
  bad=1
fi
# Commands that stand in no list would be built and never met.
for name in $(sed -n 's/^const cli_command \(cli_[a-z0-9_]*\) = .*/\1/p' cli/*.c); do
  grep -q "^  X($name)" cli/main.c || { echo "cli/main.c does not list $name"; bad=1; }
done
# The library neither prints nor ends the process.
if grep -nE '(^|[^a-z_])(printf|puts|fprintf|exit|abort|perror)\(' src/*/*.c; then
  echo "library code that prints or ends the process"
  bad=1
fi
# Only core/arena.c allocates, and json_whole.c what it keeps back for jansson.
if grep -nE '(^|[^a-z_])(malloc|calloc|realloc|aligned_alloc|posix_memalign|strdup)\(' src/*/*.c | grep -vE '^src/core/(arena|json_whole)\.c'; then
  echo "allocation outside core/arena.c"
  bad=1
fi
# Only core/calls.c opens, writes, renames or removes files: what tests make fail is then every call. (limits.c reads the kernel.)
if grep -nE '(^|[^a-z_.>])(open|openat|read|write|pwrite|fsync|rename|unlink|unlinkat|ftruncate|mkdir|fopen|fwrite)\(' src/*/*.c |
  grep -vE '^src/core/(calls|limits).c|^src/core/(file|bundle).c:[0-9]+:.*(openat\(parent|ftruncate\(fd, 0)|^[^:]*:[0-9]+: *(/?\*|static )'; then
  echo "a file call outside core/calls.c"
  bad=1
fi
exit $bad
