#include "model/pools.h"

#include <math.h>
#include <omp.h>
#include <stdatomic.h>
#include <string.h>

#include "core/arena.h"
#include "math/quantise.h"

enum { FILLED = 1 << 14 }; /* initial values that are made at a time, for whole rows */

size_t sgi_pools_weights(const sgi_table *t) {
  size_t sum = 0;
  for (size_t i = 0; i < t->count; i++) sum += t->rows[i].pool ? t->rows[i].count : 0;
  return sum;
}

/* Counts (block NULL) or places. */
static size_t layout(const sgi_table *t, sgi_pool *pool, char *block, size_t bytes) {
  sgi_arena a = {.base = block, .size = bytes};
  for (size_t i = 0, k = 0; i < t->count; i++) {
    const sgi_row *r = &t->rows[i];
    if (!r->pool) continue;
    sgi_pool p = {.row = i, .width = r->dims[r->n_dims - 1]};
    p.rows = r->count / p.width;
    p.bytes = p.width / 2 + p.width % 2;
    p.q = SGI_TAKE(&a, p.rows * p.bytes, uint8_t);
    p.a = SGI_TAKE(&a, p.rows * p.bytes, uint8_t);
    p.scale = SGI_TAKE(&a, p.rows, float);
    p.v = SGI_TAKE(&a, p.rows, float);
    p.ms = SGI_TAKE(&a, p.rows, float);
    p.vs = SGI_TAKE(&a, p.rows, float);
    p.count = SGI_TAKE(&a, p.rows, uint32_t);
    if (pool) pool[k++] = p;
  }
  return a.used;
}

size_t sgi_pools_bytes(const sgi_table *t) { return layout(t, NULL, NULL, 0); }

void sgi_pools_free(sgi_pools *p) {
  if (!p) return;
  sgi_free(p->block);
  sgi_free(p->pool);
  sgi_free(p);
}

sgi_pool *sgi_pools_find(const sgi_pools *p, size_t row) {
  for (size_t i = 0; p && i < p->count; i++)
    if (p->pool[i].row == row) return &p->pool[i];
  return NULL;
}

static sg_status make(sg_model *m, int substeps, sg_error *err) {
  const sgi_table *t = &m->table;
  sgi_pools *p = m->pools = sgi_alloc(sizeof *p);
  if (!p) return sgi_fail_memory(err, sizeof *p, "pools");
  p->substeps = substeps;
  for (size_t i = 0; i < t->count; i++) p->count += t->rows[i].pool;
  if (!p->count)
    return sgi_fail(err, SG_ERR_ARG, "train.pool_precision=int4: no layer of the model has pools of chosen neurons");
  p->bytes = sgi_pools_bytes(t);
  p->pool = sgi_alloc(p->count * sizeof *p->pool);
  p->block = sgi_alloc(p->bytes);
  if (!p->pool || !p->block) return sgi_fail_memory(err, p->bytes, "pools in int4");
  layout(t, p->pool, p->block, p->bytes);
  for (size_t i = 0; i < p->count; i++) {
    const sgi_pool *x = &p->pool[i];
    m->weights[x->row] =
        (sgi_weight){.dtype = SGI_U8, .rows = x->rows, .width = x->width, .data = x->q, .scale = x->scale};
  }
  sgi_model_point(m);
  return SG_OK;
}

/* A row of zeros would have scale 0 and never learn: it takes that of the largest initial
 * value. */
static float least_scale(const sgi_row *r) { return (float)(2 * r->sigma / SGI_INT4_LEVELS); }

/* w (D) as levels and buffer: a = round(A (w / s - q)), at most half a level. */
static bool round_row(const sgi_pools *p, const sgi_row *r, sgi_pool *x, size_t row, const float *w) {
  uint8_t *q = x->q + row * x->bytes, *a = x->a + row * x->bytes;
  float *s = &x->scale[row];
  int A = p->substeps, half = A / 2;
  size_t bad;
  if (!sgi_quantise_row(&(sgi_quantise){.to = SGI_U8}, q, s, w, x->width, &bad)) return false;
  if (!(*s > 0)) *s = least_scale(r);
  memset(a, 0, x->bytes);
  for (size_t d = 0; d < x->width; d++) {
    int left = (int)rintf((float)A * (w[d] / *s - (float)sgi_int4_at(q, d)));
    left = left > half ? half : left < -half ? -half : left;
    a[d / 2] |= (uint8_t)((left & 15) << (d % 2 ? 4 : 0));
  }
  return true;
}

