#include "compare/feature_net.h"

#include <math.h>
#include <string.h>

#include "model/sub_attention.h"

enum { SGI_NET_PIECE = 512, SGI_NET_HEAD = 1024 };

static double dot(const float *w, const double *u, size_t n) {
  double s = 0;
  for (size_t d = 0; d < n; d++) s += (double)w[d] * u[d];
  return s;
}

/* ---- making ---------------------------------------------------------------------------------- */

static sg_status find_steps(sgi_feature_net *n, const sg_model *m, sg_error *err) {
  if (!sgi_form_of(&m->config)->chain)
    return sgi_fail(err, SG_ERR_UNSUPPORTED, "circuits of features need a model of plain sequential layers");
  for (size_t l = 0; l < n->L; l++) {
    n->attention[l] = sgi_attention_of(m, l) ? sgi_plan_find(&m->plan, l, &sgi_sublayer_attention) : SGI_NET_NONE;
    n->feedforward[l] = sgi_feedforward_of(m, l) ? sgi_plan_find(&m->plan, l, &sgi_sublayer_feedforward) : SGI_NET_NONE;
  }
  return SG_OK;
}

static sg_status keep_out(void *user, const sgi_site *site, sg_error *err) {
  (void)err;
  sgi_feature_net *n = user;
  if (site->id == SGI_SITE_MLP_OUT)
    memcpy(n->out + ((size_t)site->layer * n->T + site->first) * n->D, site->data, site->n * n->D * sizeof(float));
  return SG_OK;
}

/* mlp.out of every layer, as the model makes it. */
static sg_status run_outputs(sgi_feature_net *n, const sg_model *m, const int32_t *tokens, sg_error *err) {
  sgi_pass *pass = NULL;
  sg_status st = sgi_pass_create(m, 1, n->T, false, &pass, err);
  sgi_batch batch = {.B = 1, .T = n->T, .inputs = tokens};
  if (!st) st = sgi_pass_forward(pass, &batch, &(sgi_tap){.visit = keep_out, .user = n, .err = err}, err);
  sgi_pass_free(pass);
  return st;
}

/* Pre-activations, what acts, and what is missed, of one position; a as long as M. */
static void read_position(sgi_feature_net *n, size_t l, size_t t, float *x, double *y) {
  const sgi_sparse_layer *s = n->layer[l];
  const sgi_held *held = &n->f.steps[n->feedforward[l]];
  size_t D = n->D, M = s->form.features;
  double *a = n->pre + (l * n->T + t) * n->M, *h = n->h + (l * n->T + t) * n->M;
  for (size_t d = 0; d < D; d++) x[d] = held->x[t * D + d] * held->r[t] * held->gain[d];
  sgi_sparse_acting(&s->form, &s->p, x, a, h);
  for (size_t d = 0; d < D; d++) y[d] = (double)s->p.at[SGI_SPARSE_B_D][d];
  for (size_t i = 0; i < M; i++) {
    if (h[i] == 0) continue;
    const float *w = s->p.at[SGI_SPARSE_W_D] + i * D;
    for (size_t d = 0; d < D; d++) y[d] += h[i] * (double)w[d];
  }
  for (size_t d = 0; d < D; d++) {
    size_t at = (l * n->T + t) * D + d;
    n->error[at] = (float)((double)n->out[at] - y[d]);
  }
}

static sg_status read_features(sgi_feature_net *n, sg_error *err) {
  float *x = sgi_alloc(n->D * sizeof *x);
  double *y = sgi_alloc(n->D * sizeof *y);
  sg_status st = x && y ? SG_OK : sgi_fail_memory(err, n->D * sizeof *y, "a row of the stream");
  for (size_t l = 0; l < n->L && !st; l++)
    for (size_t t = 0; t < n->T && n->layer[l]; t++) read_position(n, l, t, x, y);
  sgi_free(x);
  sgi_free(y);
  return st;
}

