/* cmd_previous.c: what the stream says of the token before, which heads carry it and who reads
 * it. */
#include "context.h"
#include "prompt.h"
#include "report/previous.h"
#include "rows.h"
#include "sparse.h"

typedef struct work {
  const cli_call *c;
  sgi_prompt p;
  cli_rows rows;
  sgi_sparse_set *set; /* NULL without --sparse */
} work;

static sg_status find(work *w, json_t **out, sg_error *err) {
  const cli_call *c = w->c;
  cli_progress bar;
  sg_status st = cli_prompt_open_model(&w->p, c, err);
  if (!st) st = cli_text_needs(w->p.tokenizer, w->p.directory, err);
  if (!st && cli_string(c, "sparse")) st = cli_sparse_open(c, cli_string(c, "sparse"), w->p.model, &w->set, err);
  if (st) return st;
  size_t T = cli_is_set(c, "seq-len") ? cli_size(c, "seq-len") : sg_model_config(w->p.model)->max_position;
  st = cli_rows_open(&w->rows, c, &w->p, T, cli_size(c, "tokens"), err);
  if (st) return st;
  const sgi_previous_asked q = {.p = &w->p,
                                .rows = &w->rows,
                                .set = w->set,
                                .best = cli_size(c, "top"),
                                .min_count = cli_size(c, "min-count"),
                                .most = cli_size(c, "most"),
                                .rotations = cli_size(c, "rotations"),
                                .max_bytes = cli_size(c, "max-memory"),
                                .seed = cli_u64(c, "seed"),
                                .progress = cli_progress_advance,
                                .user = &bar};
  cli_progress_begin(&bar, "reading", "rows", 0, 0);
  st = sgi_previous_report(&q, out, err);
  cli_progress_end(&bar);
  return st;
}

/* ---- answer ---------------------------------------------------------------------------------- */

static void print_sites(const json_t *o) {
  static const char *const head[] = {"site", "all others", "own token the same", "both the same", "tokens"};
  static const char *const tests[] = {"all", "after", "matched"};
  json_t *s;
  size_t i;
  cli_table *t = cli_table_begin("lrrrr");
  for (i = 0; i < SGI_COUNT(head); i++) cli_cell(t, "%s", head[i]);
  json_array_foreach(json_object_get(o, "sites"), i, s) {
    cli_cell(t, "%s", sgi_field_word(s, "site"));
    for (size_t k = 0; k < SGI_COUNT(tests); k++)
      cli_cell(t, "%.4f", sgi_field_real(json_object_get(s, "auc"), tests[k]));
    cli_cell(t, "%zu", sgi_field_size(s, "tokens_matched"));
  }
  cli_table_end(t);
}

/* "layer 1 head 3" of [1, 3]. */
static void head_cell(cli_table *t, const json_t *at) {
  cli_cell(t, "layer %lld head %lld", (long long)json_integer_value(json_array_get(at, 0)),
           (long long)json_integer_value(json_array_get(at, 1)));
}

static void print_heads(const json_t *o, size_t top) {
  json_t *h;
  size_t i;
  printf("\n");
  cli_table *t = cli_table_begin("rrrr");
  static const char *const head[] = {"layer", "head", "weight one back", "cosine with what it copies"};
  for (i = 0; i < SGI_COUNT(head); i++) cli_cell(t, "%s", head[i]);
  json_array_foreach(json_object_get(o, "heads"), i, h) {
    cli_cell(t, "%zu", sgi_field_size(h, "layer"));
    cli_cell(t, "%zu", sgi_field_size(h, "head"));
    cli_cell(t, "%.3f", sgi_field_real(h, "looks_back"));
    cli_cell(t, "%+.3f", sgi_field_real(h, "cosine"));
  }
  cli_table_end(t);
  if (!json_array_size(json_object_get(o, "compositions"))) return;
  printf("\n");
  t = cli_table_begin("llrrr");
  static const char *const pairs[] = {"writes", "reads", "on its keys", "on its queries", "rotated"};
  for (i = 0; i < SGI_COUNT(pairs); i++) cli_cell(t, "%s", pairs[i]);
  json_array_foreach(json_object_get(o, "compositions"), i, h) {
    if (i >= top) break;
    head_cell(t, json_object_get(h, "from"));
    head_cell(t, json_object_get(h, "to"));
    cli_cell(t, "%.4f", sgi_field_real(h, "key"));
    cli_cell(t, "%.4f", sgi_field_real(h, "query"));
    cli_cell(t, "%.4f", sgi_field_real(h, "control"));
  }
  cli_table_end(t);
}

