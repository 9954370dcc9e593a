/* int4.c: the step of a row of weights trained as int4, and who hands it the row's gradient.
 *
 * Of row w = s (q + a / A), with g = dL / d(s q):
 *
 *   c += 1;  v = b2 v + (1 - b2) mean g^2;  h = s sum g q
 *   d = clip(-A lr g / (sqrt(v / (1 - b2^c)) + eps) / s, -A, A);  k = floor(d + U)
 *   b = a + k;  where b leaves -A < b < A: q moves by one and a keeps the rest (kernels_int4.h)
 *   ms = b1 ms + (1 - b1) h;  vs = b2 vs + (1 - b2) h^2
 *   s *= exp(-lr scale_lr (ms / (1 - b1^c)) / (sqrt(vs / (1 - b2^c)) + eps))
 *
 * A row without entries, or whose sum is zero, is left as it is. */
#include "train/int4.h"

#include <float.h>
#include <math.h>
#include <omp.h>
#include <stdio.h>
#include <string.h>

#include "core/rng.h"
#include "math/kernels.h"
#include "train/int4_inside.h"

static const double BETA1 = 0.9, BETA2 = 0.99, EPS = 1e-8; /* a row is met rarely: b2 under Adam's */
enum { LINE = 16 };                                        /* floats of a cache line: threads' rows begin on one */

sgi_int4_settings sgi_int4_usual(void) {
  return (sgi_int4_settings){.substeps = SGI_INT4_SUBSTEPS, .lr_scale = 2, .scale_lr = 1, .row_block = 64};
}

sg_status sgi_int4_check(const sgi_int4_settings *s, sg_error *err) {
  if (!s->substeps || s->substeps > SGI_INT4_SUBSTEPS)
    return sgi_fail(err, SG_ERR_ARG, "int4.substeps is %zu: expected 1 (no buffer) to %d", s->substeps,
                    SGI_INT4_SUBSTEPS);
  if (!(s->lr_scale >= 0 && isfinite(s->lr_scale)) || !(s->scale_lr >= 0 && isfinite(s->scale_lr)))
    return sgi_fail(err, SG_ERR_ARG, "int4.lr_scale and int4.scale_lr must be at least 0");
  return s->row_block ? SG_OK : sgi_fail(err, SG_ERR_ARG, "int4.row_block must be at least 1");
}

/* ---- a row ----------------------------------------------------------------------------------- */

/* The least: which row is told does not depend on threads. */
static void tell_bad(sgi_int4_pool *p, size_t f) {
  uint64_t at = (uint64_t)(p - p->all->pool) << 40 | f;
#pragma omp critical(sgi_int4_bad)
  if (at < p->all->bad) p->all->bad = at;
}

static void step_scale(const sgi_int4 *x, sgi_pool *w, size_t f, double h, double lr) {
  double c = w->count[f];
  w->ms[f] = (float)(BETA1 * w->ms[f] + (1 - BETA1) * h);
  w->vs[f] = (float)(BETA2 * w->vs[f] + (1 - BETA2) * h * h);
  double mean = w->ms[f] / (1 - pow(BETA1, c)), square = w->vs[f] / (1 - pow(BETA2, c));
  w->scale[f] = (float)(w->scale[f] * exp(-lr * x->settings.scale_lr * mean / (sqrt(square) + EPS)));
}

void sgi_int4_step_row(sgi_int4_pool *p, size_t f, const float *g) {
  sgi_int4 *x = p->all;
  sgi_pool *w = p->pool;
  const sgi_kernels *kern = sgi_kernel_table();
  sgi_int4_moved *moved = &x->moved[omp_get_thread_num()];
  double squares = kern->sum_squares(g, w->width), lr = x->lr * x->settings.lr_scale, A = (double)x->settings.substeps;
  if (!(squares > 0) && !isnan(squares)) return;
  p->squares[f / x->settings.row_block] += squares;
  if (!isfinite(squares)) {
    tell_bad(p, f);
    return;
  }
  w->count[f]++;
  w->v[f] = (float)(BETA2 * w->v[f] + (1 - BETA2) * squares / (double)w->width);
  double mean = w->v[f] / (1 - pow(BETA2, w->count[f])), s = (double)w->scale[f];
  sgi_int4_row r = {.factor = -(float)fmin(A * lr / (sqrt(mean) + EPS) / s, FLT_MAX),
                    .substeps = (int)x->settings.substeps,
                    .key = p->key,
                    .base = x->update * ((w->rows * w->width + 3) / 4),
                    .element = (uint64_t)f * w->width};
  kern->int4_row(w->q + f * w->bytes, w->a + f * w->bytes, g, w->width, &r, moved);
  step_scale(x, w, f, s * moved->dot, lr);
  if (!(w->scale[f] >= FLT_MIN && w->scale[f] <= FLT_MAX)) tell_bad(p, f);
}

