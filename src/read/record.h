/* record.h: runs documents through a model and writes their circuits (docs/formats-recording.md).
 *
 * The plan (which documents lie in which shard) follows from the request alone and is written
 * first, as recording.json. Each shard is then written whole or not at all, so a run that was
 * killed goes on with the first shard that is missing, and ends with the same bytes. Memory: one
 * batch of rows, and for the inverted index max_memory. */
#ifndef SGI_RECORD_H
#define SGI_RECORD_H

#include "model/model.h"
#include "read/recording.h"

/* Token rows to record. get is called with i < count, each document holding at least one token (its
 * eos too). */
typedef struct sgi_documents {
  size_t count;
  const int32_t *(*get)(const void *source, size_t i, size_t *n);
  const void *source;
  uint64_t hash; /* of all tokens */
} sgi_documents;

typedef struct sgi_record_request {
  const sg_model *model;
  sgi_documents documents;
  const char *model_path, *data_path; /* kept as text in recording.json; NULL: "" */
  const sg_tokenizer *tokenizer;      /* copied into the recording; NULL: none */
  const size_t *layers;               /* n_layers, ascending; 0: all */
  size_t n_layers;
  size_t seq_len;       /* documents are cut here; at most what the model was made for unless longer is wanted */
  size_t max_documents; /* 0: all */
  bool padding;         /* fill rows to seq_len with pad and record that, too (the reference's way) */
  bool unshifted;       /* feed the tokens as they are, without bos in front (golden README no. 26) */
  const char *values;   /* gated activations: "F16", "F32", "none" */
  bool index;           /* also the inverted index */
  size_t shard_bytes;   /* 0: 256 MB */
  size_t max_memory;    /* of a batch and of the index while it is made; 0: 512 MB */
} sgi_record_request;

typedef sg_record_plan sgi_record_plan;

typedef struct sgi_recorder sgi_recorder;

/* Checks the request and plans. Layers without a feedforward alone are SG_ERR_ARG. The request's
 * pointers are borrowed until free. */
sg_status sgi_recorder_create(const sgi_record_request *request, sgi_recorder **out, sg_error *err);
void sgi_recorder_free(sgi_recorder *r);
const sgi_record_plan *sgi_recorder_plan(const sgi_recorder *r);

typedef struct sgi_record_events {
  void *user;
  /* done of total positions, for "recording", "neurons", "indexing" (layers), "hashing" (files);
   * false stops (SG_ERR_CANCELLED) */
  bool (*progress)(void *user, const char *what, uint64_t done, uint64_t total);
} sgi_record_events;

/* Writes directory, or goes on with it: one that holds a recording of another request is SG_ERR_ARG
 * and stays as it is. *reused: shards that were already there. */
sg_status sgi_recorder_run(sgi_recorder *r, const char *directory, const sgi_record_events *events, size_t *reused,
                           sg_error *err);

/* Writes the index file of a slot with at most max_memory for its buffers (record_index.c). */
sg_status sgi_record_index(const sgi_recording *rec, const char *path, size_t slot, size_t max_memory, sg_error *err);

#endif
