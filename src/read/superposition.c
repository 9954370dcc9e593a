#include "read/superposition.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/arena.h"
#include "core/rng.h"
#include "math/topk.h"

enum { PLACES = 20, SAMPLES = 10000, MOST_SETS = 50, SET_PLACES = 20 };

sgi_super_settings sgi_super_usual(void) {
  return (sgi_super_settings){.min_together = 20,
                              .min_lift = 4,
                              .null_lift = 1.5,
                              .max_pairs = 500,
                              .max_places = PLACES,
                              .samples = SAMPLES,
                              .max_set = 4};
}

void sgi_superposition_deinit(sgi_superposition *s) {
  sgi_free(s->pairs);
  sgi_free(s->sets);
  *s = (sgi_superposition){0};
}

/* ---- which pairs ----------------------------------------------------------------------------- */

/* A pair while it is looked at. */
typedef struct tested {
  uint32_t i, j, together;
  uint32_t row; /* of the counts beside i */
  double lift, rank;
  size_t places;
  double I, own, I_null, own_null, sign, sign_null; /* sums */
} tested;

typedef struct job {
  uint32_t position, pair;
} job;

typedef struct search {
  const sg_model *model;
  const sgi_recording *rec;
  const sgi_recording_info *info;
  const sgi_super_settings *s;
  sgi_firings f;
  tested *pairs;
  size_t n_pairs, capacity;
  uint32_t *beside; /* (rows, n_units) */
  job *jobs;
  size_t n_jobs, job_capacity;
  sgi_firing *set;      /* (3 m) firings of a position, pairs of variants */
  double *single, *two; /* (m), (2 m) effects */
  size_t m;             /* the most that fire at a position */
} search;

static int by_rank(const void *a, const void *b) {
  const tested *x = a, *y = b;
  if (x->rank != y->rank) return x->rank > y->rank ? -1 : 1;
  if (x->i != y->i) return x->i < y->i ? -1 : 1;
  return (x->j > y->j) - (x->j < y->j);
}

static void keep_best(search *w) {
  if (w->n_pairs) qsort(w->pairs, w->n_pairs, sizeof *w->pairs, by_rank);
  if (w->n_pairs > w->s->max_pairs) w->n_pairs = w->s->max_pairs;
}

static double lift_of(const search *w, size_t together, size_t i, size_t j) {
  double alone = (double)sgi_firings_of(&w->f, i) * (double)sgi_firings_of(&w->f, j);
  return alone > 0 ? (double)together * (double)w->f.counted / alone : 0;
}

static sg_status find_pairs(search *w, sg_error *err) {
  size_t units = w->f.n_units, most = 8 * w->s->max_pairs + 4096;
  uint32_t *count = sgi_alloc(units * sizeof *count);
  sg_status st = count ? SG_OK : sgi_fail_memory(err, units * sizeof *count, "counts of pairs");
  for (size_t i = 0; i < units && !st; i++) {
    if (sgi_firings_of(&w->f, i) < w->s->min_together) continue;
    sgi_firings_beside(&w->f, i, count);
    for (size_t j = i + 1; j < units && !st; j++) {
      double lift = count[j] < w->s->min_together ? 0 : lift_of(w, count[j], i, j);
      if (count[j] < w->s->min_together || lift < w->s->min_lift) continue;
      if (w->n_pairs >= most) keep_best(w);
      if (!sgi_room(&w->pairs, &w->capacity, w->n_pairs, sizeof *w->pairs))
        st = sgi_fail_memory(err, 2 * w->n_pairs * sizeof *w->pairs, "pairs");
      else
        w->pairs[w->n_pairs++] = (tested){
            .i = (uint32_t)i, .j = (uint32_t)j, .together = count[j], .lift = lift, .rank = count[j] * log(lift)};
    }
  }
  sgi_free(count);
  if (!st) keep_best(w);
  return st;
}

