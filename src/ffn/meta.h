/* meta.h: metarouters (docs/method.md, metarouter), an option of every kind that stands on
 * sparse_kind.h. A layer has M pools, each a whole router with neurons of its own; a gate chooses k
 * of them for a row, and y = sum over the chosen e of p_e y_e(x). A pool runs the skeleton on the
 * rows that chose it, gathered, so what is skipped costs nothing.
 *
 *   meta_gate.c   which pools: logits, their causal mean, p and choice, backwards, what readers ask
 *   meta_pools.c  the rows of each pool, the skeleton's stages on them, one list of units for all
 *
 * Readers see one pool of M F units of which a channel has k K at a row: pick q has entries q K to
 * (q + 1) K, unit f of pool e is number e F + f, and its value holds p_e. A layer's view
 * (model/config.h) has these sizes; num_neurons and top_k of one pool stand beside them. */
#ifndef SGI_META_H
#define SGI_META_H

#include "ffn/ffn.h"

enum { SGI_META_MOST = 32, SGI_META_PREFIX = 1 << 24, SGI_META_GROUP = 4096 }; /* at most: pools, ... */

static inline bool sgi_meta_on(const sg_config *c) { return c->options.meta_experts != 0; }
static inline bool sgi_meta_by_sequence(const sg_config *c) { return c->options.meta_choice[0] == 's'; }
/* Layers that share a gate; by sequence all of them, unless it is said. */
static inline size_t sgi_meta_group(const sg_config *c) {
  return c->options.meta_group ? c->options.meta_group : sgi_meta_by_sequence(c) ? c->num_layers : 1;
}
/* The layer has the gate of its group. */
static inline bool sgi_meta_gated(const sg_config *c) { return c->layer % sgi_meta_group(c) == 0; }

/* A configuration becomes a layer's view: sizes of all pools. Once is enough. */
void sgi_meta_view(sg_config *view);
/* One pool's configuration, of a view or of a configuration: the same layer without a
 * metarouter. */
void sgi_meta_pool(const sg_config *c, sg_config *pool);
/* The option alone; the kind must stand on the skeleton. */
sg_status sgi_meta_check(const sg_config *c, sg_error *err);

/* ---- the gate -------------------------------------------------------------------------------- */

/* What layers of a group share. */
typedef struct sgi_meta_shared {
  float *z;        /* (n,M) logits of each row; NULL where a row's own are all that count */
  float *p;        /* (n,M) */
  int32_t *choice; /* (n,k) pools, largest logit first */
  float *dp;       /* (n,M) p times its gradient, of all layers of the group; with backward */
} sgi_meta_shared;
/* What a call's group has. */
sgi_meta_shared sgi_meta_shared_of(const sgi_ffn_call *call, bool backward);

sg_status sgi_meta_gate(sgi_ffn_call *call, const float *x);
/* dx += the gate's part, from dp; dz has room for (n,M). */
sg_status sgi_meta_gate_backward(sgi_ffn_call *call, float *dz, sgi_arena scratch, float *dx, const float *x);
void sgi_meta_gate_measure(const sgi_ffn_call *call, sgi_aux *sum);

/* Of ffn.h, for kinds that stand on the skeleton; without the option they take nothing. */
void sgi_meta_take_shared(const sg_config *c, size_t n, bool backward, sgi_arena *a);
void sgi_meta_clear(const sg_config *c, size_t n, sgi_arena shared);
void sgi_meta_shared_row(const sg_config *c, sgi_shared_row to, sgi_shared_row from);
bool sgi_meta_mixes(const sg_config *c);
size_t sgi_meta_past(const sg_config *c, size_t capacity);
sg_status sgi_meta_vary(const sgi_ffn_call *call, const sgi_ffn_varied *v);

/* ---- the pools (the skeleton's functions of the same names, for a layer with the option) ----- */

sg_status sgi_meta_tensors(const sg_config *c, const char *prefix, sgi_table *t, sg_error *err);
void sgi_meta_saved(const sg_config *c, size_t n, sgi_arena *a);
void sgi_meta_scratch(const sg_config *c, size_t n, bool backward, sgi_arena *a);
uint64_t sgi_meta_multiply_adds(const sg_config *c);
/* Stage number `stage` of the skeleton. */
sg_status sgi_meta_stage(int stage, sgi_ffn_call *call, float *y, const float *x);
void sgi_meta_left(const sgi_ffn_call *call, sgi_site_id id, sgi_left *out);
sg_status sgi_meta_backward(sgi_ffn_call *call, float *dx, const float *dy, const float *x);
void sgi_meta_measure(const sgi_ffn_call *call, sgi_aux *sum);
void sgi_meta_gates(const sg_config *c, size_t n, sgi_arena saved, sgi_gates *out);
size_t sgi_meta_unit_count(const sg_config *c);
void sgi_meta_units(const sgi_ffn_call *call, size_t row, sgi_unit *out, double *bias);
bool sgi_meta_unit_at(const sg_config *c, const sgi_weight *const *w, size_t channel, size_t index, sgi_unit *out);
void sgi_meta_routes(const sg_config *c, sgi_routes *out);
sg_status sgi_meta_route_rows(const sg_config *c, const sgi_weight *const *w, size_t channel, float *rows);

#endif
