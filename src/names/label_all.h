/* label_all.h: the label of every neuron of a model. */
#ifndef SGI_LABEL_ALL_H
#define SGI_LABEL_ALL_H

#include "names/names.h"

typedef struct sgi_label_request {
  const sg_model *model;
  const sg_tokenizer *tokenizer; /* NULL: tokens by number */
  const sgi_recording *rec;      /* NULL: from weights alone */
  /* Neurons done of all; false ends with SG_ERR_CANCELLED. NULL allowed. */
  bool (*progress)(void *user, size_t done, size_t wanted);
  void *user;
} sgi_label_request;

/* The labels of neurons at (count), into label and, where it is not NULL, text (count, of
 * SG_LABEL_BYTES bytes). By all threads; the same for any number of them. */
sg_status sgi_label_some(const sgi_label_request *q, const sgi_neuron_at *at, size_t count, sgi_label *label,
                         char (*text)[SG_LABEL_BYTES], sg_error *err);
/* Every neuron of the model into the file, in one transaction: other labels that it held are
 * replaced, names stay. *made: how many. */
sg_status sgi_names_label_all(sg_names *n, const sgi_label_request *q, size_t *made, sg_error *err);

#endif
