#include "ffn/sparse.h"

#include <omp.h>
#include <string.h>

#include "math/kernels.h"

/* Tokens are taken in tiles and a tile goes channel by channel, so that one channel's pool stays in
 * the cache: large tiles, but enough of them for several threads. */
enum { LEAST_TILE = 64, MOST_TILE = 128, TILES = 16 };

static size_t tile_of(size_t n) {
  size_t tile = n / TILES;
  return tile < LEAST_TILE ? LEAST_TILE : tile > MOST_TILE ? MOST_TILE : tile;
}
static size_t tile_end(size_t n, size_t i) { return i + tile_of(n) < n ? i + tile_of(n) : n; }

/* First row of a channel's pool. */
static size_t pool_of(const sgi_sparse *s, size_t c) { return s->pool_per_channel ? c * s->pool : 0; }

/* Pools far larger than a second level cache: the next token's rows are fetched while this one's
 * are worked on. For pools of 1 MB that costs more than it gains, and sums of rows gain nothing. */
static bool fetches_ahead(const sgi_sparse *s) { return s->pool * s->D >= (size_t)1 << 21; }

static double entries_of(const sgi_sparse *s) { return (double)s->n * (double)s->channels * (double)s->top_k; }

/* Entries that are worked on. */
static double taken(const sgi_sparse *s, const sgi_profile *profile) {
  if (!s->end || !profile) return entries_of(s);
  size_t sum = 0;
  for (size_t i = 0; i < s->n * s->channels; i++) sum += sgi_sparse_end(s, i) - sgi_sparse_first(s, i);
  return (double)sum;
}

static void count(const sgi_sparse *s, sgi_profile *profile, double at) {
  double work = taken(s, profile) * (double)s->D;
  sgi_work(profile, at, 2 * work, 4 * work);
}

void sgi_sparse_lap_values(const sgi_sparse *s, sgi_profile *profile, double *at, const char *name, size_t arrays) {
  sgi_lap(profile, at, name, 0, 4 * entries_of(s) * (double)arrays);
}

void sgi_sparse_dot(const sgi_sparse *s, sgi_profile *profile, float *out, const sgi_weight *w, const int32_t *index,
                    const float *x) {
  const sgi_kernels *kern = sgi_kernel_table();
  const sgi_dtype_traits *type = sgi_weight_traits(w->dtype);
  size_t C = s->channels, K = s->top_k, D = s->D, tile = tile_of(s->n);
  bool ahead = fetches_ahead(s) && w->dtype == SGI_F32;
  double began = sgi_work_begin(profile);
#pragma omp parallel for schedule(static) if (s->n > tile)
  for (size_t i = 0; i < s->n; i += tile)
    for (size_t c = 0; c < C; c++)
      for (size_t t = i; t < tile_end(s->n, i); t++) {
        size_t list = t * C + c, at = list * K + sgi_sparse_first(s, list), next = list + C;
        if (ahead && t + 1 < tile_end(s->n, i))
          kern->fetch_rows(sgi_f32(w) + pool_of(s, c) * D, index + next * K, sgi_sparse_end(s, next), D);
        type->gather_dot(out + at, w, pool_of(s, c), index + at, list * K + sgi_sparse_end(s, list) - at, x + t * D);
      }
  count(s, profile, began);
}

void sgi_sparse_add_bias(const sgi_sparse *s, float *dot, const float *bias, const int32_t *index) {
  size_t C = s->channels, K = s->top_k;
#pragma omp parallel for schedule(static) if (s->n * C * K > 4096)
  for (size_t list = 0; list < s->n * C; list++)
    for (size_t at = list * K + sgi_sparse_first(s, list); at < list * K + sgi_sparse_end(s, list); at++)
      dot[at] += bias[pool_of(s, list % C) + (size_t)index[at]];
}

