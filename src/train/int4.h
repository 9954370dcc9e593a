/* int4.h: training pools as int4 (docs/method.md, pools in four bits): no gradient as large as a
 * pool, no moments of weights. Rows of neurons that a batch has chosen are summed one at a time and
 * stepped at once, or, where an update is made of several passes, kept in float32 until all are
 * done. */
#ifndef SGI_INT4_H
#define SGI_INT4_H

#include "model/pass.h"
#include "model/pools.h"

typedef struct sgi_int4_settings {
  bool on;
  size_t substeps;  /* parts of a level that the buffer counts, 1 .. SGI_INT4_SUBSTEPS; 1: no buffer */
  double lr_scale;  /* rate of pools in times of the schedule's */
  double scale_lr;  /* rate of the logarithms of scales in times of that */
  size_t row_block; /* neurons that a thread takes at a time */
  uint64_t seed;    /* of the rounding */
} sgi_int4_settings;

sgi_int4_settings sgi_int4_usual(void); /* off */
/* SG_ERR_ARG naming the setting that is out of its range. */
sg_status sgi_int4_check(const sgi_int4_settings *s, sg_error *err);

typedef struct sgi_int4 sgi_int4;

/* How passes make up an update. */
typedef struct sgi_int4_batch {
  size_t rows;   /* token rows of a pass */
  size_t passes; /* of an update: micro-batches times accumulated batches */
} sgi_int4_batch;

/* Bytes of a trainer's pools and of what it needs beside them; *aside: weights that are in no
 * arena. */
sg_status sgi_int4_measure(const sg_config *c, const sgi_int4_settings *s, const sgi_int4_batch *b, size_t *bytes,
                           size_t *aside, sg_error *err);
/* For a model with pools (borrowed). New: sgi_int4_free. */
sg_status sgi_int4_create(const sg_model *m, const sgi_int4_settings *s, const sgi_int4_batch *b, sgi_int4 **out,
                          sg_error *err);
void sgi_int4_free(sgi_int4 *x);
/* Who takes the gradients, by rows of the table: for sgi_pass_sink. Borrowed. */
const sgi_row_sink *const *sgi_int4_sinks(const sgi_int4 *x);

/* Rows are stepped as they come in, or kept (of several passes) until sgi_int4_update. */
bool sgi_int4_at_once(const sgi_int4 *x);
/* Before the first pass of an update: the schedule's rate and the update's number, from 0. */
void sgi_int4_begin(sgi_int4 *x, double lr, uint64_t update);
/* Until the next begin nothing is stepped: the loss is not finite. */
void sgi_int4_hold(sgi_int4 *x);
/* After the passes of a batch: false where a gradient was not finite or a scale left its range;
 * what names the first (SGI_BLAME_TEXT). Of such a step pools that came first may have moved, so
 * the trainer takes no other. */
bool sgi_int4_whole(const sgi_int4 *x, char *what, size_t size);
/* The kept sums, times scale, stepped; they are empty then. */
void sgi_int4_update(sgi_int4 *x, float scale);

/* Of the last update that this process has made. */
typedef struct sgi_int4_report {
  double norm;         /* of the gradients of rows that were stepped */
  double weight_steps; /* share of all pools' weights that moved a level */
  double saturated;    /* that were to leave -7 .. 7 */
  double share_at_7;   /* that stand at -7 or 7 after it */
} sgi_int4_report;
/* After levels were put in from elsewhere. */
void sgi_int4_recount(sgi_int4 *x);
void sgi_int4_report_of(const sgi_int4 *x, sgi_int4_report *out);

/* SG_ERR_NUMERIC naming the pool where a scale or a moment is not what it can be. */
sg_status sgi_int4_healthy(const sgi_int4 *x, sg_error *err);

/* ---- files (int4_file.c) --------------------------------------------------------------------- */

/* What optimizer.safetensors holds of pools: the tensors, whose data are borrowed until the next
 * step. sums: in the middle of an accumulation, the kept rows too. *count may be 0. New:
 * sgi_free(*out), which holds the names. */
sg_status sgi_int4_describe(sgi_int4 *x, bool sums, sgi_tensor **out, size_t *count, sg_error *err);
/* Reads them, and levels and scales out of the model m of the same checkpoint. */
sg_status sgi_int4_load(sgi_int4 *x, const sgi_safetensors *f, const char *path, const sg_model *m, bool sums,
                        sg_error *err);

#endif
