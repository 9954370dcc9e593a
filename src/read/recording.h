/* recording.h: a corpus's circuits on disk, mapped: what `sgatlin record` wrote, read by every
 * command that looks at many positions at once (docs/formats-recording.md).
 *
 * A position is one place of one recorded document; position p counts over all documents. A circuit
 * is what one layer does at one position: K neurons in each of C channels with their scores. Layers
 * are named by slot: slot s is layer layers[s] of the model. Memory is that of the mapping: any
 * size opens in milliseconds. */
#ifndef SGI_RECORDING_H
#define SGI_RECORDING_H

#include "read/binding.h"

enum { SGI_RECORD_PREDICTIONS = SG_RECORD_PREDICTIONS, SGI_RECORD_VERSION = 2 }; /* 2: neurons are kept */

typedef sg_recorded_layer sgi_slot;

typedef struct sgi_recording_info {
  size_t n_positions, n_documents;
  size_t n_layers;       /* whose circuits are recorded; 0 where neurons alone are kept (kept.h) */
  const size_t *layers;  /* (n_layers) their numbers in the model, ascending */
  const sgi_slot *slots; /* (n_layers) each layer's own sizes */
  size_t model_layers;
  size_t seq_len, vocab_size;
  int32_t bos, pad;
  bool padding;      /* positions whose target is padding are there, too */
  const char *model; /* the path it was made from; borrowed until close */
  sgi_binding of;    /* the model it was made from */
} sgi_recording_info;

typedef sg_recording sgi_recording;

const sgi_recording_info *sgi_recording_info_of(const sgi_recording *r); /* borrowed until close */
/* Whether it can be read beside this model: its sizes must be the model's (SG_ERR_ARG), and *bound
 * says whether it was made from it, with both hashes or settings in err where not. name is how
 * people call the recording. */
sg_status sgi_recording_bind(const sgi_recording *r, const sg_model *m, const char *name, sgi_bound *bound,
                             sg_error *err);
/* The slot of a model layer; SG_ERR_ARG lists the recorded ones. */
sg_status sgi_recording_slot(const sgi_recording *r, size_t layer, size_t *slot, sg_error *err);

/* The units of a slot are the model's neurons, and not the experts that hold them. */
bool sgi_recording_neurons(const sgi_recording *r, const sg_model *m, size_t slot);

/* Every number that is read below is held against its bounds first; where one lies outside, zeros
 * are read in its place, and from then on this is SG_ERR_FORMAT with file and place. Whoever tells
 * what he read asks first. */
sg_status sgi_recording_check(const sgi_recording *r, sg_error *err);

typedef sg_recorded sgi_recorded;
sgi_recorded sgi_recording_at(const sgi_recording *r, size_t position);
/* First position of a document and how many it has; documents without any are not recorded. */
void sgi_recording_document(const sgi_recording *r, size_t document, size_t *first, size_t *count);

/* Thresholds of a layer with gates, a channel of a pool each; and the one of a unit. */
static inline size_t sgi_recording_thresholds(const sgi_slot *z) { return (z->pools ? z->pools : 1) * z->channels; }
static inline float sgi_recording_threshold(const sgi_slot *z, size_t channel, int32_t unit) {
  size_t pool = z->pools && unit >= 0 ? (size_t)unit / (z->pool / z->pools) : 0;
  return z->thresholds[(pool < z->pools ? pool : 0) * z->channels + channel];
}
/* One entry of a circuit acts (of a layer with gates its score is not 0). */
static inline bool sgi_recording_acts(const sgi_slot *z, float score) { return !z->thresholds || score != 0; }

/* The circuit of a slot at a position: index, score (C,K) into the caller's buffers, either may be
 * NULL. */
void sgi_recording_circuit(const sgi_recording *r, size_t slot, size_t position, int32_t *index, float *score);
/* Units of the circuit (C,K); -1 for those that do not act. */
void sgi_recording_acting(const sgi_recording *r, size_t slot, size_t position, int32_t *index);
/* The gated activation of one neuron at a position where it was chosen; false where none were
 * recorded, or it was not chosen. Looks at its channel alone. */
bool sgi_recording_value(const sgi_recording *r, size_t slot, size_t position, size_t channel, size_t neuron,
                         float *value);
/* Gated activations (C,K); false where none were recorded. */
bool sgi_recording_values(const sgi_recording *r, size_t slot, size_t position, float *value);

/* ---- inverted index: (slot, channel, neuron) -> positions ------------------------------------ */

typedef sg_postings sgi_postings;

/* False where the recording was made without an index. */
bool sgi_recording_indexed(const sgi_recording *r);
/* How many positions a neuron has: cheaper than its list. */
size_t sgi_recording_firings(const sgi_recording *r, size_t slot, size_t channel, size_t neuron);
sgi_postings sgi_recording_postings(const sgi_recording *r, size_t slot, size_t channel, size_t neuron);
/* Squares of the scores of a position, added up: of one channel, or of all with channel = C. */
double sgi_recording_norm(const sgi_recording *r, size_t slot, size_t channel, size_t position);

/* Names of the files in a recording, for whoever writes one. */
enum { SGI_RECORD_NAME = 64 };
void sgi_record_shard_name(char out[SGI_RECORD_NAME], size_t shard);
void sgi_record_index_name(char out[SGI_RECORD_NAME], size_t layer);
void sgi_record_tensor_name(char out[SGI_RECORD_NAME], size_t layer, const char *what);

/* Opens without the inverted index, for the one who builds it. */
sg_status sgi_recording_open_shards(const char *directory, sgi_recording **out, sg_error *err);

#endif
