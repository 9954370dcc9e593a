#include "model/attention.h"

#include <math.h>
#include <omp.h>
#include <stdatomic.h>
#include <string.h>

#include "math/gemm.h"
#include "math/kernels.h"

enum { QUERIES = 64 }; /* rows of a block */

void sgi_rotary_tables(float *cos_, float *sin_, size_t T, size_t d_head, double theta) {
  size_t half = d_head / 2;
  for (size_t j = 0; j < half; j++) {
    float frequency = (float)(1.0 / pow(theta, 2.0 * (double)j / (double)d_head));
    for (size_t t = 0; t < T; t++) {
      float angle = (float)t * frequency;
      cos_[t * half + j] = cosf(angle);
      sin_[t * half + j] = sinf(angle);
    }
  }
}

/* (a, b) -> (a cos - b sin, b cos + a sin) with a the first half of a head and b the second. */
void sgi_rotary(float *x, const int32_t *position, const float *cos_, const float *sin_, size_t n, size_t H,
                size_t d_head, bool inverse) {
  size_t half = d_head / 2;
  float sign = inverse ? -1.0f : 1.0f;
#pragma omp parallel for schedule(static) if (n > 8)
  for (size_t i = 0; i < n; i++) {
    const float *c = cos_ + (size_t)position[i] * half, *s = sin_ + (size_t)position[i] * half;
    for (size_t h = 0; h < H; h++) {
      float *a = x + (i * H + h) * d_head, *b = a + half;
#pragma omp simd
      for (size_t j = 0; j < half; j++) {
        float u = a[j], v = b[j], sj = sign * s[j];
        a[j] = u * c[j] - v * sj;
        b[j] = v * c[j] + u * sj;
      }
    }
  }
}

static size_t threads(void) { return (size_t)omp_get_max_threads(); }

void sgi_attention_scratch(size_t keys, size_t d_head, bool backward, sgi_arena *a) {
  (void)d_head;
  for (size_t t = 0; t < threads(); t++)
    for (int i = 0; i < (backward ? 2 : 1); i++) SGI_TAKE(a, QUERIES * keys, float);
}

/* One block: queries [i, i + rows) of sequence b and head h, keys [lo, hi). */
typedef struct block {
  size_t rows, lo, hi;
  const float *q, *k, *v;
} block;

static block block_at(const sgi_attention *s, size_t b, size_t h, size_t i, const float *q, const float *k,
                      const float *v) {
  size_t width = s->H * s->d_head, rows = s->T - i < QUERIES ? s->T - i : QUERIES;
  size_t lo = s->starts ? (size_t)s->starts[b * s->T + i] : 0; /* starts do not fall within a row */
  size_t at = (b * s->capacity + lo) * width + h * s->d_head;
  return (block){rows, lo, s->past + i + rows, q + (b * s->T + i) * width + h * s->d_head, k + at, v + at};
}

/* Keys that row r of the block sees, relative to lo. */
static void visible(const sgi_attention *s, const block *x, size_t b, size_t i, size_t r, size_t *from, size_t *to) {
  *from = s->starts ? (size_t)s->starts[b * s->T + i + r] - x->lo : 0;
  *to = s->past + i + r + 1 - x->lo;
}

static sg_status forward_block(const sgi_attention *s, float *p, float *o, float *lse, size_t b, size_t h, size_t i,
                               const float *q, const float *k, const float *v) {
  const sgi_kernels *kern = sgi_kernel_table();
  size_t width = s->H * s->d_head;
  float scale = (float)(1.0 / sqrt((double)s->d_head));
  block x = block_at(s, b, h, i, q, k, v);
  size_t keys = x.hi - x.lo;
  sg_status st = sgi_gemm1(false, true, x.rows, keys, s->d_head, 1, x.q, width, x.k, width, 0, p, keys);
  if (st) return st;
  for (size_t r = 0; r < x.rows; r++) {
    float *row = p + r * keys, max;
    size_t from, to;
    visible(s, &x, b, i, r, &from, &to);
    float sum = kern->softmax_exp(row + from, to - from, scale, &max);
    kern->scale(row + from, 1 / sum, to - from);
    memset(row, 0, from * sizeof *row);
    memset(row + to, 0, (keys - to) * sizeof *row);
    lse[(b * s->T + i + r) * s->H + h] = max + logf(sum);
  }
  return sgi_gemm1(false, false, x.rows, s->d_head, keys, 1, p, keys, x.v, width, 0,
                   o + (b * s->T + i) * width + h * s->d_head, width);
}

sg_status sgi_attention_forward(const sgi_attention *s, sgi_arena scratch, float *o, float *lse, const float *q,
                                const float *k, const float *v) {
  size_t blocks = (s->T + QUERIES - 1) / QUERIES, tasks = s->B * s->H * blocks, room = QUERIES * (s->past + s->T);
  float *p = SGI_TAKE(&scratch, threads() * room, float);
  atomic_int worst = SG_OK;
  /* Late blocks see most keys: they come first, so that the threads end together. */
#pragma omp parallel for schedule(dynamic, 1) if (tasks > 1)
  for (size_t task = 0; task < tasks; task++) {
    size_t bh = task % (s->B * s->H), i = (blocks - 1 - task / (s->B * s->H)) * QUERIES;
    sg_status st = forward_block(s, p + (size_t)omp_get_thread_num() * room, o, lse, bh / s->H, bh % s->H, i, q, k, v);
    if (st) atomic_store(&worst, st);
  }
  return (sg_status)atomic_load(&worst);
}

