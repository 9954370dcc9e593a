#include "read/usage.h"

#include <math.h>
#include <string.h>

#include "core/arena.h"

/* Everything the four numbers need of a histogram, so that counts of past sequences need not be
 * kept. Doubles: squares of counts pass 2^64, and sums of them lose nothing that five digits would
 * show. */
typedef struct sums {
  uint64_t bins, nonzero, total, min, max;
  double squares, c_log_c; /* sums of c^2 and c log2 c */
} sums;

struct sgi_usage {
  size_t F, C, K, plain_bins;
  bool own_pools;
  uint64_t sequences;
  uint64_t *last;  /* (F) */
  uint64_t *plain; /* (plain_bins) */
  sums flat;
  sgi_usage_numbers per_sequence; /* summed, not yet divided */
};

static void add_count(sums *s, uint64_t c) {
  if (c < s->min) s->min = c;
  if (c > s->max) s->max = c;
  if (!c) return;
  s->nonzero++;
  s->total += c;
  s->squares += (double)c * (double)c;
  s->c_log_c += (double)c * log2((double)c);
}

static sums sums_of(const uint64_t *count, size_t bins) {
  sums s = {.bins = bins, .min = UINT64_MAX};
  for (size_t i = 0; i < bins; i++) add_count(&s, count[i]);
  return s;
}

static void merge(sums *into, const sums *s) {
  into->min = !into->bins || s->min < into->min ? s->min : into->min;
  if (s->max > into->max) into->max = s->max;
  into->bins += s->bins;
  into->nonzero += s->nonzero;
  into->total += s->total;
  into->squares += s->squares;
  into->c_log_c += s->c_log_c;
}

/* With n bins, total N and p = c/N: variance / mean^2 = n sum c^2 / N^2 - 1; entropy = log2 N - sum
 * c log2 c / N. */
static sgi_usage_numbers numbers_of(const sums *s) {
  if (!s->total) return (sgi_usage_numbers){0};
  double n = (double)s->bins, total = (double)s->total;
  double spread = n * (s->squares / total / total) - 1, entropy = log2(total) - s->c_log_c / total;
  return (sgi_usage_numbers){.min_max_ratio = (double)s->min / (double)s->max,
                             .coeff_of_variation = spread > 0 ? sqrt(spread) : 0,
                             .fraction_nonzero = (double)s->nonzero / n,
                             .normalized_entropy = s->bins == 1  ? 1
                                                   : entropy > 0 ? entropy / log2(n)
                                                                 : 0};
}

sg_status sgi_usage_create(size_t F, size_t C, size_t K, bool own_pools, sgi_usage **out, sg_error *err) {
  *out = NULL;
  size_t plain_bins = F, entries, bytes;
  if (!F || F > INT32_MAX || !C || !K || !sgi_size_mul(C, K, &entries) ||
      (own_pools && !sgi_size_mul(C, F, &plain_bins)) || !sgi_size_mul(plain_bins, sizeof(uint64_t), &bytes))
    return sgi_fail(err, SG_ERR_ARG, "usage of %zu channels with %zu of %zu units is empty or too large to count", C, K,
                    F);
  sgi_usage *u = sgi_alloc(sizeof *u);
  uint64_t *last = sgi_alloc(F * sizeof *last), *plain = sgi_alloc(bytes);
  if (!u || !last || !plain) {
    sgi_free(u);
    sgi_free(last);
    sgi_free(plain);
    return sgi_fail_memory(err, bytes, "counts of the units used");
  }
  *u = (sgi_usage){
      .F = F, .C = C, .K = K, .plain_bins = plain_bins, .own_pools = own_pools, .last = last, .plain = plain};
  *out = u;
  return SG_OK;
}

void sgi_usage_free(sgi_usage *u) {
  if (!u) return;
  sgi_free(u->last);
  sgi_free(u->plain);
  sgi_free(u);
}

sg_status sgi_usage_add(sgi_usage *u, const int32_t *index, const int32_t *active, size_t T, const bool *keep,
                        sg_error *err) {
  size_t row = u->C * u->K, entries;
  if (!T || !sgi_size_mul(T, row, &entries))
    return sgi_fail(err, SG_ERR_ARG, "a sequence of %zu positions can not be counted", T);
  for (size_t i = 0; i < entries; i++)
    if (index[i] < 0 || (size_t)index[i] >= u->F)
      return sgi_fail(err, SG_ERR_ARG, "position %zu, channel %zu: unit %d is outside the pool of %zu", i / row,
                      i % row / u->K, index[i], u->F);
  memset(u->last, 0, u->F * sizeof *u->last);
  for (size_t t = 0; t < T; t++)
    for (size_t c = 0; c < u->C; c++)
      for (size_t k = 0; k < u->K; k++) {
        size_t f = (size_t)index[t * row + c * u->K + k];
        if (active && !active[t * row + c * u->K + k]) continue;
        u->last[f]++;
        if (!keep || keep[t]) u->plain[(u->own_pools ? c * u->F : 0) + f]++;
      }
  sums s = sums_of(u->last, u->F);
  merge(&u->flat, &s);
  sgi_usage_numbers n = numbers_of(&s);
  u->per_sequence.min_max_ratio += n.min_max_ratio;
  u->per_sequence.coeff_of_variation += n.coeff_of_variation;
  u->per_sequence.fraction_nonzero += n.fraction_nonzero;
  u->per_sequence.normalized_entropy += n.normalized_entropy;
  u->sequences++;
  return SG_OK;
}

sg_status sgi_usage_result(const sgi_usage *u, sgi_usage_result_t *out, sg_error *err) {
  if (!u->sequences) return sgi_fail(err, SG_ERR_ARG, "no sequence was recorded: usage needs at least one");
  double N = (double)u->sequences;
  sums plain = sums_of(u->plain, u->plain_bins);
  *out = (sgi_usage_result_t){.sequences = u->sequences,
                              .flat = numbers_of(&u->flat),
                              .per_sequence = {.min_max_ratio = u->per_sequence.min_max_ratio / N,
                                               .coeff_of_variation = u->per_sequence.coeff_of_variation / N,
                                               .fraction_nonzero = u->per_sequence.fraction_nonzero / N,
                                               .normalized_entropy = u->per_sequence.normalized_entropy / N},
                              .plain = numbers_of(&plain),
                              .choices = plain.total};
  return SG_OK;
}

const uint64_t *sgi_usage_last_counts(const sgi_usage *u) { return u->last; }

const uint64_t *sgi_usage_plain_counts(const sgi_usage *u, size_t *bins) {
  *bins = u->plain_bins;
  return u->plain;
}

sgi_usage_numbers sgi_usage_of_counts(const uint32_t *count, size_t n) {
  sums s = {.bins = n, .min = UINT64_MAX};
  for (size_t i = 0; i < n; i++) add_count(&s, count[i]);
  return numbers_of(&s);
}
