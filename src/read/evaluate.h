/* evaluate.h: losses over held-out rows, with what is needed to say how sure they are; and use of
 * the sparse units. */
#ifndef SGI_EVALUATE_H
#define SGI_EVALUATE_H

#include "model/pass.h"
#include "read/usage.h"
#include "data/data.h"

/* Two ways to sum up (docs/method.md, evaluation):
 * TOKENS: one mean over all counted tokens, perplexity = exp(loss); standard error with rows as the
 * sampling unit. BATCHES: the reference's: every metric is the plain mean over whole batches (mean
 * of exp, golden README no. 15). */
typedef enum sgi_eval_method { SGI_EVAL_TOKENS, SGI_EVAL_BATCHES } sgi_eval_method;
const char *sgi_eval_method_text(sgi_eval_method m); /* one sentence */

typedef sg_evaluation sgi_evaluation;

typedef struct sgi_evaluate_request {
  sgi_batcher *rows;      /* made with B = 1: its batch i is row i; NULL: targets */
  const int32_t *targets; /* (n_rows,T), each row's first input is bos */
  uint64_t n_rows;        /* rows 0 .. n_rows - 1 */
  size_t T;
  size_t batch_rows; /* BATCHES: rows of a batch; an incomplete last one is dropped */
  sgi_eval_method method;
  double *row_nll, *row_targets;           /* NULL, or (n_rows): each row's sum of losses, and its counted targets */
  double *document_nll, *document_targets; /* NULL, or (documents of rows): the same is added to each document's */
  sgi_usage **usage; /* NULL, or (L): each gets every row's choices of its layer; NULL entries for dense kinds */
  bool (*stop)(void *user, uint64_t rows_done); /* NULL: never; true ends with SG_ERR_CANCELLED */
  void *user;
} sgi_evaluate_request;

typedef struct sgi_evaluator sgi_evaluator;
/* Buffers for parts of max_rows x T rows. pass (borrowed) was made for at least that; new:
 * sgi_evaluator_free. */
sg_status sgi_evaluator_create(sgi_pass *pass, const sg_model *m, size_t max_rows, size_t T, sgi_evaluator **out,
                               sg_error *err);
void sgi_evaluator_free(sgi_evaluator *e);
sg_status sgi_evaluate(sgi_evaluator *e, const sgi_evaluate_request *r, sgi_evaluation *out, sg_error *err);

/* One sgi_usage per layer for this model, NULL for dense kinds. New: sgi_usage_list_free. */
sg_status sgi_usage_list(const sg_model *m, sgi_usage ***out, sg_error *err);
void sgi_usage_list_free(const sg_model *m, sgi_usage **list);

#endif
