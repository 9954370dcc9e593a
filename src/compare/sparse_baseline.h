/* sparse_baseline.h: what a sparse MLP has to beat: the layer's own activations, thinned out, and a
 * linear map. */
#ifndef SGI_SPARSE_BASELINE_H
#define SGI_SPARSE_BASELINE_H

#include "compare/sparse_place.h"

/* ---- own activations ------------------------------------------------------------------------- */

/* Lengths |W2[m]| of what the units of a layer write, by channel and index. */
typedef struct sgi_own_units {
  size_t channels, units;
  float *norm;     /* (channels,units) */
  int32_t *choice; /* of the pass at hand: rows of the site that chooses */
  size_t choice_room, choice_width;
  float *score; /* of one row */
  size_t score_room;
} sgi_own_units;

/* n: positions of a pass. false: the kind's units have no values (then nothing is made). Deinit in
 * any case. */
sg_status sgi_own_units_make(const sg_model *m, size_t layer, size_t n, sgi_own_units *out, bool *there, sg_error *err);
void sgi_own_units_deinit(sgi_own_units *u);
/* A visit of one of the layer's sites: notes choices, keeps the K largest values of each row. */
void sgi_own_units_visit(sgi_own_units *u, const sgi_site *site, size_t K);

/* ---- a linear map ---------------------------------------------------------------------------- */

typedef struct sgi_linear_fit sgi_linear_fit;

/* y ~ x A + c, D wide both. New: sgi_linear_fit_free. */
sg_status sgi_linear_fit_create(size_t D, sgi_linear_fit **out, sg_error *err);
void sgi_linear_fit_free(sgi_linear_fit *f);
void sgi_linear_fit_add(sgi_linear_fit *f, const float *x, const float *y, size_t n);
/* A (D,D) and c (D) of that rank: least squares, then the directions of the output that it explains
 * most of (reduced-rank regression). */
sg_status sgi_linear_fit_solve(const sgi_linear_fit *f, size_t rank, float *A, float *c, sg_error *err);

#endif
