#include "quantize.h"

#include "core/file.h"
#include "open.h"
#include "train/distill.h"

static bool distilling(void *user, double done, double wanted) {
  const sgi_quantization *q = user;
  return !q->progress || q->progress(q->user, "distilling", done, wanted);
}

static bool quantizing(void *user, double done, double wanted) {
  const sgi_quantization *q = user;
  return !q->progress || q->progress(q->user, "quantizing", done, wanted);
}

/* The masters that learned, in *out. */
static sg_status distill(const sgi_quantization *q, sg_model **out, sgi_distilled *report, sg_error *err) {
  sgi_distill_request r = {.stored = true,
                           .how = {.group = q->how.group_size, .clip = q->how.clip_mse},
                           .only = q->how.only,
                           .data = q->data,
                           .tokenizer = q->tokenizer,
                           .whole = {q->steps, q->learning_rate},
                           .batch_size = q->batch_size,
                           .seq_len = q->seq_len,
                           .loss = {.alpha = q->alpha, .tau = q->tau},
                           .free_all = q->free_all,
                           .seed = q->seed,
                           .progress = distilling,
                           .user = (void *)q};
  if (!sgi_weight_type(q->how.to, &r.how.to))
    return sgi_fail(err, SG_ERR_ARG, "\"%.40s\" is no type of weights", q->how.to);
  return sgi_distill(q->model, &r, out, report, err);
}

static json_t *distilled_json(const sgi_quantization *q, const sgi_distilled *d) {
  return json_pack("{s:I, s:I, s:I, s:f, s:f, s:f, s:f}", "steps", (json_int_t)q->steps, "tokens",
                   (json_int_t)d->tokens, "tensors", (json_int_t)d->tensors, "flops", d->flops, "seconds", d->seconds,
                   "loss_first", d->first, "loss_last", d->last);
}

sg_status sgi_quantize_report(const sgi_quantization *q, const char *directory, json_t **out, sg_error *err) {
  sg_quantize_request how = q->how;
  sg_quantized done;
  sgi_distilled learned = {0};
  sg_model *student = NULL;
  bool there = sgi_is_directory(directory);
  *out = NULL;
  how.progress = quantizing;
  how.user = (void *)q;
  sg_status st = q->data ? distill(q, &student, &learned, err) : SG_OK;
  if (!st) st = sg_model_quantize(student ? student : q->model, &how, directory, &done, err);
  sg_model_free(student);
  if (!st) st = sgi_copy_tokenizer(q->directory, directory, err);
  if (st) return sgi_whole_directory(directory, there, st);
  *out = json_pack("{s:s, s:s, s:I, s:I, s:I, s:I, s:o*}", "model", directory, "type", how.to, "tensors",
                   (json_int_t)done.tensors, "tensors_possible", (json_int_t)done.of, "bytes_before",
                   (json_int_t)done.before, "bytes", (json_int_t)done.after, "distill",
                   q->data ? distilled_json(q, &learned) : NULL);
  return sgi_whole_directory(directory, there, sgi_report_whole(out, "what the weights take", err));
}