static void forget(sgi_pool *x) {
  memset(x->v, 0, x->rows * sizeof *x->v);
  memset(x->ms, 0, x->rows * sizeof *x->ms);
  memset(x->vs, 0, x->rows * sizeof *x->vs);
  memset(x->count, 0, x->rows * sizeof *x->count);
}

/* Rows of a pool by stretches of whole rows, each read by `read` into a room of its thread. */
typedef struct source {
  const sgi_row *row;
  size_t number; /* of it in the table */
  uint64_t seed;
  const sgi_weight *from; /* or NULL: initial values */
} source;

static sg_status round_all(const sgi_pools *p, sgi_pool *x, const source *src, sg_error *err) {
  size_t step = x->width < FILLED ? FILLED / x->width : 1;
  int threads = omp_get_max_threads();
  float *room = sgi_alloc((size_t)threads * step * x->width * sizeof *room);
  if (!room) return sgi_fail_memory(err, (size_t)threads * step * x->width * sizeof *room, "a stretch of a pool");
  atomic_bool fits = true;
#pragma omp parallel for schedule(static) num_threads(threads)
  for (size_t f = 0; f < x->rows; f += step) {
    size_t n = x->rows - f < step ? x->rows - f : step;
    float *w = room + (size_t)omp_get_thread_num() * step * x->width;
    if (src->from)
      sgi_weight_read(w, src->from, f * x->width, n * x->width);
    else
      sgi_model_fill(src->row, src->number, src->seed, f * x->width, n * x->width, w);
    for (size_t k = 0; k < n; k++)
      if (!round_row(p, src->row, x, f + k, w + k * x->width)) atomic_store(&fits, false);
  }
  sgi_free(room);
  forget(x);
  return atomic_load(&fits)
             ? SG_OK
             : sgi_fail(err, SG_ERR_NUMERIC, "tensor %s has a number that int4 can not hold", src->row->name);
}

sg_status sgi_pools_create(const sg_config *c, uint64_t seed, int substeps, sg_model **out, sg_error *err) {
  sg_status st = sgi_model_blank_aside(c, out, err);
  if (st) return st;
  sg_model *m = *out;
  st = make(m, substeps, err);
  for (size_t i = 0; !st && i < m->pools->count; i++) {
    sgi_pool *x = &m->pools->pool[i];
    st = round_all(m->pools, x, &(source){&m->table.rows[x->row], x->row, seed, NULL}, err);
  }
  if (!st) {
    sgi_model_fill_arena(m, seed);
    return SG_OK;
  }
  sg_model_free(m);
  *out = NULL;
  return st;
}

sg_status sgi_pools_take(sgi_pools *p, size_t row, const sg_model *m, const sgi_weight *from, sg_error *err) {
  sgi_pool *x = sgi_pools_find(p, row);
  const sgi_row *r = &m->table.rows[row];
  if (from->dtype != SGI_U8 || from->group) return round_all(p, x, &(source){r, row, 0, from}, err);
  memcpy(x->q, from->data, x->rows * x->bytes);
  memset(x->a, 0, x->rows * x->bytes);
  for (size_t f = 0; f < x->rows; f++) x->scale[f] = from->scale[f] > 0 ? from->scale[f] : least_scale(r);
  forget(x);
  return SG_OK;
}

void sgi_pools_finer(const sg_model *m, bool on) {
  const sgi_pools *p = m->pools;
  for (size_t i = 0; p && i < p->count; i++) {
    sgi_weight *w = &m->weights[p->pool[i].row];
    w->finer = on ? p->pool[i].a : NULL;
    w->finer_part = 1.0f / (float)p->substeps;
  }
}
