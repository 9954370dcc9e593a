/* predict.h: predictions of a run, printed and compared. */
#ifndef SGATLIN_CLI_PREDICT_H
#define SGATLIN_CLI_PREDICT_H

#include "prompt.h"

/* Probabilities (V) and logits (V) at a position. */
typedef struct cli_prediction {
  float *logits;
  double *p;
  size_t V;
  struct cli_continuation *words; /* (n_words) behind the likeliest: cli_predict_words */
  size_t n_words;
} cli_prediction;
sg_status cli_predict(cli_prediction *out, const cli_prompt *prompt, const sg_run *run, ptrdiff_t position,
                      sg_error *err);
void cli_prediction_free(cli_prediction *p);
/* Next best after the last one chosen (-1: the best); -1 at the end. */
int32_t cli_prediction_next(const cli_prediction *p, int32_t last);
int32_t cli_prediction_best(const cli_prediction *p);
/* sum p log(p / q). */
double cli_divergence(const cli_prediction *p, const cli_prediction *q);
/* [{"id", "text", "probability", "logit"}], the n most probable. */
json_t *cli_prediction_json(const cli_prompt *prompt, const cli_prediction *p, size_t n);
/* n most probable before and after, side by side; labels and others: further columns (n_after of
 * them). */
void cli_print_predictions(const cli_prompt *prompt, const cli_prediction *before, const cli_prediction *after,
                           const char *const *labels, size_t n_after, size_t n);

#endif
