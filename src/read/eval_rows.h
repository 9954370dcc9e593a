/* eval_rows.h: the rows that an evaluation makes of a text, and what they leave out. */
#ifndef SGI_EVAL_ROWS_H
#define SGI_EVAL_ROWS_H

#include "data/data.h"
#include "model/model.h"

/* What was asked for; zero: by the text. */
typedef struct sgi_eval_form {
  sg_eval_rows rows;
  size_t seq_len, stride;
  bool packs;     /* the model's run has its rows packed */
  bool reference; /* no windows unless asked for */
} sgi_eval_form;

typedef struct sgi_eval_rows {
  sgi_rows rows;
  size_t seq_len, T, stride;    /* T: seq_len, or the longest document where that is shorter */
  uint64_t n_rows, tokens, cut; /* cut: tokens of the text that no row counts */
  sgi_batcher *batcher;
} sgi_eval_rows;

/* Rows and T: documents a row (or packed, if the run has its own so) where all fit one, else
 * windows, so that a long document is counted whole. */
sg_status sgi_eval_rows_choose(const sg_config *config, const sgi_corpus *corpus, const sgi_eval_form *form,
                               sgi_eval_rows *out, sg_error *err);
/* The rest, after choose. batcher is new: sgi_batcher_free. */
sg_status sgi_eval_rows_open(const sg_config *config, const sgi_corpus *corpus, const sgi_eval_form *form,
                             sgi_eval_rows *out, sg_error *err);
/* Windows: at most max rows, whole documents; of other rows max. 0: all. */
uint64_t sgi_eval_rows_limit(const sgi_eval_rows *t, uint64_t max);

/* "windows of 64, stride 32, each token counted once with at least 32 tokens before it"; "" for
 * other rows. */
void sgi_eval_rows_method(const sgi_eval_rows *t, char *out, size_t size);
/* A sentence where something is cut, else "". */
void sgi_eval_rows_cut(const sgi_eval_rows *t, char *out, size_t size);

#endif
