#include "record.h"

#include "data/data.h"
#include "model/pass.h"
#include "read/record.h"

static const int32_t *document(const void *source, size_t i, size_t *n) { return sgi_corpus_document(source, i, n); }

size_t sgi_recording_longest(const sgi_recording_request *q) {
  sgi_corpus_fit fit;
  sgi_corpus_measure(q->corpus, q->seq_len, &fit);
  return q->seq_len < fit.longest || q->padding ? q->seq_len : fit.longest;
}

sg_status sgi_record_begin(const sgi_recording_request *q, sgi_recorder **out, sg_error *err) {
  size_t rows; /* one of them must fit, before anything is made */
  const sgi_record_request r = {
      .model = q->model,
      .documents = {sgi_corpus_documents(q->corpus), document, q->corpus, sgi_corpus_hash(q->corpus)},
      .model_path = q->model_path,
      .data_path = q->data_path,
      .tokenizer = q->tokenizer,
      .layers = q->layers,
      .n_layers = q->n_layers,
      .seq_len = q->seq_len,
      .max_documents = q->max_documents,
      .padding = q->padding,
      .unshifted = q->unshifted,
      .values = q->values,
      .index = q->index,
      .shard_bytes = q->shard_bytes,
      .max_memory = q->max_memory};
  sg_status st =
      sgi_pass_fit_within(sg_model_config(q->model), 1, sgi_recording_longest(q), false, q->max_memory, &rows, err);
  return st ? st : sgi_recorder_create(&r, out, err);
}

void sgi_record_end(sgi_recorder *r) { sgi_recorder_free(r); }
const sg_record_plan *sgi_record_planned(const sgi_recorder *r) { return sgi_recorder_plan(r); }

json_t *sgi_record_plan_json(const sg_record_plan *p, uint64_t free_bytes) {
  uint64_t all = p->positions + p->cut_tokens;
  return json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:o, s:o, s:I}", "documents", (json_int_t)p->documents,
                   "positions", (json_int_t)p->positions, "circuits", (json_int_t)p->circuits, "shards",
                   (json_int_t)p->shards, "shard_bytes", (json_int_t)p->shard_bytes, "index_bytes",
                   (json_int_t)p->index_bytes, "neuron_bytes", (json_int_t)p->neuron_bytes, "cut_tokens",
                   (json_int_t)p->cut_tokens, "cut_share",
                   sgi_report_real(all ? (double)p->cut_tokens / (double)all : 0), "bytes_per_circuit",
                   sgi_report_real(p->bytes_per_circuit), "disk_free", (json_int_t)free_bytes);
}

sg_status sgi_record_write(sgi_recorder *r, const char *directory,
                           bool (*progress)(void *user, const char *what, uint64_t done, uint64_t total), void *user,
                           size_t *reused, sg_error *err) {
  return sgi_recorder_run(r, directory, &(sgi_record_events){user, progress}, reused, err);
}
