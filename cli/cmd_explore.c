/* cmd_explore.c: the page that reads a model, served on this machine alone. */
#include <spawn.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "../server/api.h"
#include "../server/examples.h"
#include "../server/web.h"
#include "core/file.h"
#include "context.h"
#include "label.h"
#include "own_text.h"
#include "prompt.h"
#include "reading.h"
#include "sparse.h"
#include "text_form.h"

extern char **environ;

/* The last part of the path that was given: what the page calls the model. */
static char *name_of(const char *path) {
  size_t n = strlen(path);
  while (n > 1 && path[n - 1] == '/') n--;
  size_t from = n;
  while (from && path[from - 1] != '/') from--;
  char *name = sgi_alloc(n - from + 1);
  if (name) memcpy(name, path + from, n - from);
  return name;
}

/* Both models read the same tokens: only then a prompt is one for both. */
static sg_status same_tokens(const explorer *e, const sgi_prompt *p, sg_error *err) {
  size_t V = sg_model_config(e->model)->vocab_size, other = sg_model_config(p->model)->vocab_size;
  bool same = V == other && !e->tokenizer == !p->tokenizer;
  for (size_t i = 0; same && e->tokenizer && i < V; i++) {
    size_t n, m;
    const char *a = sg_tokenizer_token_bytes(e->tokenizer, (int32_t)i, &n);
    const char *b = sg_tokenizer_token_bytes(p->tokenizer, (int32_t)i, &m);
    same = !a == !b && (!a || (n == m && !memcmp(a, b, n)));
  }
  if (same) return SG_OK;
  return sgi_fail(err, SG_ERR_ARG,
                  "--beside %s: its tokens are not those of the first model: train it with that one's tokenizer "
                  "(train --tokenizer)",
                  p->directory);
}

/* --sparse, --beside, --beside-sparse. beside: the second model, closed by the caller. */
static sg_status open_beside(const cli_call *c, explorer *e, sgi_prompt *beside, sg_error *err) {
  const char *sparse = cli_string(c, "sparse"), *path = cli_string(c, "beside"),
             *other = cli_string(c, "beside-sparse");
  sg_status st = sparse ? cli_sparse_open(c, sparse, e->model, &e->sparse.set, err) : SG_OK;
  if (!st && sparse && !(e->sparse.name = name_of(sparse))) st = sgi_fail(err, SG_ERR_MEMORY, "out of memory");
  if (!st && other && !path)
    st =
        sgi_fail(err, SG_ERR_ARG, "--beside-sparse %s are transcoders of a second model: name it with --beside", other);
  if (st || !path) return st;
  st = cli_prompt_open_other(beside, c, path, err);
  if (!st) st = same_tokens(e, beside, err);
  e->beside.model = beside->model;
  if (!st && !(e->beside.name = name_of(path))) st = sgi_fail(err, SG_ERR_MEMORY, "out of memory");
  if (!st && other) st = cli_sparse_open(c, other, beside->model, &e->beside.sparse.set, err);
  if (!st && other && !(e->beside.sparse.name = name_of(other))) st = sgi_fail(err, SG_ERR_MEMORY, "out of memory");
  return st;
}

static void close_beside(explorer *e, sgi_prompt *beside) {
  sgi_sparse_set_free(e->sparse.set);
  sgi_sparse_set_free(e->beside.sparse.set);
  sgi_free(e->sparse.name);
  sgi_free(e->beside.sparse.name);
  sgi_free(e->beside.name);
  cli_prompt_close(beside);
}

/* metrics.jsonl of the run at path, NULL where there is none. */
static char *metrics_of(const char *path) {
  char *full = sgi_path_join(path, "metrics.jsonl");
  if (full && sgi_is_file(full)) return full;
  sgi_free(full);
  return NULL;
}

static void open_browser(const char *url) {
  char *const argv[] = {"xdg-open", (char *)url, NULL};
  pid_t pid;
  sigset_t ignored; /* here, not in the browser */
  posix_spawnattr_t attributes;
  sigemptyset(&ignored);
  sigaddset(&ignored, SIGXFSZ);
  posix_spawnattr_init(&attributes);
  posix_spawnattr_setsigdefault(&attributes, &ignored);
  sigset_t none; /* this process holds signals back, another must not */
  sigemptyset(&none);
  posix_spawnattr_setsigmask(&attributes, &none);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK);
  if (posix_spawnp(&pid, argv[0], NULL, &attributes, argv, environ))
    cli_warn("--open: xdg-open is not here; open the address by hand");
  posix_spawnattr_destroy(&attributes);
}