/* ---- sinks ----------------------------------------------------------------------------------- */

static void nothing_before(void *user, const uint32_t *start, size_t rows) { (void)user, (void)start, (void)rows; }

static float *own_room(void *user, size_t f) {
  const sgi_int4_pool *p = user;
  float *room = p->all->room + (size_t)omp_get_thread_num() * p->all->room_floats;
  (void)f;
  memset(room, 0, p->pool->width * sizeof *room);
  return room;
}

static void step_now(void *user, size_t f, float *sum) {
  sgi_int4_pool *p = user;
  if (!p->all->held) sgi_int4_step_row(p, f, sum);
}

/* Every chosen row has a place before threads add to them. */
static void make_places(void *user, const uint32_t *start, size_t rows) {
  sgi_int4_pool *p = user;
  for (size_t f = 0; f < rows; f++) {
    if (start[f] == start[f + 1] || p->slot[f]) continue;
    memset(p->sums + p->n_kept * p->pool->width, 0, p->pool->width * sizeof *p->sums);
    p->kept[p->n_kept++] = (int32_t)f;
    p->slot[f] = (int32_t)p->n_kept;
  }
}

static float *own_place(void *user, size_t f) {
  const sgi_int4_pool *p = user;
  return p->sums + (size_t)(p->slot[f] - 1) * p->pool->width;
}

static void keep(void *user, size_t f, float *sum) { (void)user, (void)f, (void)sum; }

static void make_sink(sgi_int4_pool *p) {
  const sgi_int4 *x = p->all;
  p->sink = x->at_once ? (sgi_row_sink){.begin = nothing_before, .row = own_room, .done = step_now}
                       : (sgi_row_sink){.begin = make_places, .row = own_place, .done = keep};
  p->sink.block = x->settings.row_block;
  p->sink.threads = x->threads;
  p->sink.user = p;
}

/* ---- making ---------------------------------------------------------------------------------- */

/* Steps of the plan that use a row of the table, and how many neurons a token has of it in one. */
static size_t uses_of(const sg_model *m, size_t row, size_t *chosen) {
  size_t uses = 0;
  *chosen = 0;
  for (size_t i = 0; i < m->plan.n_steps; i++) {
    const sgi_sublayer *s = m->plan.steps[i].sub;
    bool here = false;
    sgi_gates g;
    for (size_t t = SGI_T_OWN; t < s->n_tensors; t++) here = here || s->row[t] == row;
    if (!here || !sgi_layer_gates(m, m->plan.steps[i].layer, &g)) continue;
    *chosen += g.channels * g.top_k;
    uses++;
  }
  return uses;
}

/* One step of a row needs all of its gradient: that is one pass, and one step of the plan. */
static bool steps_at_once(const sg_model *m, const sgi_int4_batch *b) {
  size_t chosen;
  bool once = b->passes == 1;
  for (size_t i = 0; i < m->table.count; i++)
    if (m->table.rows[i].pool) once = once && uses_of(m, i, &chosen) == 1;
  return once;
}

/* Rows of a pool that an update can meet. */
static size_t most_rows(const sg_model *m, const sgi_row *r, size_t row, const sgi_int4_batch *b) {
  size_t chosen, rows = r->count / r->dims[r->n_dims - 1], most;
  uses_of(m, row, &chosen);
  if (!sgi_size_mul(b->rows, chosen, &most) || !sgi_size_mul(most, b->passes, &most) || most > rows) most = rows;
  return most;
}

