/* tap.h: named sites of a forward pass, where a caller records or edits. A tap is passed to one forward call; nothing is
 * left in the model. Names: "embed", "layers.3.resid_mid", "layers.3.router.scores" ... (docs/method.md lists all). */
#ifndef SGI_TAP_H
#define SGI_TAP_H

#include "core/base.h"

typedef enum sgi_site_type { SGI_SITE_FLOAT, SGI_SITE_INDEX } sgi_site_type;

typedef struct sgi_site {
  const char *name; /* without the layer: "resid_mid" */
  ptrdiff_t layer;  /* -1 for sites outside layers */
  sgi_site_type type;
  void *data; /* rows [first, first + n) of the site, (n, dims...) ; may be changed in place */
  size_t first, n;
  int n_dims; /* dims after the row */
  size_t dims[3];
} sgi_site;

typedef struct sgi_tap {
  /* Called at each site in order of computation, from one thread. A failure ends the forward pass. */
  sg_status (*visit)(void *user, const sgi_site *site, sg_error *err);
  void *user;
  sg_error *err;
  /* Optional: sites that cost extra are made only where this says yes ("attn.pattern", "attn.norm_scale",
   * "mlp.norm_scale", "final_norm_scale"). */
  bool (*wants)(void *user, ptrdiff_t layer, const char *name);
} sgi_tap;

static inline bool sgi_tap_wants(const sgi_tap *tap, ptrdiff_t layer, const char *name) {
  return tap && tap->wants && tap->wants(tap->user, layer, name);
}

/* visit, or SG_OK when there is no tap. d2 and d3 are 0 where the site has fewer dims. */
static inline sg_status sgi_tap_visit(const sgi_tap *tap, ptrdiff_t layer, const char *name, sgi_site_type type,
                                      void *data, size_t n, size_t d1, size_t d2, size_t d3) {
  if (!tap) return SG_OK;
  sgi_site s = {.name = name, .layer = layer, .type = type, .data = data, .n = n, .dims = {d1, d2, d3}};
  s.n_dims = d3 ? 3 : d2 ? 2 : d1 ? 1 : 0;
  return tap->visit(tap->user, &s, tap->err);
}

/* One row of a float site (n, d1, d2); d2 is 0 where there is one dim. */
static inline sg_status sgi_tap_visit_row(const sgi_tap *tap, ptrdiff_t layer, const char *name, float *data,
                                          size_t row, size_t d1, size_t d2) {
  sgi_site s = {
      .name = name, .layer = layer, .data = data, .first = row, .n = 1, .n_dims = d2 ? 2 : 1, .dims = {d1, d2}};
  return tap ? tap->visit(tap->user, &s, tap->err) : SG_OK;
}

/* A float site (n, d) whose rows are ld apart, row by row. */
static inline sg_status sgi_tap_visit_rows(const sgi_tap *tap, ptrdiff_t layer, const char *name, float *data,
                                           size_t ld, size_t n, size_t d) {
  sg_status st = SG_OK;
  for (size_t i = 0; tap && i < n && !st; i++) st = sgi_tap_visit_row(tap, layer, name, data + i * ld, i, d, 0);
  return st;
}

#endif
