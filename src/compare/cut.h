/* cut.h: a model run with some of its sublayers adding nothing, and what is seen on the way: the
 * residual stream after each sublayer, the features that a sublayer's output map is multiplied
 * with.
 *
 * Sublayer 2l is attention of layer l, 2l + 1 its feedforward layer. A cut sublayer's output is set
 * to 0 where it is made (sites attn.out, mlp.out), which is what a model without it computes. */
#ifndef SGI_CUT_H
#define SGI_CUT_H

#include "model/pass.h"

/* Rows of targets; each row's inputs are its targets shifted by one with bos in front. A position
 * counts where its target is not padding. */
typedef struct sgi_cut_rows {
  const int32_t *targets; /* (n,T) */
  size_t n, T;
} sgi_cut_rows;

typedef struct sgi_cut sgi_cut;

/* SG_ERR_UNSUPPORTED where a layer is not sequential. */
sg_status sgi_cut_check(const sg_model *m, sg_error *err);
/* A layer may lack a sublayer: by its config, or because it was pruned. */
bool sgi_cut_there(const sg_model *m, size_t sublayer);
size_t sgi_cut_count(const sg_model *m); /* of those that are there */
/* It is not there, or other layers take what its router or metarouter chooses: it can not go. */
bool sgi_cut_stays(const sg_model *m, size_t sublayer);

/* Runs of m (borrowed; sgi_cut_check) over one row of T at a time. New: sgi_cut_free. */
sg_status sgi_cut_create(const sg_model *m, size_t T, sgi_cut **out, sg_error *err);
void sgi_cut_free(sgi_cut *c);
size_t sgi_cut_sublayers(const sg_model *m);

/* What to keep of a run. */
typedef struct sgi_cut_wish {
  const bool *off; /* (2L) cut sublayers; NULL: none */
  float **stream;  /* (2L) buffers (T,D) for the stream after a sublayer, NULL entries: not kept; NULL: none */
  ptrdiff_t heads; /* an attention sublayer whose mixed values (T,H*d_head) go to z; -1: none */
  float *z;
} sgi_cut_wish;

/* One row. Afterwards sgi_cut_pass holds its forward pass. */
sg_status sgi_cut_run(sgi_cut *c, const sgi_cut_rows *rows, size_t row, const sgi_cut_wish *wish, sg_error *err);
sgi_pass *sgi_cut_pass(sgi_cut *c);

/* Mean loss over all counted positions of rows. */
sg_status sgi_cut_loss(sgi_cut *c, const sgi_cut_rows *rows, const bool *off, double *loss, sg_error *err);

/* The same of a model of any form, nothing cut. */
sg_status sgi_cut_whole_loss(const sg_model *m, const sgi_cut_rows *rows, double *loss, sg_error *err);

/* A model without the sublayers of off (2L), on the weights of m, which must outlive it and its row
 * of weights: what sg_model_save then writes is a pruned directory. New: sg_model_free. */
sg_status sgi_cut_view(const sg_model *m, const bool *off, sg_model **out, sg_error *err);

#endif
