/* cmd_extract.c: which sublayers put the answer first by themselves. */
#include <math.h>

#include "curves.h"
#include "subjects.h"

static const char *const kinds[] = {"attention", "feedforward"};

enum { MOST_SETS = 16 };

static void row_from(cli_table *t, const char *name, const json_t *numbers, size_t n, double first) {
  cli_cell(t, "%s", name);
  for (size_t l = 0; l < n; l++) {
    const json_t *x = json_array_get(numbers, l);
    if (json_is_number(x))
      cli_cell(t, "%.1f", first + json_number_value(x));
    else
      cli_cell(t, "-");
  }
}

static void row(cli_table *t, const char *name, const json_t *numbers, size_t n) { row_from(t, name, numbers, n, 0); }

static size_t layers_of(const json_t *o) {
  return json_array_size(json_object_get(json_object_get(o, kinds[0]), "rate"));
}

static void print_kinds(const json_t *o) {
  size_t shown;
  cli_table *t = cli_subjects_table("answer first, %", "layer", layers_of(o), &shown);
  for (size_t k = 0; k < SGI_COUNT(kinds); k++) {
    const json_t *kind = json_object_get(o, kinds[k]);
    row(t, kinds[k], json_object_get(kind, "rate"), shown);
    row_from(t, "  its rank", json_object_get(kind, "rank"), shown, 1); /* people count from 1 */
    row(t, "  another answer", json_object_get(kind, "control"), shown);
  }
  cli_table_end(t);
  printf("\n");
  for (size_t k = 0; k < SGI_COUNT(kinds); k++)
    printf("%s: some layer in %.1f %% of the prompts, %.2f layers a prompt\n", kinds[k],
           sgi_field_real(json_object_get(o, kinds[k]), "any"), sgi_field_real(json_object_get(o, kinds[k]), "layers"));
  double first = sgi_field_real(o, "attention_first");
  if (isfinite(first)) printf("attention comes first in %.1f %% of them\n", first);
}

static void print_changed(const json_t *o) {
  json_t *blocked = json_object_get(o, "blocked"), *patched = json_object_get(o, "patched"), *x;
  const char *set;
  size_t shown;
  char name[64];
  printf("\n");
  cli_table *t = cli_subjects_table("attention, edges cut there to", "layer", layers_of(o), &shown);
  json_object_foreach(blocked, set, x) row(t, set, x, shown);
  cli_table_end(t);
  if (layers_of(o) < 2) return;
  printf("\n");
  t = cli_subjects_table("attention, reading an early stream", "layer", layers_of(o), &shown);
  json_object_foreach(patched, set, x) for (size_t e = 0; e + 1 < json_array_size(x); e++) {
    snprintf(name, sizeof name, "%s as before layer %zu", set, e);
    row(t, name, json_array_get(x, e), shown);
  }
  cli_table_end(t);
}

static void print(const void *user, const json_t *o) {
  (void)user;
  print_kinds(o);
  print_changed(o);
}

static sg_status figure(const json_t *o, const char *path, sg_error *err) {
  static const char *const names[] = {"attention", "feedforward", "attention, another answer",
                                      "feedforward, another answer"};
  json_t *blocked = json_object_get(o, "blocked"), *x;
  cli_curve curves[SGI_COUNT(names) + MOST_SETS];
  cli_curves f = {.title = "Sublayers whose output alone puts the answer first",
                  .x = "layer",
                  .y = "share of prompts, %",
                  .curves = curves,
                  .whole_x = true};
  size_t L = layers_of(o);
  double *at = cli_subjects_axis(L, SGI_COUNT(curves), err), *y = at;
  const char *set;
  if (!at) return SG_ERR_MEMORY;
  for (size_t i = 0; i < SGI_COUNT(names); i++) {
    sgi_field_reals(json_object_get(o, kinds[i % 2]), i < 2 ? "rate" : "control", y += L, L);
    curves[f.n] = (cli_curve){.x = at, .y = y, .n = L, .dashed = i >= 2};
    snprintf(curves[f.n++].name, sizeof curves->name, "%s", names[i]);
  }
  json_object_foreach(blocked, set, x) {
    if (f.n == SGI_COUNT(curves)) break;
    sgi_field_reals(blocked, set, y += L, L);
    curves[f.n] = (cli_curve){.x = at, .y = y, .n = L};
    snprintf(curves[f.n++].name, sizeof curves->name, "attention without %s", set);
  }
  sg_status st = cli_curves_save(&f, path, err);
  sgi_free(at);
  return st;
}

static int run(const cli_call *c) {
  sg_error err = {0};
  cli_subjects s;
  json_t *answer = NULL;
  cli_signals_install();
  sg_status st = cli_subjects_open(&s, c, &err);
  if (!st) st = sgi_extract_report(&s.facts, cli_choice(c, "lens") == 1, &answer, &err);
  if (!st && cli_string(c, "svg")) st = figure(answer, cli_string(c, "svg"), &err);
  int code = cli_subjects_answer(&s, st, &err, answer, print, NULL);
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
        "the answer first. Its rank is a geometric mean, counted from 1. Control: a random other answer of the same "
        "type. "
        "Then attention is asked again with its edges from the last position cut in that layer alone, and with the "
        "keys and values of a set of positions made from an earlier layer's stream (of the last position its query, "
        "too).\n\n"
        "JSON: attention, feedforward: rate, rank (counted from 0), control by layer, any, layers; attention_first; "
        "blocked and patched by set.",
    .options = options,
    .min_args = 1,
    .max_args = 1,
    .run = run,
};