static sg_status make(sgi_feature_net *n, const sg_model *m, sg_error *err) {
  size_t cells = n->L * n->T;
  n->attention = sgi_alloc(2 * n->L * sizeof *n->attention);
  n->layer = sgi_alloc(n->L * sizeof *n->layer);
  n->pre = sgi_alloc(2 * cells * n->M * sizeof *n->pre);
  n->error = sgi_alloc((2 * cells + n->T) * n->D * sizeof *n->error);
  if (!n->attention || !n->layer || !n->pre || !n->error)
    return sgi_fail_memory(err, 2 * cells * n->M * sizeof *n->pre, "features of a prompt");
  n->feedforward = n->attention + n->L;
  n->h = n->pre + cells * n->M;
  n->out = n->error + cells * n->D;
  n->embedding = n->out + cells * n->D;
  for (size_t k = 0; k < n->set->n; k++) n->layer[n->set->at[k].layer] = &n->set->at[k];
  return find_steps(n, m, err);
}

sg_status sgi_feature_net_init(sgi_feature_net *n, const sg_model *m, const sgi_sparse_set *set, const int32_t *tokens,
                               size_t T, size_t max_bytes, sg_error *err) {
  size_t D = m->config.hidden_size;
  *n = (sgi_feature_net){.set = set, .L = m->config.num_layers, .T = T, .D = D, .M = set->largest};
  n->heads = m->config.num_heads;
  if (m->config.head_dim > SGI_NET_HEAD)
    return sgi_fail(err, SG_ERR_UNSUPPORTED, "heads of %zu: circuits of features take up to %d", m->config.head_dim,
                    SGI_NET_HEAD);
  if (set->site != SGI_PLACE_MLP)
    return sgi_fail(err, SG_ERR_UNSUPPORTED, "%s holds SAEs of %s: circuits need transcoders", set->directory,
                    sgi_sparse_site_name(set->site));
  for (size_t k = 0; k < set->n; k++)
    if (set->at[k].form.in != D || set->at[k].form.out != D || set->at[k].layer >= n->L ||
        !sgi_feedforward_of(m, set->at[k].layer))
      return sgi_fail(err, SG_ERR_ARG, "%s: layer %zu is not one of this model's", set->directory, set->at[k].layer);
  sg_status st = make(n, m, err);
  if (!st) st = sgi_frozen_init(&n->f, m, tokens, T, max_bytes, err);
  if (!st) st = run_outputs(n, m, tokens, err);
  for (size_t t = 0; t < T && !st; t++)
    sgi_weight_read(n->embedding + t * D, &m->weights[SGI_ROW_EMBED], (size_t)tokens[t] * D, D);
  return st ? st : read_features(n, err);
}

void sgi_feature_net_deinit(sgi_feature_net *n) {
  sgi_frozen_deinit(&n->f);
  sgi_free(n->attention);
  sgi_free(n->layer);
  sgi_free(n->pre);
  sgi_free(n->error);
  *n = (sgi_feature_net){0};
}

/* ---- targets --------------------------------------------------------------------------------- */

void sgi_net_feature_in(const sgi_feature_net *n, size_t l, size_t t, size_t i, double scale, double *out) {
  const sgi_held *h = &n->f.steps[n->feedforward[l]];
  const float *w = n->layer[l]->p.at[SGI_SPARSE_W_E] + i * n->D;
  for (size_t d = 0; d < n->D; d++) out[d] = scale * (double)h->r[t] * (double)h->gain[d] * (double)w[d];
}

static sg_status need_layers(const sgi_feature_net *n, size_t below, sg_error *err) {
  for (size_t l = 0; l < below; l++)
    if (!n->layer[l] && n->feedforward[l] != SGI_NET_NONE)
      return sgi_fail(err, SG_ERR_ARG,
                      "%s has no transcoder of layer %zu: a circuit needs those of all layers below its target",
                      n->set->directory, l);
  return SG_OK;
}

static sg_status feature_target(const sgi_feature_net *n, const sgi_feature_target *t, double *u, sgi_net_stream *at,
                                double *value, double *own, sg_error *err) {
  size_t k;
  sg_status st = sgi_sparse_set_find(n->set, t->layer, &k, err);
  if (st) return st;
  const sgi_sparse_layer *s = &n->set->at[k];
  if (t->feature >= s->form.features)
    return sgi_fail(err, SG_ERR_ARG, "feature %zu: layer %zu has features 0 to %zu", t->feature, t->layer,
                    s->form.features - 1);
  *at = (sgi_net_stream){t->layer, t->layer + 1, t->position};
  sgi_net_feature_in(n, t->layer, t->position, t->feature, 1, u);
  *own = (double)s->p.at[SGI_SPARSE_B_E][t->feature];
  *value = n->pre[(t->layer * n->T + t->position) * n->M + t->feature];
  return need_layers(n, t->layer, err);
}

