/* low.h: what a model in bf16 is trained with (docs/method.md, precision): the same layers on bf16
 * copies of the maps and pools, which are made of the float32 masters once a step. Gains, biases
 * and what chooses units (routers, gates) are the masters themselves, and so are pools kept as
 * int4. */
#ifndef SGI_LOW_H
#define SGI_LOW_H

#include "math/quantise.h"
#include "model/model.h"

/* A copy of m, which has an arena and outlives it. New: sg_model_free. */
sg_status sgi_low_create(const sg_model *m, sg_model **out, sg_error *err);
/* Its numbers are those of the masters now, by all threads. */
void sgi_low_refresh(sg_model *low);
/* The same with the rows that are chosen in a type of quantise.h, as a file of theirs would have
 * them; products take their other operand as it is. New: sg_model_free. */
sg_status sgi_low_quantised(const sg_model *m, const sgi_quantise *how, const bool *chosen, sg_model **out,
                            sg_error *err);
/* SG_ERR_NUMERIC naming the tensor where a number has no place in the type. */
sg_status sgi_low_requantise(sg_model *low, const sgi_quantise *how, sg_error *err);
/* Bytes of its numbers, beside so many of the masters. */
size_t sgi_low_bytes(size_t floats);

#endif
