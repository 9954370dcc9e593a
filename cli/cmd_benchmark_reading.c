/* cmd_benchmark_reading.c: models scored against the truth that worlds knows, by kind, with the
 * spread over seeds. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"
#include "core/file.h"
#include "read/score.h"
#include "model.h"

enum { GROUP_NAME = 80 };

typedef struct entry {
  const char *path;
  char group[GROUP_NAME];
  sgi_score score;
  size_t parameters;
} entry;

typedef struct work {
  const cli_call *c;
  sgi_truth truth;
  sgi_score_settings settings;
  entry *entries;
  size_t n, n_groups;
  size_t *group; /* (n) number of each entry's group, by first appearance */
  cli_progress progress;
} work;

/* ---- the measures ---------------------------------------------------------------------------- */

typedef struct measure {
  const char *key, *title;
  size_t offset; /* of a double in sgi_score */
  int better;    /* 1: more is better, -1: less; 0: no measure of reading */
  int digits;
} measure;

#define OF(field) offsetof(sgi_score, field)
#define PURITY(form, field) (OF(purity) + (form) * sizeof(sgi_purity) + offsetof(sgi_purity, field))
static const measure measures[] = {
    {"category_gates", "category purity, gates", PURITY(SGI_SCORE_GATES, category), 1, 3},
    {"category_gates_chance", "  chance", PURITY(SGI_SCORE_GATES, category_chance), 0, 3},
    {"category_values", "category purity, activations", PURITY(SGI_SCORE_VALUES, category), 1, 3},
    {"category_values_chance", "  chance", PURITY(SGI_SCORE_VALUES, category_chance), 0, 3},
    {"category_stream", "category purity, residual stream", PURITY(SGI_SCORE_STREAM, category), 0, 3},
    {"topic_gates", "topic purity, gates", PURITY(SGI_SCORE_GATES, topic), 1, 3},
    {"topic_gates_chance", "  chance", PURITY(SGI_SCORE_GATES, topic_chance), 0, 3},
    {"topic_values", "topic purity, activations", PURITY(SGI_SCORE_VALUES, topic), 1, 3},
    {"topic_values_chance", "  chance", PURITY(SGI_SCORE_VALUES, topic_chance), 0, 3},
    {"topic_stream", "topic purity, residual stream", PURITY(SGI_SCORE_STREAM, topic), 0, 3},
    {"units", "neurons x positions with an effect", OF(units), 0, 0},
    {"broken", "removed until a fact is lost", OF(broken), -1, 1},
    {"broken_chance", "  chance", OF(broken_chance), 0, 1},
    {"restored", "kept until a fact is back", OF(restored), -1, 1},
    {"restored_chance", "  chance", OF(restored_chance), 0, 1},
    {"alone", "facts that need no neuron", OF(alone), 0, 3},
    {"faithful", "faithfulness (rank correlation)", OF(faithful), 1, 3},
    {"faithful_chance", "  chance", OF(faithful_chance), 0, 3},
    {"faithful_held", "  with gates held", OF(faithful_held), 0, 3},
};

static double value(const sgi_score *s, const measure *m) { return *(const double *)((const char *)s + m->offset); }

typedef struct spread {
  double mean, sd; /* sd of the seeds (n - 1), NaN for one */
  size_t n;
} spread;

static spread spread_of(const work *w, size_t group, const measure *m) {
  spread s = {0};
  double square = 0;
  for (size_t i = 0; i < w->n; i++)
    if (w->group[i] == group) {
      s.mean += value(&w->entries[i].score, m);
      s.n++;
    }
  s.mean /= (double)s.n;
  for (size_t i = 0; i < w->n; i++)
    if (w->group[i] == group) square += pow(value(&w->entries[i].score, m) - s.mean, 2);
  s.sd = s.n > 1 ? sqrt(square / (double)(s.n - 1)) : NAN;
  return s;
}

/* Two-sided 5 % point of Student's t; df is cut to the next lower row. */
static double t_quantile(double df) {
  static const struct {
    double df, t;
  } rows[] = {{30, 2.042}, {20, 2.086}, {15, 2.131}, {12, 2.179}, {10, 2.228}, {8, 2.306},
              {7, 2.365},  {6, 2.447},  {5, 2.571},  {4, 2.776},  {3, 3.182},  {2, 4.303}};
  for (size_t i = 0; i < SGI_COUNT(rows); i++)
    if (df >= rows[i].df) return rows[i].t;
  return 12.706;
}

