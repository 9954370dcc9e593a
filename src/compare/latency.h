/* latency.h: what a sublayer costs on this machine: the model with and without it in turn, medians.
 *
 * Decoding: one stream, a token at a time, on its cache. Prefill: one forward pass of a row. Single
 * numbers of small differences are noise, so sublayers that are alike share the median of theirs
 * unless `each` is asked for. */
#ifndef SGI_LATENCY_H
#define SGI_LATENCY_H

#include "model/model.h"

typedef enum sgi_latency_use { SGI_FOR_DECODE, SGI_FOR_PREFILL } sgi_latency_use;

typedef struct sgi_latency {
  double *sublayer;  /* (2L) milliseconds that each takes, above 0; 0 of one that can not go (sgi_cut_stays) */
  double all, other; /* of the whole, and of what is no sublayer */
} sgi_latency;

typedef struct sgi_latency_request {
  sgi_latency_use use;
  size_t T;      /* prefill: positions of the row; decoding: of the beginning and the tokens timed, half each */
  size_t rounds; /* alternations, 9 or more */
  bool each;
  bool cpu_time; /* processor time instead of time: for a shared machine, with one thread */
  /* Called after each alternation; false cancels. NULL allowed. */
  bool (*progress)(void *user, size_t done, size_t wanted);
  void *user;
} sgi_latency_request;

/* SG_ERR_UNSUPPORTED: sgi_cut_check. Deinit in any case. */
sg_status sgi_latency_measure(const sg_model *m, const sgi_latency_request *r, sgi_latency *out, sg_error *err);
void sgi_latency_deinit(sgi_latency *l);

/* Median of a's time over b's, measured in turn. */
sg_status sgi_latency_ratio(const sg_model *a, const sg_model *b, const sgi_latency_request *r, double *ratio,
                            sg_error *err);

#endif
