/* svd.h: singular directions as answers: both ends of each with their tokens or neurons. */
#ifndef SGI_REPORT_SVD_H
#define SGI_REPORT_SVD_H

#include "compare/svd.h"
#include "prompt.h"

typedef struct sgi_directions {
  const sgi_prompt *p;
  sgi_svd_which which;
  size_t directions, tokens; /* shown: so many directions, so many tokens at an end */
  bool cosine;
  sgi_svd *svd;        /* new: sgi_directions_close */
  sgi_svd_words words; /* likewise */
  bool *skip;          /* (V) tokens that say nothing */
  double *scores;      /* (V) */
} sgi_directions;

/* Decomposes; p, which, directions, tokens and cosine are set. Close in any case. */
sg_status sgi_directions_open(sgi_directions *v, sg_error *err);
void sgi_directions_close(sgi_directions *v);

/* Both ends of direction i are exchanged where the smaller end says more: the larger mean product
 * stands first. */
bool sgi_directions_turned(sgi_directions *v, size_t i);
/* The tokens of one side's end of direction i, of at most SGI_DIRECTIONS_SHOWN; v->scores then
 * holds all scores. Returns how many. */
enum { SGI_DIRECTIONS_SHOWN = 64 };
size_t sgi_directions_end(sgi_directions *v, size_t i, bool right, bool second, int32_t *ids);

/* {matrix, layer, head, distance, channel, frobenius2, values, directions: [{index, value, share,
 * subspace, left, right: {side, ends: [[{id, text, score}]]}}]}. New reference; NULL when memory is
 * out. */
json_t *sgi_directions_json(sgi_directions *v);

#endif