/* With P the pattern, dP = dO V^T and delta = sum_d dO O per row: dS = P (dP - delta) / sqrt(d_head); dV += P^T dO;
 * dQ = dS K; dK += dS^T Q. */
static sg_status backward_block(const sgi_attention *s, float *p, float *dp, float *dq, float *dk, float *dv, size_t b,
                                size_t h, size_t i, const float *o, const float *lse, const float *d_o, const float *q,
                                const float *k, const float *v) {
  const sgi_kernels *kern = sgi_kernel_table();
  size_t width = s->H * s->d_head;
  float scale = (float)(1.0 / sqrt((double)s->d_head));
  block x = block_at(s, b, h, i, q, k, v);
  size_t keys = x.hi - x.lo, row0 = (b * s->T + i) * width + h * s->d_head, key0 = (size_t)(x.k - k);
  sg_status st = sgi_gemm1(false, true, x.rows, keys, s->d_head, 1, x.q, width, x.k, width, 0, p, keys);
  if (!st) st = sgi_gemm1(false, true, x.rows, keys, s->d_head, 1, d_o + row0, width, x.v, width, 0, dp, keys);
  if (st) return st;
  for (size_t r = 0; r < x.rows; r++) {
    float *pr = p + r * keys, *dpr = dp + r * keys;
    size_t from, to;
    visible(s, &x, b, i, r, &from, &to);
    float delta = kern->dot(d_o + row0 + r * width, o + row0 + r * width, s->d_head);
    kern->exp_shift(pr + from, to - from, scale, lse[(b * s->T + i + r) * s->H + h]);
    memset(pr, 0, from * sizeof *pr);
    memset(dpr, 0, from * sizeof *dpr);
    memset(pr + to, 0, (keys - to) * sizeof *pr);
    memset(dpr + to, 0, (keys - to) * sizeof *dpr);
#pragma omp simd
    for (size_t j = from; j < to; j++) dpr[j] = scale * pr[j] * (dpr[j] - delta);
  }
  st = sgi_gemm1(true, false, keys, s->d_head, x.rows, 1, p, keys, d_o + row0, width, 1, dv + key0, width);
  if (!st) st = sgi_gemm1(true, false, keys, s->d_head, x.rows, 1, dp, keys, x.q, width, 1, dk + key0, width);
  if (!st) st = sgi_gemm1(false, false, x.rows, s->d_head, keys, 1, dp, keys, x.k, width, 0, dq + row0, width);
  return st;
}

sg_status sgi_attention_backward(const sgi_attention *s, sgi_arena scratch, float *dq, float *dk, float *dv,
                                 const float *o, const float *lse, const float *d_o, const float *q, const float *k,
                                 const float *v) {
  size_t width = s->H * s->d_head, tasks = s->B * s->H, room = QUERIES * s->T;
  float *p = SGI_TAKE(&scratch, 2 * threads() * room, float);
  atomic_int worst = SG_OK;
  /* One thread owns a sequence's head and adds its blocks in order. */
#pragma omp parallel for schedule(dynamic, 1) if (tasks > 1)
  for (size_t task = 0; task < tasks; task++) {
    size_t b = task / s->H, h = task % s->H;
    float *mine = p + 2 * (size_t)omp_get_thread_num() * room;
    for (size_t t = 0; t < s->T; t++) {
      size_t at = (b * s->T + t) * width + h * s->d_head;
      memset(dk + at, 0, s->d_head * sizeof *dk);
      memset(dv + at, 0, s->d_head * sizeof *dv);
    }
    for (size_t i = 0; i < s->T; i += QUERIES) {
      sg_status st = backward_block(s, mine, mine + room, dq, dk, dv, b, h, i, o, lse, d_o, q, k, v);
      if (st) atomic_store(&worst, st);
    }
  }
  return (sg_status)atomic_load(&worst);
}

sg_status sgi_attention_pattern(const sgi_attention *s, size_t b, size_t h, size_t i, float *pattern, const float *q,
                                const float *k) {
  const sgi_kernels *kern = sgi_kernel_table();
  size_t width = s->H * s->d_head, keys = s->past + i + 1, from = s->starts ? (size_t)s->starts[b * s->T + i] : 0;
  float max;
  memset(pattern, 0, keys * sizeof *pattern);
  for (size_t j = from; j < keys; j++)
    pattern[j] = kern->dot(q + (b * s->T + i) * width + h * s->d_head,
                           k + (b * s->capacity + j) * width + h * s->d_head, s->d_head);
  float sum = kern->softmax_exp(pattern + from, keys - from, (float)(1.0 / sqrt((double)s->d_head)), &max);
  kern->scale(pattern + from, 1 / sum, keys - from);
  return SG_OK;
}
