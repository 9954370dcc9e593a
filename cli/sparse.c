#include "sparse.h"

#include <string.h>

#include "core/file.h"

sg_status cli_sparse_open(const cli_call *c, const char *directory, const sg_model *model, sgi_sparse_set **out,
                          sg_error *err) {
  sgi_bound bound = SGI_BOUND;
  sg_status st = sgi_sparse_set_open(directory, out, err);
  if (st) return st;
  sgi_sparse_place *places = sgi_alloc((*out)->n * sizeof *places);
  st = places ? sgi_sparse_set_places(*out, model, places, err) : sgi_fail_memory(err, 1, "a list of places");
  sgi_free(places);
  if (!st) st = sgi_binding_compare(&(*out)->of, model, directory, (*out)->model, &bound, err);
  if (!st && bound == SGI_UNKNOWN)
    cli_note("%s does not say which model it was trained on: it is taken to be this one", directory);
  if (!st && bound == SGI_OF_ANOTHER) {
    char why[SG_ERROR_TEXT];
    snprintf(why, sizeof why, "%.330s", err->text);
    if (cli_flag(c, "force"))
      cli_warn("%s. What follows mixes two models", why);
    else
      st = sgi_fail(err, SG_ERR_ARG,
                    "%s. Train for this model (sgatlin sparse train), name the other one, or give "
                    "--force",
                    why);
  }
  if (st) {
    sgi_sparse_set_free(*out);
    *out = NULL;
  }
  return st;
}

static void get(void *user, size_t row, int32_t *inputs, int32_t *targets, int32_t *starts) {
  const cli_sparse_text *t = user;
  sgi_batcher_get(t->rows.batcher, row, inputs, targets, starts);
}

static sg_status open_rows(const cli_call *c, const cli_model *m, size_t most, cli_sparse_text *t, sg_error *err) {
  const sg_config *config = sg_model_config(m->model);
  sgi_text_form form;
  json_t *own = NULL;
  char words[16] = "";
  sg_status st = cli_text_form(c, &form, &own, err);
  if (!st && own) st = sgi_json_string(own, "config.json: data", "rows", words, sizeof words, err);
  json_decref(own);
  if (!st) st = cli_text_needs(m->tokenizer, m->directory, err);
  if (!st) st = cli_text_open(&t->text, &form, m->tokenizer, config->eos_id, NULL, NULL, &t->corpus, err);
  if (!st) st = eval_text_rows(c, config, t->corpus, !strcmp(words, "pack"), false, &t->rows, err);
  if (st) return st;
  eval_text_say_cut(&t->rows);
  t->source =
      (sgi_sparse_rows){.n = (size_t)sgi_eval_rows_limit(&t->rows, most), .T = t->rows.T, .get = get, .user = t};
  return t->source.n ? SG_OK : sgi_fail(err, SG_ERR_ARG, "there is no row to read");
}

sg_status cli_sparse_text_open(const cli_call *c, const cli_model *m, const char *option, const char *split,
                               size_t most, cli_sparse_text *out, sg_error *err) {
  *out = (cli_sparse_text){0};
  sg_status st = cli_text_find(c, option, split, &out->text, err);
  return st ? st : open_rows(c, m, most, out, err);
}

sg_status cli_sparse_text_at(const cli_call *c, const cli_model *m, const char *path, size_t most, cli_sparse_text *out,
                             sg_error *err) {
  *out = (cli_sparse_text){0};
  out->text.path = sgi_strdup(path);
  if (!out->text.path) return sgi_fail_memory(err, strlen(path), "a path");
  return open_rows(c, m, most, out, err);
}

void cli_sparse_text_free(cli_sparse_text *t) {
  sgi_batcher_free(t->rows.batcher);
  sgi_corpus_close(t->corpus);
  cli_text_free(&t->text);
  *t = (cli_sparse_text){0};
}

void cli_sparse_words(const sgi_sparse_form *f, char *out, size_t size) {
  char method[64];
  cli_sparse_method(f, method, sizeof method);
  if (f->activation == SGI_SPARSE_TOPK)
    snprintf(out, size, "%s, K %zu", method, f->top_k);
  else
    snprintf(out, size, "%s, %s %g", method, f->activation == SGI_SPARSE_RELU ? "L1" : "L0", f->lambda);
}

void cli_sparse_method(const sgi_sparse_form *f, char *out, size_t size) {
  snprintf(out, size, "%s, %s%s", sgi_sparse_activations[f->activation], sgi_sparse_decoders[f->decoder],
           f->frozen ? ", random encoder" : "");
}
