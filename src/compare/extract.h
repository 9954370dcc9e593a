/* extract.h: which sublayers put the answer first by what they add to the last position alone, and
 * from where attention has it (docs/method-comparison.md, extraction rate). */
#ifndef SGI_EXTRACT_H
#define SGI_EXTRACT_H

#include "compare/knockout.h"

enum { SGI_EXTRACT_ATTENTION, SGI_EXTRACT_FEEDFORWARD, SGI_EXTRACT_KINDS };
/* Sets whose edges are cut in one layer, or whose positions it reads in an earlier stream: subject,
 * last, non-subject (as knockout), all but the subject. */
typedef enum sgi_extract_set {
  SGI_EXTRACT_SUBJECT,
  SGI_EXTRACT_LAST,
  SGI_EXTRACT_NON_SUBJECT,
  SGI_EXTRACT_ALL_BUT_SUBJECT,
  SGI_EXTRACT_SETS
} sgi_extract_set;
enum { SGI_EXTRACT_PATCHED = SGI_EXTRACT_NON_SUBJECT + 1 };
extern const char *const sgi_extract_names[SGI_EXTRACT_SETS];

typedef struct sgi_extract_request {
  bool raw; /* no final gain */
  uint64_t seed;
  bool (*progress)(void *user, size_t done, size_t wanted);
  void *user;
} sgi_extract_request;

/* One prompt: rank (KINDS,L) of p->answer among the scores of each sublayer's output, 0 where it is
 * first; scores (KINDS,L,V), or NULL; blocked (SETS,L): attention's rank with those edges cut in
 * that layer alone; patched (PATCHED,L,L): of attention of layer l (last axis) reading the set in
 * the stream that layer e (before it) reads, -1 for e >= l; other (KINDS,L): rank of the token
 * `other`, where it is not negative. blocked, patched, other may be NULL. An empty set has -1, and
 * so has a sublayer that its layer lacks (the sums below: NaN). */
typedef struct sgi_extracted {
  int32_t *rank, *blocked, *patched, *other;
  float *scores;
} sgi_extracted;
sg_status sgi_extract_prompt(sgi_trials *t, const sg_model *m, const sgi_subject *p, const sgi_extract_request *r,
                             int32_t other, sgi_extracted *out, sg_error *err);

typedef struct sgi_extract {
  size_t L, prompts;
  /* Per kind: share of prompts (per cent) for which a layer extracts, its mean rank on a log scale
   * (geometric mean of 1 + rank); the same share for a random other answer of the type; share with
   * at least one layer; mean number of layers. */
  double *rate, *rank, *control; /* (KINDS,L) */
  double any[SGI_EXTRACT_KINDS], layers[SGI_EXTRACT_KINDS];
  double attention_first; /* of the prompts that some sublayer extracts: attention is the first to do so */
  double *blocked;        /* (SETS,L) share for which attention extracts; NaN where the set is empty in all prompts */
  double *patched;        /* (PATCHED,L,L) */
} sgi_extract;

/* Over the known prompts. New: sgi_extract_free. */
sg_status sgi_extract_run(const sg_model *m, const sgi_subjects *s, const sgi_extract_request *r, sgi_extract **out,
                          sg_error *err);
void sgi_extract_free(sgi_extract *x);

#endif