static sg_status logit_target(const sgi_feature_net *n, sgi_feature_target *t, double *u, sgi_net_stream *at,
                              double *value, double *own, sg_error *err) {
  float *logits = sgi_alloc((n->f.V + n->D) * sizeof *logits);
  if (!logits) return sgi_fail_memory(err, n->f.V * sizeof *logits, "logits");
  sg_status st = sgi_frozen_target(&n->f, t->position, t->token, t->against, logits, &t->token, err);
  *at = (sgi_net_stream){n->L, n->L, t->position};
  *own = 0;
  if (!st) {
    float *g = logits + n->f.V;
    sgi_frozen_logit_gradient(&n->f, t->position, t->token, t->against, g);
    for (size_t d = 0; d < n->D; d++) u[d] = (double)g[d];
    *value = (double)logits[t->token] - (t->against >= 0 ? (double)logits[t->against] : 0);
    st = need_layers(n, n->L, err);
  }
  sgi_free(logits);
  return st;
}

sg_status sgi_feature_target_find(const sgi_feature_net *n, sgi_feature_target *t, double *u, sgi_net_stream *at,
                                  double *value, double *own, sg_error *err) {
  if (t->position >= n->T)
    return sgi_fail(err, SG_ERR_ARG, "position %zu: the prompt has %zu tokens", t->position, n->T);
  return t->logit ? logit_target(n, t, u, at, value, own, err) : feature_target(n, t, u, at, value, own, err);
}

/* ---- direct terms ---------------------------------------------------------------------------- */

/* z (d_head) = u through a head's output map. */
static void head_out(const sgi_held *h, size_t head, const double *u, double *z) {
  size_t W = h->heads * h->d_head;
  for (size_t k = 0; k < h->d_head; k++) z[k] = 0;
  for (size_t d = 0; d < h->D; d++)
    for (size_t k = 0; k < h->d_head; k++) z[k] += u[d] * (double)h->w_out[d * W + head * h->d_head + k];
}

static void head_terms(const sgi_feature_net *n, size_t l, const double *u, size_t t, double *out) {
  const sgi_held *h = &n->f.steps[n->attention[l]];
  for (size_t i = 0; i < h->heads; i++) {
    double z[SGI_NET_HEAD];
    const float *P = sgi_held_pattern(h, i, t);
    head_out(h, i, u, z);
    for (size_t s = 0; s <= t; s++)
      out[i * n->T + s] = (double)P[s] * dot(h->v + (s * h->heads + i) * h->d_head, z, h->d_head);
  }
}

static void count(sgi_net_terms *x, double v) {
  x->sum += v;
  x->sum_abs += fabs(v);
}

void sgi_net_terms_of(const sgi_feature_net *n, const double *u, const sgi_net_stream *at, sgi_net_terms *x) {
  size_t D = n->D, t = at->position;
  x->sum = x->sum_abs = x->error_abs = 0;
  x->embedding = dot(n->embedding + t * D, u, D);
  count(x, x->embedding);
  if (x->features) memset(x->features, 0, n->L * n->M * sizeof *x->features);
  if (x->heads) memset(x->heads, 0, n->L * n->heads * n->T * sizeof *x->heads);
  for (size_t l = 0; l < at->ffn; l++) {
    const sgi_sparse_layer *s = n->layer[l];
    if (x->b_d) x->b_d[l] = 0;
    if (x->error) x->error[l] = 0;
    if (!s) continue; /* a layer without a feedforward */
    for (size_t i = 0; i < s->form.features; i++) {
      double h = sgi_net_h(n, l, t, i);
      if (h == 0) continue;
      double v = h * dot(s->p.at[SGI_SPARSE_W_D] + i * D, u, D);
      if (x->features) x->features[l * n->M + i] = v;
      count(x, v);
    }
    double b = dot(s->p.at[SGI_SPARSE_B_D], u, D), e = dot(n->error + (l * n->T + t) * D, u, D);
    if (x->b_d) x->b_d[l] = b;
    if (x->error) x->error[l] = e;
    x->error_abs += fabs(e);
    count(x, b);
    count(x, e);
  }
  for (size_t l = 0; l < at->attention && x->heads; l++) {
    if (n->attention[l] == SGI_NET_NONE) continue;
    double *h = x->heads + l * n->heads * n->T;
    head_terms(n, l, u, t, h);
    for (size_t i = 0; i < n->heads * n->T; i++) count(x, h[i]);
  }
}

