/* monet.h: what the files of the kind monet share (docs/method.md, monet): monet.c its tensors,
 * memory and stages, monet_router.c the gates, monet_experts.c the experts forwards and backwards,
 * monet_units.c what readers see of it, monet_convert.c the same as a layer of chosen neurons.
 *
 * H heads (num_channels), N sub-experts an axis, m hidden units of a composed expert, of which
 * vertical decomposition takes m/2 from either side. Heads' gates of a row: (H,N).
 *
 *   shared, of the layers that share a router   g1, g2 (n,H,N), statistics | dg1, dg2
 *   saved, of a layer                           act (n,N,m), mix (n,H,m); vertical: two of half the
 * width
 */
#ifndef SGI_MONET_H
#define SGI_MONET_H

#include "ffn/ffn.h"

enum { SGI_MONET_SIDES = 2 };

/* Tensors in the order in which they are added. A layer without a router has none of the router's:
 * the experts' follow them. */
enum { MONET_W1, MONET_W2, MONET_MEAN1, MONET_VAR1, MONET_MEAN2, MONET_VAR2, MONET_ROUTER };
enum { MONET_U, MONET_U_BIAS, MONET_V, MONET_B };
enum {
  MONET_U1,
  MONET_U1_BIAS,
  MONET_U2,
  MONET_U2_BIAS,
  MONET_V11,
  MONET_V12,
  MONET_V21,
  MONET_V22,
  MONET_B1,
  MONET_B2
};

typedef struct sgi_monet_shared {
  float *g[SGI_MONET_SIDES];                                /* (n,H,N) */
  float *mean[SGI_MONET_SIDES], *variance[SGI_MONET_SIDES]; /* (H) of the rows at hand, biased */
  float *used[SGI_MONET_SIDES];                             /* (H,N) mean gate over the rows */
  float *dg[SGI_MONET_SIDES];                               /* (n,H,N), with backward */
} sgi_monet_shared;

/* One side where decomposition is horizontal, two where it is vertical. */
typedef struct sgi_monet_kept {
  float *act[SGI_MONET_SIDES]; /* (n,N,width) relu of the hidden units: squared they are the values */
  float *mix[SGI_MONET_SIDES]; /* (n,H,width) the values under the gates of one axis */
} sgi_monet_kept;

static inline bool sgi_monet_vertical(const sg_config *c) { return c->decomposition[0] == 'v'; }
static inline size_t sgi_monet_sides(const sg_config *c) { return sgi_monet_vertical(c) ? 2 : 1; }
static inline size_t sgi_monet_width(const sg_config *c) { return c->expert_dim / sgi_monet_sides(c); }
/* The experts' tensors. */
static inline const sgi_weight *sgi_monet_weight(const sg_config *c, const sgi_weight *const *w, int i) {
  return w[(sgi_ffn_routes(c) ? MONET_ROUTER : 0) + i];
}

/* dg is not measured without backward. */
void sgi_monet_layout_shared(const sg_config *c, size_t n, bool backward, sgi_arena *a, sgi_monet_shared *s);
void sgi_monet_layout(const sg_config *c, size_t n, sgi_arena *a, sgi_monet_kept *k);

sg_status sgi_monet_route(sgi_ffn_call *call, float *y, const float *x);
/* dx += the router's part, from dg. */
sg_status sgi_monet_route_backward(sgi_ffn_call *call, float *dx, const float *x);
void sgi_monet_measure(const sgi_ffn_call *call, sgi_aux *sum);
void sgi_monet_settle(const sgi_ffn_call *call, float *const *state);

sg_status sgi_monet_hidden(sgi_ffn_call *call, float *y, const float *x);
sg_status sgi_monet_out(sgi_ffn_call *call, float *y, const float *x);
sg_status sgi_monet_backward(sgi_ffn_call *call, float *dx, const float *dy, const float *x);
void sgi_monet_scratch(const sg_config *c, size_t n, bool backward, sgi_arena *a);

size_t sgi_monet_pool(const sg_config *c);
sg_status sgi_monet_convert_to(const sg_config *c, const sgi_ffn_convert *how, sg_feedforward *out, sg_error *err);
bool sgi_monet_convert_loose(const sgi_ffn_convert *how);
sg_status sgi_monet_convert(const sg_config *c, const sgi_ffn_convert *how, const sg_config *to,
                            const sgi_weight *const *w, const sgi_weight *const *router, float *const *out,
                            sg_error *err);
void sgi_monet_units(const sgi_ffn_call *call, size_t row, sgi_unit *out, double *bias);
bool sgi_monet_unit_at(const sg_config *c, const sgi_weight *const *w, size_t channel, size_t index, sgi_unit *out);
/* All values of a row, and what a tap's change of them adds to y. */
void sgi_monet_make(void *call, size_t row, float *values);
void sgi_monet_take(void *call, size_t row, const float *values);

#endif
