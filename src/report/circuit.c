#include "circuit.h"

#include <math.h>
#include <stdlib.h>

#include "compare/feature_paths.h"
#include "compare/feature_score.h"

typedef struct job {
  const sgi_circuit_request *r;
  sgi_feature_net net;
  sgi_feature_target target;
  sgi_net_stream at;
  double *u, value, own;
  sgi_net_terms terms;
  double *room; /* features, heads, b_d, error */
  sgi_net_totals totals;
  sgi_paths paths;
  sgi_feature_place *largest; /* direct features, largest first */
  double *change;             /* (verified) */
  size_t n_largest, verified;
} job;

static sg_status prepare(job *j, sg_error *err) {
  const sgi_circuit_request *r = j->r;
  const sgi_prompt *p = r->p;
  j->target = (sgi_feature_target){.logit = !r->of_feature,
                                   .position = r->position,
                                   .layer = r->layer,
                                   .feature = r->feature,
                                   .token = r->token,
                                   .against = r->against};
  sg_status st = sgi_feature_net_init(&j->net, p->model, r->set, p->tokens, p->count, r->max_bytes, err);
  if (st) return st;
  j->u = sgi_alloc(j->net.D * sizeof *j->u);
  if (!j->u) return sgi_fail_memory(err, j->net.D * sizeof *j->u, "a direction");
  return sgi_feature_target_find(&j->net, &j->target, j->u, &j->at, &j->value, &j->own, err);
}

static int by_effect(const void *a, const void *b) {
  const sgi_feature_place *x = a, *y = b;
  if (fabs(x->effect) != fabs(y->effect)) return fabs(x->effect) < fabs(y->effect) ? 1 : -1;
  if (x->layer != y->layer) return x->layer < y->layer ? -1 : 1;
  return x->feature < y->feature ? -1 : x->feature > y->feature;
}

static sg_status compute(job *j, sg_error *err) {
  const sgi_feature_net *n = &j->net;
  size_t features = n->L * n->M, heads = n->L * n->heads * n->T;
  j->room = sgi_alloc((features + heads + 4 * n->L + n->T + n->L * n->T) * sizeof *j->room);
  j->largest = sgi_alloc((features + 1) * sizeof *j->largest);
  if (!j->room || !j->largest) return sgi_fail_memory(err, features * sizeof *j->room, "terms");
  j->terms = (sgi_net_terms){.features = j->room, .heads = j->room + features};
  j->terms.b_d = j->terms.heads + heads;
  j->terms.error = j->terms.b_d + n->L;
  j->totals.b_e = j->terms.error + n->L;
  j->totals.b_d = j->totals.b_e + n->L;
  j->totals.embedding = j->totals.b_d + n->L;
  j->totals.error = j->totals.embedding + n->T;
  sgi_net_terms_of(n, j->u, &j->at, &j->terms);
  sg_status st = sgi_net_totals_of(n, j->u, &j->at, &j->totals, err);
  for (size_t l = 0; l < j->at.ffn && !st; l++)
    for (size_t i = 0; i < sgi_net_features(n, l); i++)
      if (j->terms.features[l * n->M + i] != 0)
        j->largest[j->n_largest++] =
            (sgi_feature_place){(uint32_t)l, (uint32_t)j->at.position, (uint32_t)i, j->terms.features[l * n->M + i]};
  qsort(j->largest, j->n_largest, sizeof *j->largest, by_effect);
  size_t verify = j->r->verify;
  j->verified = verify < j->n_largest ? verify : j->n_largest;
  j->change = sgi_alloc((j->verified + 1) * sizeof *j->change);
  if (!st && !j->change) st = sgi_fail_memory(err, j->verified * sizeof *j->change, "true removals");
  if (!st && j->verified)
    st = sgi_features_removed(n, &j->target, j->largest, j->verified, j->change, j->r->go_on, j->r->user, err);
  if (!st && j->r->depth)
    st = sgi_paths_find(n, &j->target, j->u, &j->at, j->value, j->own, j->r->depth, j->r->branches,
                        j->r->positive ? SGI_PATH_POSITIVE : SGI_PATH_ABSOLUTE, j->r->skip_bos, &j->paths, err);
  double residue = j->terms.sum + j->own - j->value;
  if (!st && fabs(residue) > 1e-4 * (j->terms.sum_abs + 1e-3))
    st =
        sgi_fail(err, SG_ERR_INTERNAL, "the terms add up to %g where the value is %g", j->terms.sum + j->own, j->value);
  return st;
}

static json_t *term(const char *kind, ptrdiff_t layer, ptrdiff_t head, ptrdiff_t position, ptrdiff_t feature,
                    double c) {
  json_t *o = json_pack("{s:s, s:o}", "kind", kind, "contribution", sgi_report_real(c));
  static const char *const keys[] = {"layer", "head", "position", "feature"};
  const ptrdiff_t values[] = {layer, head, position, feature};
  for (size_t i = 0; i < 4; i++) json_object_set_new(o, keys[i], values[i] < 0 ? json_null() : json_integer(values[i]));
  return o;
}

