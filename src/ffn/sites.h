/* sites.h: the one table of sites, the places of a forward pass that a caller may see and change. A
 * row gives what a site is called, what its axes are and how its units are chosen; taps, edits,
 * traces, recordings, `info --sites`, the help of `trace`, the list in sgatlin.h and the table of
 * docs/reading.md (both held to this one by tests/unit/test_sites.c) come from it. A new site is a
 * row here and, where the value is made, a line that leaves it (ffn.h, sgi_stage).
 *
 * Rows stand in the order of computation. A site that chooses units always comes whole; all others
 * may come in any number of visits, each with rows [first, first + n). */
#ifndef SGI_SITES_H
#define SGI_SITES_H

#include "core/base.h"

/* Axes: id, what edits call it, its length in a layer of config c at T positions. The axis of rows
 * is "pos" everywhere. */
#define SGI_AXES(X) \
  X(DIM, "dim", c->hidden_size) \
  X(HEAD, "head", c->num_heads) \
  X(HEAD_DIM, "dim", c->head_dim) \
  X(SOURCE, "source", T) \
  X(CHANNEL, "channel", c->num_channels) \
  X(EXPERT, "expert", c->num_experts) \
  X(SLOT, "slot", c->top_k) \
  X(NEURON, "neuron", c->num_neurons) \
  X(FLAG, "flag", 2) \
  X(ALWAYS, "neuron", c->options.always_on) \
  X(SINK, "neuron", c->options.sink_mlp) \
  X(POOL, "pool", c->options.meta_experts) \
  X(PICK, "pick", c->options.meta_top_k)

/* X(id, name, where, when, role, axis 1, axis 2, holds, chosen by, what it is)
 *
 * - where: LAYER, once a layer; ONCE, once a pass.
 * - when: SHOWN, a trace writes it unasked; NAMED, where it is named; DEMAND, made only there.
 * - role: what readers of any kind ask for: SCORES of units, CHOICE of units, VALUES that multiply
 *   output rows.
 * - axes: NONE where there is no more.
 * - holds: NONE, numbers; an axis, whole numbers: units of that axis (a CHOICE).
 * - chosen by: the CHOICE that says which units the entries belong to; NONE, entries are their own
 *   places. */
#define SGI_SITES(X) \
  X(EMBED, "embed", ONCE, NAMED, OTHER, DIM, NONE, NONE, NONE, "residual stream, D wide") \
  X(ATTN_NORM_SCALE, "attn.norm_scale", LAYER, DEMAND, OTHER, NONE, NONE, NONE, NONE, "1 / rms of the stream") \
  X(ATTN_NORM, "attn.norm", LAYER, NAMED, OTHER, DIM, NONE, NONE, NONE, "normed input of attention") \
  X(ATTN_Q, "attn.q", LAYER, NAMED, OTHER, HEAD, HEAD_DIM, NONE, NONE, "queries after norm and rotary") \
  X(ATTN_K, "attn.k", LAYER, NAMED, OTHER, HEAD, HEAD_DIM, NONE, NONE, "keys after norm and rotary") \
  X(ATTN_V, "attn.v", LAYER, NAMED, OTHER, HEAD, HEAD_DIM, NONE, NONE, "values") \
  X(ATTN_PATTERN, "attn.pattern", LAYER, DEMAND, OTHER, HEAD, SOURCE, NONE, NONE, \
    "weights; a changed row stays as it is") \
  X(ATTN_Z, "attn.z", LAYER, NAMED, OTHER, HEAD, HEAD_DIM, NONE, NONE, "mixed values before the output map") \
  X(ATTN_OUT, "attn.out", LAYER, NAMED, OTHER, DIM, NONE, NONE, NONE, "what attention adds") \
  X(RESID_MID, "resid_mid", LAYER, SHOWN, OTHER, DIM, NONE, NONE, NONE, "stream after attention") \
  X(MLP_NORM_SCALE, "mlp.norm_scale", LAYER, DEMAND, OTHER, NONE, NONE, NONE, NONE, "1 / rms of the stream") \
  X(MLP_NORM, "mlp.norm", LAYER, NAMED, OTHER, DIM, NONE, NONE, NONE, "normed input of the feedforward layer") \
  X(META_PROBABILITIES, "meta.probabilities", LAYER, SHOWN, OTHER, POOL, NONE, NONE, NONE, \
    "metarouter: softmax over all pools") \
  X(META_CHOICE, "meta.choice", LAYER, SHOWN, OTHER, PICK, NONE, POOL, NONE, "the pools that run, likeliest first") \
  X(ROUTER_SCORES, "router.scores", LAYER, SHOWN, SCORES, CHANNEL, SLOT, NONE, ROUTER_INDICES, \
    "scores of the chosen units; a circuit is router.*") \
  X(ROUTER_INDICES, "router.indices", LAYER, SHOWN, CHOICE, CHANNEL, SLOT, NEURON, ROUTER_INDICES, \
    "the chosen units, largest score first") \
  X(ROUTER_ACTIVE, "router.active", LAYER, SHOWN, OTHER, CHANNEL, SLOT, FLAG, ROUTER_INDICES, \
    "with gates: 1 where a chosen unit acts") \
  X(ROUTER_G1, "router.g1", LAYER, SHOWN, OTHER, CHANNEL, EXPERT, NONE, NONE, \
    "monet: gates, first axis, with the router") \
  X(ROUTER_G2, "router.g2", LAYER, SHOWN, OTHER, CHANNEL, EXPERT, NONE, NONE, "monet: gates, second axis") \
  X(GATE_LOGITS, "gate.logits", LAYER, SHOWN, SCORES, CHANNEL, NONE, NONE, NONE, "scores of all experts") \
  X(GATE_INDICES, "gate.indices", LAYER, SHOWN, CHOICE, SLOT, NONE, CHANNEL, GATE_INDICES, "the chosen experts") \
  X(CHOSEN_NEURONS, "neurons", LAYER, NAMED, VALUES, CHANNEL, SLOT, NONE, ROUTER_INDICES, \
    "what multiplies output rows, of the chosen units") \
  X(NEURONS, "neurons", LAYER, NAMED, VALUES, NEURON, NONE, NONE, NONE, "the same in dense layers, of every unit") \
  X(EXPERT_NEURONS, "neurons", LAYER, NAMED, VALUES, SLOT, NEURON, NONE, GATE_INDICES, \
    "the same in moe, of the chosen experts' units") \
  X(ALWAYS, "always", LAYER, NAMED, OTHER, ALWAYS, NONE, NONE, NONE, "values of always-on neurons") \
  X(SINK_NEURONS, "sink_mlp.hidden", LAYER, NAMED, OTHER, SINK, NONE, NONE, NONE, "hidden values of the sink MLP") \
  X(SINK_OUT, "sink_mlp.out", LAYER, NAMED, OTHER, DIM, NONE, NONE, NONE, "what the sink MLP adds") \
  X(MLP_OUT, "mlp.out", LAYER, NAMED, OTHER, DIM, NONE, NONE, NONE, "what the feedforward layer adds") \
  X(RESID_POST, "resid_post", LAYER, SHOWN, OTHER, DIM, NONE, NONE, NONE, "stream after the layer") \
  X(FINAL_NORM_SCALE, "final_norm_scale", ONCE, DEMAND, OTHER, NONE, NONE, NONE, NONE, "1 / rms of the stream") \
  X(FINAL_NORM, "final_norm", ONCE, NAMED, OTHER, DIM, NONE, NONE, NONE, "input of the output head")

