#include "reading_score.h"

#include <math.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "core/file.h"
#include "open.h"
#include "read/score.h"

enum { GROUP_NAME = 80 };

typedef struct entry {
  const char *path;
  char group[GROUP_NAME];
  sgi_score score;
  size_t parameters;
} entry;

typedef struct benchmark {
  const sgi_reading_benchmark *q;
  sgi_truth truth;
  sgi_score_settings settings;
  entry *entries;
  size_t n, n_groups;
  size_t *group; /* (n) number of each entry's group, by first appearance */
} benchmark;

/* ---- the measures ---------------------------------------------------------------------------- */

typedef struct measure {
  const char *key;
  size_t offset; /* of a double in sgi_score */
  int better;    /* 1: more is better, -1: less; 0: no measure of reading */
} measure;

#define OF(field) offsetof(sgi_score, field)
#define PURITY(form, field) (OF(purity) + (form) * sizeof(sgi_purity) + offsetof(sgi_purity, field))
static const measure measures[] = {
    {"category_gates", PURITY(SGI_SCORE_GATES, category), 1},
    {"category_gates_chance", PURITY(SGI_SCORE_GATES, category_chance), 0},
    {"category_values", PURITY(SGI_SCORE_VALUES, category), 1},
    {"category_values_chance", PURITY(SGI_SCORE_VALUES, category_chance), 0},
    {"category_stream", PURITY(SGI_SCORE_STREAM, category), 0},
    {"topic_gates", PURITY(SGI_SCORE_GATES, topic), 1},
    {"topic_gates_chance", PURITY(SGI_SCORE_GATES, topic_chance), 0},
    {"topic_values", PURITY(SGI_SCORE_VALUES, topic), 1},
    {"topic_values_chance", PURITY(SGI_SCORE_VALUES, topic_chance), 0},
    {"topic_stream", PURITY(SGI_SCORE_STREAM, topic), 0},
    {"units", OF(units), 0},
    {"broken", OF(broken), -1},
    {"broken_chance", OF(broken_chance), 0},
    {"restored", OF(restored), -1},
    {"restored_chance", OF(restored_chance), 0},
    {"alone", OF(alone), 0},
    {"faithful", OF(faithful), 1},
    {"faithful_chance", OF(faithful_chance), 0},
    {"faithful_held", OF(faithful_held), 0},
    {"exact_rank", OF(exact_rank), 1},
    {"exact_missed", OF(exact_missed), -1},
    {"keep", OF(keep), -1},
    {"lose", OF(lose), -1},
    {"keep_mean", OF(keep_mean), -1},
    {"lose_mean", OF(lose_mean), -1},
};

static double value(const sgi_score *s, const measure *m) { return *(const double *)((const char *)s + m->offset); }

typedef struct spread {
  double mean, sd; /* sd of the seeds (n - 1), NaN for one */
  size_t n;
} spread;

static spread spread_of(const benchmark *w, size_t group, const measure *m) {
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

static sg_status open_model(const benchmark *w, const char *path, sg_model **m, sg_tokenizer **tok, sg_error *err) {
  const sg_open_request q = {.path = path, .skipped = w->q->skipped, .user = w->q->user};
  char *directory = NULL, *file = NULL;
  *m = NULL;
  *tok = NULL;
  sg_status st = sgi_open_directory(&q, &directory, err);
  if (!st) st = sg_model_load(directory, m, err);
  if (!st && !(file = sgi_path_join(directory, "tokenizer.json"))) st = sgi_fail(err, SG_ERR_MEMORY, "out of memory");
  if (!st) st = sg_tokenizer_load(file, tok, err);
  sgi_free(directory);
  sgi_free(file);
  return st;
}

static sg_status score(benchmark *w, entry *e, sg_error *err) {
  sg_model *m;
  sg_tokenizer *tok;
  sg_status st = open_model(w, e->path, &m, &tok, err);
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

static void group(benchmark *w) {
  for (size_t i = 0; i < w->n; i++) {
    size_t j = 0;
    while (strcmp(w->entries[j].group, w->entries[i].group)) j++;
    w->group[i] = j == i ? w->n_groups++ : w->group[j];
  }
}

static const char *group_name(const benchmark *w, size_t group) {
  size_t i = 0;
  while (w->group[i] != group) i++;
  return w->entries[i].group;
}

static sg_status score_all(benchmark *w, sg_error *err) {
  const sgi_reading_benchmark *q = w->q;
  w->n = q->n;
  w->entries = sgi_alloc(w->n * sizeof *w->entries);
  w->group = sgi_alloc(w->n * sizeof *w->group);
  if (!w->entries || !w->group) return sgi_fail(err, SG_ERR_MEMORY, "out of memory for %zu models", w->n);
  sg_status st = sgi_truth_load(&w->truth, q->worlds, q->stories, err);
  if (q->begun) q->begun(q->user);
  for (size_t i = 0; i < w->n && !st; i++) {
    w->entries[i].path = q->models[i];
    st = score(w, &w->entries[i], err);
    if (q->scored) q->scored(q->user, i + 1);
  }
  if (!st) group(w);
  return st;
}

/* ---- the document ---------------------------------------------------------------------------- */

static json_t *model_json(const entry *e) {
  json_t *o = json_pack("{ss ss sI sI sI sI sI sI}", "model", e->path, "group", e->group, "parameters",
                        (json_int_t)e->parameters, "positions", (json_int_t)e->score.positions, "words",
                        (json_int_t)e->score.words, "prompts", (json_int_t)e->score.prompts, "known",
                        (json_int_t)e->score.known, "measured", (json_int_t)e->score.measured);
  for (size_t i = 0; i < SGI_COUNT(measures); i++)
    json_object_set_new(o, measures[i].key, sgi_report_real(value(&e->score, &measures[i])));
  return o;
}

static json_t *group_json(const benchmark *w, size_t g) {
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

sg_status sgi_reading_benchmark_report(const sgi_reading_benchmark *q, json_t **out, sg_error *err) {
  benchmark w = {.q = q,
                 .settings = {.positions = q->positions,
                              .per_word = q->per_word,
                              .neighbours = q->neighbours,
                              .facts = q->facts,
                              .units = q->units,
                              .permutations = q->permutations,
                              .sets = q->sets,
                              .seed = q->seed,
                              .go_on = q->go_on,
                              .user = q->user}};
  json_t *models = json_array(), *groups = json_array();
  sg_status st = score_all(&w, err);
  for (size_t i = 0; i < w.n && !st; i++) json_array_append_new(models, model_json(&w.entries[i]));
  for (size_t g = 0; g < w.n_groups && !st; g++) json_array_append_new(groups, group_json(&w, g));
  json_t *o = json_pack("{so so}", "models", models, "groups", groups);
  sgi_truth_deinit(&w.truth);
  sgi_free(w.entries);
  sgi_free(w.group);
  if (!st) st = sgi_report_whole(&o, "the scores", err);
  *out = o;
  if (!st) return SG_OK;
  json_decref(o);
  *out = NULL;
  return st;
}
