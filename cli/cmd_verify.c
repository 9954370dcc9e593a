/* cmd_verify.c: whether files are what was written, and whether this machine computes as it
 * should. */
#include <string.h>

#include "../server/opened.h"
#include "cli.h"
#include "core/file_guard.h"
#include "report/verify.h"

typedef struct work {
  const cli_call *c;
  json_t *list; /* NULL: lines as they come */
  cli_progress bar;
  double started;
} work;

static void found(void *user, const char *path, const char *what, sg_status status, const char *text) {
  work *w = user;
  if (w->list) {
    json_array_append_new(w->list, sgi_verified_json(path, what, status, text));
    return;
  }
  if (!status && cli_quiet()) return;
  printf("%s%s%s  %s  ", cli_color(stdout, status ? CLI_RED : CLI_GREEN), status ? "WRONG" : "ok   ",
         cli_color(stdout, CLI_PLAIN), what);
  if (strncmp(text, path, strlen(path))) { /* errors of files name them themselves */
    cli_put_text(path, strlen(path));
    printf(": ");
  }
  cli_put_text(text, strlen(text));
  printf("\n");
  fflush(stdout);
}

static bool go_on(void *user) {
  (void)user;
  return !cli_stop;
}

static sg_status read_graph(void *unused, const char *path, sg_error *err) {
  (void)unused;
  opened graph = {0};
  sg_status st = opened_load(&graph, path, err);
  opened_deinit(&graph);
  return st;
}

static int finish(work *w, const sgi_verified *c, sg_status st, sg_error *err) {
  double seconds = sgi_now() - w->started;
  if (st) {
    json_decref(w->list);
    return cli_end(st, err);
  }
  if (w->list) {
    int code = cli_json(json_pack("{sb sI sI sf so}", "ok", !c->wrong, "checks", (json_int_t)c->looked, "wrong",
                                  (json_int_t)c->wrong, "seconds", seconds, "list", w->list));
    return code ? code : cli_exit_code(c->first);
  }
  if (c->wrong)
    cli_failed(c->first, "%zu of %zu checks found something wrong", c->wrong, c->looked);
  else
    cli_note("%zu checks in %s: nothing is wrong", c->looked, cli_seconds(seconds).s);
  return cli_exit_code(c->first);
}

static int run(const cli_call *call) {
  work w = {.c = call, .list = cli_flag(call, "json") ? json_array() : NULL, .started = sgi_now()};
  const sgi_verify_request q = {.paths = call->args,
                                .n = (size_t)call->n_args,
                                .machine = cli_flag(call, "machine"),
                                .graph = read_graph,
                                .found = found,
                                .go_on = go_on,
                                .user = &w};
  sgi_verified v;
  sg_error err = {0};
  if (!call->n_args && !q.machine) return cli_usage(call, "name what to verify, or give --machine");
  cli_signals_install();
  sgi_guard_threads();
  sg_status st = sgi_verify_paths(&q, &v, &err);
  return finish(&w, &v, st, &err);
}

static const cli_option options[] = {
    {.name = "machine", .type = CLI_FLAG, .help = "also this machine's kernels and products against plain C"},
    CLI_JSON_OPTION,
    CLI_END};

const cli_command cli_verify = {
    .name = "verify",
    .group = "Other",
    .summary = "whether files are what was written, and this machine computes as it should",
    .usage = "PATH... [--machine] [--json]\n--machine [--json]",
    .examples =
        "# every hash, shape and number of a run and its checkpoints\nsgatlin verify run\n"
        "# a recording, a graph, the token caches of a corpus\n"
        "sgatlin verify rec dog.json worlds\n"
        "# for a script: exit 0, or 3 where something is wrong\nsgatlin verify run --json\n"
        "# does this machine compute as plain C does?\nsgatlin verify --machine",
    .description =
        "PATH is a model directory, a checkpoint, a run, a recording, a token cache (or the directory of a corpus), a "
        "tokenizer.json, a graph, a file of names, of functions, or any "
        "safetensors file; what it is, is seen from what lies there.\n\n"
        "Everything is read: hashes of MANIFEST.json, shapes and types against config.json, weights and optimizer for "
        "NaN and infinity, the tokenizer against the vocabulary, a pass of a few tokens; of a recording every "
        "position, "
        "circuit and list, and that the index says what the shards say. It goes on after a fault, so that one run "
        "tells "
        "all of them. Other commands look at what they use.\n\n"
        "--machine compares every kernel that this processor can run, and oneDNN's products, with plain loops in "
        "double "
        "precision: errors are told as parts of the bound, 1e-5 of the sum of absolute terms.",
    .options = options,
    .min_args = 0,
    .max_args = CLI_ANY,
    .run = run,
};