/* What answers do not say, as it names paths. */
static void warn(const char *text) { cli_warn("%s", text); }

static int serve(const cli_call *c, explorer *e) {
  sg_error err = {0};
  http_server *s = NULL;
  http_settings settings = {.host = cli_string(c, "host"),
                            .port = (unsigned)cli_size(c, "port"),
                            .assets = web_assets,
                            .handler = api_handle,
                            .user = e};
  const char *host = settings.host ? settings.host : "127.0.0.1";
  if (!strncmp(host, "127.", 4)) settings.host = strcmp(host, "127.0.0.1") ? host : NULL;
  if (http_start(&settings, &s, &err)) return cli_fail(&err);
  if (settings.host && strncmp(host, "127.", 4))
    cli_warn("--host %s: other machines can reach this page; whoever knows the address below can use it", host);
  char url[128];
  snprintf(url, sizeof url, "http://%s:%u/#token=%s", host, http_port(s), http_token(s));
  printf("%s\n", url);
  fflush(stdout);
  cli_note("open this address in a browser; Ctrl-C ends the explorer");
  if (cli_flag(c, "open")) open_browser(url);
  while (!cli_stop) nanosleep(&(struct timespec){.tv_nsec = 50000000}, NULL);
  http_stop(s);
  return 128 + cli_stop;
}

static bool holds(const char *directory, const char *name) {
  char *path = sgi_path_join(directory, name);
  bool there = path && sgi_is_file(path);
  sgi_free(path);
  return there;
}

/* A run that was trained from a corpus of `data worlds` is explored with what that corpus knows of
 * itself: then there are examples to begin with. New: sgi_free; NULL: none. */
static char *own_world(const cli_call *c) {
  char *own = cli_is_set(c, "worlds") || cli_is_set(c, "facts") ? NULL : cli_text_directory(c);
  if (own && holds(own, "facts.json") && holds(own, "labels.json")) return own;
  sgi_free(own);
  return NULL;
}

/* --worlds and --facts; a file of facts is read once here, so that its errors name the path. */
static sg_status load_truth(const char *directory, const char *facts, explorer *e, sgi_known_world *w, sg_error *err) {
  sg_status st = SG_OK;
  if (directory) {
    st = sgi_known_world_load(w, directory, e->recording, err);
    e->worlds = w;
  }
  if (st || (!directory && !facts)) return st;
  e->facts = facts ? sgi_path_join("", facts) : sgi_path_join(directory, "facts.json");
  if (!e->facts) return sgi_fail(err, SG_ERR_MEMORY, "out of memory");
  sg_facts *f = NULL;
  st = sg_facts_load(e->facts, NULL, &f, err);
  sg_facts_free(f);
  return st;
}

static sg_status open_truth(const cli_call *c, explorer *e, sgi_known_world *w, sg_error *err) {
  char *own = own_world(c);
  const char *directory = own ? own : cli_string(c, "worlds");
  sg_status st = load_truth(directory, cli_string(c, "facts"), e, w, err);
  if (own && !st) cli_note("facts and topics: %s, the run's own text", own);
  if (own && st && st != SG_ERR_MEMORY) { /* nobody asked for it: the page works without */
    cli_warn("%s", err->text);
    sgi_known_world_deinit(w);
    sgi_free(e->facts);
    e->worlds = NULL;
    e->facts = NULL;
    st = SG_OK;
  }
  sgi_free(own);
  return st;
}

/* What stands in place of a model has no use for the options that need one. */
static int refuse_of_model(const cli_call *c, const char *what) {
  static const char *const of_model[] = {"recording", "data",          "split",     "field",          "worlds",
                                         "facts",     "checkpoint",    "tokenizer", "names",          "sparse",
                                         "beside",    "beside-sparse", "functions", "beyond-context", "force"};
  for (size_t i = 0; i < SGI_COUNT(of_model); i++)
    if (cli_source_of(c, of_model[i]) == CLI_GIVEN)
      return cli_usage(c, "--%s needs a model, and %s is a %s", of_model[i], c->args[0], what);
  return 0;
}

static int run_file(const cli_call *c) {
  int refused = refuse_of_model(c, "file");
  if (refused) return refused;
  sg_error err = {0};
  opened graph = {0};
  explorer e = {.graph = &graph, .warn = warn};
  int code = opened_load(&graph, c->args[0], &err) ? cli_fail(&err) : serve(c, &e);
  opened_deinit(&graph);
  return code;
}

