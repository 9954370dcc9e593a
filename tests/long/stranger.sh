#!/bin/sh
# stranger.sh [kind] [command] [site] [optimizer]: is "How to add" of docs/architecture.md true? Each of the four is added to a throw-away
# copy of the tracked files (build/stranger) by what that page says and by nothing else. The files that are written by hand are counted
# against the page's number, the tests that the page names have to pass, and with any one of the files left as it was something has to
# fail: that which fails is printed. Pages that a test writes anew (UPDATE=1) are counted apart. Some minutes for each.
set -u
cd "$(dirname "$0")/../.."
tree=build/stranger/tree log=$PWD/build/stranger/log
wanted=${*:-kind command site optimizer}
failures=0
mkdir -p "$tree"
unset MAKEFLAGS MFLAGS

# A copy of what is tracked; make builds again what differs from the last time.
refresh() {
  (cd "$tree" && [ ! -d src ] || find . -path ./build -prune -o -type f -print) | sed 's|^\./||' | while read -r f; do [ -e "$f" ] || rm -f "$tree/$f"; done
  git ls-files | while read -r f; do
    [ ! -f "$f" ] || cmp -s "$f" "$tree/$f" || { mkdir -p "$tree/$(dirname "$f")" && cp "$f" "$tree/$f"; }
  done
}
fail() {
  failures=$((failures + 1))
  echo "FAIL  $*"
}
inside() { (cd "$tree" && "$@") >"$log" 2>&1; }
built() { (cd "$tree" && rm -f build/sgatlin build/libsgatlin.a $targets); inside make -s -j2 WERROR=1 build/sgatlin $targets; }

# insert FILE REGULAR-EXPRESSION: standard input behind the first line that fits.
insert() {
  cat >"$tree/../text"
  awk -v re="$2" -v text="$tree/../text" '{ print } !done && $0 ~ re { while ((getline line < text) > 0) print line; done = 1 }' "$tree/$1" \
    >"$tree/../new" && cp "$tree/../new" "$tree/$1"
}
change() { # change FILE SED
  sed "$2" "$tree/$1" >"$tree/../new"
  cmp -s "$tree/../new" "$tree/$1" && fail "$1: nothing to change by $2"
  cp "$tree/../new" "$tree/$1"
}

# try_all NAME NUMBER PAGE...: $files are the files by hand, $checks tells a name and a command a line, $pages writes pages anew.
try_all() {
  what=$1 number=$2
  [ "$(echo "$files" | wc -w)" = "$number" ] || fail "$what: $(echo "$files" | wc -w) files, \"How to add\" says $number"
  built || { fail "$what does not build"; tail -n 5 "$log"; return; }
  [ -z "$pages" ] || inside sh -c "$pages"
  made=$(cd "$tree" && find . -path ./build -prune -o -type f -print | sed 's|^\./||' | sort | while read -r f; do cmp -s "$f" "../../../$f" || echo "$f"; done)
  others=$(for f in $made; do case " $files " in *" $f "*) ;; *) echo "$f" ;; esac; done)
  broken=$(first_that_fails)
  [ -z "$broken" ] && echo "$what: $number files by hand ($(echo $files)), $(echo "$others" | grep -c .) pages by UPDATE=1; built, $(echo "$checks" | grep -c .) checks pass" ||
    { fail "$what: $broken fails"; tail -n 5 "$log"; }
  rm -rf "$tree/../whole" && mkdir -p "$tree/../whole"
  for f in $files $others; do mkdir -p "$tree/../whole/$(dirname "$f")" && cp "$tree/$f" "$tree/../whole/$f"; done
  for f in $files ${others:+pages}; do
    if [ "$f" = pages ]; then for g in $others; do put_back "$g"; done; else put_back "$f"; fi
    seen=
    built || seen="it does not build"
    [ -n "$seen" ] || seen=$(first_that_fails)
    [ -n "$seen" ] && echo "  without $f: $seen" || fail "$what: nothing fails without $f"
    for g in $files $others; do cmp -s "$tree/../whole/$g" "$tree/$g" || cp "$tree/../whole/$g" "$tree/$g"; done
  done
}
put_back() { if [ -f "$1" ]; then cp "$1" "$tree/$1"; else rm -f "$tree/$1"; fi; }
first_that_fails() {
  echo "$checks" | while IFS='|' read -r name run; do
    [ -n "$name" ] || continue
    inside sh -c "$run" || { echo "$name"; break; }
  done
}

