/* beside.h: what a layer of any kind may have beside it, y = FFN(x) + always_on(x) + sink_mlp(x)
 * (docs/method.md, options of a feedforward layer): a few neurons without a score, and an MLP whose
 * two maps all layers share. Both are there for what no chosen neuron should be spent on. No kind
 * knows of them: the walk over a kind's stages adds them to y and dx behind it (ffn.h), its tensors
 * stand behind the kind's own, and in a layer's block what they keep lies behind what it keeps.
 *
 * Their neurons are units of two channels more: sgi_unit_channels(view) + part. */
#ifndef SGI_BESIDE_H
#define SGI_BESIDE_H

#include "ffn/ffn.h"

typedef enum sgi_beside { SGI_ALWAYS_ON, SGI_SINK_MLP, SGI_BESIDE_PARTS } sgi_beside;

/* Neurons of a part in a layer with this view; 0: it has none. */
size_t sgi_beside_neurons(const sg_config *view, sgi_beside part);
static inline size_t sgi_beside_units(const sg_config *view) {
  return sgi_beside_neurons(view, SGI_ALWAYS_ON) + sgi_beside_neurons(view, SGI_SINK_MLP);
}
/* The channel that a part's units have. */
static inline size_t sgi_beside_channel(const sg_config *view, sgi_beside part) {
  return sgi_unit_channels(view) + (size_t)part;
}
/* The part whose neurons a channel's or a site's are; SGI_BESIDE_PARTS: none's. */
sgi_beside sgi_beside_of_channel(const sg_config *view, ptrdiff_t channel);
sgi_beside sgi_beside_of_site(sgi_site_id id);
sgi_site_id sgi_beside_site(sgi_beside part);
/* "always-on", "sink MLP". */
const char *sgi_beside_name(sgi_beside part);

/* A layer's own tensors, always.w_in and .w_out, under its prefix; and the two that all layers
 * share. */
sg_status sgi_beside_tensors(const sg_config *view, const char *prefix, sgi_table *t, sg_error *err);
enum { SGI_SINK_MLP_TENSORS = 2 };
sg_status sgi_sink_mlp_tensors(const sg_config *c, size_t width, sgi_table *t, sg_error *err);

void sgi_beside_saved(const sg_config *view, size_t n, sgi_arena *a);
void sgi_beside_scratch(const sg_config *view, size_t n, bool backward, sgi_arena *a);
uint64_t sgi_beside_multiply_adds(const sg_config *view);

/* Stages that add to y, and what they leave. */
extern const sgi_stage sgi_beside_stages[];
void sgi_beside_left(const sgi_ffn_call *call, sgi_site_id id, sgi_left *out);
/* dx and call->beside_dw added to. */
sg_status sgi_beside_backward(sgi_ffn_call *call, float *dx, const float *dy, const float *x);

/* As the kind's own (ffn.h). */
void sgi_beside_held(const sgi_ffn_call *call, size_t row, sgi_unit *out);
bool sgi_beside_unit_at(const sg_config *view, const sgi_weight *const *beside, size_t channel, size_t index,
                        sgi_unit *out);

#endif
