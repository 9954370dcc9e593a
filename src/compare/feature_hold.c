#include "compare/feature_hold.h"

#include <math.h>
#include <string.h>

#include "read/graph_build.h"
#include "read/joint.h"

static const sgi_sparse_layer *layer_of(const sgi_sparse_set *set, size_t layer) {
  for (size_t k = 0; k < set->n; k++)
    if (set->at[k].layer == layer) return &set->at[k];
  return NULL;
}

sg_status sgi_features_check(const sg_model *m, const sgi_sparse_set *set, sg_error *err) {
  size_t D = m->config.hidden_size;
  if (set->site != SGI_PLACE_MLP)
    return sgi_fail(err, SG_ERR_UNSUPPORTED, "%s holds SAEs of %s: features that stand for layers need transcoders",
                    set->directory, sgi_sparse_site_name(set->site));
  for (size_t l = 0; l < m->config.num_layers; l++) {
    const sgi_sparse_layer *s = layer_of(set, l);
    if (!sgi_feedforward_of(m, l)) continue;
    if (!s)
      return sgi_fail(err, SG_ERR_ARG,
                      "%s has no transcoder of layer %zu: features stand for the layers only where each has one",
                      set->directory, l);
    if (s->form.in != D || s->form.out != D)
      return sgi_fail(err, SG_ERR_ARG, "%s: layer %zu has %zu numbers at a position, the model %zu", set->directory, l,
                      s->form.in, D);
  }
  return SG_OK;
}

/* ---- holding --------------------------------------------------------------------------------- */

typedef struct acting {
  double *a, *h; /* (M), (T,M) */
  float *x;      /* (D) */
  size_t most;   /* features that act at one position */
} acting;

static sg_status read_acting(const sgi_sparse_layer *s, const sgi_held *h, acting *out, sg_error *err) {
  size_t M = s->form.features, D = h->D;
  *out = (acting){.a = sgi_alloc((h->T + 1) * M * sizeof *out->a), .x = sgi_alloc(D * sizeof *out->x)};
  if (!out->a || !out->x) return sgi_fail_memory(err, (h->T + 1) * M * sizeof *out->a, "features of a prompt");
  out->h = out->a + M;
  for (size_t t = 0; t < h->T; t++) {
    size_t count = 0;
    for (size_t d = 0; d < D; d++) out->x[d] = h->x[t * D + d] * h->r[t] * h->gain[d];
    sgi_sparse_acting(&s->form, &s->p, out->x, out->a, out->h + t * M);
    for (size_t i = 0; i < M; i++) count += out->h[t * M + i] != 0;
    if (count > out->most) out->most = count;
  }
  return SG_OK;
}

/* The layer's own output at a position, out of its units. */
static void own_output(const sgi_held *h, size_t t, float *row, double *y) {
  const sgi_unit *u = sgi_held_units(h, t);
  const double *bias = sgi_held_bias(h, t);
  for (size_t d = 0; d < h->D; d++) y[d] = bias ? bias[d] : 0;
  for (size_t j = 0; j < h->units; j++) {
    if (u[j].value == 0) continue;
    sgi_unit_out(&u[j], row, h->D);
    for (size_t d = 0; d < h->D; d++) y[d] += u[j].value * (double)row[d];
  }
}

/* Units of one position: what acts, then empty ones whose number no edit meets. */
static void put_units(const sgi_sparse_layer *s, const double *h, const sgi_weight *rows, size_t most, size_t D,
                      sgi_unit *u) {
  size_t n = 0;
  for (size_t i = 0; i < s->form.features && n < most; i++) {
    if (h[i] == 0) continue;
    u[n++] = (sgi_unit){.index = (int32_t)i,
                        .value = h[i],
                        .gate = 1,
                        .constant = (double)s->p.at[SGI_SPARSE_B_E][i],
                        .in = {.weight = &rows[0], .at = i * D, .stride = 1},
                        .out = {.weight = &rows[1], .at = i * D, .stride = 1}};
  }
  for (; n < most; n++)
    u[n] = (sgi_unit){.index = -1, .in = {.weight = &rows[0], .stride = 1}, .out = {.weight = &rows[1], .stride = 1}};
}

