/* ffn.h: the contract of a feedforward kind. A kind is one file with one sgi_ffn_ops and one word
 * in kinds.h; being in that list makes it configurable, trained, saved, counted, recorded, and run
 * by every generic test. Most kinds are a gate or an activation in the skeleton of sparse_kind.h or
 * dense_kind.h. Nothing outside ffn.c may ask which kind it deals with. */
#ifndef SGI_FFN_H
#define SGI_FFN_H

#include "core/table.h"
#include "ffn/aux.h"
#include "ffn/drop.h"
#include "ffn/tap.h"
#include "math/weight.h"

/* Settings that kinds differ in; a bit set says that the kind reads the field of sg_config. */
enum {
  SGI_USES_ROUTER = 1,
  SGI_USES_CHANNELS = 2,
  SGI_USES_TOP_K = 4,
  SGI_USES_KEY_DIM = 8,
  SGI_USES_ACTIVATION = 16,
  SGI_USES_EXPERTS = 32, /* num_experts, expert_dim, decomposition */
  SGI_USES_GROUP = 64,   /* router_group */
  SGI_USES_BIAS = 128    /* options.bias */
};

/* Of layers that share a router the first has it. */
static inline bool sgi_ffn_routes(const sg_config *view) {
  return view->router_group <= 1 || view->layer % view->router_group == 0;
}

/* Chosen units of one layer at n positions, as views into its saved block; valid until the block is
 * reused. */
typedef struct sgi_gates {
  const int32_t *index; /* (n,C,K) unit of the pool */
  const float *score;   /* (n,C,K) as the router gives it */
  const float
      *value; /* (n,C,K) activation that multiplies the unit's output row, NULL where a unit is no neuron (moe) */
  size_t channels, top_k, pool; /* C, K, F */
  bool pool_per_channel;        /* every channel has its own F units, or all share them */
} sgi_gates;

/* One unit of a layer at one row, with its gate held: value = gate * (w_in . x) + constant
 * multiplies w_out. For a nonlinear unit gate is the ratio value / (w_in . x)
 * (docs/method-reading.md, frozen network). */
typedef struct sgi_unit {
  int32_t channel, index; /* of the pool; dense kinds: channel 0; moe: expert, hidden unit */
  double value, gate, constant;
  sgi_slice in, out; /* (D) each: read through the functions below */
} sgi_unit;

/* w_in . x and w_out . g in double; y += a w_in; copies of both rows. */
static inline double sgi_unit_read_in(const sgi_unit *u, const float *x, size_t D) {
  return sgi_slice_dot(&u->in, x, D);
}
static inline double sgi_unit_write(const sgi_unit *u, const float *g, size_t D) {
  return sgi_slice_dot(&u->out, g, D);
}
static inline void sgi_unit_add_in(const sgi_unit *u, float a, float *y, size_t D) { sgi_slice_add(&u->in, a, y, D); }
static inline void sgi_unit_in(const sgi_unit *u, float *row, size_t D) { sgi_slice_copy(&u->in, row, D); }
static inline void sgi_unit_out(const sgi_unit *u, float *row, size_t D) { sgi_slice_copy(&u->out, row, D); }

/* How a channel's scores depend on x: unit f of F = units^parts has the score sum over p of rows[p,
 * f_p] . x, its first part the most significant digit of f. The K largest are chosen. */
typedef struct sgi_routes {
  size_t channels, parts, units, top_k;
  size_t pools; /* to choose from, F units each: 1 but with a metarouter */
} sgi_routes;

/* Who takes the gradient of a tensor row by row, in the place of an arena: rows of a pool that a
 * batch has chosen are summed one at a time, and need no gradient as large as the pool. */
typedef struct sgi_row_sink {
  size_t block; /* rows that a thread takes at a time */
  int threads;  /* at most so many sum at once */
  void *user;
  /* On one thread, before rows are summed: entry numbers [start[f], start[f + 1]) are those of row
   * f of `rows`. */
  void (*begin)(void *user, const uint32_t *start, size_t rows);
  float *(*row)(void *user, size_t f);            /* (width) that the row's entries are added to */
  void (*done)(void *user, size_t f, float *sum); /* all of them are in */
} sgi_row_sink;

