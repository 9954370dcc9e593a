#include "read/cka.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/arena.h"
#include "model/model.h"
#include "read/neighbors.h"

/* gram (n,n) = centred x times its transpose. The items are few (hundreds), the columns may be
 * many, so the n x n matrices of inner products are smaller than the a x b one and give the same
 * number: |y'x|^2 = trace(xx' yy'). */
static sg_status centred_gram(double *gram, const float *x, size_t n, size_t a, sg_error *err) {
  size_t cells;
  if (!sgi_size_mul(n, a, &cells) || !sgi_size_mul(cells, sizeof(double), &cells))
    return sgi_fail(err, SG_ERR_ARG, "%zu vectors of %zu numbers are too many", n, a);
  double *c = sgi_alloc(cells + 1);
  if (!c) return sgi_fail_memory(err, cells, "centred vectors");
  for (size_t j = 0; j < a; j++) {
    double mean = 0;
    for (size_t i = 0; i < n; i++) mean += (double)x[i * a + j];
    mean /= (double)n;
    for (size_t i = 0; i < n; i++) c[i * a + j] = (double)x[i * a + j] - mean;
  }
#pragma omp parallel for schedule(dynamic, 4) if (n > 16)
  for (size_t i = 0; i < n; i++)
    for (size_t j = 0; j < n; j++) {
      double sum = 0;
#pragma omp simd reduction(+ : sum)
      for (size_t k = 0; k < a; k++) sum += c[i * a + k] * c[j * a + k];
      gram[i * n + j] = sum;
    }
  sgi_free(c);
  return SG_OK;
}

static double inner(const double *a, const double *b, size_t n) {
  double sum = 0;
  for (size_t i = 0; i < n; i++) sum += a[i] * b[i];
  return sum;
}

sg_status sg_linear_cka(const float *x, size_t a, const float *y, size_t b, size_t n, double *out, sg_error *err) {
  size_t cells;
  sg_status st = sgi_need(out, "the place for the number", err);
  if (!st) st = sgi_need(x, "x", err);
  if (!st) st = sgi_need(y, "y", err);
  if (st) return st;
  *out = 0;
  if (!n || !a || !b) return sgi_fail(err, SG_ERR_ARG, "CKA needs at least one item and one column on each side");
  if (!sgi_size_mul(n, n, &cells) || cells > ((size_t)1 << 28))
    return sgi_fail(err, SG_ERR_ARG, "CKA of %zu items: expected at most 16384", n);
  double *K = sgi_alloc(cells * sizeof *K), *L = sgi_alloc(cells * sizeof *L);
  st = K && L ? centred_gram(K, x, n, a, err) : sgi_fail_memory(err, 2 * cells * sizeof *K, "CKA");
  if (!st) st = centred_gram(L, y, n, b, err);
  if (!st) {
    double norms = sqrt(inner(K, K, cells)) * sqrt(inner(L, L, cells));
    *out = inner(K, L, cells) / (norms > 1e-12 ? norms : 1e-12);
  }
  sgi_free(K);
  sgi_free(L);
  return st;
}

/* ---- top tokens ------------------------------------------------------------------------------ */

static int by_count(const void *a, const void *b) {
  const sgi_top_token *x = a, *y = b;
  return x->count != y->count ? (x->count < y->count ? 1 : -1) : (x->id > y->id) - (x->id < y->id);
}