/* Counts beside each i that occurs, for the lifts of its q. */
static sg_status count_beside(search *w, sg_error *err) {
  size_t rows = 0, bytes;
  for (size_t k = 0; k < w->n_pairs; k++) {
    size_t same = 0;
    while (same < k && w->pairs[same].i != w->pairs[k].i) same++;
    w->pairs[k].row = same < k ? w->pairs[same].row : (uint32_t)rows++;
  }
  if (!sgi_size_mul(rows * sizeof *w->beside, w->f.n_units, &bytes) || (w->s->max_bytes && bytes > w->s->max_bytes))
    return sgi_fail(err, SG_ERR_MEMORY, "counts beside %zu of %zu neurons need more than is allowed: fewer pairs do",
                    rows, w->f.n_units);
  w->beside = sgi_alloc(bytes + 1);
  if (!w->beside) return sgi_fail_memory(err, bytes, "counts of neurons that fire together");
  for (size_t k = 0, done = 0; k < w->n_pairs; k++)
    if (w->pairs[k].row == done) sgi_firings_beside(&w->f, w->pairs[k].i, w->beside + done++ * w->f.n_units);
  return SG_OK;
}

/* ---- where ----------------------------------------------------------------------------------- */

/* Positions at which all units fire: counted, or the k-th of them. */
static bool fires(const sgi_firings *f, size_t position, uint32_t unit) {
  for (size_t i = f->start[position]; i < f->start[position + 1]; i++)
    if (f->at[i].unit == unit) return true;
  return false;
}

static int by_place(const void *a, const void *b) {
  const job *x = a, *y = b;
  if (x->position != y->position) return x->position < y->position ? -1 : 1;
  return (x->pair > y->pair) - (x->pair < y->pair);
}

/* Of a pair's places max_places, evenly spread. */
static sg_status find_places(search *w, sg_error *err) {
  for (size_t k = 0; k < w->n_pairs; k++) {
    const tested *p = &w->pairs[k];
    size_t want = w->s->max_places && p->together > w->s->max_places ? w->s->max_places : p->together, seen = 0,
           taken = 0;
    for (size_t at = w->f.list[p->i]; at < w->f.list[p->i + 1]; at++) {
      uint32_t position = w->f.place[at];
      if (!fires(&w->f, position, p->j)) continue;
      if (seen++ != taken * p->together / want) continue;
      taken++;
      if (!sgi_room(&w->jobs, &w->job_capacity, w->n_jobs, sizeof *w->jobs))
        return sgi_fail_memory(err, 2 * w->n_jobs * sizeof *w->jobs, "places of pairs");
      w->jobs[w->n_jobs++] = (job){position, (uint32_t)k};
      if (taken == want) break;
    }
  }
  if (w->n_jobs) qsort(w->jobs, w->n_jobs, sizeof *w->jobs, by_place);
  return SG_OK;
}

/* ---- effects --------------------------------------------------------------------------------- */

/* Of what fires beside i by chance alone the one most like j in strength; n: none. */
static size_t choose_null(const search *w, const tested *p, const sgi_firing *f, size_t n, size_t j,
                          const double *single) {
  size_t best = n;
  double nearest = INFINITY;
  for (size_t q = 0; q < n; q++) {
    if (f[q].unit == p->i || f[q].unit == p->j) continue;
    uint32_t together = w->beside[p->row * w->f.n_units + f[q].unit];
    double away = fabs(fabs(single[q]) - fabs(single[j]));
    if (lift_of(w, together, p->i, f[q].unit) >= w->s->null_lift || !(away < nearest)) continue;
    nearest = away;
    best = q;
  }
  return best;
}

static size_t find_unit(const sgi_firing *f, size_t n, uint32_t unit) {
  size_t k = 0;
  while (k < n && f[k].unit != unit) k++;
  return k;
}

static void add(tested *p, double ei, double ej, double eq, double eij, double eiq) {
  double I = eij - ei - ej, null = eiq - ei - eq;
  p->places++;
  p->I += fabs(I);
  p->own += fabs(ei) + fabs(ej);
  p->sign += I;
  p->I_null += fabs(null);
  p->own_null += fabs(ei) + fabs(eq);
  p->sign_null += null;
}

