/* What became of a layer, counted. */
#include <math.h>

#include "functions/fit_inside.h"
#include "functions/packed.h"

/* A spline: four products and their sum; its place 3 and weights 12 are the feature's, once a
 * token. A named function: 4 and a call; a gate 1. */
enum { PLACE = 15, SPLINE = 8 };

static double flops_of(const sgi_expert *e) {
  double flops = 0;
  for (size_t k = 0; k < e->edges; k++) flops += e->edge[k].form == SGI_SYMBOL_NONE ? SPLINE : 4;
  return flops + (double)e->bits + 2 * (double)e->gates;
}

void sgi_fit_count_up(sgi_fit *w) {
  const sgi_function_layer *l = w->l;
  sgi_function_report *r = w->report;
  size_t D = l->D, row = D * sizeof(float), m = w->p->C * w->p->K;
  double fired = 0, flops = 0;
  r->units = l->units;
  r->bytes = l->R * row + (l->basis_rows ? l->basis_rows * row : 0);
  for (size_t u = 0; u < l->units; u++) {
    const sgi_expert *e = &l->expert[u];
    size_t n = w->f.start[u + 1] - w->f.start[u];
    r->never += n == 0;
    r->bytes += l->basis_rows ? SGI_FUNCTION_PARTS * 8 : row;
    fired += (double)n;
    if (!l->stands[u]) {
      r->bytes += row;
      flops += (double)n * 2 * (double)D;
      continue;
    }
    flops += (double)n * flops_of(e);
    r->functions++;
    r->bytes += sgi_packed_bytes(l, u);
    r->edges += e->edges;
    r->bits += e->bits;
    r->gates += e->gates;
    for (size_t k = 0; k < e->edges; k++) r->symbolic += e->edge[k].form != SGI_SYMBOL_NONE;
    r->r2_fit += (double)l->quality[2 * u];
    r->r2 += (double)l->quality[2 * u + 1];
    r->tried_logic += w->quality[u].tried;
    r->with_logic += w->quality[u].logic;
    r->error_soft += w->quality[u].error_soft;
    r->error_hard += w->quality[u].error_hard;
    r->read_back = fmax(r->read_back, w->read_back[u]);
  }
  if (r->functions) {
    r->r2_fit /= (double)r->functions;
    r->r2 /= (double)r->functions;
  }
  double acting = w->rows.n ? fired / (double)w->rows.n : (double)m;
  r->flops_matrix = 4 * acting * (double)D;
  r->flops = (double)l->R * (2 * (double)D + PLACE) + (fired > 0 ? flops / fired * acting : 0) +
             (l->basis_rows ? acting * 2 * SGI_FUNCTION_PARTS + 2 * (double)l->basis_rows * (double)D
                            : 2 * acting * (double)D);
}
