#include <math.h>
#include <stdlib.h>

#include "circuit.h"
#include "compare/feature_net.h"

typedef struct weight {
  size_t layer, feature;
  ptrdiff_t head_layer;
  size_t head;
  double w;
} weight;

static int by_size(const void *a, const void *b) {
  const weight *x = a, *y = b;
  if (fabs(x->w) != fabs(y->w)) return fabs(x->w) < fabs(y->w) ? 1 : -1;
  if (x->head_layer != y->head_layer) return x->head_layer < y->head_layer ? -1 : 1;
  if (x->head != y->head) return x->head < y->head ? -1 : 1;
  if (x->layer != y->layer) return x->layer < y->layer ? -1 : 1;
  return x->feature < y->feature ? -1 : x->feature > y->feature;
}

typedef struct view {
  const sgi_circuit_weights_request *r;
  weight *at;
  size_t n, room;
  double *w;
  float *tokens; /* (V) */
} view;

static sg_status add_weights(view *v, ptrdiff_t head_layer, size_t head, sg_error *err) {
  const sgi_circuit_weights_request *r = v->r;
  sg_status st = SG_OK;
  size_t below = head_layer < 0 ? r->layer : (size_t)head_layer;
  for (size_t k = 0; k < r->set->n && !st; k++) {
    size_t from = r->set->at[k].layer;
    if (from >= below) continue;
    st = sgi_net_invariant(r->p->model, r->set, from, r->layer, r->feature, head_layer, head, v->w, err);
    for (size_t i = 0; i < r->set->at[k].form.features && !st; i++) {
      if (!sgi_room(&v->at, &v->room, v->n, sizeof *v->at))
        return sgi_fail_memory(err, v->n * sizeof *v->at, "weights");
      v->at[v->n++] = (weight){from, i, head_layer, head, v->w[i]};
    }
    if (v->n > 4 * r->top + 4096) { /* no more than are told need be kept */
      qsort(v->at, v->n, sizeof *v->at, by_size);
      v->n = r->top;
    }
  }
  return st;
}

static sg_status all_weights(view *v, sg_error *err) {
  const sgi_circuit_weights_request *r = v->r;
  const sg_config *c = sg_model_config(r->p->model);
  v->w = sgi_alloc(r->set->largest * sizeof *v->w);
  v->tokens = sgi_alloc(c->vocab_size * sizeof *v->tokens);
  sg_status st = v->w && v->tokens ? SG_OK : sgi_fail_memory(err, c->vocab_size * sizeof *v->tokens, "weights");
  if (!st)
    st = sgi_net_deembed(r->p->model, r->set, r->layer, r->feature, r->one_head ? (ptrdiff_t)r->head_layer : -1,
                         r->head, v->tokens, err);
  if (!st && r->one_head) return add_weights(v, (ptrdiff_t)r->head_layer, r->head, err);
  if (!st) st = add_weights(v, -1, 0, err);
  for (size_t l = 1; l <= r->layer && !st; l++)
    for (size_t h = 0; h < c->num_heads && sgi_config_has(c, l, SG_ATTENTION) && !st; h++) {
      st = add_weights(v, (ptrdiff_t)l, h, err);
      if (!st && r->go_on && !r->go_on(r->user)) st = sgi_fail(err, SG_ERR_CANCELLED, "stopped");
    }
  return st;
}

static size_t largest_token(const float *x, size_t V, float below) {
  size_t best = V;
  for (size_t t = 0; t < V; t++)
    if (x[t] < below && (best == V || x[t] > x[best])) best = t;
  return best;
}

static json_t *document(const view *v) {
  const sgi_circuit_weights_request *r = v->r;
  size_t V = sg_model_config(r->p->model)->vocab_size;
  json_t *weights = json_array(), *tokens = json_array();
  for (size_t i = 0; i < v->n && i < r->top; i++) {
    const weight *w = &v->at[i];
    json_array_append_new(weights, json_pack("{s:I, s:I, s:o, s:o, s:o}", "layer", (json_int_t)w->layer, "feature",
                                             (json_int_t)w->feature, "head_layer",
                                             w->head_layer < 0 ? json_null() : json_integer(w->head_layer), "head",
                                             w->head_layer < 0 ? json_null() : json_integer((json_int_t)w->head),
                                             "invariant", sgi_report_real(w->w)));
  }
  float below = INFINITY;
  for (size_t i = 0; i < r->top && i < V; i++) {
    size_t id = largest_token(v->tokens, V, below);
    if (id == V) break;
    below = v->tokens[id];
    json_array_append_new(tokens, json_pack("{s:o, s:o}", "token", sgi_token_json(r->p, (int32_t)id), "value",
                                            sgi_report_real((double)below)));
  }
  return json_pack("{s:I, s:I, s:o, s:o}", "layer", (json_int_t)r->layer, "feature", (json_int_t)r->feature, "weights",
                   weights, "deembedding", tokens);
}

sg_status sgi_circuit_weights(const sgi_circuit_weights_request *r, json_t **out, sg_error *err) {
  view v = {.r = r};
  *out = NULL;
  sg_status st = all_weights(&v, err);
  if (!st) {
    qsort(v.at, v.n, sizeof *v.at, by_size);
    *out = document(&v);
  }
  sgi_free(v.at);
  sgi_free(v.w);
  sgi_free(v.tokens);
  return st ? st : sgi_report_whole(out, "weights of features", err);
}