/* out (D) = scale g1 * (Wv_h^T z). */
static void value_in(const sg_model *m, size_t l, size_t head, const double *z, double scale, const float *gain,
                     double *out) {
  const sgi_sublayer *s = sgi_attention_of(m, l);
  size_t D = m->config.hidden_size, d = m->config.head_dim;
  for (size_t i = 0; i < D; i++) out[i] = 0;
  for (size_t k = 0; k < d; k++) {
    float w[SGI_NET_PIECE];
    for (size_t from = 0; from < D; from += SGI_NET_PIECE) {
      size_t count = D - from < SGI_NET_PIECE ? D - from : SGI_NET_PIECE;
      sgi_weight_read(w, s->weight[SGI_T_V], (head * d + k) * D + from, count);
      for (size_t i = 0; i < count; i++) out[from + i] += z[k] * (double)w[i];
    }
  }
  for (size_t i = 0; i < D; i++) out[i] *= scale * (double)gain[i];
}

void sgi_net_pull(const sgi_feature_net *n, size_t layer, size_t head, size_t position, size_t source, const double *u,
                  double *out) {
  const sgi_held *h = &n->f.steps[n->attention[layer]];
  double z[SGI_NET_HEAD];
  head_out(h, head, u, z);
  value_in(n->f.model, layer, head, z, (double)sgi_held_pattern(h, head, position)[source] * (double)h->r[source],
           h->gain, out);
}

/* ---- total effects --------------------------------------------------------------------------- */

/* d (rows,D) through the attention layer, all heads: d[s] += sum over t of pulled d[t]. */
static void pull_all(const sgi_feature_net *n, size_t l, size_t rows, double *d, double *before, double *z) {
  const sgi_held *h = &n->f.steps[n->attention[l]];
  size_t dh = h->d_head;
  memset(before, 0, rows * n->D * sizeof *before);
  for (size_t i = 0; i < h->heads; i++) {
    for (size_t t = 0; t < rows; t++) head_out(h, i, d + t * n->D, z + t * dh);
    for (size_t s = 0; s < rows; s++) {
      double mixed[SGI_NET_HEAD];
      for (size_t k = 0; k < dh; k++) mixed[k] = 0;
      for (size_t t = s; t < rows; t++) {
        double p = (double)sgi_held_pattern(h, i, t)[s];
        for (size_t k = 0; k < dh; k++) mixed[k] += p * z[t * dh + k];
      }
      value_in(n->f.model, l, i, mixed, (double)h->r[s], h->gain, before + (rows + s) * n->D);
      for (size_t k = 0; k < n->D; k++) before[s * n->D + k] += before[(rows + s) * n->D + k];
    }
  }
  for (size_t i = 0; i < rows * n->D; i++) d[i] += before[i];
}

