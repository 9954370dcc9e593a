/* cmd_knockout.c: where the last position reads an answer from, by attention edges that are cut. */
#include <string.h>

#include "curves.h"
#include "subjects.h"

enum { MOST_SETS = 32 }; /* bits of a mask */

/* The sets of --sets, as a mask. */
static sg_status take_sets(const cli_call *c, unsigned *mask, sg_error *err) {
  const char *at = cli_string(c, "sets"), *name;
  for (*mask = 0; *at;) {
    size_t n = strcspn(at, ","), i = 0;
    while ((name = sgi_knockout_set(i)) && (strlen(name) != n || memcmp(name, at, n) != 0)) i++;
    if (!name)
      return sgi_fail(err, SG_ERR_ARG,
                      "--sets: no set \"%.*s\": there are subject, relation, non_subject, last, bos and random",
                      (int)(n < 40 ? n : 40), at);
    *mask |= 1u << i;
    at += n + (at[n] == ',');
  }
  return *mask ? SG_OK : sgi_fail(err, SG_ERR_ARG, "--sets names no set");
}

static bool is_shown(const json_t *set, size_t i, unsigned mask) {
  return mask & 1u << i && sgi_field_size(set, "prompts");
}

static void print(const void *user, const json_t *o) {
  const json_t *sets = json_object_get(o, "sets");
  char align[32] = "lr";
  size_t layers = sgi_field_size(o, "layers"), shown = layers < 14 ? layers : 14, window = sgi_field_size(o, "window");
  for (size_t l = 0; l < shown; l++) align[2 + l] = 'r', align[3 + l] = 0;
  printf("change of the answer's probability (mean %.3f) in per cent, edges cut in %zu %s around each:\n\n",
         sgi_field_real(o, "probability"), window, window == 1 ? "layer" : "layers");
  cli_table *t = cli_table_begin(align);
  cli_cell(t, "from the last position to");
  cli_cell(t, "prompts");
  for (size_t l = 0; l < shown; l++) cli_cell(t, "layer %zu", l);
  for (size_t i = 0; i < json_array_size(sets); i++) {
    const json_t *set = json_array_get(sets, i);
    double change[14], error[14];
    if (!is_shown(set, i, *(const unsigned *)user)) continue;
    cli_cell(t, "%s", sgi_field_word(set, "set"));
    cli_cell(t, "%zu", sgi_field_size(set, "prompts"));
    sgi_field_reals(set, "change", change, shown);
    sgi_field_reals(set, "error", error, shown);
    for (size_t l = 0; l < shown; l++) cli_cell(t, "%+.1f (%.1f)", change[l], error[l]);
  }
  cli_table_end(t);
}

static sg_status figure(const json_t *o, unsigned mask, const char *path, sg_error *err) {
  const json_t *sets = json_object_get(o, "sets");
  size_t L = sgi_field_size(o, "layers"), n = json_array_size(sets);
  cli_curve curves[MOST_SETS];
  cli_curves f = {.title = "Attention edges from the last position cut",
                  .x = "layer",
                  .y = "change of the answer's probability, %",
                  .curves = curves,
                  .whole_x = true};
  double *x = cli_subjects_axis(L, 2 * n, err), *y = x;
  if (!x) return SG_ERR_MEMORY;
  for (size_t i = 0; i < n && i < MOST_SETS; i++) {
    const json_t *set = json_array_get(sets, i);
    const char *name = sgi_field_word(set, "set");
    if (!is_shown(set, i, mask)) continue;
    cli_curve *to = &curves[f.n++];
    y += L;
    *to = (cli_curve){.x = x, .y = y, .error = y + L, .n = L, .dashed = !strcmp(name, "random")};
    sgi_field_reals(set, "change", y, L);
    sgi_field_reals(set, "error", y += L, L);
    snprintf(to->name, sizeof to->name, "%s", name);
  }
  sg_status st = cli_curves_save(&f, path, err);
  sgi_free(x);
  return st;
}

static int run(const cli_call *c) {
  sg_error err = {0};
  cli_subjects s = {.c = c};
  json_t *answer = NULL;
  unsigned mask = 0;
  cli_signals_install();
  sg_status st = take_sets(c, &mask, &err);
  if (!st) st = cli_subjects_open(&s, c, &err);
  if (!st) st = sgi_knockout_report(&s.facts, cli_size(c, "window"), cli_size(c, "draws"), &answer, &err);
  if (!st && cli_string(c, "svg")) st = figure(answer, mask, cli_string(c, "svg"), &err);
  int code = cli_subjects_answer(&s, st, &err, answer, print, &mask);
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
