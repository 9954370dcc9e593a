#include "model/loss.h"

#include <math.h>
#include <stdatomic.h>
#include <string.h>

#include "math/gemm.h"
#include "math/kernels.h"
#include "math/stored.h"

/* A block of rows is cut into tiles by the sizes alone; a task computes a tile of logits and, while
 * it is in cache, what softmax needs of it. */
enum { BLOCK = 256, COLUMNS = 1024, ROWS = 32, TILES = 8 };

/* Of a row of a tile: its largest logit, the first place of it, the sum of exp(logit - max). */
typedef struct part {
  float max, sum;
  int32_t best;
} part;

typedef struct room {
  float *wt;           /* NULL, or E^T (D,V; sgi_stride(V)), where rows are many */
  float *logits;       /* (BLOCK,V; ld) */
  float *at;           /* (BLOCK) logit of the target */
  part *parts;         /* (BLOCK, pieces) */
  size_t pieces, rows; /* tiles side by side; rows of one */
  size_t ld;
} room;

static void layout(size_t n, size_t D, size_t V, sgi_arena *a, room *m) {
  size_t most = n < BLOCK ? n : BLOCK;
  m->ld = sgi_stride(V);
  m->wt = n < SGI_COPY_ROWS ? NULL : SGI_TAKE(a, D * m->ld, float);
  m->pieces = (V + COLUMNS - 1) / COLUMNS;
  m->rows = m->pieces < TILES ? (BLOCK / (TILES / m->pieces) + ROWS - 1) / ROWS * ROWS : BLOCK;
  m->logits = SGI_TAKE(a, most * m->ld, float);
  m->at = SGI_TAKE(a, most, float);
  m->parts = SGI_TAKE(a, most * m->pieces, part);
}

void sgi_loss_scratch(size_t n, size_t D, size_t V, sgi_arena *a) { layout(n, D, V, a, &(room){0}); }

/* Rows [r, r + rows) of columns [j, j + columns); with gradient, logits become exp(logit - max of
 * the tile's row). */
static sg_status tile(const room *m, const float *x, const sgi_weight *E, const int32_t *targets, size_t r, size_t rows,
                      size_t j, size_t columns, bool gradient, size_t D) {
  const sgi_kernels *kern = sgi_kernel_table();
  float *logits = m->logits + r * m->ld + j;
  sgi_weight some = sgi_weight_rows(E, j, columns);
  sg_status st = m->wt ? sgi_gemm1(false, false, rows, columns, D, 1, x + r * D, D, m->wt + j, m->ld, 0, logits, m->ld)
                       : sgi_stored_product1(true, rows, x + r * D, D, &some, 0, logits, m->ld);
  for (size_t i = 0; i < rows && !st; i++, logits += m->ld) {
    part *p = m->parts + (r + i) * m->pieces + j / COLUMNS;
    size_t target = (size_t)targets[r + i];
    if (target >= j && target < j + columns) m->at[r + i] = logits[target - j];
    size_t best = kern->argmax(logits, columns);
    p->best = (int32_t)(j + best);
    p->max = logits[best];
    if (gradient)
      p->sum = kern->softmax_exp(logits, columns, 1, &p->max);
    else
      p->sum = kern->exp_sum(logits, columns, p->max);
  }
  return st;
}

static sg_status head(const room *m, const float *x, const sgi_weight *E, const int32_t *targets, size_t rows,
                      bool gradient, size_t D, size_t V) {
  size_t down = (rows + m->rows - 1) / m->rows;
  atomic_int worst = SG_OK;
#pragma omp parallel for schedule(dynamic, 1) if (down * m->pieces > 1)
  for (size_t t = 0; t < down * m->pieces; t++) {
    size_t r = t / m->pieces * m->rows, j = t % m->pieces * COLUMNS;
    sg_status st = tile(m, x, E, targets, r, rows - r < m->rows ? rows - r : m->rows, j,
                        V - j < COLUMNS ? V - j : COLUMNS, gradient, D);
    if (st) atomic_store(&worst, st);
  }
  return (sg_status)atomic_load(&worst);
}

/* A row's loss from its parts. */
static float join(const room *m, size_t r, float *max, float *sum, int32_t *best) {
  const part *p = m->parts + r * m->pieces;
  *max = p->max;
  *best = p->best;
  for (size_t i = 1; i < m->pieces; i++)
    if (p[i].max > *max) *max = p[i].max, *best = p[i].best;
  *sum = 0;
  for (size_t i = 0; i < m->pieces; i++) *sum += p[i].sum * expf(p[i].max - *max);
  return logf(*sum) + (*max - m->at[r]);
}

/* logits (V), exponentials by parts, become grad_scale (softmax - onehot), 0 for padding. */
static void row_gradient(const room *m, size_t r, int32_t target, int32_t pad, float grad_scale, float max, float sum,
                         size_t V) {
  float *logits = m->logits + r * m->ld;
  if (target == pad) {
    memset(logits, 0, V * sizeof *logits);
    return;
  }
  for (size_t i = 0; i < m->pieces; i++) {
    size_t j = i * COLUMNS;
    float factor = grad_scale / sum * expf(m->parts[r * m->pieces + i].max - max);
    sgi_kernel_table()->scale(logits + j, factor, V - j < COLUMNS ? V - j : COLUMNS);
  }
  logits[target] -= grad_scale;
}

static void losses(const room *m, float *nll, int32_t *best, const int32_t *targets, int32_t pad, float grad_scale,
                   size_t rows, bool gradient, size_t V) {
#pragma omp parallel for schedule(static) if (gradient && rows * V > 4096)
  for (size_t r = 0; r < rows; r++) {
    float max, sum;
    nll[r] = join(m, r, &max, &sum, &best[r]);
    if (gradient) row_gradient(m, r, targets[r], pad, grad_scale, max, sum, V);
  }
}

sg_status sgi_loss(float *nll, int32_t *best, float *dx, float *dE, const float *x, const sgi_weight *E,
                   const int32_t *targets, int32_t pad, float grad_scale, size_t n, size_t D, size_t V,
                   sgi_arena scratch) {
  room m;
  layout(n, D, V, &scratch, &m);
  if (E->rounds) m.wt = NULL;
  double at = sgi_lap_begin(scratch.profile);
  if (m.wt) sgi_stored_pack(m.wt, E);
  for (size_t i = 0; i < n; i += BLOCK) {
    size_t rows = n - i < BLOCK ? n - i : BLOCK;
    sg_status st = head(&m, x + i * D, E, targets + i, rows, dx != NULL, D, V);
    if (st) return st;
    sgi_lap(scratch.profile, &at, "head, exponentials", sgi_product_flops(rows, V, D), sgi_product_bytes(rows, V, D));
    losses(&m, nll + i, best + i, targets + i, pad, grad_scale, rows, dx != NULL, V);
    sgi_lap(scratch.profile, &at, "loss", 0, dx ? 8.0 * (double)rows * (double)V : 0);
    if (!dx) continue;
    st = sgi_stored_linear_dx(dx + i * D, D, m.logits, m.ld, E, rows, 0, (sgi_arena){0});
    if (!st) st = sgi_stored_linear_dw(dE, m.logits, m.ld, x + i * D, D, E, rows, NULL);
    if (st) return st;
    sgi_lap(scratch.profile, &at, "head backward", 2 * sgi_product_flops(rows, V, D),
            2 * sgi_product_bytes(rows, V, D));
  }
  return SG_OK;
}