/* All jobs of one position. */
static sg_status at_position(search *w, sgi_without *x, size_t t, const job *jobs, size_t n_jobs, sg_error *err) {
  size_t position = jobs[0].position, n = w->f.start[position + 1] - w->f.start[position];
  sgi_firing *own = w->set, *two = w->set + w->m;
  memcpy(own, w->f.at + w->f.start[position], n * sizeof *own);
  if (!w->s->shuffled) sgi_without_values(x, t, own, n);
  sg_status st = sgi_without_effects(x, t, own, 1, n, w->single, err);
  for (size_t k = 0; k < n_jobs && !st; k++) {
    tested *p = &w->pairs[jobs[k].pair];
    size_t i = find_unit(own, n, p->i), j = find_unit(own, n, p->j), q = choose_null(w, p, own, n, j, w->single);
    if (q == n) continue;
    const sgi_firing both[] = {own[i], own[j], own[i], own[q]};
    memcpy(two, both, sizeof both);
    st = sgi_without_effects(x, t, two, 2, 2, w->two, err);
    if (!st) add(p, w->single[i], w->single[j], w->single[q], w->two[0], w->two[1]);
  }
  return st;
}

/* inputs, targets of a document. */
static void read_document(const search *w, size_t first, size_t n, int32_t *inputs, int32_t *targets) {
  for (size_t t = 0; t < n; t++) {
    sgi_recorded at = sgi_recording_at(w->rec, first + t);
    inputs[t] = at.input;
    targets[t] = at.target;
  }
}

static size_t longest_document(const search *w) {
  size_t longest = 1, first, n;
  for (size_t d = 0; d < w->info->n_documents; d++) {
    sgi_recording_document(w->rec, d, &first, &n);
    if (n > longest) longest = n;
  }
  return longest;
}

/* Places of pairs, then of as many sets as there can be. */
static sg_status go_on(const search *w, size_t done, sg_error *err) {
  size_t sets = w->s->shuffled ? 0 : w->n_pairs < MOST_SETS ? w->n_pairs : MOST_SETS;
  bool stop = w->s->progress && !w->s->progress(w->s->user, done, w->n_jobs + sets * SET_PLACES);
  return stop ? sgi_fail(err, SG_ERR_CANCELLED, "stopped") : SG_OK;
}

/* The jobs of all documents, each run once. */
static sg_status run_jobs(search *w, sgi_without *x, int32_t *ids, size_t longest, sg_error *err) {
  size_t first = 0, n = 0;
  sg_status st = SG_OK;
  for (size_t k = 0, end; k < w->n_jobs && !st; k = end) {
    size_t position = w->jobs[k].position, document = sgi_recording_at(w->rec, position).document;
    for (end = k; end < w->n_jobs && w->jobs[end].position == position;) end++;
    if (!n || position >= first + n) {
      sgi_recording_document(w->rec, document, &first, &n);
      read_document(w, first, n, ids, ids + longest);
      st = sgi_without_document(x, ids, ids + longest, n, err);
    }
    if (!st) st = at_position(w, x, position - first, w->jobs + k, end - k, err);
    if (!st) st = go_on(w, end, err);
  }
  return st ? st : sgi_recording_check(w->rec, err);
}

/* ---- sets ------------------------------------------------------------------------------------ */

/* Positions at which the first n units fire, up to `most`, into out. */
static size_t all_fire(const sgi_firings *f, const uint32_t *unit, size_t n, uint32_t *out, size_t most) {
  size_t found = 0;
  for (size_t k = f->list[unit[0]]; k < f->list[unit[0] + 1] && found < most; k++) {
    size_t u = 1;
    while (u < n && fires(f, f->place[k], unit[u])) u++;
    if (u == n) out[found++] = f->place[k];
  }
  return found;
}

/* Of the units beside the set the one whose least lift to its members is largest and passes. */
static bool grow(const search *w, uint32_t *unit, size_t n, const uint32_t *place, size_t places, uint32_t *count) {
  uint32_t best = 0;
  double largest = 0;
  memset(count, 0, w->f.n_units * sizeof *count);
  for (size_t k = 0; k < places; k++)
    for (size_t i = w->f.start[place[k]]; i < w->f.start[place[k] + 1]; i++) count[w->f.at[i].unit]++;
  for (uint32_t u = 0; u < w->f.n_units; u++) {
    bool member = false;
    for (size_t k = 0; k < n; k++) member = member || unit[k] == u;
    if (member || count[u] < w->s->min_together) continue;
    double lift = (double)count[u] * (double)w->f.counted / ((double)places * (double)sgi_firings_of(&w->f, u));
    if (lift >= w->s->min_lift && lift > largest) largest = lift, best = u;
  }
  if (largest > 0) unit[n] = best;
  return largest > 0;
}