static sg_status hold_layer(const sgi_sparse_layer *s, sgi_held *h, sg_error *err) {
  size_t D = h->D, T = h->T, M = s->form.features;
  acting a;
  sg_status st = read_acting(s, h, &a, err);
  sgi_held new = {.bias = sgi_alloc(T * D * sizeof *new.bias),
                  .error = sgi_alloc(T * D * sizeof *new.error),
                  .unit = sgi_alloc((T * a.most + 1) * sizeof *new.unit),
                  .copied = sgi_alloc(2 * sizeof *new.copied)};
  if (!st && (!new.bias || !new.error || !new.unit || !new.copied))
    st = sgi_fail_memory(err, T * a.most * sizeof *new.unit, "the features of a layer");
  if (!st) {
    new.copied[0] = sgi_weight_floats(s->p.at[SGI_SPARSE_W_E], M, D);
    new.copied[1] = sgi_weight_floats(s->p.at[SGI_SPARSE_W_D], M, D);
  }
  for (size_t t = 0; t < T && !st; t++) {
    double *e = new.error + t *D;
    put_units(s, a.h + t * M, new.copied, a.most, D, new.unit + t *a.most);
    own_output(h, t, a.x, e);
    for (size_t d = 0; d < D; d++) e[d] -= new.bias[t * D + d] = (double)s->p.at[SGI_SPARSE_B_D][d];
    for (size_t i = 0; i < M; i++)
      for (size_t d = 0; d < D && a.h[t * M + i] != 0; d++)
        e[d] -= a.h[t * M + i] * (double)s->p.at[SGI_SPARSE_W_D][i * D + d];
  }
  sgi_free(a.a);
  sgi_free(a.x);
  if (st) {
    sgi_held_deinit(&new);
    return st;
  }
  sgi_free(h->unit);
  sgi_free(h->bias);
  sgi_free(h->outputs);
  sgi_free(h->copied);
  h->outputs = NULL;
  h->units = a.most;
  h->unit = new.unit;
  h->bias = new.bias;
  h->error = new.error;
  h->copied = new.copied;
  h->has_constants = true;
  return SG_OK;
}

static sg_status hold_all(const void *user, sgi_frozen *f, sg_error *err) {
  const sgi_sparse_set *set = user;
  sg_status st = sgi_features_check(f->model, set, err);
  for (size_t i = 0; i < f->n_steps && !st; i++) {
    sgi_held *h = &f->steps[i];
    if (h->step->sub->ops == &sgi_sublayer_feedforward) st = hold_layer(layer_of(set, h->step->layer), h, err);
  }
  return st;
}

sgi_hold sgi_features_hold(const sgi_sparse_set *set) { return (sgi_hold){hold_all, set}; }

/* ---- readings -------------------------------------------------------------------------------- */

sg_status sgi_feature_graph(const sg_model *m, const sgi_sparse_set *set, const sg_graph_request *r, sg_graph **out,
                            sg_error *err) {
  sgi_hold hold = sgi_features_hold(set);
  sg_status st = sgi_features_check(m, set, err);
  if (!st) st = sgi_graph_create(m, r, &hold, out, err);
  if (st) return st;
  (*out)->features = true;
  (*out)->pool = 0; /* channel 0: a feature's number is its own */
  return SG_OK;
}

static sg_status check_edits(const sg_model *m, const sgi_sparse_set *set, const sgi_feature_edit *edits, size_t n,
                             size_t T, sg_error *err) {
  sg_status st = sgi_features_check(m, set, err);
  for (size_t i = 0; i < n && !st; i++) {
    const sgi_sparse_layer *s = layer_of(set, edits[i].layer);
    if (!s)
      st = sgi_fail(err, SG_ERR_ARG, "edit %zu: %s has no transcoder of layer %zu", i, set->directory, edits[i].layer);
    else if (edits[i].feature >= s->form.features)
      st = sgi_fail(err, SG_ERR_ARG, "edit %zu: layer %zu has features 0 to %zu", i, edits[i].layer,
                    s->form.features - 1);
    else if (edits[i].position >= (ptrdiff_t)T)
      st = sgi_fail(err, SG_ERR_ARG, "edit %zu: position %td is outside the prompt of %zu", i, edits[i].position, T);
    else if (!isfinite(edits[i].scale))
      st = sgi_fail(err, SG_ERR_ARG, "edit %zu: a feature can not be scaled by %g", i, edits[i].scale);
  }
  return st;
}

