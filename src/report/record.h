/* record.h: which neurons fire where in a text, planned and then written: what `record` does. */
#ifndef SGI_REPORT_RECORD_H
#define SGI_REPORT_RECORD_H

#include "text.h"

typedef struct sgi_recording_request {
  const sg_model *model;
  const sg_tokenizer *tokenizer; /* copied into the recording */
  const sgi_corpus *corpus;
  const char *model_path, *data_path; /* kept for people */
  const size_t *layers;               /* n_layers, ascending; 0: all */
  size_t n_layers;
  size_t seq_len, max_documents; /* documents are cut there; 0 documents: all */
  bool padding, unshifted;
  const char *values; /* "F16", "F32", "none" */
  bool index;
  size_t shard_bytes, max_memory;
} sgi_recording_request;

/* The longest row that will be run: rows end where documents do, unless they are padded. */
size_t sgi_recording_longest(const sgi_recording_request *request);

typedef struct sgi_recorder sgi_recorder;
/* Checks that a row fits max_memory, and plans. The request's pointers are borrowed until free.
 * New: sgi_record_end. */
sg_status sgi_record_begin(const sgi_recording_request *request, sgi_recorder **out, sg_error *err);
void sgi_record_end(sgi_recorder *r); /* NULL allowed */
const sg_record_plan *sgi_record_planned(const sgi_recorder *r);
/* {documents, positions, circuits, shards, shard_bytes, index_bytes, neuron_bytes, cut_tokens,
 * cut_share, bytes_per_circuit, disk_free}. New reference. */
json_t *sgi_record_plan_json(const sg_record_plan *plan, uint64_t disk_free);
/* Writes directory or goes on with it; *reused: shards that were there. progress: done of total,
 * for "recording", "neurons" (positions), "indexing" (layers), "hashing" (files); false stops. */
sg_status sgi_record_write(sgi_recorder *r, const char *directory,
                           bool (*progress)(void *user, const char *what, uint64_t done, uint64_t total), void *user,
                           size_t *reused, sg_error *err);

#endif
