/* convert.h: a model whose layers become layers of another kind, tensor by tensor and without a
 * text (docs/method.md, Monet to peer). */
#ifndef SGI_CONVERT_H
#define SGI_CONVERT_H

#include "model/model.h"

/* The configuration with every feedforward that can become how->to as one. SG_ERR_ARG where there
 * is none such, naming the kinds that could. */
sg_status sgi_convert_config(const sg_config *from, const sgi_ffn_convert *how, sg_config *to, sg_error *err);
/* The model in float32; all else is copied. done of wanted layers; false ends it. New:
 * sg_model_free. */
sg_status sgi_model_convert(const sg_model *m, const sgi_ffn_convert *how,
                            bool (*progress)(void *user, size_t done, size_t wanted), void *user, sg_model **out,
                            sg_error *err);
/* Layers of it are only alike what they were, until a text has set the scale of their outputs. */
bool sgi_convert_is_loose(const sg_config *from, const sgi_ffn_convert *how);
/* The outputs of a layer's units times scale. */
void sgi_convert_scale(sg_model *m, size_t layer, float scale);
/* The layer's feedforward is of another kind or other sizes than the same layer's of m. */
bool sgi_convert_differs(const sg_model *m, const sg_model *other, size_t layer);

#endif