/* 1: a reads better than b by Welch's t test at 5 %, -1: worse, 0: no difference seen, or a single
 * model. */
static int compare(const spread *a, const spread *b, int better) {
  if (a->n < 2 || b->n < 2) return 0;
  double va = a->sd * a->sd / (double)a->n, vb = b->sd * b->sd / (double)b->n, d = (a->mean - b->mean) * better;
  double below = va * va / (double)(a->n - 1) + vb * vb / (double)(b->n - 1);
  double t = below > 0 ? t_quantile((va + vb) * (va + vb) / below) : 0;
  if (!(fabs(d) > t * sqrt(va + vb))) return 0;
  return d > 0 ? 1 : -1;
}

/* ---- models ---------------------------------------------------------------------------------- */

static sg_status open_model(const char *path, sg_model **m, sg_tokenizer **tok, sg_error *err) {
  char *directory = NULL, *file = NULL;
  *m = NULL;
  *tok = NULL;
  sg_status st = sgi_model_locate(path, NULL, &cli_skipped, &directory, err);
  if (!st) st = sg_model_load(directory, m, err);
  if (!st && !(file = sgi_path_join(directory, "tokenizer.json"))) st = sgi_fail(err, SG_ERR_MEMORY, "out of memory");
  if (!st) st = sg_tokenizer_load(file, tok, err);
  sgi_free(directory);
  sgi_free(file);
  return st;
}

static bool go_on(void *user) {
  work *w = user;
  cli_progress_update(&w->progress, w->progress.done, NULL);
  return !cli_stop;
}

static sg_status score(work *w, entry *e, sg_error *err) {
  sg_model *m;
  sg_tokenizer *tok;
  sg_status st = open_model(e->path, &m, &tok, err);
  if (!st) {
    const sg_config *c = sg_model_config(m);
    snprintf(e->group, sizeof e->group, "%s%s%s", c->feedforward, c->router[0] ? " " : "",
             c->router[0] ? c->activation : "");
    e->parameters = sg_model_parameter_count(m);
    st = sgi_score_model(m, tok, &w->truth, &w->settings, &e->score, err);
    if (st && st != SG_ERR_CANCELLED) sgi_error_prefix(err, st, "%s", e->path);
  }
  sg_tokenizer_free(tok);
  sg_model_free(m);
  return st;
}

static void group(work *w) {
  for (size_t i = 0; i < w->n; i++) {
    size_t j = 0;
    while (strcmp(w->entries[j].group, w->entries[i].group)) j++;
    w->group[i] = j == i ? w->n_groups++ : w->group[j];
  }
}

static const char *group_name(const work *w, size_t group) {
  size_t i = 0;
  while (w->group[i] != group) i++;
  return w->entries[i].group;
}

static sg_status score_all(work *w, sg_error *err) {
  w->n = (size_t)w->c->n_args;
  w->entries = sgi_alloc(w->n * sizeof *w->entries);
  w->group = sgi_alloc(w->n * sizeof *w->group);
  if (!w->entries || !w->group) return sgi_fail(err, SG_ERR_MEMORY, "out of memory for %zu models", w->n);
  sg_status st = sgi_truth_load(&w->truth, cli_string(w->c, "worlds"), cli_size(w->c, "stories"), err);
  cli_progress_begin(&w->progress, "scoring", "models", (double)w->n, 0);
  for (size_t i = 0; i < w->n && !st; i++) {
    w->entries[i].path = w->c->args[i];
    st = score(w, &w->entries[i], err);
    w->progress.done = (double)(i + 1);
  }
  cli_progress_end(&w->progress);
  if (!st) group(w);
  return st;
}

/* ---- results --------------------------------------------------------------------------------- */