/* How rows stand in their documents, for layers that look at positions before. */
typedef struct sgi_ffn_order {
  size_t T;                /* rows of a sequence, one behind the other */
  const int32_t *position; /* (n) in the row's own document; NULL: all rows are one */
  float *past;             /* (sequences, past_stride) what each keeps from pass to pass; NULL: none goes on */
  size_t past_stride;
} sgi_ffn_order;

/* Variants of a prompt (model/vary.h) for a layer that mixes: of R variants positions [from, from +
 * changed) have other inputs, and rows of all wanted positions [first, first + count) from `from`
 * on are needed: variant r's are rows r * own and on of a block for n rows. */
typedef struct sgi_ffn_varied {
  size_t R, from, changed, first, count;
  const float *xn; /* (R,changed,D) */
  float *room;     /* as much as past says of one position, for each of the R * changed */
  sgi_arena block;
  size_t n, own;
} sgi_ffn_varied;

/* One call of a layer's feedforward on n token rows. */
typedef struct sgi_ffn_call {
  const sg_config *config;
  const sgi_weight *const *w; /* the layer's tensors, in the order of ops->tensors */
  float *const *dw;           /* backward only: gradients in the same order; every one is added to */
  /* likewise, of pools without a gradient in dw; NULL: none, or the tensor's is NULL */
  const sgi_row_sink *const *sink;
  /* The same of what stands beside the kind (beside.h); for the walk, not for kinds. */
  const sgi_weight *const *beside;
  float *const *beside_dw;
  size_t n;
  sgi_arena saved;  /* the layer's block: forward fills it, backward reads it */
  sgi_arena shared; /* the router's block of the layer's group: its first layer fills it, all read it */
  bool routed;      /* what the layer would put into shared is there already */
  sgi_ffn_order order;
  bool training;        /* statistics of these rows, where a kind has any; else those that are kept */
  sgi_arena scratch;    /* free for use within the call */
  const sgi_tap *tap;   /* NULL, or who looks at and edits the sites of this layer; for the walk, not for kinds */
  sgi_at at;            /* where in the pass; for the walk */
  const sgi_drop *drop; /* of training: chosen neurons left out by chance; NULL: none */
  const sgi_aux *aux;   /* backward: what is added to the loss; NULL: nothing */
  float *y;             /* (n,D) set by the walk, for sites that are left when it is made */
} sgi_ffn_call;

/* A kind's forward pass is a list of stages. The walk over it (sgi_ffn_forward) shows the tap what
 * a stage leaves, in the order given, as soon as it has run; so no kind knows of taps. Every stage
 * is handed the call as it was at the start: what one leaves in scratch the next finds there if
 * both lay it out alike. */
enum { SGI_STAGE_SITES = 2 }; /* one that a layer's options leave out lies nowhere (sgi_left.data NULL) */
typedef struct sgi_stage {
  const char *name; /* in the profile, of the matrix products and gathers within */
  sg_status (*run)(sgi_ffn_call *call, float *y, const float *x);
  sgi_site_id leaves[SGI_STAGE_SITES]; /* SGI_SITE_NONE where there are fewer */
} sgi_stage;

/* Sizes of the kind in the presets (model/presets.c). F is num_neurons: on tinystories a number; on
 * slimpajama;s the square of root + root_step * s, or where root is 0 D * times / over, cut to a
 * multiple of `multiple`. A kind that no preset knows leaves tinystories.num_neurons 0. */
typedef struct sgi_ffn_preset {
  const char *router; /* NULL: none */
  size_t top_k, key_dim;
  struct {
    const char *decomposition;                    /* NULL: the kind has no sub-experts */
    size_t num_experts, width_over, router_group; /* expert_dim is D / width_over, even and at least 2 */
  } experts;
  struct {
    size_t num_neurons, num_channels;
  } tinystories;
  struct {
    size_t root, root_step, times, over, multiple, num_channels;
  } slimpajama;
} sgi_ffn_preset;

