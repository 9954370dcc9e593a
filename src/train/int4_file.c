/* int4_file.c: pools trained as int4 in optimizer.safetensors (docs/formats.md, checkpoints):
 * a4.NAME, v.NAME, count.NAME, ms.NAME, vs.NAME and, in the middle of an accumulation, sum.NAME of
 * the rows that rows.NAME numbers. Levels and scales are the model's. */
#include <float.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "core/arena.h"
#include "math/quantise.h"
#include "train/int4_inside.h"

typedef char tensor_name[SGI_MAX_TENSOR_NAME + 8];
enum { A4, V, COUNT, MS, VS, KEPT, SUM, PARTS };
static const char *const words[PARTS] = {"a4", "v", "count", "ms", "vs", "rows", "sum"};

static void name_of(const sgi_int4 *x, const sgi_int4_pool *p, size_t part, tensor_name out) {
  snprintf(out, sizeof(tensor_name), "%s.%s", words[part], x->model->table.rows[p->pool->row].name);
}

/* Part of a pool as a tensor: of the table's shape without its last dimension, a4 with that of the
 * bytes. */
static sgi_tensor part_of(const sgi_int4 *x, const sgi_int4_pool *p, size_t part) {
  const sgi_row *r = &x->model->table.rows[p->pool->row];
  const sgi_pool *w = p->pool;
  const void *const data[PARTS] = {w->a, w->v, w->count, w->ms, w->vs, p->kept, p->sums};
  sgi_tensor t = {.dtype = part == A4                      ? SGI_U8
                           : part == COUNT || part == KEPT ? SGI_I32
                                                           : SGI_F32,
                  .n_dims = r->n_dims - 1,
                  .data = data[part]};
  for (int k = 0; k < t.n_dims; k++) t.dims[k] = r->dims[k];
  if (part == A4) t.dims[t.n_dims++] = w->bytes;
  if (part == KEPT || part == SUM) t.n_dims = part == SUM ? 2 : 1, t.dims[0] = p->n_kept, t.dims[1] = w->width;
  t.bytes = sgi_dtype_size(t.dtype);
  for (int k = 0; k < t.n_dims; k++) t.bytes *= t.dims[k];
  return t;
}

sg_status sgi_int4_describe(sgi_int4 *x, bool sums, sgi_tensor **out, size_t *count, sg_error *err) {
  size_t most = x->count * PARTS, bytes = most * (sizeof(sgi_tensor) + sizeof(tensor_name));
  sgi_tensor *t = *out = sgi_alloc(bytes);
  *count = 0;
  if (!t) return sgi_fail_memory(err, bytes, "a checkpoint");
  tensor_name *names = (tensor_name *)(void *)(t + most);
  for (size_t i = 0; i < x->count; i++)
    for (size_t part = 0; part < PARTS; part++) {
      const sgi_int4_pool *p = &x->pool[i];
      if (part >= KEPT && !(sums && p->n_kept)) continue;
      size_t at = (*count)++;
      t[at] = part_of(x, p, part);
      name_of(x, p, part, names[at]);
      t[at].name = names[at];
    }
  return SG_OK;
}

/* ---- reading --------------------------------------------------------------------------------- */

typedef struct reading {
  sgi_int4 *x;
  const sgi_safetensors *f;
  const char *path;
} reading;

/* The tensor where there is one; what differs from the shape it has to have is told. */
static sg_status find(const reading *k, const sgi_int4_pool *p, size_t part, const sgi_tensor *want,
                      const sgi_tensor **out, sg_error *err) {
  tensor_name name;
  name_of(k->x, p, part, name);
  const sgi_tensor *t = *out = sgi_safetensors_find(k->f, name);
  bool same = t && t->dtype == want->dtype && t->n_dims == want->n_dims;
  for (int d = 0; same && d < t->n_dims; d++) same = t->dims[d] == want->dims[d];
  return same ? SG_OK
              : sgi_fail(err, SG_ERR_FORMAT, "%s: tensor %s is missing, or of another type or shape", k->path, name);
}

