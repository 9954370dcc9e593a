/* svd_score.h: whether singular directions read better than other directions of the same space
 * (docs/method-comparison.md, readability): the nearest tokens at both ends of each direction,
 * scored by how they stand together in a text and by the category they share, against random
 * rotations of the same subspace. */
#ifndef SGI_SVD_SCORE_H
#define SGI_SVD_SCORE_H

#include "compare/npmi.h"
#include "compare/svd.h"

enum { SGI_SVD_NPMI, SGI_SVD_LABEL, SGI_SVD_MEASURES };

/* What is scored together: matrices of one name; cut: of as many random neurons as a head is
 * wide. */
typedef struct sgi_svd_family {
  const char *name; /* "qk", "mlp_in, cut" */
  sgi_svd_matrix matrix;
  bool cut;
  size_t sides; /* sets of directions: a matrix has one or two sides that tokens have */
  /* Means over sides: of the z of a direction's end, its spread between sides; of the score and of
   * the control's; of the rank correlation of z with the direction's number; and the share of
   * rotations whose mean score is at least that of the directions. */
  struct {
    double z, spread, score, control, falls, above;
  } of[SGI_SVD_MEASURES];
} sgi_svd_family;

/* One set of directions. */
typedef struct sgi_svd_scored {
  sgi_svd_which which;
  size_t family;
  sgi_svd_side side;
  size_t n;
  double *score[SGI_SVD_MEASURES]; /* (n,2) of each direction's ends: largest, smallest products */
  double control[SGI_SVD_MEASURES], spread[SGI_SVD_MEASURES]; /* of all ends of all rotations */
  double z[SGI_SVD_MEASURES], falls[SGI_SVD_MEASURES], above[SGI_SVD_MEASURES];
} sgi_svd_scored;

enum { SGI_SVD_FAMILIES = 8, SGI_SVD_BINS = 10 };

typedef struct sgi_svd_scores_all {
  sgi_svd_family families[SGI_SVD_FAMILIES];
  size_t n_families;
  sgi_svd_scored *sides;
  size_t n, room;
  bool labels; /* the second measure was taken */
  /* Mean z (npmi) of the directions of a family in tenths of their number, and its standard error
   * over sides. */
  double curve[SGI_SVD_FAMILIES][SGI_SVD_BINS], error[SGI_SVD_FAMILIES][SGI_SVD_BINS];
} sgi_svd_scores_all;

typedef struct sgi_svd_score_request {
  const sgi_npmi *npmi;
  const uint64_t *categories; /* (V) a bit for each category of a token; NULL: no labels */
  const bool *skip;           /* (V) tokens that are never listed */
  size_t nearest;             /* tokens of an end, 2 to SGI_SVD_NEAREST */
  size_t rotations, draws;    /* controls; draws of random neurons */
  size_t distance;            /* of qk */
  uint64_t seed;
  bool (*progress)(void *user, size_t done, size_t wanted); /* false cancels; NULL allowed */
  void *user;
} sgi_svd_score_request;
enum { SGI_SVD_NEAREST = 64 };

/* New: sgi_svd_scores_free. Layers without attention or without neurons are left out. */
sg_status sgi_svd_score(const sg_model *m, const sgi_svd_score_request *r, sgi_svd_scores_all **out, sg_error *err);
void sgi_svd_scores_free(sgi_svd_scores_all *s);

/* The score of one list of tokens. */
void sgi_svd_score_list(const sgi_svd_score_request *r, const int32_t *ids, size_t n, double score[SGI_SVD_MEASURES]);

#endif
