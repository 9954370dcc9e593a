#!/bin/sh
# lint_page.sh: the page's source is laid out: no line over 100 columns, one declaration a statement, no state in a
# module (app.ts makes it and hands it on), and prettier's form where prettier is there (web/node_modules, brought by
# `make test-web`).
set -u
cd "$(dirname "$0")/.."
bad=0
files=$(ls web/src/*.ts web/test/*.mjs | grep -v web/src/types.ts)
long=$(awk 'length > 100 && !/^import / {print FILENAME ":" FNR ": " length " columns"}' $files)
[ -z "$long" ] || { echo "lint_page: lines over 100 columns:"; echo "$long"; bad=1; }
packed=$(grep -nE '^ *(const|let) [A-Za-z_]+ = [^;({[]*, [A-Za-z_]+ = ' $files)
[ -z "$packed" ] || { echo "lint_page: several declarations in one statement:"; echo "$packed"; bad=1; }
held=$(awk '
  FNR == 1 {split("", top)}
  {code = $0; sub(/^ *(\/\/|\*|\/\*).*/, "", code)}
  code ~ /^(export )?(let|var) / {print FILENAME ":" FNR ": a variable of the module"}
  code ~ /^(export )?const [A-Za-z_]+/ {
    name = code; sub(/^(export )?const /, "", name); sub(/[^A-Za-z_].*/, "", name); top[name] = 1
    if (code ~ /= new / && code !~ /: Readonly/) print FILENAME ":" FNR ": made once for the module: " name
  }
  {
    for (name in top) {
      at = "(^|[^A-Za-z_.])" name
      if (code ~ at "(\\.[A-Za-z_]+|\\[[^]]*\\])+ *([-+*\/?|&]|\\|\\||&&|\\?\\?)?=[^=>]" ||
          code ~ at "\\.(push|pop|shift|unshift|splice|sort|reverse|fill|set|add|delete|clear)\\(" ||
          code ~ "Object.assign\\(" name "[^A-Za-z_]")
        print FILENAME ":" FNR ": the module writes to its own " name
    }
  }' web/src/*.ts)
[ -z "$held" ] || { echo "lint_page: state in a module:"; echo "$held"; bad=1; }
if [ -x web/node_modules/.bin/prettier ]; then
  (cd web && node_modules/.bin/prettier --check --log-level warn src test) || bad=1
else
  echo "lint_page: prettier is not here (make test-web installs it): its form was not checked"
fi
[ "$bad" = 0 ] && echo "lint_page: ok"
exit $bad