static int run_study(const cli_call *c) {
  int refused = refuse_of_model(c, "study");
  if (refused) return refused;
  sg_error err = {0};
  explorer e = {.name = name_of(c->args[0]), .warn = warn};
  sg_status st =
      e.name ? sgi_study_view_open(c->args[0], &e.study, &err) : sgi_fail(&err, SG_ERR_MEMORY, "out of memory");
  int code = st ? cli_fail(&err) : serve(c, &e);
  sgi_study_view_close(e.study);
  sgi_free(e.name);
  return code;
}

/* --data: read once, so that its errors name the path. */
static sg_status open_data(const cli_call *c, explorer *e, sgi_doc_file *d, sg_error *err) {
  const char *path = cli_string(c, "data");
  sg_text_form form;
  json_t *own = NULL;
  if (!path) return SG_OK;
  if (!e->tokenizer)
    return sgi_fail(err, SG_ERR_ARG, "%s has no tokenizer.json, which --data needs: documents are text", c->args[0]);
  sg_status st = cli_text_form(c, &form, &own, err);
  json_decref(own);
  e->data = d;
  return st ? st : sgi_documents_open(d, path, &form, err);
}

/* The file of names where there is one. One that cannot be read, or of another model (a run that
 * trained on), is told and left alone: the page works without. */
static sg_status open_names(const cli_call *c, explorer *e, sg_error *err) {
  sg_error why = {0};
  e->author = cli_login();
  if (!(e->names_path = cli_names_path(c))) return sgi_fail(err, SG_ERR_MEMORY, "out of memory");
  sg_status st = cli_names_open_if_there(c, e->model, &e->names, &why);
  if (!st) return SG_OK;
  if (cli_is_set(c, "names") || st == SG_ERR_MEMORY) return sgi_fail(err, st, "%s", why.text);
  cli_warn("%s", why.text);
  e->no_names =
      sgi_strdup(st == SG_ERR_ARG ? "the file beside the model is of another one; explore it with --names FILE"
                                  : "the file beside the model can not be read; the terminal says why");
  return e->no_names ? SG_OK : sgi_fail(err, SG_ERR_MEMORY, "out of memory");
}

/* --functions: of this model, unless --force. */
static sg_status open_functions(const cli_call *c, explorer *e, sg_error *err) {
  const char *path = cli_string(c, "functions");
  bool of_another = false;
  char why[SG_ERROR_TEXT];
  if (!path) return SG_OK;
  sg_status st = sgi_functions_open(path, &e->functions, err);
  if (!st) st = sgi_functions_bind(e->functions, e->model, &of_another, err);
  if (st || !of_another) return st;
  snprintf(why, sizeof why, "%.330s", err->text);
  if (!cli_flag(c, "force"))
    return sgi_fail(err, SG_ERR_ARG, "%s. Fit this model (sgatlin functions fit), name the other one, or give --force",
                    why);
  cli_warn("%s. The page mixes two models", why);
  return SG_OK;
}

static int run(const cli_call *c) {
  sg_error err = {0};
  sgi_prompt p = {0};
  cli_signals_install();
  if (sgi_is_file(c->args[0])) return run_file(c);
  if (sgi_is_study(c->args[0])) return run_study(c);
  sg_status st = cli_prompt_open_model(&p, c, &err);
  explorer e = {.model = p.model, .tokenizer = p.tokenizer, .beyond = cli_flag(c, "beyond-context"), .warn = warn};
  if (!st && !(e.name = name_of(c->args[0]))) st = sgi_fail(&err, SG_ERR_MEMORY, "out of memory");
  if (!st) e.metrics = metrics_of(c->args[0]);
  sgi_record_reader reading = {0};
  const char *recording = cli_string(c, "recording");
  if (!st && recording) st = sgi_record_reader_open(recording, &reading, &err);
  if (!st && recording) st = cli_bind(c, reading.rec, recording, p.model, &err);
  if (recording) e.recording = &reading;
  sgi_known_world truth = {0};
  if (!st) st = open_truth(c, &e, &truth, &err);
  sgi_prompt beside = {0};
  if (!st) st = open_beside(c, &e, &beside, &err);
  sgi_doc_file texts = {0};
  if (!st) st = open_data(c, &e, &texts, &err);
  if (!st) st = open_names(c, &e, &err);
  if (!st) st = open_functions(c, &e, &err);
  if (!st) st = examples_make(&e, &e.examples, &err);
  int code = st ? cli_fail(&err) : serve(c, &e);
  sgi_documents_close(&texts);
  api_forget(&e);
  sg_names_close(e.names);
  sgi_functions_close(e.functions);
  sgi_free(e.names_path);
  sgi_free(e.no_names);
  sgi_known_world_deinit(&truth);
  sgi_free(e.facts);
  sgi_record_reader_close(&reading);
  close_beside(&e, &beside);
  sgi_free(e.name);
  sgi_free(e.metrics);
  cli_prompt_close(&p);
  return code;
}

