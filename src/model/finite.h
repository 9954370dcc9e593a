/* finite.h: weights that are NaN or infinite, and what comes of a pass when something is not
 * finite.
 *
 * A model that is read from files has its weights looked at when it is opened, up to
 * SGI_FINITE_BYTES: milliseconds. Above, reading gigabytes before the first product would cost
 * seconds, so there the passes look at what they made (a weight that no product touched has changed
 * nothing), and the weights are searched once that is not finite. `sgi_model_load` with allow takes
 * models as they are. A model in training has its own watch (train/blame.h). */
#ifndef SGI_FINITE_H
#define SGI_FINITE_H

#include "model/model.h"

enum { SGI_FINITE_BYTES = 256 << 20 };

/* SG_ERR_FORMAT naming the file, the tensor and its first element that is NaN or infinite, or of
 * int8 and int4 its first row with a wrong scale or level (docs/formats.md); SG_OK where all are
 * numbers. Reads all. */
sg_status sgi_model_check_finite(const sg_model *m, sg_error *err);

/* Whether all of x (n) are numbers. */
bool sgi_all_finite(const float *x, size_t n);

/* What a reader does with the numbers of a pass: SG_OK where the model's weights are not watched
 * (model.h) or all of x (n) are numbers. Otherwise the weight that is none (SG_ERR_FORMAT), or,
 * where all weights are, SG_ERR_NUMERIC: what ("the logits") is not finite. */
sg_status sgi_model_watch(const sg_model *m, const float *x, size_t n, const char *what, sg_error *err);

#endif
