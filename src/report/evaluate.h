/* evaluate.h: loss and perplexity of a model on a text or on rows of ids, beside those of n-gram
 * models, as a document: what `eval` prints. */
#ifndef SGI_REPORT_EVALUATE_H
#define SGI_REPORT_EVALUATE_H

#include "text.h"

typedef struct sgi_eval_request {
  sg_model *model; /* layer_form and ode_steps change it */
  const sg_tokenizer *tokenizer;
  const char *name;       /* of the model in the document */
  const char *layer_form; /* NULL: its own */
  size_t ode_steps;       /* 0: its own */
  const sgi_text *text;   /* NULL: ids */
  const sg_text_form *form;
  bool packs;             /* the run has its rows so */
  sg_eval_rows rows;      /* AUTO: by the text */
  size_t seq_len, stride; /* 0: the model's; half a window */
  const int32_t *ids;     /* (n_ids,T) */
  size_t n_ids, T;
  const sgi_text *train; /* that n-grams are counted on; NULL: none */
  bool batches;          /* means over batches of batch_rows rows */
  size_t batch_rows, max_rows, max_memory;
  const char *by; /* a field of the text's lines: losses by it; NULL: not */
  bool defect;    /* of each layer as a step of a flow */
  /* T tokens at a time are allowed, or why not. */
  sg_status (*fits)(void *user, size_t T, sg_error *err);
  void (*note)(void *user, const char *text);
  void (*warn)(void *user, const char *text);
  void (*begun)(void *user, const char *what, const char *unit, uint64_t total); /* what NULL: it has ended */
  bool (*progress)(void *user, uint64_t done, uint64_t total);                   /* total 0: as begun; false stops */
  void *user;
} sgi_eval_request;

/* {model, loss, accuracy, perplexity, perplexity_last_token, standard_error, tokens, rows, seq_len,
 * row_form, method, method_text, text_tokens, cut_tokens, stride, batches, batch_size, baselines:
 * {unigram, trigram: {loss, perplexity}}, ode_defect: [{layer, FORM..., rerouted}], sources:
 * [{source, documents, tokens, loss, perplexity}], layer_form}: what was not asked for is not
 * there. New reference. */
sg_status sgi_eval_report(const sgi_eval_request *request, json_t **out, sg_error *err);

#endif
