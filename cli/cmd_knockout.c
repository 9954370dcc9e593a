/* cmd_knockout.c: where the last position reads an answer from, by attention edges that are cut. */
#include <string.h>

#include "curves.h"
#include "report/recall.h"
#include "subjects.h"

/* The sets of --sets, as a mask. */
static sg_status take_sets(const cli_call *c, unsigned *mask, sg_error *err) {
  const char *at = cli_string(c, "sets");
  for (*mask = 0; *at;) {
    size_t n = strcspn(at, ","), i = 0;
    while (i < SGI_KNOCK_SETS && (strlen(sgi_knock_names[i]) != n || memcmp(sgi_knock_names[i], at, n) != 0)) i++;
    if (i == SGI_KNOCK_SETS)
      return sgi_fail(err, SG_ERR_ARG,
                      "--sets: no set \"%.*s\": there are subject, relation, non_subject, last, bos and random",
                      (int)(n < 40 ? n : 40), at);
    *mask |= 1u << i;
    at += n + (at[n] == ',');
  }
  return *mask ? SG_OK : sgi_fail(err, SG_ERR_ARG, "--sets names no set");
}

static void print(const sgi_knockout *k, unsigned mask) {
  char align[32] = "lr";
  size_t shown = k->L < 14 ? k->L : 14;
  for (size_t l = 0; l < shown; l++) align[2 + l] = 'r', align[3 + l] = 0;
  printf("change of the answer's probability (mean %.3f) in per cent, edges cut in %zu %s around each:\n\n", k->clean,
         k->window, k->window == 1 ? "layer" : "layers");
  cli_table *t = cli_table_begin(align);
  cli_cell(t, "from the last position to");
  cli_cell(t, "prompts");
  for (size_t l = 0; l < shown; l++) cli_cell(t, "layer %zu", l);
  for (size_t i = 0; i < SGI_KNOCK_SETS; i++) {
    if (!(mask & 1u << i) || !k->count[i]) continue;
    cli_cell(t, "%s", sgi_knock_names[i]);
    cli_cell(t, "%zu", k->count[i]);
    for (size_t l = 0; l < shown; l++) cli_cell(t, "%+.1f (%.1f)", k->change[i * k->L + l], k->error[i * k->L + l]);
  }
  cli_table_end(t);
}

static sg_status figure(const sgi_knockout *k, unsigned mask, const char *path, sg_error *err) {
  cli_curve curves[SGI_KNOCK_SETS];
  cli_curves f = {.title = "Attention edges from the last position cut",
                  .x = "layer",
                  .y = "change of the answer's probability, %",
                  .curves = curves,
                  .whole_x = true};
  double *x = sgi_alloc(k->L * sizeof *x);
  if (!x) return sgi_fail_memory(err, k->L * sizeof *x, "a figure");
  for (size_t l = 0; l < k->L; l++) x[l] = (double)l;
  for (size_t i = 0; i < SGI_KNOCK_SETS; i++) {
    if (!(mask & 1u << i) || !k->count[i]) continue;
    cli_curve *to = &curves[f.n++];
    *to = (cli_curve){
        .x = x, .y = k->change + i * k->L, .error = k->error + i * k->L, .n = k->L, .dashed = i == SGI_KNOCK_RANDOM};
    snprintf(to->name, sizeof to->name, "%s", sgi_knock_names[i]);
  }
  sg_status st = cli_curves_save(&f, path, err);
  sgi_free(x);
  return st;
}

static int run(const cli_call *c) {
  sg_error err = {0};
  cli_subjects s = {0};
  sgi_knockout *k = NULL;
  unsigned mask = 0;
  cli_signals_install();
  sg_status st = take_sets(c, &mask, &err);
  if (!st) st = cli_subjects_open(&s, c, &err);
  const sgi_knock_request r = {.window = cli_size(c, "window"),
                               .draws = cli_size(c, "draws"),
                               .seed = cli_u64(c, "seed"),
                               .progress = cli_subjects_progress,
                               .user = &s};
  if (!st) st = sgi_knockout_run(s.p.model, &s.all, &r, &k, &err);
  if (!st && cli_string(c, "svg")) st = figure(k, mask, cli_string(c, "svg"), &err);
  int code = cli_subjects_end(&s, st, &err);
  if (!st && cli_flag(c, "json")) {
    code = cli_subjects_json(&s, sgi_knockout_json(k));
  } else if (!st) {
    cli_subjects_print(&s);
    print(k, mask);
  }
  sgi_knockout_free(k);
  cli_subjects_close(&s);
  return code;
}

static const cli_option options[] = {CLI_SUBJECTS_OPTIONS,
                                     {.name = "window",
                                      .letter = 'w',
                                      .type = CLI_SIZE,
                                      .argument = "K",
                                      .value_text = "9 of 48 layers, 1 at least",
                                      .help = "layers around each in which edges are cut together"},
                                     {.name = "sets",
                                      .type = CLI_STRING,
                                      .argument = "LIST",
                                      .value = "subject,relation,non_subject,last,bos,random",
                                      .help = "which of them are shown"},
                                     {.name = "draws",
                                      .type = CLI_SIZE,
                                      .argument = "N",
                                      .value = "5",
                                      .max = 100,
                                      .help = "draws of random positions, the control"},
                                     CLI_MODEL_OPTIONS,
                                     CLI_JSON_OPTION,
                                     CLI_END};

const cli_command cli_knockout = {
    .name = "knockout",
    .group = "Reading",
    .summary = "from which words, and in which layers, the last position reads a fact",
    .usage = "MODEL --facts FACTS.json [--type TYPE] [--window K] [--svg FILE]",
    .examples =
        "# the known facts of the built-in corpus, with a figure\n"
        "sgatlin knockout run --facts worlds/facts.json --svg knockout.svg\n"
        "# who lives where, two layers at a time\n"
        "sgatlin knockout run --facts worlds/facts.json --type home --window 2",
    .description =
        "Attention from the last position to a set of sources is cut before the softmax, in every head of a window of "
        "layers around each layer; what is left is normed anew. Prompts are those whose most probable next token is "
        "the true answer. Sets: the subject's tokens; the relation (here all other words); all but the subject; the "
        "last position itself; the begin token, apart from the others because cutting a sink moves everything; and, as "
        "the control, as many random other positions as the subject has.\n\n"
        "The table has the mean change of the answer's probability with its standard error. JSON: sets with change, "
        "error and probability, a number a layer.",
    .options = options,
    .min_args = 1,
    .max_args = 1,
    .run = run,
};
