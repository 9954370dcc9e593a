/* cmd_enrich.c: how much of what is true of a subject its own positions speak of, level by
 * level. */
#include "curves.h"
#include "report/recall.h"
#include "subjects.h"

static cli_table *begin_table(const char *name, const char *what, size_t n, size_t *shown) {
  char align[32] = "l";
  *shown = n < 15 ? n : 15;
  for (size_t l = 0; l < *shown; l++) align[1 + l] = 'r', align[2 + l] = 0;
  cli_table *t = cli_table_begin(align);
  cli_cell(t, "%s", name);
  for (size_t l = 0; l < *shown; l++) cli_cell(t, "%s %zu", what, l);
  return t;
}

static void row(cli_table *t, const char *name, const double *x, const double *error, size_t n) {
  cli_cell(t, "%s", name);
  for (size_t l = 0; l < n; l++) {
    if (x[l] >= 0)
      cli_cell(t, "%.2f (%.2f)", x[l], error[l]);
    else
      cli_cell(t, "-");
  }
}

static void print(const sgi_enrich *e) {
  size_t shown, levels = e->L + 1;
  char name[64];
  printf("attributes among the best tokens, in per cent (standard error):\n\n");
  cli_table *t = begin_table("at", "level", levels, &shown);
  for (size_t i = 0; i < SGI_ENRICH_PLACES; i++) {
    row(t, sgi_enrich_names[i], e->rate + i * levels, e->rate_error + i * levels, shown);
    snprintf(name, sizeof name, "%s, another's", sgi_enrich_names[i]);
    row(t, name, e->other + i * levels, e->other_error + i * levels, shown);
  }
  cli_table_end(t);
  printf("\nat subject_last, level %zu, with %zu %s from each on adding nothing (uncut %.2f):\n\n", e->level, e->window,
         e->window == 1 ? "layer" : "layers", e->uncut);
  t = begin_table("cut", "layer", e->L, &shown);
  row(t, "attention", e->cut, e->cut_error, shown);
  row(t, "feedforward", e->cut + e->L, e->cut_error + e->L, shown);
  cli_table_end(t);
}

static sg_status figure(const sgi_enrich *e, const char *path, sg_error *err) {
  cli_curve curves[2 * SGI_ENRICH_PLACES];
  size_t levels = e->L + 1;
  cli_curves f = {.title = "What is true of a subject among the best tokens",
                  .x = "level (0: embedding)",
                  .y = "attributes rate, %",
                  .curves = curves,
                  .whole_x = true};
  double *x = sgi_alloc(levels * sizeof *x);
  if (!x) return sgi_fail_memory(err, levels * sizeof *x, "a figure");
  for (size_t l = 0; l < levels; l++) x[l] = (double)l;
  for (size_t i = 0; i < 2 * SGI_ENRICH_PLACES; i++) {
    size_t place = i / 2;
    bool other = i % 2;
    if (other && place != SGI_ENRICH_SUBJECT_LAST && place != SGI_ENRICH_LAST) continue;
    const double *y = (other ? e->other : e->rate) + place * levels;
    const double *error = (other ? e->other_error : e->rate_error) + place * levels;
    cli_curve *to = &curves[f.n++];
    *to = (cli_curve){.x = x, .y = y, .error = error, .n = levels, .dashed = other || place == SGI_ENRICH_RANDOM};
    snprintf(to->name, sizeof to->name, "%s%s", sgi_enrich_names[place], other ? ", another's" : "");
  }
  sg_status st = cli_curves_save(&f, path, err);
  sgi_free(x);
  return st;
}

static int run(const cli_call *c) {
  sg_error err = {0};
  cli_subjects s = {0};
  sgi_enrich *e = NULL;
  cli_signals_install();
  sg_status st = cli_subjects_open(&s, c, &err);
  bool *stop = st ? NULL : sgi_subjects_stop(s.p.model, s.p.tokenizer);
  const sgi_enrich_request r = {.stop = stop,
                                .top = cli_size(c, "top"),
                                .raw = cli_choice(c, "lens") == 1,
                                .window = cli_size(c, "window"),
                                .level = cli_is_set(c, "at") ? cli_size(c, "at") + 1 : 0,
                                .seed = cli_u64(c, "seed"),
                                .progress = cli_subjects_progress,
                                .user = &s};
  if (!st && !stop) st = sgi_fail(&err, SG_ERR_MEMORY, "out of memory for a list of stop words");
  if (!st && cli_is_set(c, "at") && cli_size(c, "at") >= sg_model_config(s.p.model)->num_layers)
    st = sgi_fail(&err, SG_ERR_ARG, "--at %zu: the model has layers 0 to %zu", cli_size(c, "at"),
                  sg_model_config(s.p.model)->num_layers - 1);
  if (!st) st = sgi_enrich_run(s.p.model, &s.all, &r, &e, &err);
  if (!st && cli_string(c, "svg")) st = figure(e, cli_string(c, "svg"), &err);
  int code = cli_subjects_end(&s, st, &err);
  if (!st && cli_flag(c, "json")) {
    code = cli_subjects_json(&s, sgi_enrich_json(e));
  } else if (!st) {
    cli_subjects_print(&s);
    print(e);
  }
  sgi_free(stop);
  sgi_enrich_free(e);
  cli_subjects_close(&s);
  return code;
}

static const cli_option options[] = {CLI_SUBJECTS_OPTIONS,
                                     {.name = "top",
                                      .letter = 'n',
                                      .type = CLI_SIZE,
                                      .argument = "N",
                                      .value = "50",
                                      .min = 1,
                                      .max = SGI_ENRICH_BEST,
                                      .help = "best tokens that are looked at, stop words left out"},
                                     {.name = "lens",
                                      .type = CLI_CHOICE,
                                      .argument = "gain|raw",
                                      .value = "gain",
                                      .help = "tokens by E (g * x), with the final norm's gain, or by E x"},
                                     {.name = "at",
                                      .type = CLI_SIZE,
                                      .argument = "L",
                                      .value_text = "the last",
                                      .help = "layer behind which is read where others are cut"},
                                     {.name = "window",
                                      .letter = 'w',
                                      .type = CLI_SIZE,
                                      .argument = "K",
                                      .value_text = "9 of 48 layers, 1 at least",
                                      .help = "layers that are cut together, from each on"},
                                     CLI_MODEL_OPTIONS,
                                     CLI_JSON_OPTION,
                                     CLI_END};

const cli_command cli_enrich = {
    .name = "enrich",
    .group = "Reading",
    .summary = "how much of what is true of a subject its positions speak of, layer by layer",
    .usage = "MODEL --facts FACTS.json [--top N] [--lens gain|raw] [--svg FILE]",
    .examples =
        "# the built-in corpus\n"
        "sgatlin enrich run --facts worlds/facts.json --svg enrich.svg\n"
        "# ten best tokens, read behind layer 1 where others are cut\n"
        "sgatlin enrich run --facts worlds/facts.json --top 10 --at 1",
    .description =
        "Attributes of a subject are the first tokens of its true answers of all types. The rate is their share among "
        "the best tokens of the stream (stop words, special tokens and those of fewer than three letters left out), "
        "at the subject's last and first position, behind it and at the end; level 0 is the embedding. Controls: the "
        "attributes of another subject of the same type (what any such subject would have), and a random other "
        "position. Then attention or feedforward of some layers adds nothing, and the rate is read again.\n\n"
        "JSON: places with rate, error, other; attention and feedforward with rate, error, drop.",
    .options = options,
    .min_args = 1,
    .max_args = 1,
    .run = run,
};