/* Counts (x NULL or without a block) or places what is needed beside the pools. */
static size_t layout(sgi_int4 *x, const sg_model *m, const sgi_int4_settings *s, const sgi_int4_batch *b,
                     sgi_int4_pool *pools, char *block, size_t bytes) {
  sgi_arena a = {.base = block, .size = bytes};
  bool once = steps_at_once(m, b);
  size_t widest = 0, threads = (size_t)omp_get_max_threads();
  for (size_t i = 0, k = 0; i < m->table.count; i++) {
    const sgi_row *r = &m->table.rows[i];
    if (!r->pool) continue;
    size_t width = r->dims[r->n_dims - 1], rows = r->count / width;
    sgi_int4_pool p = {.capacity = once ? 0 : most_rows(m, r, i, b)};
    p.squares = SGI_TAKE(&a, (rows + s->row_block - 1) / s->row_block, double);
    p.slot = once ? NULL : SGI_TAKE(&a, rows, int32_t);
    p.kept = once ? NULL : SGI_TAKE(&a, p.capacity, int32_t);
    p.sums = once ? NULL : SGI_TAKE(&a, p.capacity * width, float);
    if (width > widest) widest = width;
    if (pools) pools[k++] = p;
  }
  size_t room = (widest + LINE - 1) / LINE * LINE;
  float *sums = SGI_TAKE(&a, threads * room, float);
  sgi_int4_moved *moved = SGI_TAKE(&a, threads, sgi_int4_moved);
  if (x) x->at_once = once, x->room = sums, x->room_floats = room, x->moved = moved, x->threads = (int)threads;
  return a.used;
}

sg_status sgi_int4_measure(const sg_config *c, const sgi_int4_settings *s, const sgi_int4_batch *b, size_t *bytes,
                           size_t *aside, sg_error *err) {
  sg_model *m;
  sg_status st = sgi_model_shell(c, &m, err);
  if (st) return st;
  *aside = sgi_pools_weights(&m->table);
  *bytes = sgi_pools_bytes(&m->table) + layout(NULL, m, s, b, NULL, NULL, 0);
  sg_model_free(m);
  return SG_OK;
}

sg_status sgi_int4_create(const sg_model *m, const sgi_int4_settings *s, const sgi_int4_batch *b, sgi_int4 **out,
                          sg_error *err) {
  *out = NULL;
  sg_status st = sgi_int4_check(s, err);
  if (st) return st;
  if (!m->pools) return sgi_fail(err, SG_ERR_ARG, "training in int4 needs a model whose pools are int4");
  size_t bytes = layout(NULL, m, s, b, NULL, NULL, 0);
  sgi_int4 *x = sgi_alloc(sizeof *x);
  if (!x) return sgi_fail_memory(err, sizeof *x, "training in int4");
  *x = (sgi_int4){.model = m, .settings = *s, .count = m->pools->count, .bad = UINT64_MAX};
  x->pool = sgi_alloc(x->count * sizeof *x->pool);
  x->sinks = sgi_alloc(m->table.count * sizeof *x->sinks);
  x->block = sgi_alloc(bytes);
  if (!x->pool || !x->sinks || !x->block) {
    sgi_int4_free(x);
    return sgi_fail_memory(err, bytes, "training in int4");
  }
  layout(x, m, s, b, x->pool, x->block, bytes);
  for (size_t i = 0; i < x->count; i++) {
    sgi_int4_pool *p = &x->pool[i];
    p->all = x;
    p->pool = &m->pools->pool[i];
    p->key = sgi_rng_make(s->seed, SGI_STREAM_INT4, p->pool->row).key;
    make_sink(p);
    x->sinks[p->pool->row] = &p->sink;
    x->weights += (int64_t)(p->pool->rows * p->pool->width);
  }
  sgi_int4_recount(x);
  *out = x;
  return SG_OK;
}

void sgi_int4_free(sgi_int4 *x) {
  if (!x) return;
  sgi_free(x->block);
  sgi_free(x->pool);
  sgi_free(x->sinks);
  sgi_free(x);
}

const sgi_row_sink *const *sgi_int4_sinks(const sgi_int4 *x) { return x->sinks; }
bool sgi_int4_at_once(const sgi_int4 *x) { return x->at_once; }

/* Both nibbles of a byte at once: 7 and 9 are +-7. */
void sgi_int4_recount(sgi_int4 *x) {
  x->at_end = 0;
  for (size_t i = 0; i < x->count; i++) {
    const sgi_pool *w = x->pool[i].pool;
    size_t n = w->rows * w->bytes;
    int64_t found = 0;
#pragma omp parallel for simd reduction(+ : found) schedule(static) if (n > 65536)
    for (size_t k = 0; k < n; k++) {
      int low = w->q[k] & 15, high = w->q[k] >> 4;
      found += ((low == 7) | (low == 9)) + ((high == 7) | (high == 9));
    }
    x->at_end += found;
  }
}

