/* model.c: a model directory, or a checkpoint of a run with its optimizer and state. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "check/inside.h"
#include "core/arena.h"
#include "core/manifest.h"
#include "core/safetensors.h"
#include "model/finite.h"
#include "model/identity.h"
#include "model/pass.h"
#include "train/checkpoint.h"
#include "train/optim.h"

/* A fault goes into c; only what is no fault of the files is returned. */
sg_status sgi_check_took(sgi_checks *c, const char *path, const char *what, sg_status st, const sg_error *why,
                         sg_error *err) {
  if (!st) return SG_OK;
  if (st == SG_ERR_MEMORY || st == SG_ERR_CANCELLED) return sgi_fail(err, st, "%s", why->text);
  sgi_checks_fail(c, path, what, why);
  return SG_OK;
}

static sg_status check_manifest(sgi_checks *c, const char *directory, bool checkpoint, sg_error *err) {
  sg_error why = {0};
  sg_status st =
      checkpoint ? sgi_checkpoint_verify(directory, &why) : sgi_manifest_verify(directory, NULL, false, &why);
  if (!st) sgi_checks_say(c, directory, "hashes", SG_OK, "every file is as MANIFEST.json says");
  return sgi_check_took(c, directory, "hashes", st, &why, err);
}

/* The ids that config.json fixes, and a tokenizer of no more ids than the model has. */
static sg_status check_tokenizer(sgi_checks *c, const char *path, const sg_config *config, sg_error *err) {
  sg_tokenizer *tok = NULL;
  sg_error why = {0};
  sg_status st = sg_tokenizer_load(path, &tok, &why);
  size_t ids = st ? 0 : sg_tokenizer_vocab_size(tok);
  if (!st && ids > config->vocab_size)
    st = sgi_fail(&why, SG_ERR_FORMAT, "has %zu ids, the model's vocabulary %zu: they do not belong together", ids,
                  config->vocab_size);
  else if (!st && config->eos_id >= 0 && (size_t)config->eos_id >= ids && config->eos_id != config->pad_id)
    st = sgi_fail(&why, SG_ERR_FORMAT, "has %zu ids, but the model's end of text is id %d", ids, config->eos_id);
  if (!st) sgi_checks_say(c, path, "vocabulary", SG_OK, "%zu of the model's %zu ids", ids, config->vocab_size);
  sg_tokenizer_free(tok);
  return sgi_check_took(c, path, "vocabulary", st, &why, err);
}

/* A few tokens through all layers. */
static sg_status check_pass(sgi_checks *c, const char *directory, const sg_model *m, sg_error *err) {
  enum { T = 8 };
  int32_t ids[T];
  sg_error why = {0};
  sgi_pass *p = NULL;
  sgi_metrics sum = {0};
  for (size_t i = 0; i < T; i++) ids[i] = (int32_t)((i * 7919 + 1) % m->config.vocab_size);
  sg_status st = sgi_pass_create(m, 1, T, false, &p, &why);
  sgi_batch b = {.B = 1, .T = T, .inputs = ids, .targets = ids};
  if (!st) st = sgi_pass_forward(p, &b, NULL, &why);
  if (!st) st = sgi_pass_loss(p, &sum, NULL, 0, &why);
  if (!st && !isfinite(sum.nll)) st = sgi_fail(&why, SG_ERR_NUMERIC, "the loss of %d tokens is %g", T, sum.nll);
  sgi_pass_free(p);
  if (!st) sgi_checks_say(c, directory, "pass", SG_OK, "%d tokens through all layers: all numbers are finite", T);
  return sgi_check_took(c, directory, "pass", st, &why, err);
}

static sg_status check_weights(sgi_checks *c, const char *directory, const sg_model *m, sg_error *err) {
  sg_error why = {0};
  sgi_checks_say(c, directory, "weights", SG_OK,
                 "%zu tensors, %zu parameters, every shape as config.json asks; hash %016" PRIx64, m->table.count,
                 m->table.parameters, sgi_model_hash(m));
  sg_status st = sgi_model_check_finite(m, &why);
  if (!st) sgi_checks_say(c, directory, "numbers", SG_OK, "all weights are finite");
  if (st) return sgi_check_took(c, directory, "numbers", st, &why, err);
  return check_pass(c, directory, m, err);
}

/* FIRST.NAME has count finite numbers, where `square` not below 0. */
static sg_status check_moment(const sgi_safetensors *f, const char *first, const sgi_row *row, size_t count,
                              bool square, sg_error *err) {
  char name[SGI_MAX_TENSOR_NAME + 8];
  snprintf(name, sizeof name, "%s.%s", first, row->name);
  const sgi_tensor *t = sgi_safetensors_find(f, name);
  if (!t || t->dtype != SGI_F32 || t->count != count)
    return sgi_fail(err, SG_ERR_FORMAT, "tensor %s is missing or of another size", name);
  const float *x = t->data;
  for (size_t k = 0; k < count; k++)
    if (!isfinite(x[k]) || (square && x[k] < 0))
      return sgi_fail(err, SG_ERR_FORMAT, "tensor %s: element %zu is %g", name, k, (double)x[k]);
  return SG_OK;
}

