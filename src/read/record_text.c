/* record_text.c: a recording from a text or from the caller's ids, as one call. */
#include <xxhash.h>

#include "core/arena.h"
#include "data/data.h"
#include "read/record.h"

enum { DEFAULT_SHARD = 256 << 20, DEFAULT_MEMORY = 512 << 20 };

static const int32_t *of_corpus(const void *source, size_t i, size_t *n) { return sgi_corpus_document(source, i, n); }

static const int32_t *of_caller(const void *source, size_t i, size_t *n) {
  const sg_record_request *q = source;
  *n = q->starts[i + 1] - q->starts[i];
  return q->tokens + q->starts[i];
}

static sg_status check_tokens(const sg_record_request *q, sg_error *err) {
  size_t V = sg_model_config(q->model)->vocab_size;
  sg_status st = sgi_need(q->tokens, "data, or tokens", err);
  if (!st) st = sgi_need(q->starts, "starts", err);
  if (!st && !q->n_documents) st = sgi_fail(err, SG_ERR_ARG, "there is no document to record");
  for (size_t i = 0; i < q->n_documents && !st; i++) {
    if (q->starts[i + 1] <= q->starts[i])
      return sgi_fail(err, SG_ERR_ARG, "document %zu: starts must ascend, found %zu after %zu", i, q->starts[i + 1],
                      q->starts[i]);
    for (size_t t = q->starts[i]; t < q->starts[i + 1]; t++)
      if (q->tokens[t] < 0 || (size_t)q->tokens[t] >= V)
        return sgi_fail(err, SG_ERR_ARG, "document %zu, token %zu: id %d is outside the vocabulary of %zu", i,
                        t - q->starts[i], q->tokens[t], V);
  }
  return st;
}

/* Ids and where documents begin, as a recording of the same request is known by. */
static uint64_t hash_of(const sg_record_request *q) {
  uint64_t h = XXH3_64bits(q->tokens + q->starts[0], (q->starts[q->n_documents] - q->starts[0]) * sizeof *q->tokens);
  for (size_t i = 0; i < q->n_documents; i++) {
    uint64_t n = q->starts[i + 1] - q->starts[i];
    h = XXH3_64bits_withSeed(&n, sizeof n, h);
  }
  return h;
}

static bool tokenising(void *user, uint64_t done, uint64_t total) {
  const sg_record_request *q = user;
  return !q->progress || q->progress(q->user, "tokenising", done, total);
}

static sg_status take_documents(const sg_record_request *q, sgi_corpus **corpus, sgi_documents *out, sg_error *err) {
  if (!q->data) {
    sg_status st = check_tokens(q, err);
    if (!st) *out = (sgi_documents){q->n_documents, of_caller, q, hash_of(q)};
    return st;
  }
  sg_status st = sgi_need(q->tokenizer, "the tokenizer that reads data", err);
  if (!st)
    st = sgi_corpus_open(q->data, &q->form, q->tokenizer, sg_model_config(q->model)->eos_id, tokenising,
                         (void *)(uintptr_t)q, corpus, err);
  if (!st && !sgi_corpus_documents(*corpus)) st = sgi_fail(err, SG_ERR_FORMAT, "%s: holds no document", q->data);
  if (!st) *out = (sgi_documents){sgi_corpus_documents(*corpus), of_corpus, *corpus, sgi_corpus_hash(*corpus)};
  return st;
}

sg_status sg_record(const sg_record_request *q, const char *directory, sg_record_plan *out, sg_error *err) {
  if (out) *out = (sg_record_plan){0};
  sg_status st = sgi_need(q, "the request", err);
  if (!st) st = sgi_need(q->model, "the model", err);
  if (!st && q->n_layers) st = sgi_need(q->layers, "layers", err);
  if (st) return st;
  sgi_corpus *corpus = NULL;
  sgi_recorder *recorder = NULL;
  size_t reused;
  sgi_record_request r = {.model = q->model,
                          .model_path = q->model_path,
                          .data_path = q->data,
                          .tokenizer = q->tokenizer,
                          .layers = q->layers,
                          .n_layers = q->n_layers,
                          .seq_len = q->seq_len ? q->seq_len : sg_model_config(q->model)->max_position,
                          .max_documents = q->max_documents,
                          .padding = q->padding,
                          .unshifted = q->unshifted,
                          .values = q->values ? q->values : "F16",
                          .index = !q->no_index,
                          .shard_bytes = q->shard_bytes ? q->shard_bytes : DEFAULT_SHARD,
                          .max_memory = q->max_memory ? q->max_memory : DEFAULT_MEMORY};
  st = take_documents(q, &corpus, &r.documents, err);
  if (!st) st = sgi_recorder_create(&r, &recorder, err);
  if (!st && out) *out = *sgi_recorder_plan(recorder);
  if (!st && directory)
    st = sgi_recorder_run(recorder, directory, &(sgi_record_events){q->user, q->progress}, &reused, err);
  sgi_recorder_free(recorder);
  sgi_corpus_close(corpus);
  return st;
}