static sgi_super_unit name_of(const search *w, uint32_t unit) {
  return (sgi_super_unit){(int32_t)(unit / w->f.F), (int32_t)(unit % w->f.F)};
}

/* Effects of a set and of its neurons alone at up to SET_PLACES places. */
static sg_status measure_set(search *w, sgi_without *x, const uint32_t *unit, size_t n, const uint32_t *place,
                             size_t places, int32_t *ids, size_t longest, sgi_super_set *out, sg_error *err) {
  size_t step = places > SET_PLACES ? places / SET_PLACES : 1, taken = 0, first, length;
  sg_status st = SG_OK;
  for (size_t k = 0; k < places && taken < SET_PLACES && !st; k += step, taken++) {
    sgi_firing f[5][4];
    double effect[5];
    memset(f, 0, sizeof f);
    sgi_recording_document(w->rec, sgi_recording_at(w->rec, place[k]).document, &first, &length);
    read_document(w, first, length, ids, ids + longest);
    st = sgi_without_document(x, ids, ids + longest, length, err);
    if (st) return st;
    for (size_t u = 0; u < n; u++) f[0][u].unit = unit[u];
    sgi_without_values(x, place[k] - first, f[0], n);
    for (size_t u = 0; u < n; u++) f[u + 1][0] = f[0][u];
    st = sgi_without_effects(x, place[k] - first, &f[0][0], 4, n + 1, effect, err);
    out->mean_effect += effect[0];
    for (size_t u = 0; u < n; u++) out->mean_sum += effect[u + 1];
  }
  out->mean_effect /= taken ? (double)taken : 1;
  out->mean_sum /= taken ? (double)taken : 1;
  return st;
}

/* Pairs of largest rank grown greedily; a neuron begins one set. */
static sg_status grow_sets(search *w, sgi_without *x, int32_t *ids, size_t longest, sgi_superposition *out,
                           sg_error *err) {
  uint32_t *place = sgi_alloc((w->f.n_positions + w->f.n_units + 1) * sizeof *place), *count = place;
  out->sets = sgi_alloc(MOST_SETS * sizeof *out->sets);
  if (!place || !out->sets) {
    sgi_free(place);
    return sgi_fail_memory(err, w->f.n_positions * sizeof *place, "sets of neurons");
  }
  count += w->f.n_positions;
  sg_status st = SG_OK;
  size_t most = w->s->max_set < 4 ? w->s->max_set : 4;
  for (size_t k = 0; k < w->n_pairs && out->n_sets < MOST_SETS && !st; k++) {
    uint32_t unit[5] = {w->pairs[k].i, w->pairs[k].j};
    size_t n = 2, places = all_fire(&w->f, unit, n, place, w->f.n_positions);
    bool begun = false;
    for (size_t s = 0; s < k; s++) begun = begun || w->pairs[s].i == unit[0];
    while (!begun && n < most && grow(w, unit, n, place, places, count))
      places = all_fire(&w->f, unit, ++n, place, w->f.n_positions);
    if (begun || n < 3) continue;
    sgi_super_set *set = &out->sets[out->n_sets++];
    *set = (sgi_super_set){.size = n, .together = places};
    for (size_t u = 0; u < n; u++) set->unit[u] = name_of(w, unit[u]);
    st = measure_set(w, x, unit, n, place, places, ids, longest, set, err);
    if (!st) st = go_on(w, w->n_jobs + out->n_sets * SET_PLACES, err);
  }
  sgi_free(place);
  return st;
}

/* ---- what both write ------------------------------------------------------------------------- */