static const cli_option options[] = {
    {.name = "recording",
     .letter = 'r',
     .type = CLI_STRING,
     .argument = "REC",
     .help = "recorded text of this model (sgatlin record): nearest circuits, places where neurons fire"},
    {.name = "data",
     .letter = 'd',
     .type = CLI_STRING,
     .argument = "FILE",
     .help = "text file whose documents the page offers as prompts: .txt or .jsonl, also .zst or .gz"},
    CLI_FORM_OPTIONS,
    {.name = "worlds",
     .letter = 'w',
     .type = CLI_STRING,
     .argument = "DIR",
     .value_text = "the run's own text, if it is one",
     .help = "corpus that 'data worlds' wrote: categories and topics on the map, known facts"},
    {.name = "facts",
     .letter = 'f',
     .type = CLI_STRING,
     .argument = "FACTS.json",
     .help = "facts from 'facts mine -o', in place of those of worlds"},
    {.name = "sparse",
     .type = CLI_STRING,
     .argument = "TC",
     .help = "transcoders of this model (sgatlin sparse train): graphs, cards and steering of their features"},
    {.name = "beside",
     .type = CLI_STRING,
     .argument = "MODEL2",
     .help = "a second model of the same tokenizer: both on one prompt, side by side"},
    {.name = "beside-sparse",
     .type = CLI_STRING,
     .argument = "TC2",
     .help = "transcoders of that model: its graph is then that of their features"},
    {.name = "functions",
     .type = CLI_STRING,
     .argument = "F",
     .help = "neurons of this model as functions ('functions fit'): their formulas on the neuron's card"},
    {.name = "port",
     .letter = 'p',
     .type = CLI_SIZE,
     .argument = "N",
     .value = "0",
     .value_text = "a free one",
     .min = 0,
     .max = 65535,
     .help = "port to listen on"},
    {.name = "host",
     .type = CLI_STRING,
     .argument = "ADDRESS",
     .value_text = "127.0.0.1",
     .help = "IPv4 address to listen on; any other than 127.0.0.1 lets other machines in"},
    CLI_BEYOND_OPTION,
    CLI_NAMES_OPTION,
    CLI_FORCE_OPTION,
    CLI_MODEL_OPTIONS,
    {.name = "open", .type = CLI_FLAG, .help = "open the page in the browser"},
    CLI_END};

const cli_command cli_explore = {
    .name = "explore",
    .group = "Reading",
    .summary = "a page in the browser that shows why the model said it",
    .usage =
        "MODEL [--recording REC] [--data FILE] [--worlds DIR] [--port N] [--open]\n{GRAPH.json | STUDY} [--port N] "
        "[--open]",
    .examples =
        "# prints an address; open it in a browser\nsgatlin explore run\n"
        "# the same, with the browser opened\nsgatlin explore run --open\n"
        "# stories of a file as prompts\nsgatlin explore run --data worlds/valid.txt\n"
        "# beside a dense model that transcoders explain\n"
        "sgatlin explore run --beside mlp --beside-sparse tc\n"
        "# a saved graph, without a model\nsgatlin explore dog.json\n"
        "# all runs of a study, as they go\nsgatlin explore study",
    .description =
        "MODEL is a model directory or a training run (then its newest checkpoint, and the page shows the run's curves "
        "as they grow). Type a text; see what the model predicts at every token; click a token and walk through what "
        "made "
        "the prediction: neurons, attention, attribution graph, logit lens; scale neurons and see what changes.\n\n"
        "GRAPH.json is a file of 'sgatlin graph -o' or a graph that the page saved as JSON (64 MB at most). It opens "
        "without a model: groups, names and threshold work, the other views say that they need one. STUDY is a "
        "directory of 'sgatlin isoflop' or 'sgatlin sweep', whose runs may still go on, here or elsewhere: the loss of "
        "all of "
        "them over FLOPs or time, and the best sizes.\n\n"
        "The server answers to this machine alone, and only to who knows the token in the address (docs/http.md). Its "
        "JSON calls can be used without the page.",
    .options = options,
    .min_args = 1,
    .max_args = 1,
    .run = run,
};
