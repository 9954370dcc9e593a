/* optim.h: optimizers as data. One is a file, optim_NAME.c, with one sgi_optimizer_ops; the
 * Makefile lists these files in SGI_OPTIMIZERS. The trainer, its memory, checkpoints, settings and
 * the search for broken numbers ask the table for the rest. The file opens with its formula, which
 * docs/method.md takes from there.
 *
 * An optimizer sees stretches: n neighbouring floats of one tensor, of its gradient and of as many
 * moments as it keeps, all at the same offset of arenas of equal layout (core/table.h). What it
 * makes of a float depends on nothing but that float's own numbers, so any cut into stretches gives
 * the same bits, and a range of the arena (a shard) can be updated by itself. Clipping, the
 * schedule, accumulation and which tensors decay are the trainer's, equal for all (docs/method.md,
 * optimizer). */
#ifndef SGI_OPTIM_H
#define SGI_OPTIM_H

#include "core/table.h"
#include "optimizers.h"

enum { SGI_MAX_MOMENTS = 2, SGI_MAX_OPTIMIZER_SETTINGS = 4 };

/* A number that may be set: least <= value < below. */
typedef struct sgi_optimizer_setting {
  const char *name, *help; /* "optimizer.beta1" */
  double usual;            /* where nothing is set */
  double least, below;
} sgi_optimizer_setting;

/* What is told to one update. */
typedef struct sgi_update {
  double lr;
  double decay;      /* weight_decay / peak learning rate: a decayed weight moves by lr * decay * w */
  double grad_scale; /* the gradient is multiplied by this first */
  uint64_t done;     /* updates before this one */
  double thresholds; /* rate of gates' thresholds in times of lr; 0: 1 */
} sgi_update;

typedef struct sgi_stretch {
  float *w, *g;                   /* (n); g is left zero */
  float *moment[SGI_MAX_MOMENTS]; /* (n) each */
  size_t n;
} sgi_stretch;

typedef struct sgi_optimizer_ops {
  const char *name;
  size_t n_moments;
  struct {
    const char *name;  /* of its tensors in a checkpoint: "m" gives "m.model.norm.weight" */
    const char *words; /* for people: "first moment" */
    bool square;       /* a mean square: never below 0 */
  } moments[SGI_MAX_MOMENTS];
  sgi_optimizer_setting settings[SGI_MAX_OPTIMIZER_SETTINGS + 1]; /* up to the first without a name */
  double bytes_per_weight;                                        /* read and written by one update */
  /* value: of the settings, in their order. u->decay is 0 for a tensor that does not decay. */
  void (*update)(const double *value, const sgi_update *u, const sgi_stretch *x);
} sgi_optimizer_ops;

#define SGI_DECLARE_OPTIMIZER(name) extern const sgi_optimizer_ops sgi_optimizer_##name;
SGI_OPTIMIZERS(SGI_DECLARE_OPTIMIZER)

/* The i-th optimizer by name, NULL past the last. */
const sgi_optimizer_ops *sgi_optimizer_at(size_t i);
/* The one of who asks for none: adamw. */
const sgi_optimizer_ops *sgi_optimizer_default(void);
/* By name; NULL and SG_ERR_ARG with the names where there is none. err may be NULL. */
const sgi_optimizer_ops *sgi_optimizer_find(const char *name, sg_error *err);
/* Place of a setting by its name; -1: this one has none such. */
ptrdiff_t sgi_optimizer_setting_at(const sgi_optimizer_ops *ops, const char *name);

/* A chosen optimizer with the values of its settings. */
typedef struct sgi_optimizer {
  const sgi_optimizer_ops *ops;
  double value[SGI_MAX_OPTIMIZER_SETTINGS];
} sgi_optimizer;

sgi_optimizer sgi_optimizer_usual(const sgi_optimizer_ops *ops);
/* SG_ERR_ARG naming the setting that is out of its range. */
sg_status sgi_optimizer_check(const sgi_optimizer *o, sg_error *err);

/* The floats [from, to) of arenas in table's offsets: all of them, or a part that somebody owns. */
typedef struct sgi_shard {
  const sgi_table *table;
  float *w, *g;
  float *const *moment; /* n_moments arenas */
  size_t from, to;
  size_t moments_from; /* float of the arena that the moments begin with: 0, or from where only the shard's are kept */
} sgi_shard;

/* One update of the shard. Dense: an entry with gradient 0 still moves (golden README no. 22).
 * Leaves its gradient zero. */
void sgi_optimizer_update(const sgi_optimizer *o, const sgi_update *u, const sgi_shard *s);

/* Euclidean norm of an arena (gaps between rows are zero). Summed in blocks fixed by the size: same
 * bits for any threads. */
double sgi_arena_norm(const float *x, size_t floats);
/* The same by its blocks, of sgi_norm_block(floats) floats each: sums of squares of those that
 * begin in [from, to), others of `part` are left alone; and the norm of all. */
enum { SGI_NORM_BLOCKS = 256 };
static inline size_t sgi_norm_block(size_t floats) { return (floats + SGI_NORM_BLOCKS - 1) / SGI_NORM_BLOCKS; }
void sgi_norm_squares(const float *x, size_t floats, size_t from, size_t to, double part[SGI_NORM_BLOCKS]);
double sgi_norm_of(const double part[SGI_NORM_BLOCKS]);

/* Factor that brings a gradient of this norm under max: 1 below it, max / norm from it on (no
 * epsilon); 1 where max is 0. */
double sgi_clip_scale(double norm, double max);

#endif
