/* record_beside.h: what a recording has of what stands beside a layer's kind (ffn/beside.h): at
 * every position the values of always-on neurons and what the sink MLP adds, of any kind of layer,
 * also of those whose units no circuit names. Tensors of a shard behind those of circuits, in the
 * type of activations; with none recorded they are not there (docs/formats-recording.md,
 * recording.json). */
#ifndef SGI_RECORD_BESIDE_H
#define SGI_RECORD_BESIDE_H

#include "core/json.h"
#include "model/model.h"

enum { SGI_RECORDED_ALWAYS, SGI_RECORDED_SINK, SGI_RECORDED_BESIDE };

/* One layer: numbers a position of each part; 0: it has none. */
typedef struct sgi_recorded_beside {
  size_t layer, width[SGI_RECORDED_BESIDE];
} sgi_recorded_beside;

/* What a layer of the model has; false where it has neither. */
bool sgi_recorded_beside_of(const sg_model *m, size_t layer, sgi_recorded_beside *out);
const char *sgi_recorded_beside_name(size_t part); /* without the layer: "always", "sink_mlp.out" */
static inline size_t sgi_recorded_beside_width(const sgi_recorded_beside *b) {
  return b->width[SGI_RECORDED_ALWAYS] + b->width[SGI_RECORDED_SINK];
}
static inline size_t sgi_recorded_beside_tensors(const sgi_recorded_beside *b) {
  return (size_t)(b->width[SGI_RECORDED_ALWAYS] > 0) + (b->width[SGI_RECORDED_SINK] > 0);
}
json_t *sgi_recorded_beside_json(const sgi_recorded_beside *list, size_t n);

/* ---- reading --------------------------------------------------------------------------------- */

struct sg_recording;
/* The layer's, or NULL. */
const sgi_recorded_beside *sgi_recording_beside(const struct sg_recording *r, size_t layer);
/* out (width of the part) at a position. A value that is no number is damage (sgi_recording_check),
 * and 0. False where the layer has no such part. */
bool sgi_recording_beside_values(const struct sg_recording *r, size_t layer, size_t part, size_t position, float *out);

#endif