kind() {
  files="src/ffn/relusq.c src/ffn/kinds.h tests/ref/ref_ffn.c docs/method.md"
  targets="build/tests/unit/test_kinds build/tests/grad/test_ffn"
  pages="UPDATE=1 sh tests/cli/test_help.sh"
  checks="tools/lint_layers.sh|sh tools/lint_layers.sh
unit/test_kinds|build/tests/unit/test_kinds
grad/test_ffn|SGATLIN_TEST_KIND=relusq build/tests/grad/test_ffn
cli/test_help.sh|sh tests/cli/test_help.sh"
  cat >"$tree/src/ffn/relusq.c" <<'C'
/* relusq: y = relu(x W1^T)^2 W2^T (its section of the method). */
#include "ffn/dense_kind.h"

static void forward(float *h, float *u, const float *bias, size_t F) {
  (void)bias;
  for (size_t f = 0; f < F; f++) h[f] = u[f] > 0 ? u[f] * u[f] : 0;
}

static void backward(float *du, const float *dh, const float *u, size_t F) {
  for (size_t f = 0; f < F; f++) du[f] = u[f] > 0 ? 2 * u[f] * dh[f] : 0;
}

static const sgi_dense_kind form = {
    .in = "up_proj", .out = "down_proj", .rows = 1, .forward = forward, .backward = backward, .moved = {2, 3}};

const sgi_ffn_ops sgi_ffn_relusq = {
    SGI_DENSE_KIND(&form),
    .name = "relusq",
    .default_activation = "relu",
    .preset = {.tinystories = {.num_neurons = 1024}, .slimpajama = {.times = 8, .over = 3, .multiple = 256}},
};
C
  change src/ffn/kinds.h 's/  X(moe)/  X(moe) \\\n  X(relusq)/'
  change tests/ref/ref_ffn.c 's/^} kinds\[\] = {/&\n    {"relusq", relusq_row, {{"up_proj.weight", "F D", '"'D'"', true}, {"down_proj.weight", "D F", '"'F'"', true}}, NULL, "relu", NULL},/
s/^\/\* One row a kind: what it computes.*/\/* y = relu(x W1)^2 W2. *\/\
static void relusq_row(const ref_model *m, const char *prefix, size_t i, double *y, const double *x, ref_choice *choice) {\
  size_t D = m->config.hidden_size, F = m->config.num_neurons;\
  double *h = ref_alloc(F, sizeof *h);\
  (void)i;\
  choice->multiply_adds += ref_linear(h, x, ref_find(m, prefix, "up_proj.weight")->data, 1, D, F);\
  for (size_t f = 0; f < F; f++) decide(choice, h[f] > 0), h[f] = h[f] > 0 ? h[f] * h[f] : 0;\
  choice->multiply_adds += ref_linear(y, h, ref_find(m, prefix, "down_proj.weight")->data, 1, F, D);\
  free(h);\
}\
&/'
  change docs/method.md 's/^### moe$/### relusq\n`y = relu(x W1^T)^2 W2^T` with `up_proj.weight` W1 (F,D), `down_proj.weight` W2 (D,F).\n\n&/'
  try_all "a kind" 4
}

command() {
  files="cli/cmd_window.c cli/main.c tests/cli/test_window.sh tests/memory/commands.txt"
  targets=
  pages="UPDATE=1 sh tests/cli/test_help.sh"
  checks="tools/lint_layers.sh|sh tools/lint_layers.sh
cli/test_help.sh|sh tests/cli/test_help.sh
cli/test_window.sh|[ ! -f tests/cli/test_window.sh ] || sh tests/cli/test_window.sh
cli/test_memory.sh, its list|grep -q '| window' tests/memory/commands.txt"
  cat >"$tree/cli/cmd_window.c" <<'C'
/* cmd_window.c: how many tokens a model was made to read. */
#include "model.h"

static int run(const cli_call *c) {
  sg_error err = {0};
  cli_model m;
  sg_status st = cli_model_open(c, CLI_WITHOUT_TOKENIZER, &m, &err);
  int code = st ? cli_fail(&err) : 0;
  if (!st) printf("%zu\n", sg_model_config(m.model)->max_position);
  cli_model_close(&m);
  return code;
}

static const cli_option options[] = {CLI_CHECKPOINT_OPTION, CLI_END};

const cli_command cli_window = {
    .name = "window",
    .group = "Models",
    .summary = "print how many tokens a model was made to read",
    .usage = "MODEL",
    .examples = "# of a run's newest checkpoint\nsgatlin window run",
    .options = options,
    .min_args = 1,
    .max_args = 1,
    .run = run};
C
  change cli/main.c 's/^  X(cli_version)$/  X(cli_window) \\\n&/'
  cat >"$tree/tests/cli/test_window.sh" <<'C'
#!/bin/sh
. tests/cli/common.sh
try 0 window tests/golden/eval/model
has out 24
finish
C
  echo '| window model' >>"$tree/tests/memory/commands.txt"
  try_all "a command" 4
}