static sg_status read_part(const reading *k, sgi_int4_pool *p, size_t part, sg_error *err) {
  sgi_tensor want = part_of(k->x, p, part);
  const sgi_tensor *t;
  sg_status st = find(k, p, part, &want, &t, err);
  if (!st) memcpy((void *)(uintptr_t)want.data, t->data, t->bytes);
  return st;
}

/* Buffers stay within -A < a < A, and behind the last column is nothing. */
static bool buffers_fit(const sgi_int4_pool *p, size_t *row) {
  const sgi_pool *w = p->pool;
  int A = (int)p->all->settings.substeps;
  for (*row = 0; *row < w->rows; ++*row)
    for (size_t d = 0; d < 2 * w->bytes; d++) {
      int a = sgi_int4_at(w->a + *row * w->bytes, d);
      if (a >= A || a <= -A || (d >= w->width && a)) return false;
    }
  return true;
}

static sg_status read_sums(const reading *k, sgi_int4_pool *p, sg_error *err) {
  tensor_name name;
  sgi_tensor want = part_of(k->x, p, KEPT);
  const sgi_tensor *rows, *sums;
  name_of(k->x, p, KEPT, name);
  if (!p->slot || !sgi_safetensors_find(k->f, name)) return SG_OK;
  want.dims[0] = sgi_safetensors_find(k->f, name)->dims[0];
  sg_status st = find(k, p, KEPT, &want, &rows, err);
  if (st) return st;
  size_t n = rows->count;
  sgi_tensor sum = part_of(k->x, p, SUM);
  sum.dims[0] = n;
  st = find(k, p, SUM, &sum, &sums, err);
  if (st) return st;
  for (size_t i = 0; i < n && n <= p->capacity; i++) {
    int32_t f = ((const int32_t *)rows->data)[i];
    if (f < 0 || (size_t)f >= p->pool->rows || p->slot[f])
      n = SIZE_MAX;
    else
      p->slot[f] = (int32_t)i + 1, p->kept[i] = f;
  }
  if (n > p->capacity)
    return sgi_fail(err, SG_ERR_FORMAT, "%s: tensor %s names a neuron twice, or one that the pool does not have",
                    k->path, name);
  memcpy(p->sums, sums->data, sums->bytes);
  p->n_kept = n;
  return SG_OK;
}

static sg_status read_levels(sgi_int4_pool *p, const sg_model *m, sg_error *err) {
  sgi_pool *w = p->pool;
  const sgi_weight *from = &m->weights[w->row];
  if (from->dtype != SGI_U8 || from->group)
    return sgi_fail(err, SG_ERR_FORMAT,
                    "tensor %s is stored as %s: the run trains it as int4 (train.pool_precision) with a scale a row",
                    m->table.rows[w->row].name, sgi_weight_traits(from->dtype)->name);
  memcpy(w->q, from->data, w->rows * w->bytes);
  memcpy(w->scale, from->scale, w->rows * sizeof *w->scale);
  return SG_OK;
}

sg_status sgi_int4_load(sgi_int4 *x, const sgi_safetensors *f, const char *path, const sg_model *m, bool sums,
                        sg_error *err) {
  reading k = {x, f, path};
  sg_status st = SG_OK;
  size_t row;
  for (size_t i = 0; i < x->count && !st; i++) {
    sgi_int4_pool *p = &x->pool[i];
    st = read_levels(p, m, err);
    for (size_t part = 0; part < KEPT && !st; part++) st = read_part(&k, p, part, err);
    if (!st && !buffers_fit(p, &row))
      st = sgi_fail(err, SG_ERR_FORMAT, "%s: tensor a4.%s, row %zu holds a number outside -%zu .. %zu", path,
                    m->table.rows[p->pool->row].name, row, x->settings.substeps - 1, x->settings.substeps - 1);
    p->n_kept = 0;
    if (p->slot) memset(p->slot, 0, p->pool->rows * sizeof *p->slot);
    if (!st && sums) st = read_sums(&k, p, err);
  }
  if (!st) {
    sg_error why = {0};
    st = sgi_int4_healthy(x, &why);
    if (st) st = sgi_fail(err, SG_ERR_FORMAT, "%s: %s", path, why.text);
  }
  if (!st) sgi_int4_recount(x);
  return st;
}
