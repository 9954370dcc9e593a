#include "compare/feature_paths.h"

#include <math.h>
#include <string.h>

typedef struct candidate {
  sgi_path_node node;
  double weight; /* that paths are ordered by */
} candidate;

typedef struct search {
  const sgi_feature_net *n;
  sgi_paths *p;
  sgi_path_order order;
  bool skip_bos;
  double *u;          /* (nodes,D) of each node, on its stream */
  sgi_net_stream *at; /* (nodes) */
  size_t room;
  candidate *best; /* (branches) of one node */
  candidate *beam; /* (branches) of a depth */
  size_t n_best, n_beam;
  double *features, *heads, *b_d, *error;
} search;

/* Kept in order; a later one of equal weight stays behind. */
static void keep(candidate *list, size_t *n, size_t most, const candidate *c) {
  size_t i = *n;
  if (*n == most && !(c->weight > list[most - 1].weight)) return;
  if (*n < most)
    (*n)++;
  else
    i--;
  for (; i > 0 && c->weight > list[i - 1].weight; i--) list[i] = list[i - 1];
  list[i] = *c;
}

static void offer(search *s, size_t parent, sgi_path_kind kind, size_t layer, size_t head, size_t feature,
                  size_t position, double c) {
  double weight = s->order == SGI_PATH_POSITIVE ? c : fabs(c);
  if (c == 0 || (s->skip_bos && position == 0)) return;
  candidate x = {.weight = weight,
                 .node = {.kind = kind,
                          .layer = kind == SGI_PATH_EMBEDDING ? -1 : (int32_t)layer,
                          .head = kind == SGI_PATH_HEAD ? (int32_t)head : -1,
                          .feature = kind == SGI_PATH_FEATURE ? (int32_t)feature : -1,
                          .position = position,
                          .contribution = c,
                          .parent = (ptrdiff_t)parent}};
  keep(s->best, &s->n_best, s->p->branches, &x);
}

/* All terms of node i, its best into the beam. */
static void expand(search *s, size_t i) {
  const sgi_feature_net *n = s->n;
  const sgi_net_stream *at = &s->at[i];
  sgi_net_terms x = {.features = s->features, .heads = s->heads, .b_d = s->b_d, .error = s->error};
  if (s->p->nodes[i].kind == SGI_PATH_EMBEDDING) return;
  sgi_net_terms_of(n, s->u + i * n->D, at, &x);
  s->n_best = 0;
  s->p->expanded[i] = true;
  for (size_t l = 0; l < at->ffn; l++) {
    s->p->bias[i] += x.b_d[l];
    s->p->error[i] += x.error[l];
    for (size_t j = 0; j < sgi_net_features(n, l); j++)
      offer(s, i, SGI_PATH_FEATURE, l, 0, j, at->position, x.features[l * n->M + j]);
  }
  for (size_t l = 0; l < at->attention; l++)
    for (size_t h = 0; h < n->heads && n->attention[l] != SGI_NET_NONE; h++)
      for (size_t t = 0; t <= at->position; t++)
        offer(s, i, SGI_PATH_HEAD, l, h, 0, t, x.heads[(l * n->heads + h) * n->T + t]);
  offer(s, i, SGI_PATH_EMBEDDING, 0, 0, 0, at->position, x.embedding);
  s->p->rest[i] = x.sum; /* what has a name is taken off */
  for (size_t l = 0; l < at->ffn; l++) s->p->rest[i] -= x.b_d[l] + x.error[l];
  for (size_t k = 0; k < s->n_best; k++) keep(s->beam, &s->n_beam, s->p->branches, &s->best[k]);
}

