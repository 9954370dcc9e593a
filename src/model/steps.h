/* steps.h: a pass is a list of steps, made once per model (docs/architecture.md, plan of a pass).
 *
 * A *sublayer* is attention or a feedforward layer, each with the norm in front of it: y = S(x r
 * g). sgi_sublayer_ops is the contract; a new sublayer is one file more. A *step* is one run of a
 * sublayer: it reads a residual stream, and what it writes is added to one by the form of its
 * layer. A layer whose form evaluates it four times has four steps a sublayer, each with memory of
 * its own. Whoever walks the list carries taps, profile and progress; whoever reads a model walks
 * it too, and knows of no order but the list's. */
#ifndef SGI_STEPS_H
#define SGI_STEPS_H

#include "ffn/ffn.h"
#include "model/form.h"

struct sgi_pass;
struct sgi_plan_step;
struct sgi_sublayer;
struct sgi_held;
struct sgi_vary;

typedef struct sgi_plan_step sgi_plan_step;

enum { SGI_MAX_TENSORS = 256 }; /* of a sublayer, its norm among them */
enum { SGI_T_NORM = 0, SGI_T_OWN = 1 };

typedef struct sgi_sublayer_ops {
  const char *name; /* "attention" */
  unsigned bit;     /* SG_ATTENTION or SG_FEEDFORWARD */
  const char *norm; /* name of its norm's tensor under "model.layers.L." */
  /* Sites of its norm's scale and output, and of what it adds to the stream. */
  sgi_site_id norm_scale_site, norm_site, out_site;

  /* Appends its tensors but the norm under prefix ("model.layers.3."). */
  sg_status (*tensors)(const sg_config *c, const char *prefix, sgi_table *t, sg_error *err);
  /* What a step keeps for the way back, and what it needs while it runs; keys: positions that a
   * query may see. */
  void (*saved)(const sg_config *c, size_t n, sgi_arena *a);
  void (*scratch)(const sg_config *c, size_t n, size_t keys, bool backward, sgi_arena *a);
  /* Multiply-adds of a token in a sequence of T. False where they do not fit 64 bits. */
  bool (*multiply_adds)(const sg_config *c, size_t T, uint64_t *out);
  /* y (n,D) = S(xn (n,D)), assigned. */
  sg_status (*forward)(struct sgi_pass *p, const struct sgi_plan_step *s, sgi_arena saved, sgi_arena scratch,
                       const sgi_tap *tap, float *y, const float *xn);
  /* dxn (n,D) assigned, gradients of weights added to grad, from dy (n,D). */
  sg_status (*backward)(struct sgi_pass *p, const struct sgi_plan_step *s, sgi_arena saved, sgi_arena scratch,
                        float *grad, float *dxn, const float *dy, const float *xn);
  /* Optional: adds to the sums what its forward pass did (ffn/aux.h). */
  void (*measure)(struct sgi_pass *p, const struct sgi_plan_step *s, sgi_arena saved, sgi_aux *sum);
  /* For readers, after a forward pass over one sequence: what is held of the step, the bytes of
   * that, and the linear map it then is, backwards (held.h). */
  bool (*held_bytes)(const struct sgi_sublayer *s, size_t T, size_t *bytes);
  sg_status (*hold)(struct sgi_pass *p, const struct sgi_plan_step *s, struct sgi_held *out, sg_error *err);
  sg_status (*pull)(const struct sgi_held *h, size_t R, size_t rows, ptrdiff_t head, float *before, const float *after,
                    float *work);
  /* For readers: runs that differ from one that a pass with backward has made of one sequence
   * (vary.h). y (R,count,D) = S at the wanted positions, from xn (R,changed,D) at the changed ones.
   * vary_room: what that takes for n rows of either. */
  bool mixes; /* what it does at a position depends on positions before */
  void (*vary_room)(const sg_config *c, size_t n, size_t keys, sgi_arena *a);
  sg_status (*vary)(struct sgi_pass *p, const struct sgi_plan_step *s, const struct sgi_vary *v, sgi_arena room,
                    float *y, const float *xn);
} sgi_sublayer_ops;

extern const sgi_sublayer_ops sgi_sublayer_attention, sgi_sublayer_feedforward;

typedef struct sgi_sublayer {
  const sgi_sublayer_ops *ops; /* NULL: the layer has none */
  const sgi_ffn_ops *ffn;      /* the kind; NULL for attention */
  const sg_config *config;     /* the layer's view */
  size_t layer;
  size_t n_tensors;
  size_t beside; /* number of the first tensor that stands beside the kind's own (ffn/beside.h); attention: n_tensors */
  /* of the table: the norm's gain, then those of ops->tensors, then what all layers share */
  size_t row[SGI_MAX_TENSORS];
  const float *w[SGI_MAX_TENSORS];           /* of what is float32 whatever the model is stored as */
  const sgi_weight *weight[SGI_MAX_TENSORS]; /* the same with their types, for kinds and readers of units */
} sgi_sublayer;

typedef struct sgi_layer {
  sg_config config; /* the layer's view */
  sgi_sublayer attention, feedforward;
} sgi_layer;

struct sgi_plan_step {
  const sgi_sublayer *sub;
  size_t layer, step, stage; /* step and stage of the layer's form */
  size_t evaluation;         /* number of the stream it reads, over the whole pass */
  size_t before; /* sequential, parallel: the stream it reads is the embedding and what steps 0 .. before - 1 add */
  size_t router; /* the step whose router's output it uses; SIZE_MAX: none that could be shared */
  size_t cache;  /* attention: its number among all steps of attention */
  bool last;     /* of its evaluation */
};

typedef struct sgi_plan {
  sgi_plan_step *steps;
  size_t n_steps;
  size_t n_evaluations; /* streams that are read */
  size_t n_attention;   /* steps of attention: caches of keys and values */
  size_t *first;        /* (L+1) first step of each layer; its steps end where the next begin */
  size_t *evaluation;   /* (L+1) likewise: first evaluation */
} sgi_plan;

/* The steps of layers in the form of c. New: sgi_plan_deinit. */
sg_status sgi_plan_make(const sg_config *c, const sgi_layer *layers, sgi_plan *out, sg_error *err);
void sgi_plan_deinit(sgi_plan *p);
/* The step that readers look at for a sublayer: its first (step 0, stage 0); n_steps where the
 * layer has none. */
size_t sgi_plan_find(const sgi_plan *p, size_t layer, const sgi_sublayer_ops *ops);
/* Weights of a feedforward's unit, the kind's or one beside it; false where there is none. */
bool sgi_sublayer_unit_at(const sgi_sublayer *s, size_t channel, size_t index, sgi_unit *out);
/* Layers and their table of a checked config; sgi_free and sgi_table_deinit. w of the sublayers is
 * not set. */
sg_status sgi_layers_make(const sg_config *c, sgi_table *t, sgi_layer **out, sg_error *err);

#endif
