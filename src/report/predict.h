/* predict.h: predictions of a run, compared and as JSON. */
#ifndef SGI_REPORT_PREDICT_H
#define SGI_REPORT_PREDICT_H

#include "prompt.h"

/* Probabilities (V) and logits (V) at a position. */
typedef struct sgi_prediction {
  float *logits;
  double *p;
  size_t V;
  struct sgi_continuation *words; /* (n_words) behind the likeliest: sgi_predict_words */
  size_t n_words;
} sgi_prediction;
sg_status sgi_predict(sgi_prediction *out, const sgi_prompt *prompt, const sg_run *run, ptrdiff_t position,
                      sg_error *err);
void sgi_prediction_free(sgi_prediction *p);
/* Next best after the last one chosen (-1: the best); -1 at the end. */
int32_t sgi_prediction_next(const sgi_prediction *p, int32_t last);
int32_t sgi_prediction_best(const sgi_prediction *p);
/* sum p log(p / q). */
double sgi_divergence(const sgi_prediction *p, const sgi_prediction *q);
/* [{"id", "text", "probability", "logit"}], the n most probable. */
json_t *sgi_prediction_json(const sgi_prompt *prompt, const sgi_prediction *p, size_t n);

#endif
