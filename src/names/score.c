/* score.c: detection. Values of the drawn neurons at all positions are kept, so that a threshold
 * can be set for each; then every label is a list of tokens, and every question a count. */
#include "names/score.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/arena.h"
#include "core/median.h"
#include "core/rng.h"
#include "read/unit_watch.h"

enum { LEAST = 10, BATCH = 4096 }; /* firings of a neuron that is scored; tokens of a pass */

typedef struct scoring {
  const sgi_label_score_request *q;
  sgi_named *drawn; /* (n) labelled neurons, by place */
  size_t n, room;
  uint32_t **slot_of;               /* (L) each (C*F): number in drawn from 1, 0: not drawn */
  float *value;                     /* (n,positions) */
  int32_t *input, *next, *category; /* (positions) */
  bool *second;                     /* (positions) of the rows that categories are judged on */
  size_t *position_of;              /* (rows of a batch) 1 + position, 0: does not count */
  size_t positions, most;
} scoring;

/* ---- which neurons --------------------------------------------------------------------------- */

static sg_status take_row(void *user, const sgi_named *row, sg_error *err) {
  scoring *s = user;
  if (!row->called.labelled || !row->label.n_reads) return SG_OK;
  if (!sgi_room(&s->drawn, &s->room, s->n, sizeof *s->drawn))
    return sgi_fail_memory(err, s->n * sizeof *s->drawn, "labels");
  s->drawn[s->n++] = *row;
  return SG_OK;
}

static int by_place(const void *x, const void *y) {
  const sgi_neuron_at *a = &((const sgi_named *)x)->at, *b = &((const sgi_named *)y)->at;
  if (a->layer != b->layer) return a->layer < b->layer ? -1 : 1;
  if (a->channel != b->channel) return a->channel < b->channel ? -1 : 1;
  return a->index < b->index ? -1 : a->index > b->index;
}

static sg_status draw(scoring *s, sg_names *names, sg_error *err) {
  sg_status st = sgi_names_each(names, take_row, s, err);
  if (st) return st;
  if (!s->n) return sgi_fail(err, SG_ERR_ARG, "the file of names holds no label: 'sgatlin label make' makes them");
  sgi_rng r = sgi_rng_make(s->q->seed, SGI_STREAM_SAMPLE, 11);
  for (size_t i = 0; i < s->n && i < s->q->neurons; i++) {
    size_t j = i + (size_t)sgi_rng_below(&r, s->n - i);
    sgi_named t = s->drawn[i];
    s->drawn[i] = s->drawn[j];
    s->drawn[j] = t;
  }
  if (s->n > s->q->neurons) s->n = s->q->neurons;
  qsort(s->drawn, s->n, sizeof *s->drawn, by_place);
  return SG_OK;
}

static sg_status place_drawn(scoring *s, sg_error *err) {
  const sg_model *m = s->q->model;
  size_t L = m->config.num_layers;
  if (!(s->slot_of = sgi_alloc(L * sizeof *s->slot_of))) return sgi_fail_memory(err, L, "drawn neurons");
  for (size_t i = 0; i < s->n; i++) {
    const sgi_neuron_at *at = &s->drawn[i].at;
    const sgi_sublayer *f = at->layer < L ? sgi_feedforward_of(m, at->layer) : NULL;
    size_t C = f ? sgi_unit_channels(f->config) : 1;
    if (!f || at->channel >= C || at->index >= f->config->num_neurons)
      return sgi_fail(err, SG_ERR_ARG, "the file of names has a neuron %zu.%zu.%zu, and this model none", at->layer,
                      at->channel, at->index);
    uint32_t **table = &s->slot_of[at->layer];
    if (!*table && !(*table = sgi_alloc(C * f->config->num_neurons * sizeof **table)))
      return sgi_fail_memory(err, C * f->config->num_neurons * sizeof **table, "drawn neurons");
    (*table)[at->channel * f->config->num_neurons + at->index] = (uint32_t)(i + 1);
  }
  return SG_OK;
}

/* ---- what they do on the text ---------------------------------------------------------------- */

