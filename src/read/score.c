#include "read/score.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/median.h"

/* First place of v in sorted x, or behind the last equal one. */
static size_t bound(const double *x, size_t n, double v, bool behind) {
  size_t low = 0, high = n;
  while (low < high) {
    size_t mid = low + (high - low) / 2;
    if (x[mid] < v || (behind && x[mid] == v))
      low = mid + 1;
    else
      high = mid;
  }
  return low;
}

static double centred_rank(const double *sorted, size_t n, double v) {
  return 0.5 * ((double)bound(sorted, n, v, false) + (double)bound(sorted, n, v, true)) - 0.5 * (double)n;
}

double sgi_rank_correlation(const double *a, const double *b, size_t n, double *work) {
  double *x = work, *y = work + n, xy = 0, xx = 0, yy = 0;
  memcpy(x, a, n * sizeof *x);
  memcpy(y, b, n * sizeof *y);
  qsort(x, n, sizeof *x, sgi_ascending);
  qsort(y, n, sizeof *y, sgi_ascending);
  for (size_t i = 0; i < n; i++) {
    double u = centred_rank(x, n, a[i]), v = centred_rank(y, n, b[i]);
    xy += u * v;
    xx += u * u;
    yy += v * v;
  }
  return xx > 0 && yy > 0 ? xy / sqrt(xx * yy) : 0;
}

sg_status sgi_score_model(const sg_model *m, const sg_tokenizer *tok, const sgi_truth *truth,
                          const sgi_score_settings *s, sgi_score *out, sg_error *err) {
  *out = (sgi_score){0};
  if (!s->neighbours || !s->permutations || !s->positions || !s->facts || !s->units || s->positions > 100000 ||
      s->neighbours > 1000 || s->facts > 100000 || s->units > 100000 || s->permutations > 100000)
    return sgi_fail(
        err, SG_ERR_ARG,
        "positions, neighbours, facts, neurons and permutations must be from 1 to 100000 (neighbours: 1000)");
  sgi_score_words w;
  sg_status st = sgi_score_words_find(&w, truth, tok, &m->config, s, err);
  if (!st) st = sgi_score_purity(m, truth, &w, s, out, err);
  sgi_score_words_deinit(&w);
  return st ? st : sgi_score_facts(m, tok, truth, s, out, err);
}
