/* sparse.h: gathered neurons, the three moves that all sparse kinds are made of. index and the
 * value arrays are (n,C,K); a pool is (C,F,D) where every channel owns one, or (F,D) shared by
 * all. */
#ifndef SGI_SPARSE_H
#define SGI_SPARSE_H

#include "core/arena.h"
#include "ffn/ffn.h"

typedef struct sgi_sparse {
  size_t n, channels, top_k, pool, D;
  bool pool_per_channel;
  const int32_t *first, *end; /* (n,C) or NULL: of a channel's K entries those from first on, in front of end, alone */
} sgi_sparse;

static inline size_t sgi_sparse_first(const sgi_sparse *s, size_t list) {
  return s->first ? (size_t)s->first[list] : 0;
}
static inline size_t sgi_sparse_end(const sgi_sparse *s, size_t list) {
  return s->end ? (size_t)s->end[list] : s->top_k;
}

/* A lap of the profile for arrays (n,C,K) read or written. */
void sgi_sparse_lap_values(const sgi_sparse *s, sgi_profile *profile, double *at, const char *name, size_t arrays);

/* The moves time themselves into profile (NULL allowed) under its stage.
 * out (n,C,K) = x (n,D) . w[c, index]. */
void sgi_sparse_dot(const sgi_sparse *s, sgi_profile *profile, float *out, const sgi_weight *w, const int32_t *index,
                    const float *x);
/* dot (n,C,K) += bias (pools*F) of the entries that are worked on. */
void sgi_sparse_add_bias(const sgi_sparse *s, float *dot, const float *bias, const int32_t *index);
/* y (n,D) = sum over c, k of value * w[c, index]. */
void sgi_sparse_sum(const sgi_sparse *s, sgi_profile *profile, float *y, const sgi_weight *w, const int32_t *index,
                    const float *value);

/* For weight gradients the (token, c, k) entries are sorted by neuron, tokens in order. */
typedef struct sgi_sparse_sorted {
  uint32_t *start; /* (pools*F + 1) */
  uint32_t *next;  /* (parts, F) places while sorting */
  int32_t *token;  /* (n*C*K) */
  uint32_t *slot;  /* (n*C*K) index into the (n,C,K) arrays */
  float *coef;     /* (n*C*K) */
} sgi_sparse_sorted;
void sgi_sparse_sort_take(const sgi_sparse *s, sgi_arena *a, sgi_sparse_sorted *sorted);
void sgi_sparse_sort(const sgi_sparse *s, sgi_profile *profile, const int32_t *index, sgi_sparse_sorted *sorted);
/* dw[c, index] += value * x, one thread per neuron, tokens in order. */
void sgi_sparse_scatter(const sgi_sparse *s, sgi_profile *profile, float *dw, const sgi_sparse_sorted *sorted,
                        const float *value, const float *x);
/* The same sums to a sink, neuron by neuron. */
void sgi_sparse_scatter_rows(const sgi_sparse *s, sgi_profile *profile, const sgi_row_sink *sink,
                             const sgi_sparse_sorted *sorted, const float *value, const float *x);
/* dbias[c, index] += value, in the same order. */
void sgi_sparse_scatter_bias(const sgi_sparse *s, float *dbias, const sgi_sparse_sorted *sorted, const float *value);

#endif