static json_t *model_json(const entry *e) {
  json_t *o = json_pack("{ss ss sI sI sI sI sI sI}", "model", e->path, "group", e->group, "parameters",
                        (json_int_t)e->parameters, "positions", (json_int_t)e->score.positions, "words",
                        (json_int_t)e->score.words, "prompts", (json_int_t)e->score.prompts, "known",
                        (json_int_t)e->score.known, "measured", (json_int_t)e->score.measured);
  for (size_t i = 0; i < SGI_COUNT(measures); i++)
    json_object_set_new(o, measures[i].key, sgi_report_real(value(&e->score, &measures[i])));
  return o;
}

static json_t *group_json(const work *w, size_t g) {
  json_t *o = json_pack("{ss}", "group", group_name(w, g));
  for (size_t i = 0; i < SGI_COUNT(measures); i++) {
    spread s = spread_of(w, g, &measures[i]), first = spread_of(w, 0, &measures[i]);
    json_t *m = json_pack("{so so sI}", "mean", sgi_report_real(s.mean), "sd", sgi_report_real(s.sd), "models",
                          (json_int_t)s.n);
    if (g && measures[i].better)
      json_object_set_new(
          m, "first_group_reads",
          json_string((const char *[]){"worse", "same", "better"}[compare(&first, &s, measures[i].better) + 1]));
    json_object_set_new(o, measures[i].key, m);
  }
  return o;
}

static int print_json(const work *w) {
  json_t *models = json_array(), *groups = json_array();
  for (size_t i = 0; i < w->n; i++) json_array_append_new(models, model_json(&w->entries[i]));
  for (size_t g = 0; g < w->n_groups; g++) json_array_append_new(groups, group_json(w, g));
  return cli_json(json_pack("{so so}", "models", models, "groups", groups));
}

static void cell(cli_table *t, spread s, int digits) {
  if (s.n > 1)
    cli_cell(t, "%.*f +- %.*f", digits, s.mean, digits, s.sd);
  else
    cli_cell(t, "%.*f", digits, s.mean);
}

static void known_row(const work *w, cli_table *t) {
  cli_cell(t, "facts known");
  for (size_t g = 0; g < w->n_groups; g++) {
    size_t known = 0, prompts = 0;
    for (size_t i = 0; i < w->n; i++)
      if (w->group[i] == g) {
        known += w->entries[i].score.known;
        prompts += w->entries[i].score.prompts;
      }
    cli_cell(t, "%.1f %%", prompts ? 100 * (double)known / (double)prompts : 0);
  }
}

static void print_measures(const work *w) {
  char align[32] = "l";
  for (size_t g = 0; g < w->n_groups && g < sizeof align - 2; g++) strcat(align, "r");
  cli_table *t = cli_table_begin(align);
  cli_cell(t, "measure");
  for (size_t g = 0; g < w->n_groups; g++) cli_cell(t, "%s", group_name(w, g));
  cli_cell(t, "models");
  for (size_t g = 0; g < w->n_groups; g++) cli_cell(t, "%zu", spread_of(w, g, &measures[0]).n);
  known_row(w, t);
  for (size_t i = 0; i < SGI_COUNT(measures); i++) {
    cli_cell(t, "%s", measures[i].title);
    for (size_t g = 0; g < w->n_groups; g++) cell(t, spread_of(w, g, &measures[i]), measures[i].digits);
  }
  cli_table_end(t);
}

static void print_comparison(const work *w) {
  static const char *const words[] = {"worse than", "not different from", "better than"};
  printf("\n%s reads (Welch's t test, 5 %%, one measure at a time):\n", group_name(w, 0));
  for (size_t i = 0; i < SGI_COUNT(measures); i++) {
    if (!measures[i].better) continue;
    spread first = spread_of(w, 0, &measures[i]);
    printf("  %s:", measures[i].title);
    bool any = false;
    for (int result = 1; result >= -1; result--) {
      const char *join = any ? "; " : " ";
      for (size_t g = 1; g < w->n_groups; g++) {
        spread other = spread_of(w, g, &measures[i]);
        if (compare(&first, &other, measures[i].better) != result) continue;
        printf("%s%s%s", join, *join == ',' ? "" : words[result + 1], *join == ',' ? "" : " ");
        printf("%s", group_name(w, g));
        join = ", ";
        any = true;
      }
    }
    printf("\n");
  }
}

