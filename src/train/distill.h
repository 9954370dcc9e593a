/* distill.h: a model that learns from another what it says (docs/method.md, distillation): one in
 * fewer bytes from the one it was made of, one of another kind from the one that it was converted
 * from. First, if asked, layer by layer (layerwise.h), then whole. Float32 masters; where they will
 * be stored in fewer bytes each step sees them so, and the gradient goes straight to them. */
#ifndef SGI_TRAIN_DISTILL_H
#define SGI_TRAIN_DISTILL_H

#include "math/quantise.h"
#include "model/distill.h"
#include "train/layerwise.h"

/* Where a distillation stands. */
typedef struct sgi_distill_point {
  bool whole; /* of the two parts, the second */
  uint64_t step, tokens;
  double flops, seconds; /* both models'; products; what is done at points is not counted */
  double loss;           /* of the last step; NaN in front of the first */
} sgi_distill_point;

typedef struct sgi_distill_part {
  size_t steps;
  double learning_rate; /* of Adam; falls to 0 */
} sgi_distill_part;

typedef struct sgi_distill_request {
  const sg_model *student; /* what learning begins with; NULL: the teacher itself, to be stored otherwise */
  bool stored;             /* the student runs as it will be stored, by how and only */
  sgi_quantise how;        /* without clip */
  const char *only;        /* as in sgi_quantize_request */
  const char *data;        /* a file, or a directory with train.* */
  const sg_tokenizer *tokenizer;
  const sg_text_form *form; /* of the text; NULL: usual */
  size_t batch_size, seq_len;
  bool beyond_context; /* rows may be longer than the models were made for */
  sgi_distill_part layers, whole;
  bool cosine; /* rates fall as half a cosine, not in a line */
  sgi_distill_loss loss;
  bool free_all; /* whole: everything learns, not only layers of another kind, what is stored in fewer bytes and what
                    chooses units */
  uint64_t seed; /* of the order of the data */
  bool keep;     /* stopped, the student is what it has learned so far */
  bool (*progress)(void *user, double done, double wanted); /* steps; NULL, or false to stop */
  /* At the beginning, between the parts, so often during the second, and at the end; NULL:
   * never. */
  size_t points;
  sg_status (*point)(void *user, const sg_model *student, const sgi_distill_point *at, sg_error *err);
  void *user;
} sgi_distill_request;

typedef struct sgi_distilled {
  size_t tensors; /* that learned */
  uint64_t tokens;
  double flops, seconds;            /* both models'; products */
  double first, last;               /* whole: mean loss of the first and of the last tenth of the steps */
  double layers_first, layers_last; /* the same of the first part: a mean over layers of |y - y_T|^2 / |y_T|^2 */
  bool stopped;
} sgi_distilled;

/* *out: the masters, to be quantised where they are to be stored otherwise. The teacher is
 * borrowed. New: sg_model_free. */
sg_status sgi_distill(const sg_model *teacher, const sgi_distill_request *r, sg_model **out, sgi_distilled *report,
                      sg_error *err);

/* FLOPs of a step of each part, counted as a run's are (without the output head): the teacher
 * forward, the student's layers, or all of it, forward and backward. */
typedef struct sgi_distill_costs {
  double layers, whole;
} sgi_distill_costs;
sg_status sgi_distill_count(const sg_model *teacher, const sg_model *student, size_t B, size_t T,
                            sgi_distill_costs *out, sg_error *err);

/* Layers whose feedforward is of another kind or size than the teacher's; where there are none, all
 * that have one. which: (L). */
void sgi_distill_layers(const sg_model *teacher, const sg_model *student, bool *which);

#endif
