/* convert.h: a model whose layers become layers of another kind, with what is known of the loss
 * that this makes, as a document (docs/method.md, Monet to peer). */
#ifndef SGI_REPORT_CONVERT_H
#define SGI_REPORT_CONVERT_H

#include "report/text.h"

typedef struct sgi_conversion {
  const char *to; /* kind */
  size_t pairs, key_dim;
  bool ungroup;
  /* B 0: none. Of the first what is kept is measured and, where the new kind needs it, outputs are
   * scaled; of the second losses are. */
  sgi_text_rows calibration, held_out;
  bool (*progress)(void *user, const char *what, size_t done, size_t wanted); /* false to stop */
  void *user;
} sgi_conversion;

/* Whether calibration must be there: what comes of the layers is only alike, to be scaled. */
bool sgi_conversion_needs_text(const sg_model *m, const sgi_conversion *r);

/* Writes the model into directory. *out: {to, pairs, key_dim, ungroup, parameters_before,
 * parameters, flops_before, flops (forward, a token of a whole context), layers: [{layer, neurons,
 * channels, top_k, kept_mass, relative_error, scale}], loss_before, loss, loss_zero}; null for what
 * needs a text. New reference. */
sg_status sgi_conversion_make(const sg_model *m, const sgi_conversion *r, const char *directory, json_t **out,
                              sg_error *err);

#endif