#define SGI_AXIS_ID(id, name, extent) SGI_AXIS_##id,
typedef enum sgi_axis { SGI_AXIS_NONE, SGI_AXES(SGI_AXIS_ID) SGI_AXIS_COUNT } sgi_axis;
#undef SGI_AXIS_ID

#define SGI_SITE_ID(id, ...) SGI_SITE_##id,
typedef enum sgi_site_id { SGI_SITE_NONE, SGI_SITES(SGI_SITE_ID) SGI_SITE_COUNT } sgi_site_id;
#undef SGI_SITE_ID

typedef enum sgi_site_where { SGI_SITE_LAYER, SGI_SITE_ONCE } sgi_site_where;
typedef enum sgi_site_when { SGI_SITE_SHOWN, SGI_SITE_NAMED, SGI_SITE_DEMAND } sgi_site_when;
typedef enum sgi_site_role { SGI_SITE_OTHER, SGI_SITE_SCORES, SGI_SITE_CHOICE, SGI_SITE_VALUES } sgi_site_role;

enum { SGI_SITE_AXES = 2 };

typedef struct sgi_site_row {
  sgi_site_id id;
  const char *name; /* without the layer: "resid_mid" */
  sgi_site_where where;
  sgi_site_when when;
  sgi_site_role role;
  int n_axes;
  sgi_axis axes[SGI_SITE_AXES];
  sgi_axis holds; /* SGI_AXIS_NONE: float32; else int32 units of that axis */
  sgi_site_id chosen_by;
  const char *text;
} sgi_site_row;

/* id of the table; of SGI_SITE_NONE an empty row. */
const sgi_site_row *sgi_site_row_of(sgi_site_id id);
static inline bool sgi_site_is_index(sgi_site_id id) { return sgi_site_row_of(id)->holds != SGI_AXIS_NONE; }

const char *sgi_axis_name(sgi_axis a);
/* Length of an axis in a layer of config c at T positions. */
size_t sgi_axis_extent(sgi_axis a, const sg_config *c, size_t T);
/* Some site's axis is called that, or it is "pos". */
bool sgi_axis_known(const char *name);
/* Their names, "pos, dim, head ...", for messages. */
enum { SGI_AXIS_LIST = 160 };
void sgi_axis_list(char out[SGI_AXIS_LIST]);

/* Place of a named axis among the site's own, or -1; and whether the axis is that of the chosen
 * units (their numbers are the entries of the site's chosen_by). */
int sgi_site_axis(const sgi_site_row *row, const char *name);
bool sgi_site_axis_is_chosen(const sgi_site_row *row, const char *name);

/* "layers.3.neurons"; layer -1 for sites outside layers. */
void sgi_site_full_name(char out[SG_SITE_NAME], ptrdiff_t layer, sgi_site_id id);

#endif