/* A row of a block that layers share, made for n rows. */
typedef struct sgi_shared_row {
  sgi_arena block;
  size_t n, row;
} sgi_shared_row;

/* How a layer becomes one of another kind (docs/method.md, Monet to peer). */
typedef struct sgi_ffn_convert {
  const char *to; /* the other kind */
  size_t pairs;   /* composed experts that a channel chooses */
  size_t key_dim; /* of the router; 0: as many as are needed for it to be exact */
  bool ungroup;   /* a router of its own to every layer */
} sgi_ffn_convert;

struct sgi_sparse_kind;
struct sgi_dense_kind;

typedef struct sgi_ffn_ops {
  const char *name;
  const char *default_activation;
  unsigned uses; /* SGI_USES_* */
  sgi_ffn_preset preset;
  bool joined;                          /* channels act through one list of units: readers see channel 0 alone */
  const struct sgi_sparse_kind *sparse; /* what the skeleton that the kind stands on needs to know of it; else NULL */
  const struct sgi_dense_kind *dense;

  /* Optional: units that follow from other sizes; a layer's view has them as num_neurons. */
  size_t (*pool)(const sg_config *c);
  /* The kind's own limits; sizes common to all are checked before. */
  sg_status (*check)(const sg_config *c, sg_error *err);
  /* Appends the layer's tensors under prefix ("model.layers.3.mlp."). */
  sg_status (*tensors)(const sg_config *c, const char *prefix, sgi_table *t, sg_error *err);
  /* Takes from an arena what forward keeps for backward, and what either needs while it runs, for n
   * rows; with a base-less arena this measures. backward is false where no gradient will be asked
   * for. */
  void (*saved)(const sg_config *c, size_t n, sgi_arena *a);
  void (*scratch)(const sg_config *c, size_t n, bool backward, sgi_arena *a);
  /* Optional, where layers of a group share a router (and shares, if there is one, says that this
   * layer does): what it leaves for n rows, for all of them.
   * Before backward of the group's last layer the gradient in it is cleared by clear. */
  bool (*shares)(const sg_config *c);
  void (*shared)(const sg_config *c, size_t n, bool backward, sgi_arena *a);
  void (*clear)(const sg_config *c, size_t n, sgi_arena shared);
  void (*shared_row)(const sg_config *c, sgi_shared_row to, sgi_shared_row from); /* copied, without its gradient */
  /* Optional: what the layer puts into shared at a row depends on rows before it in the document;
   * then the floats that a sequence keeps of at most `capacity` positions to go on, and what it
   * would put there for variants of the prompt whose pass `call` is. */
  bool (*mixes)(const sg_config *c);
  size_t (*past)(const sg_config *c, size_t capacity);
  sg_status (*vary_shared)(const sgi_ffn_call *call, const sgi_ffn_varied *v);
  /* Optional, after a forward pass of training: the tensors that are state moved on, in the order
   * of ops->tensors (NULL for all others). */
  void (*settle)(const sgi_ffn_call *call, float *const *state);
  size_t (*least_rows)(const sg_config *c); /* that a forward pass of training needs */
  /* Multiply-adds of one token's forward pass (FLOPs are twice that), matrix products only
   * (docs/method.md, FLOPs). */
  uint64_t (*multiply_adds)(const sg_config *c);
  /* y (n,D) = FFN(x (n,D)): the last stage assigns y. Ends with a stage without run. */
  const sgi_stage *stages;
  /* Where a site lies that one of the stages leaves, after it has run. */
  void (*left)(const sgi_ffn_call *call, sgi_site_id id, sgi_left *out);
  /* dx (n,D) assigned, dw added, from dy (n,D); x as in forward; saved as forward left it. */
  sg_status (*backward)(sgi_ffn_call *call, float *dx, const float *dy, const float *x);
  /* Optional (NULL for dense kinds): the units chosen by the forward pass whose saved block this
   * is. */
  void (*gates)(const sg_config *c, size_t n, sgi_arena saved, sgi_gates *out);

  /* Optional, of chosen neurons: value = factor * f(x . w_in), the factor of the scores alone;
   * score, factor (n,C,K). NULL where the score stands inside f. */
  void (*factor)(const sg_config *c, size_t n, const float *score, float *factor);

  /* Optional: adds to the sums what the forward pass whose saved block this is did (aux.h). */
  void (*measure)(const sgi_ffn_call *call, sgi_aux *sum);

  /* Optional: sizes of the layer as another kind, and its tensors (zero before) in that kind's
   * order: from its own, w, and those of the layer whose router it uses. */
  sg_status (*convert_to)(const sg_config *view, const sgi_ffn_convert *how, sg_feedforward *out, sg_error *err);
  sg_status (*convert)(const sg_config *view, const sgi_ffn_convert *how, const sg_config *to,
                       const sgi_weight *const *w, const sgi_weight *const *router, float *const *out, sg_error *err);
  bool (*convert_loose)(const sgi_ffn_convert *how); /* its outputs are only alike: a text has to set their scale */

  /* Reading. Units that act at one row, and the row's units after a forward pass whose block
   * call->saved is; bias (D) is what the layer adds beside them (assigned). */
  size_t (*unit_count)(const sg_config *c);
  void (*units)(const sgi_ffn_call *call, size_t row, sgi_unit *out, double *bias);
  /* Weights of one unit, whatever chose it: w_in, w_out, stride, and in constant the bias inside
   * it. False where there is none of that number. */
  bool (*unit_at)(const sg_config *c, const sgi_weight *const *w, size_t channel, size_t index, sgi_unit *out);
  /* Optional (NULL for dense kinds): sizes, and rows (parts,units,D) of one channel, of a layer
   * that has its router (sgi_ffn_routes); of pool e of several, of number channel + e *
   * channels. */
  void (*routes)(const sg_config *c, sgi_routes *out);
  sg_status (*route_rows)(const sg_config *c, const sgi_weight *const *w, size_t channel, float *rows);
} sgi_ffn_ops;

