#include "train/yardstick.h"

#include "core/median.h"
#include "math/gemm.h"

/* A shape is repeated until this much is done, or a small one would time the call. */
enum { SQUARE = 1024, MOST_ROWS = 4096, MOST_ENTRIES = 1 << 24, LEAST_FLOPS = 1 << 30, MOST_REPEATS = 16 };

struct sgi_yardstick {
  sgi_yardstick_shape shapes[SGI_YARDSTICK_SHAPES];
  size_t count, rounds;
  float *x, *w, *y; /* as large as the largest shape needs */
  double *seconds;  /* (count,rounds), of one product */
};

static double flops(const sgi_yardstick_shape *s) { return 2.0 * (double)s->m * (double)s->n * (double)s->k; }

static void add(sgi_yardstick *y, size_t m, size_t n, size_t k) {
  for (size_t i = 1; i < y->count; i++)
    if (y->shapes[i].n == n && y->shapes[i].k == k) return;
  size_t at = y->count;
  if (at == SGI_YARDSTICK_SHAPES) { /* the smallest map goes */
    at = 1;
    for (size_t i = 2; i < y->count; i++)
      if (y->shapes[i].n * y->shapes[i].k < y->shapes[at].n * y->shapes[at].k) at = i;
    if (n * k <= y->shapes[at].n * y->shapes[at].k) return;
  } else {
    y->count++;
  }
  size_t most = MOST_ENTRIES / (n > k ? n : k); /* rows whose operands stay small */
  y->shapes[at] = (sgi_yardstick_shape){m < most ? m : most ? most : 1, n, k};
}

static void find_shapes(const sg_model *model, size_t rows, sgi_yardstick *y) {
  size_t m = rows < MOST_ROWS ? rows : MOST_ROWS;
  y->shapes[y->count++] = (sgi_yardstick_shape){SQUARE, SQUARE, SQUARE};
  for (size_t i = 0; i < model->table.count; i++) {
    const sgi_row *r = &model->table.rows[i];
    if (r->n_dims == 2 && r->stored && !r->pool) add(y, m, r->dims[0], r->dims[1]);
  }
}

static float *operand(const sgi_yardstick *y, size_t (*size)(const sgi_yardstick_shape *)) {
  size_t n = 0;
  for (size_t i = 0; i < y->count; i++) n = size(&y->shapes[i]) > n ? size(&y->shapes[i]) : n;
  float *p = sgi_alloc(n * sizeof *p);
  for (size_t i = 0; p && i < n; i++) p[i] = (float)(i % 7) - 3;
  return p;
}

static size_t size_x(const sgi_yardstick_shape *s) { return s->m * s->k; }
static size_t size_w(const sgi_yardstick_shape *s) { return s->n * s->k; }
static size_t size_y(const sgi_yardstick_shape *s) { return s->m * s->n; }

sg_status sgi_yardstick_create(const sg_model *model, size_t rows, size_t rounds, sgi_yardstick **out, sg_error *err) {
  sgi_yardstick *y = *out = sgi_alloc(sizeof *y);
  if (!y) return sgi_fail_memory(err, sizeof *y, "a measurement");
  *y = (sgi_yardstick){.rounds = rounds};
  find_shapes(model, rows, y);
  y->x = operand(y, size_x);
  y->w = operand(y, size_w);
  y->y = operand(y, size_y);
  y->seconds = sgi_alloc(y->count * rounds * sizeof *y->seconds);
  return y->x && y->w && y->y && y->seconds ? SG_OK
                                            : sgi_fail_memory(err, 3 * MOST_ENTRIES * sizeof(float), "a measurement");
}

void sgi_yardstick_free(sgi_yardstick *y) {
  if (!y) return;
  void *blocks[] = {y->x, y->w, y->y, y->seconds, y};
  for (size_t i = 0; i < SGI_COUNT(blocks); i++) sgi_free(blocks[i]);
}

sg_status sgi_yardstick_round(sgi_yardstick *y, size_t round, double (*clock)(void), sg_error *err) {
  for (size_t i = 0; i < y->count; i++) {
    const sgi_yardstick_shape *s = &y->shapes[i];
    size_t repeats = 1 + (size_t)(LEAST_FLOPS / flops(s));
    if (repeats > MOST_REPEATS) repeats = MOST_REPEATS;
    double at = clock();
    for (size_t k = 0; k < repeats; k++) {
      sg_status st = sgi_gemm_yardstick(s->m, s->n, s->k, y->x, y->w, y->y);
      if (st) return sgi_fail(err, st, "oneDNN's matrix product failed: %s", sg_status_text(st));
    }
    y->seconds[i * y->rounds + round] = (clock() - at) / (double)repeats;
  }
  return SG_OK;
}

double sgi_yardstick_best(sgi_yardstick *y, sgi_yardstick_shape *shape) {
  double best = 0;
  for (size_t i = 0; i < y->count; i++) {
    double rate = flops(&y->shapes[i]) / sgi_median(y->seconds + i * y->rounds, y->rounds);
    if (!(rate > best)) continue;
    best = rate;
    *shape = y->shapes[i];
  }
  return best;
}