static void take_value(void *user, size_t layer, size_t row, size_t channel, size_t index, float value) {
  const scoring *s = user;
  const uint32_t *table = s->slot_of[layer];
  if (!table || !s->position_of[row]) return;
  size_t F = sgi_feedforward_of(s->q->model, layer)->config->num_neurons, slot = table[channel * F + index];
  if (slot) s->value[(slot - 1) * s->most + s->position_of[row] - 1] = value;
}

/* Positions of rows [first, first + n): all but begin token and padding, and those before which no
 * token is to come. */
static void note_positions(scoring *s, size_t first, size_t n) {
  const sgi_label_score_request *q = s->q;
  const sg_config *c = &q->model->config;
  for (size_t r = 0; r < n; r++)
    for (size_t t = 0; t < q->T; t++) {
      size_t i = (first + r) * q->T + t;
      int32_t id = q->inputs[i];
      bool counts = id != c->bos_id && id != c->pad_id && id != c->eos_id && s->positions < s->most;
      s->position_of[r * q->T + t] = counts ? s->positions + 1 : 0;
      if (!counts) continue;
      s->input[s->positions] = id;
      s->next[s->positions] = t + 1 < q->T ? q->inputs[i + 1] : -1;
      s->category[s->positions] = q->category ? q->category[i] : -1;
      s->second[s->positions++] = (first + r) % 2;
    }
}

static sg_status run(scoring *s, sg_error *err) {
  const sgi_label_score_request *q = s->q;
  size_t rows = BATCH / q->T ? BATCH / q->T : 1;
  if (rows > q->B) rows = q->B;
  sgi_pass *pass = NULL;
  sgi_unit_watch watch = {.value = take_value, .user = s};
  s->position_of = sgi_alloc(rows * q->T * sizeof *s->position_of);
  sg_status st = s->position_of ? sgi_pass_create(q->model, rows, q->T, false, &pass, err)
                                : sgi_fail_memory(err, rows * q->T, "positions");
  for (size_t first = 0; first < q->B && s->positions < s->most && !st; first += rows) {
    size_t n = rows < q->B - first ? rows : q->B - first;
    note_positions(s, first, n);
    sgi_batch b = {.B = n, .T = q->T, .inputs = q->inputs + first * q->T};
    st = sgi_pass_forward(pass, &b, &(sgi_tap){.visit = sgi_unit_watch_visit, .user = &watch, .err = err}, err);
    if (!st && q->progress && !q->progress(q->user, s->positions, s->most))
      st = sgi_fail(err, SG_ERR_CANCELLED, "stopped");
  }
  sgi_unit_watch_deinit(&watch);
  sgi_pass_free(pass);
  return st;
}

/* ---- one neuron ------------------------------------------------------------------------------ */

static int by_size(const void *x, const void *y) {
  float a = *(const float *)x, b = *(const float *)y;
  return a > b ? -1 : a < b;
}

/* fired (positions): its strongest, at most where it fires at all; how many. */
static size_t find_fired(const scoring *s, size_t i, float *work, bool *fired) {
  size_t n = 0, k = (size_t)(s->q->share * (double)s->positions + 0.5);
  const float *x = s->value + i * s->most;
  for (size_t p = 0; p < s->positions; p++) work[p] = fabsf(x[p]);
  qsort(work, s->positions, sizeof *work, by_size);
  float least = work[k < 1 ? 0 : k < s->positions ? k - 1 : s->positions - 1];
  for (size_t p = 0; p < s->positions; p++) {
    fired[p] = fabsf(x[p]) >= least && x[p] != 0;
    n += fired[p];
  }
  return n;
}

static bool reads(const sgi_label *l, int32_t id) {
  for (size_t k = 0; k < l->n_reads; k++)
    if (l->reads[k] == id) return true;
  return false;
}

static bool raises(const sgi_label *l, int32_t id) {
  for (size_t k = 0; k < l->n_writes; k++)
    if (l->raises[k] && l->writes[k] == id) return true;
  return false;
}

typedef struct counts {
  size_t fired, told, silent, wrong; /* told: of the fired; wrong: of the silent */
} counts;

static void add(counts *c, bool fired, bool foretold) {
  c->fired += fired;
  c->silent += !fired;
  c->told += fired && foretold;
  c->wrong += !fired && foretold;
}

