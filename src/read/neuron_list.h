/* neuron_list.h: all neurons of a model as a list: how often and how strongly each fires in a
 * recording, and how well each answers a question ("fires on this token", "raises that one", "near
 * this neuron"). Sorting and paging are the caller's (docs/method-reading.md, lists of neurons). */
#ifndef SGI_NEURON_LIST_H
#define SGI_NEURON_LIST_H

#include "read/recording.h"

typedef struct sgi_neuron_stat {
  uint32_t layer, channel, index;
  bool recorded;   /* the recording holds its layer: the next fields are known */
  size_t count;    /* positions where it fires */
  double share;    /* of all positions */
  double largest;  /* |value|; this and the sums without tokens that say nothing (label.h) */
  double sum, all; /* of its values, of their sizes */
  double strength; /* largest times the length of its output row: the largest change to the stream */
  double norm;     /* of the neuron as a linear map: lengths of its input and output row multiplied */
} sgi_neuron_stat;

typedef struct sgi_neuron_list {
  const sg_model *model;
  const sg_tokenizer *tokenizer; /* NULL: none */
  const sgi_recording *rec;      /* NULL: none */
  sgi_neuron_stat *at;           /* (count) by layer, channel, index */
  size_t count;
} sgi_neuron_list;

/* done of wanted parts; false ends with SG_ERR_CANCELLED. NULL allowed. */
typedef bool (*sgi_list_progress)(void *user, size_t done, size_t wanted);

/* rec NULL or without an index: no neuron is recorded. Everything is borrowed until
 * sgi_neuron_list_deinit, which is called in any case. */
sg_status sgi_neuron_list_make(const sg_model *m, const sg_tokenizer *tok, const sgi_recording *rec,
                               sgi_list_progress progress, void *user, sgi_neuron_list *out, sg_error *err);
void sgi_neuron_list_deinit(sgi_neuron_list *l);
/* Number of a neuron in the list; SG_ERR_ARG where there is none. */
sg_status sgi_neuron_list_find(const sgi_neuron_list *l, size_t layer, size_t channel, size_t index, size_t *at,
                               sg_error *err);

/* score (count), NaN where nothing is known. fires_on: the share of |value| that falls on the
 * token; of neurons that are not recorded (recorded false): what the neuron's weights read at the
 * bare token. raises: what one mean firing adds to the token's logit: the output row through the
 * unembedding, with the sign of the neuron's sum; nothing is known of one that never fires. near:
 * cosine of the two neurons as linear maps of the stream (product of the cosines of input and
 * output rows). */
sg_status sgi_neuron_list_fires_on(const sgi_neuron_list *l, int32_t token, double *score, sg_error *err);
sg_status sgi_neuron_list_raises(const sgi_neuron_list *l, int32_t token, double *score, sg_error *err);
sg_status sgi_neuron_list_near(const sgi_neuron_list *l, size_t at, double *score, sg_error *err);

#endif