void sgi_sparse_sum(const sgi_sparse *s, sgi_profile *profile, float *y, const sgi_weight *w, const int32_t *index,
                    const float *value) {
  const sgi_dtype_traits *type = sgi_weight_traits(w->dtype);
  size_t C = s->channels, K = s->top_k, D = s->D, tile = tile_of(s->n);
  double began = sgi_work_begin(profile);
#pragma omp parallel for schedule(static) if (s->n > tile)
  for (size_t i = 0; i < s->n; i += tile) {
    memset(y + i * D, 0, (tile_end(s->n, i) - i) * D * sizeof *y);
    for (size_t c = 0; c < C; c++)
      for (size_t t = i; t < tile_end(s->n, i); t++) {
        size_t list = t * C + c, at = list * K + sgi_sparse_first(s, list);
        type->gather_axpy(y + t * D, w, pool_of(s, c), index + at, value + at, list * K + sgi_sparse_end(s, list) - at);
      }
  }
  count(s, profile, began);
}

static size_t pools(const sgi_sparse *s) { return s->pool_per_channel ? s->channels : 1; }
/* Stretches of tokens per pool, so that even one pool keeps several threads busy. */
static size_t parts(const sgi_sparse *s) { return pools(s) < 8 ? 8 / pools(s) : 1; }

void sgi_sparse_sort_take(const sgi_sparse *s, sgi_arena *a, sgi_sparse_sorted *sorted) {
  size_t entries = s->n * s->channels * s->top_k;
  sorted->start = SGI_TAKE(a, pools(s) * s->pool + 1, uint32_t);
  sorted->next = SGI_TAKE(a, pools(s) * parts(s) * s->pool, uint32_t);
  sorted->token = SGI_TAKE(a, entries, int32_t);
  sorted->slot = SGI_TAKE(a, entries, uint32_t);
  sorted->coef = SGI_TAKE(a, entries, float);
}

/* Counting sort, of all entries in front of end. A task owns one pool and one stretch of tokens: it
 * counts its entries per neuron, is told where they begin, and places them in token order. So no
 * two threads write one place, and the order is that of the tokens. */
typedef struct stretch {
  size_t first, last; /* tokens */
  size_t c0, c1;      /* channels */
  uint32_t *next;     /* (F) */
} stretch;

static stretch stretch_at(const sgi_sparse *s, const sgi_sparse_sorted *sorted, size_t p, size_t part) {
  size_t step = (s->n + parts(s) - 1) / parts(s), first = part * step;
  return (stretch){.first = first < s->n ? first : s->n,
                   .last = first + step < s->n ? first + step : s->n,
                   .c0 = s->pool_per_channel ? p : 0,
                   .c1 = s->pool_per_channel ? p + 1 : s->channels,
                   .next = sorted->next + (p * parts(s) + part) * s->pool};
}

static void count_entries(const sgi_sparse *s, const int32_t *index, const stretch *r) {
  size_t C = s->channels, K = s->top_k;
  memset(r->next, 0, s->pool * sizeof *r->next);
  for (size_t t = r->first; t < r->last; t++)
    for (size_t list = t * C + r->c0; list < t * C + r->c1; list++)
      for (size_t at = list * K; at < list * K + sgi_sparse_end(s, list); at++) r->next[index[at]]++;
}

static void place_entries(const sgi_sparse *s, const int32_t *index, const stretch *r, sgi_sparse_sorted *sorted) {
  size_t C = s->channels, K = s->top_k;
  for (size_t t = r->first; t < r->last; t++)
    for (size_t list = t * C + r->c0; list < t * C + r->c1; list++)
      for (size_t at = list * K; at < list * K + sgi_sparse_end(s, list); at++) {
        uint32_t place = r->next[index[at]]++;
        sorted->token[place] = (int32_t)t;
        sorted->slot[place] = (uint32_t)at;
      }
}