static double balanced(const counts *c) {
  if (!c->fired || !c->silent) return NAN;
  return ((double)c->told / (double)c->fired + 1 - (double)c->wrong / (double)c->silent) / 2;
}

static double by_reads(const scoring *s, const sgi_label *l, const bool *fired) {
  counts c = {0};
  for (size_t p = 0; p < s->positions; p++) add(&c, fired[p], reads(l, s->input[p]));
  return balanced(&c);
}

/* Labels of other neurons of the layer. */
static void compare_others(const scoring *s, size_t i, const bool *fired, sgi_label_scored *out) {
  size_t from = i, to = i;
  while (from && s->drawn[from - 1].at.layer == out->at.layer) from--;
  while (to + 1 < s->n && s->drawn[to + 1].at.layer == out->at.layer) to++;
  size_t n = to - from; /* others */
  double sum = 0, below = 0;
  size_t asked = n < s->q->others ? n : s->q->others;
  out->others = out->rank = NAN;
  if (!asked) return;
  for (size_t k = 0; k < asked; k++) {
    size_t j = from + (size_t)sgi_rng_permute(s->q->seed, SGI_STREAM_SAMPLE, 12 + i, n, k);
    if (j >= i) j++;
    double x = by_reads(s, &s->drawn[j].label, fired);
    sum += x;
    below += x < out->reads ? 1 : x == out->reads ? 0.5 : 0;
  }
  out->others = sum / (double)asked;
  out->rank = below / (double)asked;
}

/* The category that foretells best on the first rows, judged on the second. work (categories). */
static double best_category(const scoring *s, const bool *fired, counts *work) {
  size_t K = s->q->n_categories, best = K;
  if (!s->q->category) return NAN;
  double most = -1;
  counts judged = {0}, all = {0};
  memset(work, 0, K * sizeof *work);
  for (size_t p = 0; p < s->positions; p++) {
    if (s->second[p]) continue;
    all.fired += fired[p];
    all.silent += !fired[p];
    if (s->category[p] < 0) continue;
    work[s->category[p]].told += fired[p];
    work[s->category[p]].wrong += !fired[p];
  }
  for (size_t k = 0; k < K; k++) {
    work[k].fired = all.fired;
    work[k].silent = all.silent;
    double x = balanced(&work[k]);
    if (x > most) {
      most = x;
      best = k;
    }
  }
  if (best == K) return NAN;
  for (size_t p = 0; p < s->positions; p++)
    if (s->second[p]) add(&judged, fired[p], s->category[p] == (int32_t)best);
  return balanced(&judged);
}

static void score_one(const scoring *s, size_t i, const bool *fired, counts *work, sgi_label_scored *out) {
  const sgi_label *l = &s->drawn[i].label;
  counts w = {0}, e = {0};
  for (size_t p = 0; p < s->positions; p++) {
    bool read = reads(l, s->input[p]), raised = s->next[p] >= 0 && raises(l, s->next[p]);
    add(&w, fired[p], raised);
    add(&e, fired[p], read || raised);
  }
  out->reads = by_reads(s, l, fired);
  out->writes = balanced(&w);
  out->either = balanced(&e);
  compare_others(s, i, fired, out);
  out->category = best_category(s, fired, work);
}

static sg_status score_all(const scoring *s, sgi_label_scores *out, sg_error *err) {
  size_t n = s->positions;
  float *work = sgi_alloc(n * sizeof *work);
  bool *fired = sgi_alloc(n * sizeof *fired);
  counts *category = sgi_alloc((s->q->n_categories + 1) * sizeof *category);
  out->neurons = sgi_alloc(s->n * sizeof *out->neurons);
  sg_status st = work && fired && category && out->neurons ? SG_OK : sgi_fail_memory(err, n * sizeof *work, "scores");
  for (size_t i = 0; i < s->n && !st; i++) {
    sgi_label_scored one = {.at = s->drawn[i].at};
    one.fired = find_fired(s, i, work, fired);
    if (one.fired < LEAST) {
      out->silent++;
      continue;
    }
    score_one(s, i, fired, category, &one);
    out->neurons[out->n++] = one;
    if (s->q->progress && i % 64 == 0 && !s->q->progress(s->q->user, s->most, s->most))
      st = sgi_fail(err, SG_ERR_CANCELLED, "stopped");
  }
  out->positions = n;
  sgi_free(work);
  sgi_free(fired);
  sgi_free(category);
  return st;
}

