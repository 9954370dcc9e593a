/* cmd_extract.c: which sublayers put the answer first by themselves. */
#include <math.h>

#include "curves.h"
#include "report/recall.h"
#include "subjects.h"

static void number(cli_table *t, double x, const char *format) {
  if (isfinite(x))
    cli_cell(t, format, x);
  else
    cli_cell(t, "-");
}

static cli_table *begin_table(const char *name, size_t layers, size_t *shown) {
  char align[32] = "l";
  *shown = layers < 15 ? layers : 15;
  for (size_t l = 0; l < *shown; l++) align[1 + l] = 'r', align[2 + l] = 0;
  cli_table *t = cli_table_begin(align);
  cli_cell(t, "%s", name);
  for (size_t l = 0; l < *shown; l++) cli_cell(t, "layer %zu", l);
  return t;
}

static void row(cli_table *t, const char *name, const double *x, size_t n, const char *format) {
  cli_cell(t, "%s", name);
  for (size_t l = 0; l < n; l++) number(t, x[l], format);
}

static void print_kinds(const sgi_extract *x) {
  static const char *const kinds[] = {"attention", "feedforward"};
  size_t shown;
  char name[64];
  cli_table *t = begin_table("answer first, %", x->L, &shown);
  for (size_t k = 0; k < SGI_EXTRACT_KINDS; k++) {
    row(t, kinds[k], x->rate + k * x->L, shown, "%.1f");
    snprintf(name, sizeof name, "  its rank");
    row(t, name, x->rank + k * x->L, shown, "%.1f");
    snprintf(name, sizeof name, "  another answer");
    row(t, name, x->control + k * x->L, shown, "%.1f");
  }
  cli_table_end(t);
  printf("\n");
  for (size_t k = 0; k < SGI_EXTRACT_KINDS; k++)
    printf("%s: some layer in %.1f %% of the prompts, %.2f layers a prompt\n", kinds[k], x->any[k], x->layers[k]);
  if (isfinite(x->attention_first)) printf("attention comes first in %.1f %% of them\n", x->attention_first);
}

static void print_changed(const sgi_extract *x) {
  size_t shown;
  char name[64];
  printf("\n");
  cli_table *t = begin_table("attention, edges cut there to", x->L, &shown);
  for (size_t s = 0; s < SGI_EXTRACT_SETS; s++) row(t, sgi_extract_names[s], x->blocked + s * x->L, shown, "%.1f");
  cli_table_end(t);
  if (x->L < 2) return;
  printf("\n");
  t = begin_table("attention, reading an early stream", x->L, &shown);
  for (size_t s = 0; s < SGI_EXTRACT_PATCHED; s++)
    for (size_t e = 0; e + 1 < x->L; e++) {
      snprintf(name, sizeof name, "%s as before layer %zu", sgi_extract_names[s], e);
      row(t, name, x->patched + (s * x->L + e) * x->L, shown, "%.1f");
    }
  cli_table_end(t);
}

static sg_status figure(const sgi_extract *x, const char *path, sg_error *err) {
  static const char *const names[] = {"attention", "feedforward", "attention, another answer",
                                      "feedforward, another answer"};
  cli_curve curves[SGI_COUNT(names) + SGI_EXTRACT_SETS];
  cli_curves f = {.title = "Sublayers whose output alone puts the answer first",
                  .x = "layer",
                  .y = "share of prompts, %",
                  .curves = curves,
                  .whole_x = true};
  double *at = sgi_alloc(x->L * sizeof *at);
  if (!at) return sgi_fail_memory(err, x->L * sizeof *at, "a figure");
  for (size_t l = 0; l < x->L; l++) at[l] = (double)l;
  for (size_t i = 0; i < SGI_COUNT(curves); i++) {
    size_t set = i - SGI_COUNT(names);
    const double *y = i < 2 ? x->rate + i * x->L : i < 4 ? x->control + (i - 2) * x->L : x->blocked + set * x->L;
    cli_curve *to = &curves[f.n++];
    *to = (cli_curve){.x = at, .y = y, .n = x->L, .dashed = i == 2 || i == 3};
    if (i < SGI_COUNT(names))
      snprintf(to->name, sizeof to->name, "%s", names[i]);
    else
      snprintf(to->name, sizeof to->name, "attention without %s", sgi_extract_names[set]);
  }
  sg_status st = cli_curves_save(&f, path, err);
  sgi_free(at);
  return st;
}

static int run(const cli_call *c) {
  sg_error err = {0};
  cli_subjects s = {0};
  sgi_extract *x = NULL;
  cli_signals_install();
  sg_status st = cli_subjects_open(&s, c, &err);
  const sgi_extract_request r = {
      .raw = cli_choice(c, "lens") == 1, .seed = cli_u64(c, "seed"), .progress = cli_subjects_progress, .user = &s};
  if (!st) st = sgi_extract_run(s.p.model, &s.all, &r, &x, &err);
  if (!st && cli_string(c, "svg")) st = figure(x, cli_string(c, "svg"), &err);
  int code = cli_subjects_end(&s, st, &err);
  if (!st && cli_flag(c, "json")) {
    code = cli_subjects_json(&s, sgi_extract_json(x));
  } else if (!st) {
    cli_subjects_print(&s);
    print_kinds(x);
    print_changed(x);
  }
  sgi_extract_free(x);
  cli_subjects_close(&s);
  return code;
}

static const cli_option options[] = {CLI_SUBJECTS_OPTIONS,
                                     {.name = "lens",
                                      .type = CLI_CHOICE,
                                      .argument = "gain|raw",
                                      .value = "gain",
                                      .help = "tokens by E (g * x), with the final norm's gain, or by E x"},
                                     CLI_MODEL_OPTIONS,
                                     CLI_JSON_OPTION,
                                     CLI_END};

const cli_command cli_extract = {
    .name = "extract",
    .group = "Reading",
    .summary = "which sublayers put a fact's answer first by themselves, and from where",
    .usage = "MODEL --facts FACTS.json [--type TYPE] [--svg FILE]",
    .examples =
        "# the built-in corpus\n"
        "sgatlin extract run --facts worlds/facts.json --svg extract.svg\n"
        "# without the final norm's gain\n"
        "sgatlin extract run --facts worlds/facts.json --type food --lens raw",
    .description =
        "A sublayer extracts the answer where what it adds to the last position, read by the output head alone, has "
        "the answer first. Its rank is the geometric mean (0: first). Control: a random other answer of the same type. "
        "Then attention is asked again with its edges from the last position cut in that layer alone, and with the "
        "keys and values of a set of positions made from an earlier layer's stream (of the last position its query, "
        "too).\n\n"
        "JSON: attention, feedforward: rate, rank, control by layer, any, layers; attention_first; blocked and patched "
        "by set.",
    .options = options,
    .min_args = 1,
    .max_args = 1,
    .run = run,
};
