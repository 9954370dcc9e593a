#include "previous.h"

#include <stdlib.h>

#include "compare/previous.h"
#include "read/label.h"

typedef struct finding {
  const sgi_previous_asked *q;
  sgi_previous *found;
} finding;

static const char *const tests[] = {"all", "after", "matched"};

static json_t *auc_json(const double *auc) {
  json_t *o = json_object();
  for (size_t k = 0; k < SGI_PREVIOUS_AUCS; k++) json_object_set_new(o, tests[k], sgi_report_real(auc[k]));
  return o;
}

static json_t *tokens_json(const finding *w) {
  const sgi_previous *f = w->found;
  json_t *list = json_array();
  for (size_t v = 0; v < f->n_tokens; v++) {
    json_t *sites = json_object();
    for (size_t s = 0; s < f->n_sites; s++)
      json_object_set_new(sites, f->sites[s].name, auc_json(f->auc + (s * f->n_tokens + v) * SGI_PREVIOUS_AUCS));
    json_array_append_new(
        list, json_pack("{so so sI sI so}", "token", sgi_token_json(w->q->p, f->tokens[v].id), "after",
                        sgi_token_json(w->q->p, f->tokens[v].after), "fitted", (json_int_t)f->tokens[v].fitted,
                        "tested", (json_int_t)f->tokens[v].tested, "auc", sites));
  }
  return list;
}

static json_t *result_json(const finding *w) {
  const sgi_previous *f = w->found;
  json_t *sites = json_array(), *heads = json_array(), *layers = json_array(), *pairs = json_array();
  for (size_t s = 0; s < f->n_sites; s++)
    json_array_append_new(sites, json_pack("{ss so sI}", "site", f->sites[s].name, "auc", auc_json(f->sites[s].auc),
                                           "tokens_matched", (json_int_t)f->sites[s].count[SGI_PREVIOUS_MATCHED]));
  for (size_t h = 0; h < f->n_heads; h++)
    json_array_append_new(
        heads,
        json_pack("{sI sI so so}", "layer", (json_int_t)f->heads[h].layer, "head", (json_int_t)f->heads[h].head,
                  "looks_back", sgi_report_real(f->heads[h].looks), "cosine", sgi_report_real(f->heads[h].cosine)));
  for (size_t l = 0; l < sg_model_config(w->q->p->model)->num_layers; l++)
    json_array_append_new(layers, sgi_report_real(f->summed[l]));
  for (size_t i = 0; i < f->n_compositions; i++) {
    const sgi_composition *x = &f->compositions[i];
    json_array_append_new(
        pairs, json_pack("{s[II] s[II] so so so}", "from", (json_int_t)x->layer, (json_int_t)x->head, "to",
                         (json_int_t)x->to_layer, (json_int_t)x->to_head, "key", sgi_report_real(x->key), "query",
                         sgi_report_real(x->query), "control", sgi_report_real(x->control)));
  }
  return json_pack("{sI sI sI so so so so so}", "seed", (json_int_t)w->q->seed, "fitted", (json_int_t)f->fitted,
                   "tested", (json_int_t)f->tested, "sites", sites, "heads", heads, "cosine_of_layer", layers,
                   "compositions", pairs, "tokens", tokens_json(w));
}

/* ---- features -------------------------------------------------------------------------------- */

static int by_before(const void *a, const void *b) {
  const sgi_previous_feature *x = a, *y = b;
  double u = x->before_f1 - x->own_f1, v = y->before_f1 - y->own_f1;
  if (u != v) return u < v ? 1 : -1;
  if (x->layer != y->layer) return x->layer < y->layer ? -1 : 1;
  return x->feature < y->feature ? -1 : x->feature > y->feature;
}

static json_t *features_json(const finding *w, const sgi_previous_features *f) {
  json_t *layers = json_array(), *best = json_array();
  for (size_t k = 0; k < f->n_layers; k++) {
    const sgi_previous_layer *l = &f->layers[k];
    json_array_append_new(
        layers, json_pack("{sI sI sI sI sI so so}", "layer", (json_int_t)l->layer, "features", (json_int_t)l->features,
                          "live", (json_int_t)l->live, "previous", (json_int_t)l->previous, "current",
                          (json_int_t)l->current, "mean_previous_f1", sgi_report_real(l->mean_before),
                          "mean_current_f1", sgi_report_real(l->mean_own)));
  }
  for (size_t i = 0; i < f->n && i < w->q->best; i++) {
    const sgi_previous_feature *x = &f->at[i];
    json_array_append_new(
        best, json_pack("{sI sI sI so so so so}", "layer", (json_int_t)x->layer, "feature", (json_int_t)x->feature,
                        "count", (json_int_t)x->count, "previous", sgi_token_json(w->q->p, x->before), "previous_f1",
                        sgi_report_real(x->before_f1), "current", sgi_token_json(w->q->p, x->own), "current_f1",
                        sgi_report_real(x->own_f1)));
  }
  return json_pack("{so so}", "layers", layers, "best", best);
}

static sg_status add_features(const finding *w, const sgi_previous_request *r, json_t *o, sg_error *err) {
  sgi_previous_features f = {0};
  sg_status st = sgi_previous_features_make(w->q->p->model, w->q->set, r, &f, err);
  if (!st) {
    qsort(f.at, f.n, sizeof *f.at, by_before);
    json_object_set_new(o, "features", features_json(w, &f));
  }
  sgi_previous_features_deinit(&f);
  return st;
}

sg_status sgi_previous_report(const sgi_previous_asked *q, json_t **out, sg_error *err) {
  finding w = {.q = q};
  bool *skip = sgi_label_silent(q->p->model, q->p->tokenizer);
  const sgi_previous_request r = {.targets = q->rows->targets,
                                  .rows = q->rows->B,
                                  .T = q->rows->T,
                                  .skip = skip,
                                  .min_count = q->min_count,
                                  .most = q->most,
                                  .rotations = q->rotations,
                                  .seed = q->seed,
                                  .max_bytes = q->max_bytes,
                                  .progress = q->progress,
                                  .user = q->user};
  sg_status st =
      skip ? sgi_previous_make(q->p->model, &r, &w.found, err) : sgi_fail(err, SG_ERR_MEMORY, "out of memory");
  if (!st) *out = result_json(&w);
  if (!st && q->set) st = add_features(&w, &r, *out, err);
  sgi_previous_free(w.found);
  sgi_free(skip);
  if (!st) return sgi_report_whole(out, "the figures", err);
  json_decref(*out);
  *out = NULL;
  return st;
}