static sg_status allocate(scoring *s, sg_error *err) {
  size_t bytes, all;
  if (!sgi_size_mul(s->q->B, s->q->T, &all)) return sgi_fail(err, SG_ERR_ARG, "the text is too long");
  s->most = all < s->q->positions ? all : s->q->positions;
  if (!s->most || !sgi_size_mul(s->n * sizeof *s->value, s->most, &bytes))
    return sgi_fail(err, SG_ERR_ARG, "%zu neurons at %zu positions can not be scored", s->n, s->most);
  s->value = sgi_alloc(bytes);
  s->input = sgi_alloc(s->most * sizeof *s->input);
  s->next = sgi_alloc(s->most * sizeof *s->next);
  s->category = sgi_alloc(s->most * sizeof *s->category);
  s->second = sgi_alloc(s->most * sizeof *s->second);
  return s->value && s->input && s->next && s->category && s->second
             ? SG_OK
             : sgi_fail_memory(err, bytes, "values of neurons: fewer neurons or positions need less");
}

static sg_status check(const sgi_label_score_request *q, sg_error *err) {
  if (!(q->share > 0 && q->share <= 0.5))
    return sgi_fail(err, SG_ERR_ARG, "a share of %g of the positions can not be the strongest: above 0, to 0.5",
                    q->share);
  return q->neurons ? SG_OK : sgi_fail(err, SG_ERR_ARG, "no neuron is to be scored");
}

sg_status sgi_label_score(sg_names *names, const sgi_label_score_request *q, sgi_label_scores *out, sg_error *err) {
  scoring s = {.q = q};
  *out = (sgi_label_scores){0};
  sg_status st = check(q, err);
  if (!st) st = draw(&s, names, err);
  if (!st) st = place_drawn(&s, err);
  if (!st) st = allocate(&s, err);
  if (!st) st = run(&s, err);
  if (!st && s.positions < 100) st = sgi_fail(err, SG_ERR_ARG, "%zu positions are too few to score on", s.positions);
  if (!st) st = score_all(&s, out, err);
  for (size_t l = 0; s.slot_of && l < q->model->config.num_layers; l++) sgi_free(s.slot_of[l]);
  sgi_free(s.slot_of);
  sgi_free(s.drawn);
  sgi_free(s.value);
  sgi_free(s.input);
  sgi_free(s.next);
  sgi_free(s.category);
  sgi_free(s.second);
  sgi_free(s.position_of);
  return st;
}

void sgi_label_scores_deinit(sgi_label_scores *s) {
  sgi_free(s->neurons);
  *s = (sgi_label_scores){0};
}

/* Between the two nearest, as the field's tools do. */
static double quantile(const double *x, size_t n, double q) {
  double at = q * (double)(n - 1);
  size_t i = (size_t)at;
  return i + 1 < n ? x[i] + (at - (double)i) * (x[i + 1] - x[i]) : x[i];
}

sg_status sgi_label_quartiles(const sgi_label_scores *s, size_t offset, sgi_quartiles *out, sg_error *err) {
  *out = (sgi_quartiles){NAN, NAN, NAN, 0};
  double *x = sgi_alloc((s->n + 1) * sizeof *x);
  if (!x) return sgi_fail_memory(err, s->n * sizeof *x, "quartiles");
  for (size_t i = 0; i < s->n; i++) {
    memcpy(&x[out->n], (const char *)&s->neurons[i] + offset, sizeof *x);
    out->n += !isnan(x[out->n]);
  }
  qsort(x, out->n, sizeof *x, sgi_ascending);
  if (out->n)
    *out = (sgi_quartiles){quantile(x, out->n, 0.25), quantile(x, out->n, 0.5), quantile(x, out->n, 0.75), out->n};
  sgi_free(x);
  return SG_OK;
}
