/* open.c: a model, and a tokenizer for it, by the path that people give: a model directory or a
 * run. */
#include <string.h>

#include "core/file.h"
#include "model/model.h"
#include "train/checkpoint.h"

sg_status sg_model_open(const sg_open_request *q, sg_model **out, char **directory, sg_error *err) {
  sg_status st = sgi_need(out, "the place for the model", err);
  if (st) return st;
  *out = NULL;
  if (directory) *directory = NULL;
  st = sgi_need(q, "the request", err);
  if (!st) st = sgi_need(q->path, "path", err);
  char *found = NULL;
  if (!st) st = sgi_model_locate(q->path, q->checkpoint, &(sgi_skipped){q->skipped, q->user}, &found, err);
  if (!st) st = sgi_model_load(found, q->allow_nonfinite, out, err);
  if (!st && directory)
    *directory = found;
  else
    sgi_free(found);
  return st;
}

static sg_status load_for(const char *file, const sg_model *m, sg_tokenizer **out, sg_error *err) {
  sg_tokenizer *tok;
  sg_status st = sg_tokenizer_load(file, &tok, err);
  if (st) return st;
  size_t ids = sg_tokenizer_vocab_size(tok), V = sg_model_config(m)->vocab_size;
  if (ids <= V) {
    *out = tok;
    return SG_OK;
  }
  sg_tokenizer_free(tok);
  return sgi_fail(err, SG_ERR_FORMAT, "%s has %zu ids, the model's vocabulary %zu: they do not belong together", file,
                  ids, V);
}

sg_status sg_tokenizer_open(const char *path, const sg_model *m, sg_tokenizer **out, sg_error *err) {
  sg_status st = sgi_need(out, "the place for the tokenizer", err);
  if (st) return st;
  *out = NULL;
  st = sgi_need(path, "path", err);
  if (!st) st = sgi_need(m, "the model", err);
  if (st || !sgi_is_directory(path)) return st ? st : load_for(path, m, out, err);
  char *own = sgi_path_join(path, "tokenizer.json");
  st = own ? load_for(own, m, out, err) : sgi_fail_memory(err, strlen(path), "a path");
  sgi_free(own);
  return st;
}
