/* metrics.h: from losses of single targets to the numbers that are reported (golden README nos.
 * 13-15). */
#ifndef SGI_METRICS_H
#define SGI_METRICS_H

#include <math.h>

#include "model/pass.h"

/* Adds a batch: nll, best, targets (B,T) as sgi_loss leaves them. A row of padding alone has no
 * last target and counts for last_nll with its loss at position 0, as the reference's argmax
 * does. */
static inline void sgi_metrics_add(sgi_metrics *sum, const float *nll, const int32_t *best, const int32_t *targets,
                                   int32_t pad, size_t B, size_t T) {
  for (size_t r = 0; r < B; r++) {
    size_t last = r * T;
    for (size_t i = r * T; i < (r + 1) * T; i++) {
      if (targets[i] == pad) continue;
      last = i;
      sum->nll += (double)nll[i];
      sum->targets++;
      sum->correct += best[i] == targets[i];
    }
    sum->last_nll += (double)nll[last];
  }
  sum->rows += B;
}

/* 0 where nothing was counted, so that a batch of padding makes no NaN. */
static inline double sgi_metrics_loss(const sgi_metrics *m) { return m->targets ? m->nll / (double)m->targets : 0; }
static inline double sgi_metrics_accuracy(const sgi_metrics *m) {
  return m->targets ? (double)m->correct / (double)m->targets : 0;
}
static inline double sgi_metrics_perplexity(const sgi_metrics *m) { return exp(sgi_metrics_loss(m)); }
static inline double sgi_metrics_perplexity_last_token(const sgi_metrics *m) {
  return exp(m->rows ? m->last_nll / (double)m->rows : 0);
}

#endif
