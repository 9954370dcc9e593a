/* tap.h: who looks at a forward pass, and changes it, at its sites (sites.h). A tap is passed to
 * one forward call; nothing is left in the model. */
#ifndef SGI_TAP_H
#define SGI_TAP_H

#include "core/arena.h"
#include "ffn/sites.h"

/* One visit. data are rows [first, first + n) of the site, each dims[0] * dims[1] elements of 4
 * bytes, one behind the other; they may be changed in place. dims beyond the site's axes are 1. */
typedef struct sgi_site {
  sgi_site_id id;
  ptrdiff_t layer; /* -1 for sites outside layers */
  void *data;
  size_t first, n;
  size_t dims[SGI_SITE_AXES];
  size_t step, stage; /* of a layer whose form runs its sublayers more than once */
  bool staged;        /* it does: step and stage belong to the site's name */
} sgi_site;

/* "layers.3.neurons", "layers.3.step.0.stage.1.neurons". */
void sgi_site_name(char out[SG_SITE_NAME], const sgi_site *s);

static inline size_t sgi_site_width(const sgi_site *s) { return s->dims[0] * s->dims[1]; }

typedef struct sgi_tap {
  /* Called at each site in order of computation, from one thread. A failure ends the forward
   * pass. */
  sg_status (*visit)(void *user, const sgi_site *site, sg_error *err);
  void *user;
  sg_error *err;
  /* Optional: sites that are made on demand (sites.h) are made only where this says yes; site has
   * no data. */
  bool (*wants)(void *user, const sgi_site *site);
  /* Every step and stage of layers whose form has several; else their first alone is seen. */
  bool stages;
} sgi_tap;

/* Where a site's rows lie: row i begins at data + i * ld elements; ld 0: one behind the other.
 * Where place is given, entry j of row i's first axis is data + place[i * dims[0] + j] * ld
 * instead, and row (as long as the site's axes) is where a row is put together for the tap. */
typedef struct sgi_left {
  void *data; /* NULL: this layer leaves nothing there */
  size_t ld;
  const int32_t *place;
  float *row;
  /* Rows that are made only for who looks, into `row`, which has room for two: take is told what
   * became of one. NULL: they lie in data. */
  void (*make)(void *user, size_t i, float *row);
  void (*take)(void *user, size_t i, const float *row);
  void *user;
} sgi_left;

/* Where in a pass: config of the layer (its sizes are the axes'), its number or -1, T positions of
 * a sequence; step, stage, staged as in sgi_site. */
typedef struct sgi_at {
  const sg_config *config;
  ptrdiff_t layer;
  size_t T;
  size_t step, stage;
  bool staged;
} sgi_at;

/* The tap sees what lies there, and wants a site that is made on demand. */
bool sgi_tap_wants(const sgi_tap *tap, const sgi_at *at, sgi_site_id id);

/* Shows rows [first, first + n) of a site to the tap, all at once where they lie one behind the
 * other and else row by row; SG_OK where there is no tap. left->data is row `first`. */
sg_status sgi_tap_visit(const sgi_tap *tap, const sgi_at *at, sgi_site_id id, const sgi_left *left, size_t first,
                        size_t n);

#endif