static int run(const cli_call *c) {
  sg_error err = {0};
  work w = {.c = c};
  w.settings = (sgi_score_settings){.positions = cli_size(c, "positions"),
                                    .per_word = cli_size(c, "per-word"),
                                    .neighbours = cli_size(c, "neighbours"),
                                    .facts = cli_size(c, "facts"),
                                    .units = cli_size(c, "neurons"),
                                    .permutations = cli_size(c, "permutations"),
                                    .seed = cli_u64(c, "seed"),
                                    .go_on = go_on,
                                    .user = &w};
  cli_signals_install();
  sg_status st = score_all(&w, &err);
  int code = 0;
  if (st) {
    code = cli_end(st, &err);
  } else if (cli_flag(c, "json")) {
    code = print_json(&w);
  } else {
    print_measures(&w);
    if (w.n_groups > 1 && w.n > w.n_groups) print_comparison(&w);
  }
  sgi_truth_deinit(&w.truth);
  sgi_free(w.entries);
  sgi_free(w.group);
  return code;
}

static const cli_option options[] = {{.name = "worlds",
                                      .letter = 'w',
                                      .required = true,
                                      .type = CLI_STRING,
                                      .argument = "DIR",
                                      .help = "the corpus, as 'data worlds' wrote it"},
                                     {.name = "stories",
                                      .type = CLI_SIZE,
                                      .argument = "N",
                                      .value = "300",
                                      .min = 2,
                                      .max = 1e6,
                                      .help = "unseen stories to take circuits from"},
                                     {.name = "positions",
                                      .type = CLI_SIZE,
                                      .argument = "N",
                                      .value = "1200",
                                      .min = 2,
                                      .max = 1e5,
                                      .help = "circuits to compare, at most"},
                                     {.name = "per-word",
                                      .type = CLI_SIZE,
                                      .argument = "N",
                                      .value = "8",
                                      .min = 1,
                                      .max = 1e5,
                                      .help = "circuits of one word, at most"},
                                     {.name = "neighbours",
                                      .type = CLI_SIZE,
                                      .argument = "N",
                                      .value = "10",
                                      .min = 1,
                                      .max = 1000,
                                      .help = "nearest circuits that count"},
                                     {.name = "facts",
                                      .type = CLI_SIZE,
                                      .argument = "N",
                                      .value = "200",
                                      .min = 1,
                                      .max = 1e5,
                                      .help = "known facts to take apart, at most"},
                                     {.name = "neurons",
                                      .type = CLI_SIZE,
                                      .argument = "N",
                                      .value = "128",
                                      .min = 3,
                                      .max = 1e5,
                                      .help = "neurons removed one by one for each fact"},
                                     {.name = "permutations",
                                      .type = CLI_SIZE,
                                      .argument = "N",
                                      .value = "20",
                                      .min = 1,
                                      .max = 1e5,
                                      .help = "permutations of each baseline"},
                                     CLI_SEED_OPTION,
                                     CLI_JSON_OPTION,
                                     CLI_END};

const cli_command cli_benchmark_reading = {
    .name = "benchmark-reading",
    .group = "Reading",
    .summary = "score how well models read, against the truth worlds knows",
    .usage = "--worlds DIR MODEL...",
    .examples =
        "# two kinds, three seeds each; the first kind is compared with the others\n"
        "sgatlin benchmark-reading --worlds worlds sgatlin-0 sgatlin-1 sgatlin-2 mlp-0 mlp-1 mlp-2",
    .description =
        "Models of one kind and activation are one column: mean and standard deviation over them, so give one run per "
        "seed.\n\n"
        "Purity: of a labelled word's circuit, the share of its nearest circuits (other words, other stories) that "
        "have the "
        "word's category or the story's topic, mean over layers. Fewest neurons: how many must be removed, in order of "
        "their "
        "total effect, before the model prefers a wrong answer, and how many must be kept, all others removed, before "
        "it "
        "is right; medians. Faithfulness: rank correlation of the attribution's total effects with what removing "
        "the neuron does. Chance: permuted labels, random order, permuted effects.",
    .options = options,
    .min_args = 1,
    .max_args = CLI_ANY,
    .run = run,
};