static void print_features(const json_t *f) {
  static const char *const keys[] = {"layer", "features", "live", "previous", "current"};
  static const char *const head[] = {"layer",        "features",  "live",  "of the token before",
                                     "of their own", "F1 before", "F1 own"};
  json_t *x;
  size_t i;
  printf("\n");
  cli_table *t = cli_table_begin("rrrrrrr");
  for (i = 0; i < SGI_COUNT(head); i++) cli_cell(t, "%s", head[i]);
  json_array_foreach(json_object_get(f, "layers"), i, x) {
    for (size_t k = 0; k < SGI_COUNT(keys); k++) cli_cell(t, "%zu", sgi_field_size(x, keys[k]));
    cli_cell(t, "%.3f", sgi_field_real(x, "mean_previous_f1"));
    cli_cell(t, "%.3f", sgi_field_real(x, "mean_current_f1"));
  }
  cli_table_end(t);
  printf("\n");
  t = cli_table_begin("lrlrl");
  static const char *const best[] = {"feature", "F1", "the token before", "F1", "its own"};
  for (i = 0; i < SGI_COUNT(best); i++) cli_cell(t, "%s", best[i]);
  json_array_foreach(json_object_get(f, "best"), i, x) {
    const json_t *before = json_object_get(x, "previous"), *own = json_object_get(x, "current");
    if (!json_is_object(before)) break;
    cli_cell(t, "%zu:%zu", sgi_field_size(x, "layer"), sgi_field_size(x, "feature"));
    cli_cell(t, "%.3f", sgi_field_real(x, "previous_f1"));
    cli_cell(t, "%s", sgi_field_word(before, "text"));
    cli_cell(t, "%.3f", sgi_field_real(x, "current_f1"));
    cli_cell(t, "%s", json_is_object(own) ? sgi_field_word(own, "text") : "-");
  }
  cli_table_end(t);
}

static void print(const void *user, const json_t *o) {
  const cli_call *c = user;
  printf(
      "%zu tokens that stand before another %zu times or more in %zu positions; AUC on %zu others, mean over "
      "tokens\n\n",
      json_array_size(json_object_get(o, "tokens")), cli_size(c, "min-count"), sgi_field_size(o, "fitted"),
      sgi_field_size(o, "tested"));
  print_sites(o);
  print_heads(o, cli_size(c, "top"));
  if (json_object_get(o, "features")) print_features(json_object_get(o, "features"));
}

static int run(const cli_call *c) {
  sg_error err = {0};
  work w = {.c = c};
  json_t *o = NULL;
  cli_signals_install();
  sg_status st = find(&w, &o, &err);
  int code = cli_answer(c, st, &err, o, print, c);
  cli_rows_free(&w.rows);
  sgi_sparse_set_free(w.set);
  cli_prompt_close(&w.p);
  return code;
}

static const cli_option options[] = {
    CLI_HELD_OUT_OPTION("text: its first half fits, its second half tests; a file, or a directory's valid.*"),
    {.name = "tokens",
     .type = CLI_SIZE,
     .argument = "N",
     .value = "40000",
     .min = 64,
     .help = "read so many tokens of the text"},
    {.name = "seq-len",
     .type = CLI_SIZE,
     .argument = "T",
     .min = 2,
     .value_text = "the model's",
     .help = "tokens of a row"},
    {.name = "min-count",
     .type = CLI_SIZE,
     .argument = "N",
     .value = "100",
     .min = 2,
     .help = "times that a token stands before another in the half that fits"},
    {.name = "most",
     .type = CLI_SIZE,
     .argument = "N",
     .value = "300",
     .min = 1,
     .help = "tokens at most, the most frequent"},
    {.name = "rotations",
     .type = CLI_SIZE,
     .argument = "N",
     .value = "10",
     .min = 1,
     .max = 1000,
     .help = "random rotations of the control of compositions"},
    {.name = "top", .letter = 'n', .type = CLI_SIZE, .argument = "N", .value = "12", .help = "pairs of heads shown"},
    {.name = "max-memory",
     .type = CLI_BYTES,
     .argument = "BYTES",
     .value = "4G",
     .min = 1,
     .help = "refuse more streams than this"},
    {.name = "sparse",
     .type = CLI_STRING,
     .argument = "TC",
     .help = "transcoders or SAEs of the model: which of their features tell the token before"},
    CLI_SPARSE_FORCE_OPTION,
    CLI_FORM_OPTIONS,
    CLI_BEYOND_OPTION,
    CLI_SEED_OPTION,
    CLI_MODEL_OPTIONS,
    CLI_JSON_OPTION,
    CLI_END};

const cli_command cli_previous = {
    .name = "previous",
    .group = "Reading",
    .summary = "what the stream says of the token before, and which heads carry it",
    .usage = "MODEL [--data TEXT] [--sparse TC]",
    .examples =
        "# a run, on the text that it held out\n"
        "sgatlin previous run\n"
        "# every token's figures, as JSON\n"
        "sgatlin previous MODEL --data valid.txt --tokens 100000 --json",
    .description =
        "For each frequent token v, p_v is the mean of the stream behind v less the mean of all, at every site, fitted "
        "on one half of the text. On the other half the product with p_v is judged as a test of \"the token before is "
        "v\" (AUC: 0.5 is chance): against all other positions; against those whose own token is the one that most "
        "often follows v; and with that own token on both sides, where nothing but the token before is left to "
        "tell.\n\n"
        "Heads: their mean weight on the position before, the cosine of p_v with what the head copies of v. "
        "Compositions: how much of what a head writes a later head's keys (induction) or queries read, beside the same "
        "with a random rotation between them.\n\n"
        "--sparse: for each feature the token before and the own token that it tells best, chosen by F1 on the first "
        "half, judged on the second; one of the previous token has F1 above 0.8 there and 0.2 above that of its own.",
    .options = options,
    .min_args = 1,
    .max_args = 1,
    .run = run,
};
