#include "ffn/sparse.h"

#include <string.h>

#include "math/kernels.h"

/* Tokens are taken in tiles and a tile goes channel by channel, so that one channel's pool stays in the cache. */
enum { TILE = 64 };

static size_t tile_end(size_t n, size_t i) { return i + TILE < n ? i + TILE : n; }

static const float *pool_of(const sgi_sparse *s, const float *w, size_t c) {
  return s->pool_per_channel ? w + c * s->pool * s->D : w;
}

void sgi_sparse_dot(const sgi_sparse *s, float *out, const float *w, const int32_t *index, const float *x) {
  const sgi_kernels *kern = sgi_kernel_table();
  size_t C = s->channels, K = s->top_k, D = s->D;
#pragma omp parallel for schedule(static) if (s->n > TILE)
  for (size_t i = 0; i < s->n; i += TILE)
    for (size_t c = 0; c < C; c++)
      for (size_t t = i; t < tile_end(s->n, i); t++) {
        size_t at = (t * C + c) * K;
        kern->gather_dot(out + at, pool_of(s, w, c), index + at, K, x + t * D, D);
      }
}

void sgi_sparse_sum(const sgi_sparse *s, float *y, const float *w, const int32_t *index, const float *value) {
  const sgi_kernels *kern = sgi_kernel_table();
  size_t C = s->channels, K = s->top_k, D = s->D;
#pragma omp parallel for schedule(static) if (s->n > TILE)
  for (size_t i = 0; i < s->n; i += TILE) {
    memset(y + i * D, 0, (tile_end(s->n, i) - i) * D * sizeof *y);
    for (size_t c = 0; c < C; c++)
      for (size_t t = i; t < tile_end(s->n, i); t++) {
        size_t at = (t * C + c) * K;
        kern->gather_axpy(y + t * D, pool_of(s, w, c), index + at, value + at, K, D);
      }
  }
}

static size_t pools(const sgi_sparse *s) { return s->pool_per_channel ? s->channels : 1; }

void sgi_sparse_sort_take(const sgi_sparse *s, sgi_arena *a, sgi_sparse_sorted *sorted) {
  size_t entries = s->n * s->channels * s->top_k;
  sorted->start = SGI_TAKE(a, pools(s) * s->pool + 2, uint32_t);
  sorted->token = SGI_TAKE(a, entries, int32_t);
  sorted->slot = SGI_TAKE(a, entries, uint32_t);
  sorted->coef = SGI_TAKE(a, entries, float);
}

/* Counting sort. One task owns the neurons [lo, hi) of one pool and passes over that pool's entries in token order, so no two
 * threads write one place and the order is fixed. */
enum { RANGES = 8 };

static void sort_range(const sgi_sparse *s, const int32_t *index, sgi_sparse_sorted *sorted, size_t p, size_t lo,
                       size_t hi, bool fill) {
  size_t C = s->channels, K = s->top_k, first = s->pool_per_channel ? p : 0, last = s->pool_per_channel ? p + 1 : C;
  /* start[f + 1] counts first and, while filling, is the next free place of f: it ends as the start of f + 1. */
  uint32_t *next = sorted->start + p * s->pool + 1;
  for (size_t t = 0; t < s->n; t++)
    for (size_t at = (t * C + first) * K; at < (t * C + last) * K; at++) {
      size_t f = (size_t)index[at];
      if (f < lo || f >= hi) continue;
      uint32_t place = next[f]++;
      if (!fill) continue;
      sorted->token[place] = (int32_t)t;
      sorted->slot[place] = (uint32_t)at;
    }
}

void sgi_sparse_sort(const sgi_sparse *s, const int32_t *index, sgi_sparse_sorted *sorted) {
  size_t neurons = pools(s) * s->pool, tasks = pools(s) * RANGES, step = (s->pool + RANGES - 1) / RANGES;
  memset(sorted->start, 0, (neurons + 2) * sizeof *sorted->start);
  for (int fill = 0; fill < 2; fill++) {
#pragma omp parallel for schedule(static)
    for (size_t task = 0; task < tasks; task++) {
      size_t lo = task % RANGES * step, hi = lo + step < s->pool ? lo + step : s->pool;
      if (lo < hi) sort_range(s, index, sorted, task / RANGES, lo, hi, fill);
    }
    if (fill) continue;
    uint32_t sum = 0;
    for (size_t f = 1; f <= neurons; f++) {
      uint32_t count = sorted->start[f];
      sorted->start[f] = sum;
      sum += count;
    }
  }
}

void sgi_sparse_scatter(const sgi_sparse *s, float *dw, const sgi_sparse_sorted *sorted, const float *value,
                        const float *x) {
  const sgi_kernels *kern = sgi_kernel_table();
  size_t neurons = pools(s) * s->pool, D = s->D;
#pragma omp parallel for schedule(dynamic, 32)
  for (size_t f = 0; f < neurons; f++) {
    uint32_t from = sorted->start[f], to = sorted->start[f + 1];
    if (from == to) continue;
    for (uint32_t e = from; e < to; e++) sorted->coef[e] = value[sorted->slot[e]];
    kern->gather_axpy(dw + f * D, x, sorted->token + from, sorted->coef + from, to - from, D);
  }
}