/* Counts become first places: neuron by neuron, within one stretch by stretch. */
static uint32_t begin_places(const sgi_sparse *s, sgi_sparse_sorted *sorted, size_t p, uint32_t first) {
  for (size_t f = 0; f < s->pool; f++) {
    sorted->start[p * s->pool + f] = first;
    for (size_t part = 0; part < parts(s); part++) {
      uint32_t *next = sorted->next + (p * parts(s) + part) * s->pool + f, count = *next;
      *next = first;
      first += count;
    }
  }
  return sorted->start[(p + 1) * s->pool] = first;
}

void sgi_sparse_sort(const sgi_sparse *s, sgi_profile *profile, const int32_t *index, sgi_sparse_sorted *sorted) {
  size_t P = pools(s), tasks = P * parts(s), entries = s->n * s->channels * s->top_k;
  double at = sgi_lap_begin(profile);
#pragma omp parallel for schedule(static) if (entries > 4096)
  for (size_t t = 0; t < tasks; t++) {
    stretch r = stretch_at(s, sorted, t / parts(s), t % parts(s));
    count_entries(s, index, &r);
  }
  uint32_t first = 0;
  for (size_t p = 0; p < P; p++) first = begin_places(s, sorted, p, first);
#pragma omp parallel for schedule(static) if (entries > 4096)
  for (size_t t = 0; t < tasks; t++) {
    stretch r = stretch_at(s, sorted, t / parts(s), t % parts(s));
    place_entries(s, index, &r, sorted);
  }
  sgi_sparse_lap_values(s, profile, &at, "neurons, sort", 4);
}

void sgi_sparse_scatter(const sgi_sparse *s, sgi_profile *profile, float *dw, const sgi_sparse_sorted *sorted,
                        const float *value, const float *x) {
  const sgi_kernels *kern = sgi_kernel_table();
  size_t neurons = pools(s) * s->pool, D = s->D;
  double began = sgi_work_begin(profile);
#pragma omp parallel for schedule(dynamic, 32)
  for (size_t f = 0; f < neurons; f++) {
    uint32_t from = sorted->start[f], to = sorted->start[f + 1];
    if (from == to) continue;
    for (uint32_t e = from; e < to; e++) sorted->coef[e] = value[sorted->slot[e]];
    kern->gather_axpy(dw + f * D, x, sorted->token + from, sorted->coef + from, to - from, D);
  }
  count(s, profile, began);
}

void sgi_sparse_scatter_rows(const sgi_sparse *s, sgi_profile *profile, const sgi_row_sink *sink,
                             const sgi_sparse_sorted *sorted, const float *value, const float *x) {
  const sgi_kernels *kern = sgi_kernel_table();
  size_t neurons = pools(s) * s->pool, D = s->D;
  int most = omp_get_max_threads(), threads = most < sink->threads ? most : sink->threads;
  double began = sgi_work_begin(profile);
  sink->begin(sink->user, sorted->start, neurons);
#pragma omp parallel for schedule(dynamic, 1) num_threads(threads)
  for (size_t b = 0; b < neurons; b += sink->block)
    for (size_t f = b; f < b + sink->block && f < neurons; f++) {
      uint32_t from = sorted->start[f], to = sorted->start[f + 1];
      if (from == to) continue;
      for (uint32_t e = from; e < to; e++) sorted->coef[e] = value[sorted->slot[e]];
      float *sum = sink->row(sink->user, f);
      kern->gather_axpy(sum, x, sorted->token + from, sorted->coef + from, to - from, D);
      sink->done(sink->user, f, sum);
    }
  count(s, profile, began);
}

void sgi_sparse_scatter_bias(const sgi_sparse *s, float *dbias, const sgi_sparse_sorted *sorted, const float *value) {
  size_t neurons = pools(s) * s->pool;
#pragma omp parallel for schedule(dynamic, 256)
  for (size_t f = 0; f < neurons; f++)
    for (uint32_t e = sorted->start[f]; e < sorted->start[f + 1]; e++) dbias[f] += value[sorted->slot[e]];
}
