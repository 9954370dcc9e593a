/* pass.h: one forward (and backward) pass over a batch, and the memory it needs.
 *
 * Three arenas (docs/architecture.md, memory): weights belong to the model; `saved` holds what
 * backward needs, one block per step (one block for all where no gradient is wanted); `scratch` is
 * handed out anew to every step. All are sized when the pass is made; nothing is allocated
 * afterwards.
 */
#ifndef SGI_PASS_H
#define SGI_PASS_H

#include "model/model.h"

typedef struct sgi_batch {
  size_t B, T;            /* n = B*T rows */
  const int32_t *inputs;  /* (B,T) token ids */
  const int32_t *targets; /* (B,T) or NULL where no loss is wanted */
  const int32_t *starts;  /* (B,T) or NULL: first visible position of the row's own document; positions count from it */
} sgi_batch;

typedef struct sgi_metrics {
  double nll;              /* sum of -log p over counted targets */
  size_t targets, correct; /* counted targets (not padding), and how many were the best guess */
  double last_nll;         /* sum over the batch's rows of the loss at the last counted target */
  size_t rows;
  double added, aux[SG_AUX_NUMBERS]; /* training: what is added to the loss (ffn/aux.h), means over the batch */
} sgi_metrics;

/* Keys and values of earlier positions. A pass on it continues stream b with sequence b of its
 * batch: writes positions past .. past + T - 1 and attends to all up to there; whoever owns the
 * cache then moves past. */
typedef struct sgi_cache {
  size_t streams, capacity, past;
  float *k, *v;          /* (steps of attention, streams, capacity, H*d_head) */
  float *past_of_layers; /* of each step of feedforward that keeps anything (ffn.h): (streams, what it keeps) */
} sgi_cache;

typedef struct sgi_pass sgi_pass;
struct sg_generator;
struct sgi_held;

/* Floats in front of those that step s keeps of a cache's streams; of the step behind the last: of
 * all. */
size_t sgi_cache_past(const sgi_plan *plan, const sgi_cache *cache, size_t step);
/* Floats that a step keeps of one stream. */
size_t sgi_step_past(const sgi_plan_step *s, size_t capacity);

/* Bytes of the arenas of a pass for up to B x T rows, without making it. */
sg_status sgi_pass_bytes(const sg_config *c, size_t B, size_t T, bool backward, size_t *bytes, sg_error *err);

/* The most rows of a batch (a divisor of B, so that all parts are alike) whose pass stays within
 * max_bytes; 1 if none does. */
sg_status sgi_pass_fit(const sg_config *c, size_t B, size_t T, bool backward, size_t max_bytes, size_t *rows,
                       sg_error *err);

/* The same, but SG_ERR_MEMORY where even one row is more than max_bytes: nothing is allocated
 * then. */
sg_status sgi_pass_fit_within(const sg_config *c, size_t B, size_t T, bool backward, size_t max_bytes, size_t *rows,
                              sg_error *err);

/* A pass for model m (borrowed) and batches of up to B x T. New: sgi_pass_free. */
sg_status sgi_pass_create(const struct sg_model *m, size_t B, size_t T, bool backward, sgi_pass **out, sg_error *err);
/* A forward-only pass on a cache (borrowed), without document starts. */
sg_status sgi_pass_create_cached(const struct sg_model *m, size_t B, size_t T, const sgi_cache *cache, sgi_pass **out,
                                 sg_error *err);
void sgi_pass_free(sgi_pass *p);
/* From now on the pass runs m (borrowed) in the place of its model: another one of the same
 * configuration. */
void sgi_pass_use(sgi_pass *p, const struct sg_model *m);
/* From now on the pass times its kernels into profile (borrowed); NULL ends that. */
void sgi_pass_profile(sgi_pass *p, sgi_profile *profile);
/* The same for the steps of a generator (generate.c), not for its beginning. */
void sgi_generator_profile(struct sg_generator *g, sgi_profile *profile);

/* From now on called after each layer of a forward pass: done of wanted; false ends it with
 * SG_ERR_CANCELLED. NULL ends that. */
