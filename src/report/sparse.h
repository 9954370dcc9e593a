/* sparse.h: transcoders and SAEs of a model: their directory beside it, the text that they are held
 * against, and as documents what they keep of the model, what they match, their training
 * (docs/method-comparison.md, sparse MLPs). */
#ifndef SGI_REPORT_SPARSE_H
#define SGI_REPORT_SPARSE_H

#include "text.h"

/* ---- a set beside its model ------------------------------------------------------------------ */

typedef struct sgi_sparse_set sgi_sparse_set;

/* The set of a directory (docs/formats-sparse.md). One whose sizes are not the model's is refused;
 * one that was trained on another model, too, unless force is set, which warns. Of one that does
 * not say a note tells. New: sgi_sparse_set_free. */
typedef struct sgi_sparse_asked {
  const char *directory;
  const sg_model *model;
  bool force;
  void (*note)(void *user, const char *text);
  void (*warn)(void *user, const char *text);
  void *user;
} sgi_sparse_asked;
sg_status sgi_sparse_set_of(const sgi_sparse_asked *asked, sgi_sparse_set **out, sg_error *err);
void sgi_sparse_set_free(sgi_sparse_set *set); /* NULL allowed; compare/sparse_set.h has it, too */

/* "topk, unit, random encoder": what its first layer is, but for how sparse. */
void sgi_sparse_method(const sgi_sparse_set *set, char *out, size_t size);
/* The same with that: "relu, unit, L1 0.002", "topk, unit, K 32". */
void sgi_sparse_words(const sgi_sparse_set *set, char *out, size_t size);
/* K of topk, else the penalty's weight. */
double sgi_sparse_penalty(const sgi_sparse_set *set);
/* The text that a set of transcoders was trained on, where it says one; else NULL. Borrowed from
 * set. */
const char *sgi_sparse_trained_on(const sgi_sparse_set *set);

/* ---- rows of a text -------------------------------------------------------------------------- */

typedef struct sgi_sparse_text_request {
  const sg_model *model;
  const sg_tokenizer *tokenizer;
  const char *directory; /* of the model, for errors */
  const sgi_text *text;
  const sg_text_form *form;
  bool packs;             /* the model's run has its rows so */
  sg_eval_rows rows;      /* AUTO: by the text, as `eval` */
  size_t seq_len, stride; /* 0: the model's; half a window */
  size_t most;            /* rows; 0: all */
  /* T tokens at a time are allowed, or why not. */
  sg_status (*fits)(void *user, size_t T, sg_error *err);
  const sgi_text_watch *watch; /* is told what the rows leave out, too */
  void *user;
} sgi_sparse_text_request;

/* New: sgi_sparse_text_free. */
typedef struct sgi_sparse_text sgi_sparse_text;
sg_status sgi_sparse_text_open(const sgi_sparse_text_request *r, sgi_sparse_text **out, sg_error *err);
void sgi_sparse_text_free(sgi_sparse_text *text); /* NULL allowed */
const struct sgi_sparse_rows *sgi_sparse_text_rows(const sgi_sparse_text *text);
/* Leaves at most so many rows as hold that many tokens, and one. */
void sgi_sparse_text_limit(sgi_sparse_text *text, size_t tokens);

/* ---- what sets keep of a model --------------------------------------------------------------- */

typedef struct sgi_sparse_eval_asked {
  const sg_model *model;
  const sgi_sparse_set *const *sets; /* (n_sets) 1 or more */
  size_t n_sets;
  const sgi_sparse_text *text;
  bool own;                   /* beside them the layers' own activations, as few */
  const sgi_sparse_text *fit; /* that linear maps beside them are fitted to; NULL: none */
  bool frequencies;           /* of every feature, too */
  bool (*progress)(void *user, uint64_t done, uint64_t wanted); /* rows of all sets; false cancels */
  void *user;
} sgi_sparse_eval_asked;

/* {loss, counted, rows, sets: [{directory, site, layers: [{layer, features, activation, lambda, l0,
 * l1, dead, dead_share, mse, mse_zero, variance_explained, kept, histogram, loss_replaced,
 * loss_zero, loss_mean, kl, recovered, recovered_of_mean, own, linear, frequency}], all}]}: null
 * for what was not made, and for shares where putting nothing there hardly changes the loss. New
 * reference. */
sg_status sgi_sparse_eval_report(const sgi_sparse_eval_asked *asked, json_t **out, sg_error *err);

/* ---- features beside neurons ----------------------------------------------------------------- */

typedef struct sgi_sparse_match_asked {
  const sg_model *model;
  const sgi_sparse_set *set;
  const sgi_sparse_text *text; /* in which a live feature acts; NULL: all count */
  bool each;                   /* every feature's nearest neuron, too */
  uint64_t seed;
  bool (*progress)(void *user, uint64_t done, uint64_t wanted); /* rows; false cancels */
  bool (*go_on)(void *user);                                    /* between layers */
  void *user;
} sgi_sparse_match_asked;

/* {layers: [{layer, features, live, neurons, median_encoder, median_decoder, encoder, both,
 * chance_encoder, chance_both: {0.5, 0.8, 0.95}, each: [{feature, channel, neuron, encoder,
 * decoder, best_channel, best_neuron, product}]}]}. New reference. */
sg_status sgi_sparse_match_report(const sgi_sparse_match_asked *asked, json_t **out, sg_error *err);

/* ---- training -------------------------------------------------------------------------------- */

typedef struct sgi_sparse_training {
  const sg_model *model;
  const char *model_path, *data_path; /* as given, for the files */
  const sgi_corpus *corpus;
  const char *site;     /* mlp (transcoders), resid_pre, resid_mid, resid_post, attn.out, mlp.norm, mlp.out */
  bool sae;             /* with mlp: an SAE of the layer's output instead */
  const size_t *layers; /* (n_layers) ascending; NULL: all that have the site */
  size_t n_layers;
  size_t features;
  const char *activation; /* relu, topk or jumprelu */
  const char *decoder;    /* unit, weighted or free */
  size_t top_k;
  double lambda; /* of the L1 (relu) or the L0 (jumprelu) */
  bool frozen_encoder, mse_norm;
  size_t seq_len, batch, buffer; /* tokens of a row of text; positions of a step; batches in memory */
  uint64_t steps;                /* 0: once through the text */
  double learning_rate, weight_decay;
  uint64_t dead_window; /* positions; 0: 10 million, or all where there are fewer */
  bool resample;
  uint64_t seed;
  uint64_t checkpoint_every; /* steps; 0: only where it is stopped */
  size_t max_bytes;
  const char *directory;
  bool resume;
  void (*begun)(void *user, uint64_t done); /* all is set up, so many steps were done before */
  /* A step of steps: errors and features that act, means over layers; or what else is made
   * (positions). false: a checkpoint is written, then SG_ERR_CANCELLED */
  bool (*progress)(void *user, const char *what, uint64_t step, uint64_t steps, double mse, double l0);
  void *user;
} sgi_sparse_training;

/* Trains and writes the directory, whose sparse.json is the document (docs/formats-sparse.md). New
 * reference. *done: steps, after a stop too. */
sg_status sgi_sparse_train_report(const sgi_sparse_training *t, uint64_t *done, json_t **out, sg_error *err);

#endif
