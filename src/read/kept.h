/* kept.h: what a recording keeps of neurons that no index lists: of dense kinds, which have a value
 * everywhere, and of the experts' units of moe. Of each its strongest values with their positions,
 * and counts, sums and a histogram of the rest (docs/formats-recording.md, neurons). */
#ifndef SGI_KEPT_H
#define SGI_KEPT_H

#include "read/record_shard.h"

enum { SGI_KEPT_EACH = 32, SGI_KEPT_BINS = 24, SGI_KEPT_SAMPLE = 256 };
#define SGI_KEPT_FILE "neurons.safetensors"

/* One layer: U = channels * neurons. Arrays borrowed from the recording. */
typedef struct sgi_kept {
  size_t layer, channels, neurons;
  const uint32_t *count;     /* (U) positions at which it fires: where its value is above 0; of an expert's unit, where
                              * the expert was chosen */
  const double *sum, *all;   /* (U) of values and of their sizes, without tokens that labels leave out */
  const float *low, *high;   /* (U) of all values, the begin token's left out here and below */
  const float *value;        /* (U,2,SGI_KEPT_EACH) the largest above 0, falling; the smallest below 0, rising */
  const uint32_t *position;  /* the same; UINT32_MAX where there are fewer */
  const uint32_t *histogram; /* (U,SGI_KEPT_BINS) of values at up to SGI_KEPT_SAMPLE positions, over [low, high] */
} sgi_kept;

/* Layers whose neurons are kept: those that have neurons and whose choice, if any, is not one of
 * neurons. n (L) numbers out; how many. */
size_t sgi_kept_layers(const sg_model *m, size_t *layers);
static inline bool sgi_kept_wanted(const sg_model *m, size_t layer) {
  const sgi_sublayer *s = sgi_feedforward_of(m, layer);
  return s && s->ffn->unit_at && sgi_site_row_of(sgi_ffn_site(s->ffn, SGI_SITE_CHOICE))->holds != SGI_AXIS_NEURON;
}
/* Bytes of the file's tensors. */
uint64_t sgi_kept_bytes(const sg_model *m, const size_t *layers, size_t n);

/* Runs all documents once more and writes path whole. progress as sgi_shard_write's. */
sg_status sgi_kept_write(const sgi_record_form *f, const size_t *layers, size_t n, size_t documents, size_t positions,
                         size_t longest, const char *path, bool (*progress)(void *user, size_t done), void *user,
                         sg_error *err);

/* ---- reading --------------------------------------------------------------------------------- */

/* The layer's, or NULL. */
const sgi_kept *sgi_recording_kept(const struct sg_recording *r, size_t layer);
/* One kept value, number i of a side (0: above 0, 1: below): false past the last. A position or
 * value out of bounds is damage (sgi_recording_check). */
bool sgi_kept_at(const struct sg_recording *r, const sgi_kept *k, size_t unit, int side, size_t i, uint32_t *position,
                 float *value);

#endif