/* u and stream of a new node from its parent's. */
static void descend(search *s, size_t i) {
  const sgi_feature_net *n = s->n;
  sgi_path_node *x = &s->p->nodes[i];
  size_t parent = (size_t)x->parent, D = n->D;
  const double *u = s->u + parent * D;
  const sgi_net_stream *above = &s->at[parent];
  double *out = s->u + i * D;
  s->p->rest[parent] -= x->contribution;
  if (x->kind == SGI_PATH_HEAD) {
    sgi_net_pull(n, (size_t)x->layer, (size_t)x->head, above->position, x->position, u, out);
    s->at[i] = (sgi_net_stream){(size_t)x->layer, (size_t)x->layer, x->position};
  } else if (x->kind == SGI_PATH_FEATURE) {
    const float *w = n->layer[x->layer]->p.at[SGI_SPARSE_W_D] + (size_t)x->feature * D;
    double k = 0, h = sgi_net_h(n, (size_t)x->layer, x->position, (size_t)x->feature);
    for (size_t d = 0; d < D; d++) k += (double)w[d] * u[d];
    x->dependent = h;
    x->invariant = k; /* with what lies above held */
    sgi_net_feature_in(n, (size_t)x->layer, x->position, (size_t)x->feature, k, out);
    s->at[i] = (sgi_net_stream){(size_t)x->layer, (size_t)x->layer + 1, x->position};
    s->p->bias[i] = k * (double)n->layer[x->layer]->p.at[SGI_SPARSE_B_E][x->feature];
  } else {
    s->at[i] = (sgi_net_stream){0, 0, x->position};
  }
}

static sg_status make(search *s, sg_error *err) {
  const sgi_feature_net *n = s->n;
  sgi_paths *p = s->p;
  size_t terms = n->L * n->M, heads = n->L * n->heads * n->T;
  s->room = 1 + p->depth * p->branches;
  p->nodes = sgi_alloc(s->room * sizeof *p->nodes);
  p->last = sgi_alloc((p->depth * p->branches + p->depth) * sizeof *p->last);
  p->bias = sgi_alloc(3 * s->room * sizeof *p->bias);
  p->expanded = sgi_alloc(s->room * sizeof *p->expanded);
  s->u = sgi_alloc(s->room * n->D * sizeof *s->u);
  s->at = sgi_alloc(s->room * sizeof *s->at);
  s->best = sgi_alloc(2 * p->branches * sizeof *s->best);
  s->features = sgi_alloc((terms + heads + 2 * n->L) * sizeof *s->features);
  if (!p->nodes || !p->last || !p->bias || !p->expanded || !s->u || !s->at || !s->best || !s->features)
    return sgi_fail_memory(err, s->room * n->D * sizeof *s->u, "paths");
  p->count = p->last + p->depth * p->branches;
  p->error = p->bias + s->room;
  p->rest = p->error + s->room;
  s->beam = s->best + p->branches;
  s->heads = s->features + terms;
  s->b_d = s->heads + heads;
  s->error = s->b_d + n->L;
  return SG_OK;
}

sg_status sgi_paths_find(const sgi_feature_net *n, const sgi_feature_target *target, const double *u,
                         const sgi_net_stream *at, double value, double own, size_t depth, size_t branches,
                         sgi_path_order order, bool skip_bos, sgi_paths *out, sg_error *err) {
  *out = (sgi_paths){.depth = depth, .branches = branches};
  search s = {.n = n, .p = out, .order = order, .skip_bos = skip_bos};
  sg_status st = make(&s, err);
  if (!st) {
    out->nodes[0] = (sgi_path_node){.kind = SGI_PATH_TARGET,
                                    .layer = target->logit ? -1 : (int32_t)target->layer,
                                    .head = -1,
                                    .feature = target->logit ? -1 : (int32_t)target->feature,
                                    .position = at->position,
                                    .contribution = value,
                                    .parent = -1};
    out->n_nodes = 1;
    out->bias[0] = own;
    memcpy(s.u, u, n->D * sizeof *u);
    s.at[0] = *at;
  }
  for (size_t step = 0, from = 0; step < depth && !st; step++) {
    size_t end = out->n_nodes;
    s.n_beam = 0;
    for (size_t i = from; i < end; i++) expand(&s, i);
    from = end;
    for (size_t k = 0; k < s.n_beam; k++) {
      size_t i = out->n_nodes++;
      out->nodes[i] = s.beam[k].node;
      descend(&s, i);
      out->last[step * branches + k] = i;
    }
    out->count[step] = s.n_beam;
  }
  sgi_free(s.u);
  sgi_free(s.at);
  sgi_free(s.best);
  sgi_free(s.features);
  return st;
}

void sgi_paths_deinit(sgi_paths *p) {
  sgi_free(p->nodes);
  sgi_free(p->last);
  sgi_free(p->bias);
  sgi_free(p->expanded);
  *p = (sgi_paths){0};
}
