#include <math.h>
#include <string.h>

#include "compare/sparse_eval.h"
#include "sparse.h"

enum { HISTOGRAM = 8 }; /* decades of frequency */

static json_t *histogram(const sgi_sparse_score *s, size_t M) {
  size_t bins[HISTOGRAM + 1] = {0};
  json_t *list = json_array();
  for (size_t j = 0; j < M; j++)
    if (s->frequency[j] > 0) {
      double at = -floor(log10(s->frequency[j]) + 1e-12);
      bins[at < 0 ? 0 : at > HISTOGRAM ? HISTOGRAM : (size_t)at]++;
    }
  for (size_t b = 0; b <= HISTOGRAM; b++)
    if (bins[b])
      json_array_append_new(list, json_pack("{s:i, s:I}", "log10", -(int)b, "features", (json_int_t)bins[b]));
  return list;
}

static void runs_json(json_t *o, const sgi_sparse_run *run) {
  json_object_set_new(o, "loss_replaced", sgi_report_real(run[SGI_WAY_SPARSE].loss));
  json_object_set_new(o, "loss_zero", sgi_report_real(run[SGI_WAY_ZERO].loss));
  json_object_set_new(o, "loss_mean", sgi_report_real(run[SGI_WAY_MEAN].loss));
  json_object_set_new(o, "kl", sgi_report_real(run[SGI_WAY_SPARSE].kl));
  json_object_set_new(o, "recovered", sgi_report_real(run[SGI_WAY_SPARSE].recovered));
  json_object_set_new(o, "recovered_of_mean", sgi_report_real(run[SGI_WAY_SPARSE].recovered_of_mean));
  static const sgi_sparse_way rivals[] = {SGI_WAY_OWN, SGI_WAY_LINEAR};
  for (size_t i = 0; i < SGI_COUNT(rivals); i++) {
    const sgi_sparse_run *r = &run[rivals[i]];
    json_object_set_new(o, sgi_sparse_way_names[rivals[i]],
                        r->made ? json_pack("{s:o, s:o, s:o}", "loss", sgi_report_real(r->loss), "kl",
                                            sgi_report_real(r->kl), "recovered", sgi_report_real(r->recovered))
                                : json_null());
  }
}

static json_t *kept_json(bool frequencies, const sgi_sparse_layer *l, const sgi_sparse_score *s) {
  size_t M = l->form.features;
  json_t *o =
      json_pack("{s:I, s:I, s:s, s:o, s:o, s:o, s:I, s:o, s:o, s:o, s:o, s:I, s:o}", "layer", (json_int_t)l->layer,
                "features", (json_int_t)M, "activation", sgi_sparse_activations[l->form.activation], "lambda",
                sgi_report_real(l->form.lambda), "l0", sgi_report_real(s->l0), "l1", sgi_report_real(s->l1), "dead",
                (json_int_t)s->dead, "dead_share", sgi_report_real((double)s->dead / (double)M), "mse",
                sgi_report_real(s->mse), "mse_zero", sgi_report_real(s->mse_zero), "variance_explained",
                sgi_report_real(s->variance_explained), "kept", (json_int_t)s->kept, "histogram", histogram(s, M));
  runs_json(o, s->run);
  if (!frequencies) return o;
  json_t *list = json_array();
  for (size_t i = 0; i < M; i++) json_array_append_new(list, sgi_report_real(s->frequency[i]));
  json_object_set_new(o, "frequency", list);
  return o;
}

static json_t *set_json(const sgi_sparse_eval_asked *q, const sgi_sparse_set *s, const sgi_sparse_eval *e) {
  json_t *layers = json_array(), *all = json_object();
  for (size_t k = 0; k < s->n; k++) json_array_append_new(layers, kept_json(q->frequencies, &s->at[k], &e->at[k]));
  runs_json(all, e->all);
  return json_pack("{s:o, s:s, s:o, s:o}", "directory", sgi_report_text(s->directory, strlen(s->directory)), "site",
                   sgi_sparse_site_name(s->site), "layers", layers, "all", all);
}

/* Which set of all is at work. */
typedef struct turn {
  const sgi_sparse_eval_asked *q;
  size_t set;
} turn;

static bool one_of_all(void *user, uint64_t done, uint64_t wanted) {
  const turn *w = user;
  return !w->q->progress || w->q->progress(w->q->user, w->set * wanted + done, w->q->n_sets * wanted);
}

sg_status sgi_sparse_eval_report(const sgi_sparse_eval_asked *q, json_t **out, sg_error *err) {
  json_t *sets = json_array();
  sg_status st = SG_OK;
  double loss = 0;
  uint64_t counted = 0;
  *out = NULL;
  for (size_t i = 0; i < q->n_sets && !st; i++) {
    turn w = {q, i};
    const sgi_sparse_eval_request r = {.model = q->model,
                                       .set = q->sets[i],
                                       .rows = *sgi_sparse_text_rows(q->text),
                                       .own = q->own,
                                       .fit = q->fit ? sgi_sparse_text_rows(q->fit) : NULL,
                                       .progress = one_of_all,
                                       .user = &w};
    sgi_sparse_eval *e = NULL;
    st = sgi_sparse_evaluate(&r, &e, err);
    if (st) break;
    if (!i) loss = e->loss, counted = e->counted;
    json_array_append_new(sets, set_json(q, q->sets[i], e));
    sgi_sparse_eval_free(e);
  }
  if (!st)
    *out = json_pack("{s:o, s:I, s:I, s:O}", "loss", sgi_report_real(loss), "counted", (json_int_t)counted, "rows",
                     (json_int_t)sgi_sparse_text_rows(q->text)->n, "sets", sets);
  json_decref(sets);
  return st ? st : sgi_report_whole(out, "the evaluation of sparse MLPs", err);
}