sg_status sg_top_tokens(const sgi_recording *rec, size_t n, size_t documents, int32_t skip, bool by_target,
                        sgi_top_token *out, size_t *found, sg_error *err) {
  sg_status st = sgi_need(rec, "the recording", err);
  if (!st && n) st = sgi_need(out, "the place for tokens", err);
  if (!st) st = sgi_need(found, "the place for their number", err);
  if (st) return st;
  const sgi_recording_info *info = sgi_recording_info_of(rec);
  size_t V = info->vocab_size, end = info->n_positions, rest, used = 0;
  if (documents && documents < info->n_documents) sgi_recording_document(rec, documents, &end, &rest);
  sgi_top_token *all = sgi_alloc(V * sizeof *all);
  if (!all) return sgi_fail_memory(err, V * sizeof *all, "counts of tokens");
  for (size_t p = 0; p < end; p++) {
    sgi_recorded at = sgi_recording_at(rec, p);
    int32_t id = by_target ? at.target : at.input;
    if (id == skip || id < 0 || (size_t)id >= V) continue;
    if (!all[id].count++) all[id].first = p;
  }
  for (size_t i = 0; i < V; i++)
    if (all[i].count) all[used++] = (sgi_top_token){(int32_t)i, all[i].count, all[i].first};
  qsort(all, used, sizeof *all, by_count);
  *found = used < n ? used : n;
  memcpy(out, all, *found * sizeof *out);
  sgi_free(all);
  return sgi_recording_check(rec, err);
}

/* Gates as dense rows (n, columns). */
static sg_status dense_gates(const sgi_recording *rec, size_t slot, size_t channel, const sgi_top_token *tokens,
                             size_t n, float *out, sg_error *err) {
  const sgi_recording_info *info = sgi_recording_info_of(rec);
  size_t m = info->slots[slot].channels * info->slots[slot].top_k, F = info->slots[slot].pool;
  int32_t *index = sgi_alloc(m * sizeof *index);
  float *score = sgi_alloc(m * sizeof *score);
  for (size_t i = 0; i < n && index && score; i++) {
    sgi_recording_circuit(rec, slot, tokens[i].first, index, score);
    for (size_t k = 0; k < m; k++) {
      size_t c = k / info->slots[slot].top_k, f = (size_t)index[k];
      if (channel == SGI_ALL_CHANNELS)
        out[(i * info->slots[slot].channels + c) * F + f] = score[k];
      else if (c == channel)
        out[i * F + f] = score[k];
    }
  }
  sg_status st = index && score ? SG_OK : sgi_fail_memory(err, m * sizeof *score, "a circuit");
  sgi_free(index);
  sgi_free(score);
  return st;
}

sg_status sgi_embedding_cka(const sgi_recording *rec, size_t slot, size_t channel, const sg_model *m,
                            const sgi_top_token *tokens, size_t n, double *out, sg_error *err) {
  const sgi_recording_info *info = sgi_recording_info_of(rec);
  size_t V = m->config.vocab_size, D = m->config.hidden_size,
         columns =
             channel == SGI_ALL_CHANNELS ? info->slots[slot].channels * info->slots[slot].pool : info->slots[slot].pool,
         bytes, more;
  *out = 0;
  if (channel != SGI_ALL_CHANNELS && channel >= info->slots[slot].channels)
    return sgi_fail(err, SG_ERR_ARG, "channel %zu: the recording has channels 0 to %zu", channel,
                    info->slots[slot].channels - 1);
  if (!n || !sgi_size_mul(n * sizeof(float), columns, &bytes) || !sgi_size_mul(n * sizeof(float), D, &more))
    return sgi_fail(err, SG_ERR_ARG, "CKA of %zu tokens can not be taken", n);
  float *gates = sgi_alloc(bytes), *rows = sgi_alloc(more);
  sg_status st = gates && rows ? SG_OK : sgi_fail_memory(err, bytes, "gates of the top tokens");
  for (size_t i = 0; i < n && !st; i++) {
    if ((size_t)tokens[i].id >= V)
      st = sgi_fail(err, SG_ERR_ARG, "token %d was recorded, but the model has only %zu", tokens[i].id, V);
    else
      sgi_weight_read(rows + i * D, &m->weights[SGI_ROW_EMBED], (size_t)tokens[i].id * D, D);
  }
  if (!st) st = dense_gates(rec, slot, channel, tokens, n, gates, err);
  if (!st) st = sgi_recording_check(rec, err);
  if (!st) st = sg_linear_cka(rows, D, gates, columns, n, out, err);
  sgi_free(gates);
  sgi_free(rows);
  return st;
}
