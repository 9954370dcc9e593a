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
} sgi_tap;

/* visit, or SG_OK when there is no tap. d2 and d3 are 0 where the site has fewer dims. */
static inline sg_status sgi_tap_visit(const sgi_tap *tap, ptrdiff_t layer, const char *name, sgi_site_type type,
                                      void *data, size_t n, size_t d1, size_t d2, size_t d3) {
  if (!tap) return SG_OK;
  sgi_site s = {.name = name, .layer = layer, .type = type, .data = data, .n = n, .dims = {d1, d2, d3}};
  s.n_dims = d3 ? 3 : d2 ? 2 : d1 ? 1 : 0;
  return tap->visit(tap->user, &s, tap->err);
}

#endif