/* Channels in which a layer's units are counted: at least 1. Its units are channels times
 * num_neurons. */
size_t sgi_unit_channels(const sg_config *view);

/* NULL with err filled (nearest name suggested) when there is none of that name. */
const sgi_ffn_ops *sgi_ffn_find(const char *name, sg_error *err);
const sgi_ffn_ops *sgi_ffn_at(size_t i);           /* NULL past the last */
const sgi_ffn_ops *sgi_ffn_of(const sg_config *c); /* of a checked configuration */

/* A layer: its kind and what stands beside it (beside.h). Whoever runs or reads one calls these,
 * and ops-> only for what a kind alone knows. */
void sgi_ffn_saved(const sgi_ffn_ops *ops, const sg_config *c, size_t n, sgi_arena *a);
void sgi_ffn_scratch(const sgi_ffn_ops *ops, const sg_config *c, size_t n, bool backward, sgi_arena *a);
uint64_t sgi_ffn_multiply_adds(const sgi_ffn_ops *ops, const sg_config *c);
size_t sgi_ffn_unit_count(const sgi_ffn_ops *ops, const sg_config *c);
void sgi_ffn_units(const sgi_ffn_ops *ops, const sgi_ffn_call *call, size_t row, sgi_unit *out, double *bias);

/* All stages in order, and what they leave shown to call->tap. */
sg_status sgi_ffn_forward(const sgi_ffn_ops *ops, const sgi_ffn_call *call, float *y, const float *x);
/* ops->backward and what stands beside it, the work under the profile's own names. */
sg_status sgi_ffn_backward(const sgi_ffn_ops *ops, sgi_ffn_call *call, float *dx, const float *dy, const float *x);
/* The kind leaves that site. */
bool sgi_ffn_leaves(const sgi_ffn_ops *ops, sgi_site_id id);
/* The site of that role which the kind leaves, or SGI_SITE_NONE. */
sgi_site_id sgi_ffn_site(const sgi_ffn_ops *ops, sgi_site_role role);

#endif