/* Tokens among the ten most of a pair's mean values that are in neither's own ten. */
static sg_status joint_tokens(const search *w, const sgi_without *x, sgi_super_pair *pairs, size_t n, sg_error *err) {
  enum { TEN = SGI_SUPER_TOKENS };
  size_t V = w->model->config.vocab_size, k = V < TEN ? V : TEN;
  float *logits = sgi_alloc(V * sizeof *logits), value[TEN];
  if (!logits) return sgi_fail_memory(err, V * sizeof *logits, "logits");
  for (size_t p = 0; p < n; p++) {
    int32_t top[3][TEN];
    sgi_firing f[2] = {{w->pairs[p].i, 0}, {w->pairs[p].j, 0}};
    for (size_t u = 0; u < 2; u++) {
      double sum = 0;
      size_t fired = sgi_firings_of(&w->f, f[u].unit);
      for (size_t at = w->f.list[f[u].unit]; at < w->f.list[f[u].unit + 1]; at++) {
        size_t from = w->f.start[w->f.place[at]], end = w->f.start[w->f.place[at] + 1];
        sum += (double)w->f.at[from + find_unit(w->f.at + from, end - from, f[u].unit)].value;
      }
      f[u].value = (float)(sum / (double)fired);
    }
    for (size_t u = 0; u < 3; u++) {
      sgi_without_written(x, u < 2 ? &f[u] : f, u < 2 ? 1 : 2, logits);
      sgi_topk(value, top[u], logits, V, k);
    }
    for (size_t i = 0; i < k; i++) {
      bool own = false;
      for (size_t j = 0; j < k; j++) own = own || top[0][j] == top[2][i] || top[1][j] == top[2][i];
      if (!own) pairs[p].joint[pairs[p].n_joint++] = top[2][i];
    }
  }
  sgi_free(logits);
  return SG_OK;
}

/* ---- the layer ------------------------------------------------------------------------------- */