typedef bool (*sgi_pass_progress)(void *user, size_t done, size_t wanted);
void sgi_pass_watch(sgi_pass *p, sgi_pass_progress progress, void *user);
/* The same for backward passes: called after each layer with its number, when the gradients of
 * tensors that no lower layer uses are whole. */
typedef void (*sgi_pass_layer)(void *user, size_t layer);
void sgi_pass_watch_back(sgi_pass *p, sgi_pass_layer done, void *user);

/* From now on gradients of the tensors of these rows of the table (NULL: as ever) go to who takes
 * them row by row (ffn.h), in the place of an arena. sinks: (rows of the table), borrowed. */
void sgi_pass_sink(sgi_pass *p, const sgi_row_sink *const *sinks);

/* From now on what feedforward layers add to the stream, and the gradient of what they read, (n,D)
 * each, go through sum: of processes that hold other channels of the same layers. */
typedef void (*sgi_pass_sum)(void *user, float *x, size_t n);
void sgi_pass_add_up(sgi_pass *p, sgi_pass_sum sum, void *user);

/* Runs the layers. batch and tap (NULL allowed) are borrowed for the call; the batch's arrays until
 * the backward pass. */
sg_status sgi_pass_forward(sgi_pass *p, const sgi_batch *batch, const sgi_tap *tap, sg_error *err);

/* From now on (until off) forward passes are those of training: where a kind has statistics, of
 * these rows. */
void sgi_pass_train(sgi_pass *p, bool on);
/* From now on passes of training leave chosen neurons out by chance; share 0 ends that. */
void sgi_pass_drop(sgi_pass *p, const sgi_drop *drop);
/* After a forward pass of training, once: moves the state of m, the pass's model, on. */
void sgi_pass_settle(const sgi_pass *p, sg_model *m);
/* The block of a router that step s uses (ffn.h). */
sgi_arena sgi_pass_shared(const sgi_pass *p, const sgi_plan_step *s);

/* Loss of the last forward pass over its targets != pad, added to *sum. With grad (arena in the
 * model table's offsets, added to) also the gradient of grad_scale * nll; call sgi_pass_backward
 * then. */
sg_status sgi_pass_loss(sgi_pass *p, sgi_metrics *sum, float *grad, float grad_scale, sg_error *err);
sg_status sgi_pass_backward(sgi_pass *p, float *grad, sg_error *err);
/* Sums of the last forward pass (ffn/aux.h), for the parts that weights add to the loss: the
 * backward pass that follows adds their gradient. share: of the batch's rows that are in this
 * pass. */
void sgi_pass_measure(sgi_pass *p, const sgi_aux_weights *weights, double share, sgi_aux *out);

/* Logits (count, V) of rows [first, first + count) of the last forward pass into the caller's
 * buffer. */
sg_status sgi_pass_logits(sgi_pass *p, size_t first, size_t count, float *logits, sg_error *err);

/* Losses of the last sgi_pass_loss: (n), padding too. Borrowed until the next. */
const float *sgi_pass_nll(const sgi_pass *p);

/* The chosen units of a layer in the last forward pass, at its first step; false where it chooses
 * none and, in a pass without backward, for all but the pass's last step (their blocks are shared:
 * use a tap). */
bool sgi_pass_gates(sgi_pass *p, size_t layer, sgi_gates *out);

/* What the last forward pass of a pass with backward left of step i: the stream (n,D) that it read,
 * and the inverse scales (n) of its norm. Borrowed until the next. */
void sgi_pass_step(sgi_pass *p, size_t i, const float **x, const float **r);
const float *sgi_pass_final_scale(const sgi_pass *p); /* (n) */
const float *sgi_pass_final_norm(const sgi_pass *p);  /* (n,D) */
/* Everything that is held of step i (held.h), after a pass with backward over one sequence. New:
 * sgi_held_deinit. */
sg_status sgi_pass_hold(sgi_pass *p, size_t i, struct sgi_held *out, sg_error *err);

#endif