/* In the middle of an accumulation there is a sum of gradients: of a pool in int4 rows of it. */
static sg_status check_sum(const sgi_safetensors *f, const sgi_row *row, bool rows, sg_error *err) {
  char name[SGI_MAX_TENSOR_NAME + 8];
  snprintf(name, sizeof name, "sum.%s", row->name);
  const sgi_tensor *t = sgi_safetensors_find(f, name);
  return t ? check_moment(f, "sum", row, rows ? t->count : row->count, false, err) : SG_OK;
}

/* A pool that was trained as int4 has a buffer, and numbers for each neuron alone. */
static sg_status check_pool(const sgi_safetensors *f, const sgi_row *row, const sgi_tensor *buffer, sg_error *err) {
  size_t width = row->dims[row->n_dims - 1], rows = row->count / width;
  if (buffer->dtype != SGI_U8 || buffer->count != rows * ((width + 1) / 2))
    return sgi_fail(err, SG_ERR_FORMAT, "tensor a4.%s is of another type or size", row->name);
  sg_status st = check_moment(f, "v", row, rows, true, err);
  if (!st) st = check_moment(f, "ms", row, rows, false, err);
  return st ? st : check_moment(f, "vs", row, rows, true, err);
}

/* As the checkpoint's settings say; the usual one where it has none, being older than they are. */
static sg_status optimizer_of(const char *directory, const sgi_optimizer_ops **out, sg_error *err) {
  json_t *settings = NULL;
  sg_status st = sgi_checkpoint_settings(directory, &settings, err);
  const char *kind = json_string_value(json_object_get(json_object_get(settings, "optimizer"), "kind"));
  *out = st ? NULL : kind ? sgi_optimizer_find(kind, err) : sgi_optimizer_default();
  json_decref(settings);
  return st ? st : *out ? SG_OK : SG_ERR_FORMAT;
}

/* The optimizer's moments of every tensor and sums of gradients, finite, mean squares not below
 * 0. */
static sg_status check_optimizer(sgi_checks *c, const char *directory, const char *path, const sgi_table *table,
                                 sg_error *err) {
  sgi_safetensors *f = NULL;
  const sgi_optimizer_ops *ops;
  sg_error why = {0};
  sg_status st = optimizer_of(directory, &ops, &why);
  if (!st) st = sgi_safetensors_open(path, &f, &why);
  size_t tensors = 0;
  for (size_t i = 0; i < table->count && !st; i++) {
    const sgi_row *row = &table->rows[i];
    char name[SGI_MAX_TENSOR_NAME + 8];
    snprintf(name, sizeof name, "a4.%s", row->name);
    const sgi_tensor *buffer = row->pool ? sgi_safetensors_find(f, name) : NULL;
    if (row->state) continue;
    tensors++;
    if (buffer) st = check_pool(f, row, buffer, &why);
    for (size_t k = 0; k < ops->n_moments && !buffer && !st; k++)
      st = check_moment(f, ops->moments[k].name, row, row->count, ops->moments[k].square, &why);
    if (!st) st = check_sum(f, row, buffer, &why);
  }
  sgi_safetensors_close(f);
  if (!st)
    sgi_checks_say(c, path, "optimizer", SG_OK, "%s: all that it keeps of %zu tensors, all finite", ops->name, tensors);
  return sgi_check_took(c, path, "optimizer", st, &why, err);
}

static sg_status check_json(sgi_checks *c, const char *path, sg_error *err) {
  json_t *o = NULL;
  sg_error why = {0};
  sg_status st = sgi_json_load(path, &o, &why);
  if (!st && !json_is_object(o)) st = sgi_fail(&why, SG_ERR_FORMAT, "%s: expected an object", path);
  json_decref(o);
  if (!st) sgi_checks_say(c, path, "JSON", SG_OK, "read");
  return sgi_check_took(c, path, "JSON", st, &why, err);
}

sg_status sgi_check_model(sgi_checks *c, const char *directory, sg_error *err) {
  static const char *const names[] = {SGI_MANIFEST, "tokenizer.json", "optimizer.safetensors", "train_state.json"};
  enum { MANIFEST, TOKENIZER, OPTIMIZER, STATE, N };
  char *path[N] = {0};
  sg_model *m = NULL;
  sg_error why = {0};
  sg_status st = SG_OK;
  for (size_t i = 0; i < N && !st; i++)
    if (!(path[i] = sgi_path_join(directory, names[i]))) st = sgi_fail_memory(err, strlen(directory), "a path");
  bool checkpoint = !st && (sgi_is_file(path[OPTIMIZER]) || sgi_is_file(path[STATE]));
  if (!st && sgi_is_file(path[MANIFEST])) st = check_manifest(c, directory, checkpoint, err);
  if (!st) {
    st = sgi_model_load(directory, true, &m, &why);
    st = st ? sgi_check_took(c, directory, "weights", st, &why, err) : check_weights(c, directory, m, err);
  }
  if (!st && m && sgi_is_file(path[TOKENIZER])) st = check_tokenizer(c, path[TOKENIZER], &m->config, err);
  if (!st && sgi_is_file(path[TOKENIZER])) st = sgi_check_tokenizer(c, path[TOKENIZER], err);
  if (!st && m && sgi_is_file(path[OPTIMIZER])) st = check_optimizer(c, directory, path[OPTIMIZER], &m->table, err);
  if (!st && sgi_is_file(path[STATE])) st = check_json(c, path[STATE], err);
  if (!st && m) st = sgi_check_names_beside(c, directory, m, err);
  sg_model_free(m);
  for (size_t i = 0; i < N; i++) sgi_free(path[i]);
  return st;
}