static int ascending(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

/* Mean, its interval by drawing pairs anew, and how often signs by chance give as much. */
static sg_status summarise(const sgi_super_settings *s, sgi_superposition *out, sg_error *err) {
  double *x = sgi_alloc((out->n_pairs + s->samples + 1) * sizeof *x), *mean = x ? x + out->n_pairs : NULL, sign = 0;
  if (!x) return sgi_fail_memory(err, (out->n_pairs + s->samples) * sizeof *x, "samples of pairs");
  for (size_t k = 0; k < out->n_pairs; k++) {
    if (!isfinite(out->pairs[k].excess)) continue;
    sign += out->pairs[k].sign;
    x[out->scored++] = out->pairs[k].excess;
  }
  size_t n = out->scored, as_far = 0;
  out->mean_excess = out->low = out->high = out->p = out->mean_sign = NAN;
  for (size_t k = 0; k < n; k++) out->mean_excess = (k ? out->mean_excess : 0) + x[k] / (double)n;
  if (n) out->mean_sign = sign / (double)n;
  sgi_rng draw = sgi_rng_make(s->seed, SGI_STREAM_SUPERPOSITION, 1),
          flip = sgi_rng_make(s->seed, SGI_STREAM_SUPERPOSITION, 2);
  for (size_t b = 0; b < s->samples && n; b++) {
    double drawn = 0, flipped = 0;
    for (size_t k = 0; k < n; k++) drawn += x[sgi_rng_below(&draw, n)];
    for (size_t k = 0; k < n; k++) flipped += sgi_rng_next(&flip) & 1 ? x[k] : -x[k];
    mean[b] = drawn / (double)n;
    as_far += fabs(flipped / (double)n) >= fabs(out->mean_excess) * (1 - 1e-12);
  }
  if (n && s->samples) {
    qsort(mean, s->samples, sizeof *mean, ascending);
    out->low = mean[(size_t)(0.025 * (double)(s->samples - 1))];
    out->high = mean[(size_t)(0.975 * (double)(s->samples - 1) + 0.5)];
    out->p = ((double)as_far + 1) / ((double)s->samples + 1);
  }
  sgi_free(x);
  return SG_OK;
}

static sg_status write_pairs(const search *w, const sgi_without *x, sgi_superposition *out, sg_error *err) {
  out->pairs = sgi_alloc((w->n_pairs + 1) * sizeof *out->pairs);
  if (!out->pairs) return sgi_fail_memory(err, w->n_pairs * sizeof *out->pairs, "pairs");
  for (size_t k = 0; k < w->n_pairs; k++) {
    const tested *p = &w->pairs[k];
    double n = (double)p->places, score = p->own > 0 ? p->I / p->own : NAN,
           null = p->own_null > 0 ? p->I_null / p->own_null : NAN;
    out->pairs[k] = (sgi_super_pair){
        .unit = {name_of(w, p->i), name_of(w, p->j)},
        .together = p->together,
        .alone = {sgi_firings_of(&w->f, p->i), sgi_firings_of(&w->f, p->j)},
        .lift = p->lift,
        .places = p->places,
        .score = score,
        .null = null,
        .excess = p->places && score > 0 && null > 0 ? log(score) - log(null) : NAN,
        .sign = p->places ? p->sign / n : NAN,
        .sign_null = p->places ? p->sign_null / n : NAN,
    };
  }
  out->n_pairs = w->n_pairs;
  return joint_tokens(w, x, out->pairs, w->n_pairs, err);
}

static void search_free(search *w) {
  sgi_firings_deinit(&w->f);
  sgi_free(w->pairs);
  sgi_free(w->beside);
  sgi_free(w->jobs);
  sgi_free(w->set);
  sgi_free(w->single);
  sgi_free(w->two);
}

static sg_status check(const search *w, size_t slot, sg_error *err) {
  const sgi_slot *z = &w->info->slots[slot];
  if (!sgi_recording_neurons(w->rec, w->model, slot))
    return sgi_fail(err, SG_ERR_UNSUPPORTED, "layer %zu chooses experts: pairs of neurons are not among them",
                    w->info->layers[slot]);
  if (w->s->shuffled && !z->has_values)
    return sgi_fail(err, SG_ERR_ARG, "values can not be moved: the recording has none (record with --values F32)");
  if (w->s->min_together < 1 || !(w->s->min_lift > 0) || !w->s->max_pairs)
    return sgi_fail(err, SG_ERR_ARG, "a pair fires together at least once, with a lift above 0, and one is tested");
  return SG_OK;
}

sg_status sgi_superposition_run(const sg_model *m, const sg_recording *rec, size_t slot, const sgi_super_settings *s,
                                sgi_superposition *out, sg_error *err) {
  search w = {.model = m, .rec = rec, .info = sgi_recording_info_of(rec), .s = s};
  *out = (sgi_superposition){.layer = w.info->layers[slot]};
  sgi_without *x = NULL;
  sg_status st = check(&w, slot, err);
  size_t longest = longest_document(&w);
  w.m = w.info->slots[slot].channels * w.info->slots[slot].top_k * 2 + 4;
  w.set = sgi_alloc(3 * w.m * sizeof *w.set);
  w.single = sgi_alloc(w.m * sizeof *w.single);
  w.two = sgi_alloc(2 * w.m * sizeof *w.two);
  int32_t *ids = sgi_alloc(2 * longest * sizeof *ids);
  if (!st && (!w.set || !w.single || !w.two || !ids)) st = sgi_fail_memory(err, longest * sizeof *ids, "a document");
  if (!st) st = sgi_firings_make(rec, slot, s, &w.f, err);
  for (size_t p = 0; p < w.f.n_positions && !st; p++)
    if (w.f.start[p + 1] - w.f.start[p] > w.m) {
      w.m = w.f.start[p + 1] - w.f.start[p];
      sgi_free(w.set), sgi_free(w.single);
      w.set = sgi_alloc(3 * w.m * sizeof *w.set);
      w.single = sgi_alloc(w.m * sizeof *w.single);
      if (!w.set || !w.single) st = sgi_fail_memory(err, 3 * w.m * sizeof *w.set, "what fires at a place");
    }
  if (!st) out->positions = w.f.counted;
  if (!st) st = find_pairs(&w, err);
  if (!st) st = count_beside(&w, err);
  if (!st) st = find_places(&w, err);
  if (!st) st = sgi_without_create(m, out->layer, longest, &x, err);
  if (!st) st = run_jobs(&w, x, ids, longest, err);
  if (!st) st = write_pairs(&w, x, out, err);
  if (!st && !s->shuffled) st = grow_sets(&w, x, ids, longest, out, err);
  if (!st) st = summarise(s, out, err);
  sgi_without_free(x);
  sgi_free(ids);
  search_free(&w);
  return st;
}
