/* svd.h: singular directions of a model's weights, both ends of each with their tokens or neurons,
 * as a document (docs/method-comparison.md, singular directions). */
#ifndef SGI_REPORT_SVD_H
#define SGI_REPORT_SVD_H

#include "prompt.h"

enum { SGI_DIRECTIONS_SHOWN = 64 }; /* tokens of an end, at most */

typedef struct sgi_directions_request {
  const sgi_prompt *p;       /* model and tokenizer */
  const char *matrix;        /* qk, ov, mlp_in, mlp_out, embedding or embedding_centred */
  size_t layer, head;        /* of qk, ov; layer of mlp_in, mlp_out */
  size_t distance;           /* qk: positions from the query back to the key */
  ptrdiff_t channel;         /* mlp_in, mlp_out: of one channel's pool (moe: one expert); -1: all */
  size_t directions, tokens; /* told: so many directions, so many tokens at an end */
  bool cosine;               /* tokens by cosine instead of by product */
} sgi_directions_request;

/* What a table says besides. */
typedef struct sgi_directions_about {
  char name[96];        /* "qk of layer 1, head 2" */
  size_t rows, columns; /* of the matrix */
  bool more_of_last;    /* the direction behind the last that is told is of the same subspace */
} sgi_directions_about;

/* {matrix, layer, head, distance, channel, frobenius2, values, directions: [{index, value, share,
 * subspace, left, right: {side, ends: [[{id, text, score}]]}}]}: all values, largest first; entries
 * of neurons are {channel, index, weight}. The ends of a direction are in such an order that the
 * one with the larger mean product stands first. about: NULL allowed. New reference. */
sg_status sgi_directions_report(const sgi_directions_request *r, sgi_directions_about *about, json_t **out,
                                sg_error *err);

#endif