/* Down through a transcoder: what its parts are worth, then d += what its features read. */
static void pull_features(const sgi_feature_net *n, size_t l, size_t rows, double *d, double *in, sgi_net_totals *x) {
  const sgi_sparse_layer *s = n->layer[l];
  size_t D = n->D;
  for (size_t t = 0; t < rows; t++) {
    double *g = d + t * D;
    const sgi_held *held = &n->f.steps[n->feedforward[l]];
    x->error[l * n->T + t] = dot(n->error + (l * n->T + t) * D, g, D);
    x->b_d[l] += dot(s->p.at[SGI_SPARSE_B_D], g, D);
    memset(in, 0, D * sizeof *in);
    for (size_t i = 0; i < s->form.features; i++) {
      double h = sgi_net_h(n, l, t, i);
      if (h == 0) continue;
      double k = dot(s->p.at[SGI_SPARSE_W_D] + i * D, g, D);
      const float *w = s->p.at[SGI_SPARSE_W_E] + i * D;
      if (x->features) x->features[(l * n->T + t) * n->M + i] = h * k;
      x->b_e[l] += k * (double)s->p.at[SGI_SPARSE_B_E][i];
      for (size_t j = 0; j < D; j++) in[j] += k * (double)w[j];
    }
    for (size_t j = 0; j < D; j++) g[j] += (double)held->r[t] * (double)held->gain[j] * in[j];
  }
}

sg_status sgi_net_totals_of(const sgi_feature_net *n, const double *u, const sgi_net_stream *at, sgi_net_totals *x,
                            sg_error *err) {
  size_t rows = at->position + 1, D = n->D, d_head = n->f.model->config.head_dim;
  double *d = sgi_alloc((3 * rows * D + rows * d_head + D) * sizeof *d);
  if (!d) return sgi_fail_memory(err, 3 * rows * D * sizeof *d, "total effects");
  double *before = d + rows * D, *z = before + 2 * rows * D, *in = z + rows * d_head;
  memset(x->embedding, 0, n->T * sizeof *x->embedding);
  memset(x->b_e, 0, n->L * sizeof *x->b_e);
  memset(x->b_d, 0, n->L * sizeof *x->b_d);
  memset(x->error, 0, n->L * n->T * sizeof *x->error);
  if (x->features) memset(x->features, 0, n->L * n->T * n->M * sizeof *x->features);
  memcpy(d + at->position * D, u, D * sizeof *d);
  for (size_t l = at->attention; l-- > 0;) {
    if (l < at->ffn && n->layer[l]) pull_features(n, l, rows, d, in, x);
    if (n->attention[l] != SGI_NET_NONE) pull_all(n, l, rows, d, before, z);
  }
  for (size_t t = 0; t < rows; t++) x->embedding[t] = dot(n->embedding + t * D, d + t * D, D);
  sgi_free(d);
  return SG_OK;
}

/* ---- without a prompt ------------------------------------------------------------------------ */

static sg_status find_feedforward(const sg_model *m, size_t layer, const sgi_sublayer **out, sg_error *err) {
  *out = layer < m->config.num_layers ? sgi_feedforward_of(m, layer) : NULL;
  return *out ? SG_OK : sgi_fail(err, SG_ERR_ARG, "layer %zu of this model has no feedforward layer", layer);
}

static sg_status find_in(const sg_model *m, const sgi_sparse_set *set, size_t layer, size_t feature,
                         ptrdiff_t head_layer, size_t head, double *u, double *work, sg_error *err) {
  size_t k, D = m->config.hidden_size;
  sg_status st = sgi_sparse_set_find(set, layer, &k, err);
  if (st) return st;
  const sgi_sparse_layer *s = &set->at[k];
  if (feature >= s->form.features)
    return sgi_fail(err, SG_ERR_ARG, "feature %zu: layer %zu has features 0 to %zu", feature, layer,
                    s->form.features - 1);
  const sgi_sublayer *f;
  if ((st = find_feedforward(m, layer, &f, err))) return st;
  const float *gain = f->w[SGI_T_NORM];
  for (size_t d = 0; d < D; d++) u[d] = (double)gain[d] * (double)s->p.at[SGI_SPARSE_W_E][feature * D + d];
  if (head_layer < 0) return SG_OK;
  const sgi_sublayer *a = (size_t)head_layer <= layer ? sgi_attention_of(m, (size_t)head_layer) : NULL;
  if (!a || head >= m->config.num_heads)
    return sgi_fail(err, SG_ERR_ARG,
                    "head %zu of layer %td: a feature of layer %zu is reached by heads 0 to %zu of "
                    "layers 0 to %zu",
                    head, head_layer, layer, m->config.num_heads - 1, layer);
  size_t d_head = m->config.head_dim, W = m->config.num_heads * d_head;
  double z[SGI_NET_HEAD];
  for (size_t i = 0; i < d_head; i++) z[i] = 0;
  for (size_t d = 0; d < D; d++) {
    float w[SGI_NET_HEAD];
    sgi_weight_read(w, a->weight[SGI_T_O], d * W + head * d_head, d_head);
    for (size_t i = 0; i < d_head; i++) z[i] += u[d] * (double)w[i];
  }
  value_in(m, (size_t)head_layer, head, z, 1, a->w[SGI_T_NORM], work);
  memcpy(u, work, D * sizeof *u);
  return SG_OK;
}