/* ---- an update ------------------------------------------------------------------------------- */

static void clear_sums(sgi_int4 *x) {
  memset(x->moved, 0, (size_t)x->threads * sizeof *x->moved);
  for (size_t i = 0; i < x->count; i++) {
    size_t blocks = (x->pool[i].pool->rows + x->settings.row_block - 1) / x->settings.row_block;
    memset(x->pool[i].squares, 0, blocks * sizeof *x->pool[i].squares);
  }
}

void sgi_int4_begin(sgi_int4 *x, double lr, uint64_t update) {
  x->lr = lr;
  x->update = update;
  x->held = false;
  clear_sums(x);
}

void sgi_int4_hold(sgi_int4 *x) { x->held = true; }

bool sgi_int4_whole(const sgi_int4 *x, char *what, size_t size) {
  if (x->bad == UINT64_MAX) return true;
  const sgi_pool *w = x->pool[x->bad >> 40].pool;
  snprintf(what, size, "the gradient or the scale of %s, neuron %llu, is not finite", x->model->table.rows[w->row].name,
           (unsigned long long)(x->bad & ((UINT64_C(1) << 40) - 1)));
  return false;
}

/* Rows by blocks, as a pass hands them over, so that the norm is summed alike. */
static void update_pool(sgi_int4_pool *p, float scale) {
  size_t block = p->all->settings.row_block, rows = p->pool->rows, D = p->pool->width;
  int most = omp_get_max_threads(), threads = most < p->all->threads ? most : p->all->threads;
#pragma omp parallel for schedule(dynamic, 1) num_threads(threads)
  for (size_t b = 0; b < rows; b += block)
    for (size_t f = b; f < b + block && f < rows; f++) {
      if (!p->slot[f]) continue;
      float *g = p->sums + (size_t)(p->slot[f] - 1) * D;
      for (size_t d = 0; d < D; d++) g[d] *= scale;
      sgi_int4_step_row(p, f, g);
      p->slot[f] = 0;
    }
  p->n_kept = 0;
}

void sgi_int4_update(sgi_int4 *x, float scale) {
  for (size_t i = 0; i < x->count && !x->at_once && !x->held; i++) update_pool(&x->pool[i], scale);
  sgi_int4_moved sum = {0};
  double squares = 0, all = (double)x->weights;
  for (int k = 0; k < x->threads; k++) {
    sum.steps += x->moved[k].steps;
    sum.saturated += x->moved[k].saturated;
    x->at_end += x->moved[k].at_end;
  }
  for (size_t i = 0; i < x->count; i++) {
    size_t blocks = (x->pool[i].pool->rows + x->settings.row_block - 1) / x->settings.row_block;
    for (size_t k = 0; k < blocks; k++) squares += x->pool[i].squares[k];
  }
  x->last =
      (sgi_int4_report){sqrt(squares), (double)sum.steps / all, (double)sum.saturated / all, (double)x->at_end / all};
  clear_sums(x);
}

void sgi_int4_report_of(const sgi_int4 *x, sgi_int4_report *out) { *out = x->last; }

sg_status sgi_int4_healthy(const sgi_int4 *x, sg_error *err) {
  for (size_t i = 0; i < x->count; i++) {
    const sgi_pool *w = x->pool[i].pool;
    for (size_t f = 0; f < w->rows; f++)
      if (!(w->scale[f] >= FLT_MIN && w->scale[f] <= FLT_MAX) || !(w->v[f] >= 0 && w->v[f] <= FLT_MAX) ||
          !(w->vs[f] >= 0 && w->vs[f] <= FLT_MAX) || !isfinite(w->ms[f]))
        return sgi_fail(err, SG_ERR_NUMERIC, "pool %s, neuron %zu: its scale is %g, mean square %g, moments %g and %g",
                        x->model->table.rows[w->row].name, f, (double)w->scale[f], (double)w->v[f], (double)w->ms[f],
                        (double)w->vs[f]);
  }
  return SG_OK;
}
