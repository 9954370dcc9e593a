#include "sparse.h"

#include <stdio.h>
#include <string.h>

#include "compare/sparse_eval.h"
#include "core/file.h"
#include "read/eval_rows.h"

/* ---- a set beside its model ------------------------------------------------------------------ */

static sg_status fits(const sgi_sparse_set *set, const sg_model *model, sg_error *err) {
  sgi_sparse_place *places = sgi_alloc(set->n * sizeof *places);
  sg_status st = places ? sgi_sparse_set_places(set, model, places, err) : sgi_fail_memory(err, 1, "a list of places");
  sgi_free(places);
  return st;
}

static sg_status bind(const sgi_sparse_asked *q, const sgi_sparse_set *set, sg_error *err) {
  char why[SG_ERROR_TEXT], text[SG_ERROR_TEXT];
  sgi_bound bound = SGI_BOUND;
  sg_status st = sgi_binding_compare(&set->of, q->model, q->directory, set->model, &bound, err);
  if (st) return st;
  if (bound == SGI_UNKNOWN) {
    snprintf(text, sizeof text, "%s does not say which model it was trained on: it is taken to be this one",
             q->directory);
    q->note(q->user, text);
  }
  if (bound != SGI_OF_ANOTHER) return SG_OK;
  snprintf(why, sizeof why, "%.330s", err->text);
  if (!q->force)
    return sgi_fail(err, SG_ERR_ARG,
                    "%s. Train for this model (sgatlin sparse train), name the other one, or give --force", why);
  snprintf(text, sizeof text, "%.400s. What follows mixes two models", why);
  q->warn(q->user, text);
  return SG_OK;
}

sg_status sgi_sparse_set_of(const sgi_sparse_asked *q, sgi_sparse_set **out, sg_error *err) {
  sg_status st = sgi_sparse_set_open(q->directory, out, err);
  if (st) return st;
  st = fits(*out, q->model, err);
  if (!st) st = bind(q, *out, err);
  if (st) {
    sgi_sparse_set_free(*out);
    *out = NULL;
  }
  return st;
}

void sgi_sparse_method(const sgi_sparse_set *set, char *out, size_t size) {
  const sgi_sparse_form *f = &set->at[0].form;
  snprintf(out, size, "%s, %s%s", sgi_sparse_activations[f->activation], sgi_sparse_decoders[f->decoder],
           f->frozen ? ", random encoder" : "");
}

void sgi_sparse_words(const sgi_sparse_set *set, char *out, size_t size) {
  const sgi_sparse_form *f = &set->at[0].form;
  char method[64];
  sgi_sparse_method(set, method, sizeof method);
  if (f->activation == SGI_SPARSE_TOPK)
    snprintf(out, size, "%s, K %zu", method, f->top_k);
  else
    snprintf(out, size, "%s, %s %g", method, f->activation == SGI_SPARSE_RELU ? "L1" : "L0", f->lambda);
}

double sgi_sparse_penalty(const sgi_sparse_set *set) {
  const sgi_sparse_form *f = &set->at[0].form;
  return f->top_k ? (double)f->top_k : f->lambda;
}

const char *sgi_sparse_trained_on(const sgi_sparse_set *set) {
  const char *path = json_string_value(json_object_get(set->about, "data"));
  return set->site == SGI_PLACE_MLP && path && sgi_is_file(path) ? path : NULL;
}

/* ---- rows of a text -------------------------------------------------------------------------- */

struct sgi_sparse_text {
  sgi_corpus *corpus;
  sgi_eval_rows rows;
  sgi_sparse_rows source;
};

static void get(void *user, size_t row, int32_t *inputs, int32_t *targets, int32_t *starts) {
  const sgi_sparse_text *t = user;
  sgi_batcher_get(t->rows.batcher, row, inputs, targets, starts);
}

static sg_status open_rows(sgi_sparse_text *t, const sgi_sparse_text_request *r, sg_error *err) {
  const sg_config *config = sg_model_config(r->model);
  const sgi_eval_form form = {.rows = r->rows, .seq_len = r->seq_len, .stride = r->stride, .packs = r->packs};
  const sgi_text_watch *w = r->watch;
  char cut[200];
  sg_status st = sgi_text_needs(r->tokenizer, r->directory, err);
  if (!st) st = sgi_text_open(r->text, r->form, r->tokenizer, config->eos_id, w, &t->corpus, err);
  if (!st) st = sgi_eval_rows_choose(config, t->corpus, &form, &t->rows, err);
  if (!st) st = r->fits(r->user, t->rows.T, err);
  if (!st) st = sgi_eval_rows_open(config, t->corpus, &form, &t->rows, err);
  if (st) return st;
  sgi_eval_rows_cut(&t->rows, cut, sizeof cut);
  if (*cut && w && w->note) w->note(w->user, cut);
  t->source =
      (sgi_sparse_rows){.n = (size_t)sgi_eval_rows_limit(&t->rows, r->most), .T = t->rows.T, .get = get, .user = t};
  return t->source.n ? SG_OK : sgi_fail(err, SG_ERR_ARG, "there is no row to read");
}

sg_status sgi_sparse_text_open(const sgi_sparse_text_request *r, sgi_sparse_text **out, sg_error *err) {
  *out = sgi_alloc(sizeof **out);
  if (!*out) return sgi_fail_memory(err, sizeof **out, "rows of a text");
  sg_status st = open_rows(*out, r, err);
  if (!st) return SG_OK;
  sgi_sparse_text_free(*out);
  *out = NULL;
  return st;
}

void sgi_sparse_text_free(sgi_sparse_text *t) {
  if (!t) return;
  sgi_batcher_free(t->rows.batcher);
  sgi_corpus_close(t->corpus);
  sgi_free(t);
}

const sgi_sparse_rows *sgi_sparse_text_rows(const sgi_sparse_text *t) { return &t->source; }

void sgi_sparse_text_limit(sgi_sparse_text *t, size_t tokens) {
  size_t rows = tokens / t->source.T + 1;
  if (rows < t->source.n) t->source.n = rows;
}
