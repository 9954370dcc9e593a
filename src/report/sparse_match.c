#include "compare/sparse_match.h"
#include "compare/sparse_eval.h"
#include "sparse.h"

static json_t *shares_json(const double *s) {
  json_t *o = json_object();
  static const char *const names[SGI_MATCH_SHARES] = {"0.5", "0.8", "0.95"};
  for (size_t i = 0; i < SGI_MATCH_SHARES; i++) json_object_set_new(o, names[i], sgi_report_real(s[i]));
  return o;
}

static json_t *layer_json(const sgi_sparse_match *x, bool each) {
  json_t *o = json_pack("{s:I, s:I, s:I, s:I, s:o, s:o, s:o, s:o, s:o, s:o}", "layer", (json_int_t)x->layer, "features",
                        (json_int_t)x->features, "live", (json_int_t)x->live, "neurons", (json_int_t)x->neurons,
                        "median_encoder", sgi_report_real(x->median_encoder), "median_decoder",
                        sgi_report_real(x->median_decoder), "encoder", shares_json(x->share_encoder), "both",
                        shares_json(x->share_both), "chance_encoder", shares_json(x->chance_encoder), "chance_both",
                        shares_json(x->chance_both));
  if (!each) return o;
  json_t *list = json_array();
  for (size_t i = 0; i < x->features; i++) {
    const sgi_match_one *a = &x->at[i];
    json_array_append_new(
        list, json_pack("{s:I, s:I, s:I, s:o, s:o, s:I, s:I, s:o}", "feature", (json_int_t)i, "channel",
                        (json_int_t)(a->neuron / x->units), "neuron", (json_int_t)(a->neuron % x->units), "encoder",
                        sgi_report_real(a->encoder), "decoder", sgi_report_real(a->decoder), "best_channel",
                        (json_int_t)(a->best / x->units), "best_neuron", (json_int_t)(a->best % x->units), "product",
                        sgi_report_real(a->product)));
  }
  json_object_set_new(o, "each", list);
  return o;
}

/* Frequencies of features in the text; NULL without one. */
static sg_status find_live(const sgi_sparse_match_asked *q, sgi_sparse_eval **out, sg_error *err) {
  *out = NULL;
  if (!q->text) return SG_OK;
  const sgi_sparse_eval_request r = {.model = q->model,
                                     .set = q->set,
                                     .rows = *sgi_sparse_text_rows(q->text),
                                     .progress = q->progress,
                                     .user = q->user};
  return sgi_sparse_evaluate(&r, out, err);
}

static sg_status match(const sgi_sparse_match_asked *q, const sgi_sparse_eval *found, size_t k, json_t *list,
                       sg_error *err) {
  size_t M = q->set->at[k].form.features;
  sgi_sparse_match x = {0};
  bool *live = NULL;
  if (found) {
    live = sgi_alloc(M * sizeof *live);
    if (!live) return sgi_fail_memory(err, M, "a list of features");
    for (size_t i = 0; i < M; i++) live[i] = found->at[k].frequency[i] > 0;
  }
  sg_status st = sgi_match_make(q->model, q->set, k, live, q->seed, &x, err);
  if (!st) json_array_append_new(list, layer_json(&x, q->each));
  sgi_match_deinit(&x);
  sgi_free(live);
  return st;
}

sg_status sgi_sparse_match_report(const sgi_sparse_match_asked *q, json_t **out, sg_error *err) {
  sgi_sparse_eval *found;
  json_t *list = json_array();
  sg_status st = find_live(q, &found, err);
  for (size_t k = 0; k < q->set->n && !st; k++) {
    st = match(q, found, k, list, err);
    if (!st && q->go_on && !q->go_on(q->user)) st = sgi_fail(err, SG_ERR_CANCELLED, "stopped");
  }
  sgi_sparse_eval_free(found);
  *out = st ? NULL : json_pack("{s:O}", "layers", list);
  json_decref(list);
  return st ? st : sgi_report_whole(out, "the match of features", err);
}