sg_status sgi_features_joint(const sg_model *m, const sgi_sparse_set *set, const sg_attribute_request *r,
                             const sgi_feature_edit *edits, size_t n_edits, sg_joint **out, sg_error *err) {
  sgi_hold hold = sgi_features_hold(set);
  sg_edit *list = sgi_alloc((n_edits + 1) * sizeof *list);
  sg_status st = list ? check_edits(m, set, edits, n_edits, r->count, err)
                      : sgi_fail_memory(err, n_edits * sizeof *list, "a list of edits");
  for (size_t i = 0; i < n_edits && !st; i++) {
    ptrdiff_t feature = (ptrdiff_t)edits[i].feature, position = edits[i].position;
    list[i] = (sg_edit){.op = SG_EDIT_SCALE, .value = edits[i].scale, .n_axes = position < 0 ? 1 : 2};
    sgi_site_full_name(list[i].site, (ptrdiff_t)edits[i].layer, SGI_SITE_NEURONS);
    list[i].axes[0] = (sg_edit_axis){"neuron", feature, feature};
    if (position >= 0) list[i].axes[1] = (sg_edit_axis){"pos", position, position};
  }
  if (!st) st = sgi_joint_create(m, r, list, n_edits, &hold, out, err);
  sgi_free(list);
  return st;
}

/* ---- the true run ---------------------------------------------------------------------------- */

typedef struct steering {
  const sgi_sparse_set *set;
  const sgi_feature_edit *edits;
  size_t n, D, *met;
  float *x;      /* (T,D) what the layer at hand read */
  double *a, *h; /* (M) each */
} steering;

static void steer_row(steering *w, const sgi_sparse_layer *s, size_t t, float *y) {
  bool read = false;
  for (size_t i = 0; i < w->n; i++) {
    const sgi_feature_edit *e = &w->edits[i];
    if (e->layer != s->layer || (e->position >= 0 && (size_t)e->position != t)) continue;
    if (!read) sgi_sparse_acting(&s->form, &s->p, w->x + t * w->D, w->a, w->h);
    read = true;
    double h = w->h[e->feature];
    if (h == 0) continue;
    const float *out = s->p.at[SGI_SPARSE_W_D] + e->feature * w->D;
    for (size_t d = 0; d < w->D; d++) y[d] += (float)((e->scale - 1) * h * (double)out[d]);
    w->h[e->feature] = e->scale * h;
    w->met[i]++;
  }
}

static sg_status visit(void *user, const sgi_site *site, sg_error *err) {
  (void)err;
  steering *w = user;
  float *data = site->data;
  if (site->id == SGI_SITE_MLP_NORM) memcpy(w->x + site->first * w->D, data, site->n * w->D * sizeof *data);
  const sgi_sparse_layer *s =
      site->id == SGI_SITE_MLP_OUT && site->layer >= 0 ? layer_of(w->set, (size_t)site->layer) : NULL;
  for (size_t i = 0; s && i < site->n; i++) steer_row(w, s, site->first + i, data + i * w->D);
  return SG_OK;
}

sg_status sgi_features_steer(const sg_model *m, const sgi_sparse_set *set, const int32_t *tokens, size_t T,
                             size_t position, const sgi_feature_edit *edits, size_t n_edits, float *logits, size_t *met,
                             sg_error *err) {
  sg_status st = check_edits(m, set, edits, n_edits, T, err);
  if (st) return st;
  size_t D = m->config.hidden_size;
  steering w = {.set = set, .edits = edits, .n = n_edits, .D = D, .met = met};
  sgi_pass *pass = NULL;
  w.x = sgi_alloc(T * D * sizeof *w.x);
  w.a = sgi_alloc(2 * set->largest * sizeof *w.a);
  if (!w.x || !w.a) st = sgi_fail_memory(err, 2 * set->largest * sizeof *w.a, "features of a position");
  w.h = w.a ? w.a + set->largest : NULL;
  if (n_edits) memset(met, 0, n_edits * sizeof *met);
  if (!st) st = sgi_pass_create(m, 1, T, false, &pass, err);
  sgi_batch batch = {.B = 1, .T = T, .inputs = tokens};
  if (!st) st = sgi_pass_forward(pass, &batch, &(sgi_tap){.visit = visit, .user = &w, .err = err}, err);
  if (!st) st = sgi_pass_logits(pass, position, 1, logits, err);
  sgi_pass_free(pass);
  sgi_free(w.x);
  sgi_free(w.a);
  return st;
}