static json_t *terms_json(const job *j) {
  const sgi_feature_net *n = &j->net;
  json_t *list = json_array();
  ptrdiff_t t = (ptrdiff_t)j->at.position;
  json_array_append_new(list, term("embedding", -1, -1, t, -1, j->terms.embedding));
  for (size_t i = 0; i < j->n_largest; i++) {
    const sgi_feature_place *x = &j->largest[i];
    double h = sgi_net_h(n, x->layer, x->position, x->feature);
    json_t *o = term("feature", x->layer, -1, t, x->feature, x->effect);
    /* Below a feature the target's scale belongs to what depends on the prompt. */
    double r2 = j->target.logit ? 1 : (double)n->f.steps[n->feedforward[j->target.layer]].r[j->at.position];
    json_object_set_new(o, "invariant", sgi_report_real(x->effect / (h * r2)));
    json_object_set_new(o, "dependent", sgi_report_real(h * r2));
    json_object_set_new(o, "true", i < j->verified ? sgi_report_real(j->change[i]) : json_null());
    json_array_append_new(list, o);
  }
  for (size_t l = 0; l < j->at.attention; l++)
    for (size_t h = 0; h < n->heads; h++)
      for (size_t s = 0; s <= j->at.position; s++) {
        double c = j->terms.heads[(l * n->heads + h) * n->T + s];
        if (c != 0) json_array_append_new(list, term("head", (ptrdiff_t)l, (ptrdiff_t)h, (ptrdiff_t)s, -1, c));
      }
  for (size_t l = 0; l < j->at.ffn; l++) {
    if (!n->layer[l]) continue; /* no feedforward there */
    json_array_append_new(list, term("bias", (ptrdiff_t)l, -1, t, -1, j->terms.b_d[l]));
    json_array_append_new(list, term("error", (ptrdiff_t)l, -1, t, -1, j->terms.error[l]));
  }
  return list;
}

static const char *const kinds[] = {"target", "feature", "head", "embedding"};

static json_t *paths_json(const job *j) {
  json_t *depths = json_array(), *nodes = json_array();
  const sgi_paths *p = &j->paths;
  for (size_t d = 0; d < p->depth && p->nodes; d++) {
    json_t *list = json_array();
    for (size_t b = 0; b < p->count[d]; b++) {
      json_t *path = json_array();
      for (ptrdiff_t i = (ptrdiff_t)p->last[d * p->branches + b]; i >= 0; i = p->nodes[i].parent)
        json_array_insert_new(path, 0, json_integer(i));
      json_array_append_new(list, path);
    }
    json_array_append_new(depths, list);
  }
  for (size_t i = 0; i < p->n_nodes; i++) {
    const sgi_path_node *x = &p->nodes[i];
    json_t *o = term(kinds[x->kind], x->layer, x->head, (ptrdiff_t)x->position, x->feature, x->contribution);
    json_object_set_new(o, "from", x->parent < 0 ? json_null() : json_integer(x->parent));
    json_object_set_new(o, "bias", sgi_report_real(p->bias[i]));
    json_object_set_new(o, "error", p->expanded[i] ? sgi_report_real(p->error[i]) : json_null());
    json_object_set_new(o, "not_followed", p->expanded[i] ? sgi_report_real(p->rest[i]) : json_null());
    json_array_append_new(nodes, o);
  }
  return json_pack("{s:o, s:o}", "nodes", nodes, "depths", depths);
}

static json_t *document(const job *j) {
  const sgi_feature_net *n = &j->net;
  const sgi_feature_target *t = &j->target;
  json_t *target = t->logit
                       ? json_pack("{s:s, s:I, s:o, s:o, s:o}", "kind", "logit", "position", (json_int_t)j->at.position,
                                   "token", sgi_token_json(j->r->p, t->token), "against",
                                   sgi_token_json(j->r->p, t->against), "value", sgi_report_real(j->value))
                       : json_pack("{s:s, s:I, s:I, s:I, s:o}", "kind", "feature", "layer", (json_int_t)t->layer,
                                   "position", (json_int_t)j->at.position, "feature", (json_int_t)t->feature, "value",
                                   sgi_report_real(j->value));
  json_t *errors = json_array();
  for (size_t l = 0; l < n->L; l++) json_array_append_new(errors, sgi_report_reals(j->totals.error + l * n->T, n->T));
  json_t *total =
      json_pack("{s:o, s:o, s:o, s:o}", "embedding", sgi_report_reals(j->totals.embedding, n->T), "b_e",
                sgi_report_reals(j->totals.b_e, n->L), "b_d", sgi_report_reals(j->totals.b_d, n->L), "error", errors);
  double share = j->terms.sum_abs > 0 ? j->terms.error_abs / j->terms.sum_abs : 0;
  return json_pack("{s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "target", target, "own_bias", sgi_report_real(j->own),
                   "terms", terms_json(j), "residue", sgi_report_real(j->terms.sum + j->own - j->value), "error_share",
                   sgi_report_real(share), "paths", paths_json(j), "total", total);
}

sg_status sgi_circuit_report(const sgi_circuit_request *r, json_t **out, sg_error *err) {
  job j = {.r = r};
  *out = NULL;
  sg_status st = prepare(&j, err);
  if (!st) st = compute(&j, err);
  if (!st) *out = document(&j);
  sgi_paths_deinit(&j.paths);
  sgi_feature_net_deinit(&j.net);
  sgi_free(j.u);
  sgi_free(j.room);
  sgi_free(j.largest);
  sgi_free(j.change);
  return st ? st : sgi_report_whole(out, "a circuit", err);
}

json_t *sgi_circuit_graph_json(const sg_graph *g) {
  return json_pack("{s:I, s:I, s:I, s:o, s:o, s:o}", "nodes", (json_int_t)g->n_nodes, "edges", (json_int_t)g->n_edges,
                   "all_nodes", (json_int_t)g->all_nodes, "error_share", sgi_report_real(g->error_share), "input_share",
                   sgi_report_real(g->input_share), "worst_residue", sgi_report_real(g->worst_residue));
}