sg_status sgi_net_invariant(const sg_model *m, const sgi_sparse_set *set, size_t from, size_t to, size_t feature,
                            ptrdiff_t head_layer, size_t head, double *w, sg_error *err) {
  size_t k, D = m->config.hidden_size;
  double *u = sgi_alloc(2 * D * sizeof *u);
  sg_status st = u ? sgi_sparse_set_find(set, from, &k, err) : sgi_fail_memory(err, D * sizeof *u, "a direction");
  if (!st && (from >= to || (head_layer >= 0 && (size_t)head_layer <= from)))
    st = sgi_fail(err, SG_ERR_ARG, "features of layer %zu reach none of layer %zu that way", from, to);
  if (!st) st = find_in(m, set, to, feature, head_layer, head, u, u + D, err);
  for (size_t i = 0; !st && i < set->at[k].form.features; i++)
    w[i] = dot(set->at[k].p.at[SGI_SPARSE_W_D] + i * D, u, D);
  sgi_free(u);
  return st;
}

sg_status sgi_net_downstream(const sg_model *m, const sgi_sparse_set *set, size_t from, size_t feature, size_t to,
                             double *w, sg_error *err) {
  size_t k, j, D = m->config.hidden_size;
  sg_status st = sgi_sparse_set_find(set, from, &k, err);
  if (!st) st = sgi_sparse_set_find(set, to, &j, err);
  if (!st && (from >= to || feature >= set->at[k].form.features))
    st = sgi_fail(err, SG_ERR_ARG, "feature %zu of layer %zu reaches none of layer %zu", feature, from, to);
  const sgi_sublayer *f;
  if (!st) st = find_feedforward(m, to, &f, err);
  double *u = st ? NULL : sgi_alloc(D * sizeof *u);
  if (st) return st;
  if (!u) return sgi_fail_memory(err, D * sizeof *u, "a direction");
  const float *gain = f->w[SGI_T_NORM], *out = set->at[k].p.at[SGI_SPARSE_W_D] + feature * D;
  for (size_t d = 0; d < D; d++) u[d] = (double)gain[d] * (double)out[d];
  for (size_t i = 0; i < set->at[j].form.features; i++) w[i] = dot(set->at[j].p.at[SGI_SPARSE_W_E] + i * D, u, D);
  sgi_free(u);
  return SG_OK;
}

void sgi_net_on_embedding(const sg_model *m, const double *u, float *out) {
  size_t D = m->config.hidden_size;
#pragma omp parallel for schedule(static)
  for (size_t v = 0; v < m->config.vocab_size; v++) {
    float row[SGI_NET_PIECE];
    double s = 0;
    for (size_t from = 0; from < D; from += SGI_NET_PIECE) {
      size_t n = D - from < SGI_NET_PIECE ? D - from : SGI_NET_PIECE;
      sgi_weight_read(row, &m->weights[SGI_ROW_EMBED], v * D + from, n);
      s += dot(row, u + from, n);
    }
    out[v] = (float)s;
  }
}

sg_status sgi_net_deembed(const sg_model *m, const sgi_sparse_set *set, size_t layer, size_t feature,
                          ptrdiff_t head_layer, size_t head, float *out, sg_error *err) {
  size_t D = m->config.hidden_size;
  double *u = sgi_alloc(2 * D * sizeof *u);
  sg_status st = u ? find_in(m, set, layer, feature, head_layer, head, u, u + D, err)
                   : sgi_fail_memory(err, D * sizeof *u, "a direction");
  if (!st) sgi_net_on_embedding(m, u, out);
  sgi_free(u);
  return st;
}
