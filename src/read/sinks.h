/* sinks.h: how much attention goes to a document's first position for want of a better place
 * (docs/method-reading.md, attention sinks). */
#ifndef SGI_SINKS_H
#define SGI_SINKS_H

#include "data/data.h"
#include "model/model.h"

typedef struct sgi_sink_head {
  size_t layer, head;
  double share;     /* mean over rows and t >= 1 of P[t,0] */
  double excess;    /* share - even */
  double share_out; /* mean of |P[t,0] v_0| / |o_t|: a sink with a value of zero costs nothing */
  double logit;     /* mean of what a learned logit takes of the row: 1 - the sum of P[t]; 0 where there is none */
} sgi_sink_head;

typedef struct sgi_sinks {
  size_t rows, positions; /* looked at; those with t >= 1 */
  double even;            /* mean of 1 / (t + 1): what even attention gives */
  double sink_heads;      /* share of the heads with share > 0.3 */
  sgi_sink_head *heads;   /* by layer, then head; layers without attention have none */
  size_t n_heads;
  double *norm_ratio; /* (L) mean over rows of |resid_post[0]| / median of the others */
  size_t n_layers;
  bool logits; /* every head has a learned logit */
} sgi_sinks;

/* Of the first `rows` documents of a text (0: all) that have a second position, each behind the
 * model's bos and cut at seq_len. Deinit in any case. */
sg_status sgi_sinks_run(const sg_model *m, const sgi_corpus *text, size_t rows, size_t seq_len,
                        bool (*progress)(void *user, size_t done, size_t total), void *user, sgi_sinks *out,
                        sg_error *err);
/* The same of rows of inputs (B,T), T at least 2, as they are: padding counts, too. */
sg_status sgi_sinks_rows(const sg_model *m, const int32_t *inputs, size_t B, size_t T, sgi_sinks *out, sg_error *err);
void sgi_sinks_deinit(sgi_sinks *s);

#endif