site() {
  files="src/ffn/sites.h src/model/sub_attention.c"
  targets="build/tests/unit/test_sites"
  pages="build/tests/unit/test_sites; UPDATE=1 build/tests/unit/test_sites; make -s -j2 build/sgatlin; UPDATE=1 sh tests/cli/test_help.sh"
  checks="unit/test_sites|build/tests/unit/test_sites
cli/test_help.sh|sh tests/cli/test_help.sh
info --sites|build/sgatlin info tests/golden/eval/model --sites | grep -q attn.log_sum"
  change src/ffn/sites.h 's/^  X(ATTN_OUT, .*/  X(ATTN_LOG_SUM, "attn.log_sum", LAYER, NAMED, OTHER, HEAD, NONE, NONE, NONE, "log of the sum that weights are shares of") \\\n&/'
  change src/model/sub_attention.c 's/{mix_and_pattern, {SGI_SITE_ATTN_Z}},/{mix_and_pattern, {SGI_SITE_ATTN_Z, SGI_SITE_ATTN_LOG_SUM}},/
s/^    case SGI_SITE_ATTN_V: return r->k.v;/&\n    case SGI_SITE_ATTN_LOG_SUM: return r->k.lse;/'
  try_all "a site" 2
}

optimizer() {
  files="src/train/optim_sgdm.c tests/ref/ref_optim.c"
  targets="build/tests/unit/test_optim build/tests/unit/test_trainer"
  pages="UPDATE=1 build/tests/unit/test_optim"
  checks="tools/lint_layers.sh|sh tools/lint_layers.sh
unit/test_optim|build/tests/unit/test_optim
unit/test_trainer|build/tests/unit/test_trainer
train --keys|build/sgatlin train --keys | grep -q sgdm"
  cat >"$tree/src/train/optim_sgdm.c" <<'C'
/* sgdm: gradient descent with momentum, b1 0.9.
 *
 *     m = b1 m + g;  w <- w - lr(t) (m + decay w)
 */
#include "train/optim.h"

static void update(const double *value, const sgi_update *u, const sgi_stretch *x) {
  float b = (float)value[0], scale = (float)u->grad_scale, lr = (float)u->lr, decay = (float)u->decay;
  for (size_t i = 0; i < x->n; i++) {
    x->moment[0][i] = b * x->moment[0][i] + x->g[i] * scale;
    x->w[i] -= lr * (x->moment[0][i] + decay * x->w[i]);
    x->g[i] = 0;
  }
}

const sgi_optimizer_ops sgi_optimizer_sgdm = {
    .name = "sgdm",
    .n_moments = 1,
    .moments = {{"m", "momentum", false}},
    .settings = {{"optimizer.beta1", "share of the momentum kept per update", 0.9, 0, 1}},
    .bytes_per_weight = 24,
    .update = update,
};
C
  change tests/ref/ref_optim.c 's/^bool ref_optimizer/static void sgdm(const ref_update *u, double g, double *w, double moment[2]) {\
  moment[0] = u->value[0] * moment[0] + g;\
  *w -= u->lr * (moment[0] + u->decay * *w);\
}\
\
&/
s/^  return false;/  if (!strcmp(u->optimizer, "sgdm")) return sgdm(u, u->grad_scale * g, w, moment), true;\n&/'
  try_all "an optimizer" 2
}

for one in $wanted; do
  refresh
  "$one"
done
echo "stranger: $failures failed"
[ $failures = 0 ]
