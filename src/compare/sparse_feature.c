#include "compare/sparse_feature.h"

#include <string.h>

sg_status sgi_sparse_tokens(const sg_model *m, const sgi_sparse_set *set, size_t k, size_t feature, float *reads,
                            float *writes, sg_error *err) {
  const sgi_sparse_layer *l = &set->at[k];
  size_t D = m->config.hidden_size, V = m->config.vocab_size;
  if (feature >= l->form.features)
    return sgi_fail(err, SG_ERR_ARG, "feature %zu: %s has features 0 to %zu in layer %zu", feature, set->directory,
                    l->form.features - 1, l->layer);
  sgi_sparse_place place;
  sg_status st = sgi_sparse_place_of(m, set->site, l->layer, &place, err);
  if (st) return st;
  float *row = sgi_alloc(2 * D * sizeof *row);
  if (!row) return sgi_fail_memory(err, 2 * D * sizeof *row, "a feature's rows");
  const float *gain = m->w[sgi_final_norm_row(m)];
  const float *in = place.in == SGI_SITE_MLP_NORM ? sgi_feedforward_of(m, l->layer)->w[SGI_T_NORM] : NULL;
  for (size_t d = 0; d < D; d++) {
    row[d] = l->p.at[SGI_SPARSE_W_E][feature * D + d] * (in ? in[d] : 1);
    row[D + d] = l->p.at[SGI_SPARSE_W_D][feature * D + d] * gain[d];
  }
#pragma omp parallel for schedule(static)
  for (size_t t = 0; t < V; t++) {
    sgi_slice e = sgi_embedding_of(m, t);
    reads[t] = (float)sgi_slice_dot(&e, row, D);
    writes[t] = (float)sgi_slice_dot(&e, row + D, D);
  }
  sgi_free(row);
  return SG_OK;
}

typedef struct walk {
  const sgi_sparse_layer *l;
  sgi_sparse_firings *out;
  size_t feature, most, row;
  int32_t pad;
  const int32_t *targets;
} walk;

static void keep(walk *w, size_t position, float h) {
  sgi_sparse_firings *o = w->out;
  size_t at = o->n_top < w->most ? o->n_top++ : w->most;
  for (; at > 0 && o->top[at - 1].h < h; at--)
    if (at < w->most) o->top[at] = o->top[at - 1];
  if (at < w->most) o->top[at] = (sgi_sparse_firing){w->row, position, h};
}

static sg_status input(void *user, size_t k, const float *x, size_t first, size_t rows, sg_error *err) {
  (void)k, (void)err;
  walk *w = user;
  const sgi_sparse_form *f = &w->l->form;
  const float *w_e = w->l->p.at[SGI_SPARSE_W_E] + w->feature * f->in;
  for (size_t i = 0; i < rows; i++) {
    if (w->targets[first + i] == w->pad) continue;
    double a = (double)w->l->p.at[SGI_SPARSE_B_E][w->feature];
    for (size_t d = 0; d < f->in; d++) a += (double)w_e[d] * (double)x[i * f->in + d];
    double h = sgi_sparse_open(f, &w->l->p, w->feature, a);
    w->out->positions++;
    if (h <= 0) continue;
    w->out->count++;
    w->out->mean += h;
    keep(w, first + i, (float)h);
  }
  return SG_OK;
}

/* TOPK: whether it is among the largest depends on the others. */
typedef struct whole {
  walk w;
  sgi_sparse_work *work;
} whole;

static sg_status input_topk(void *user, size_t k, const float *x, size_t first, size_t rows, sg_error *err) {
  (void)k;
  whole *a = user;
  walk *w = &a->w;
  sgi_sparse_active active;
  sg_status st = sgi_sparse_forward(a->work, &w->l->form, &w->l->p, x, rows, NULL, &active, err);
  for (size_t i = 0; i < rows && !st; i++) {
    if (w->targets[first + i] == w->pad) continue;
    w->out->positions++;
    for (size_t j = active.start[i]; j < active.start[i] + active.count[i]; j++)
      if (active.feature[j] == w->feature) {
        w->out->count++;
        w->out->mean += (double)active.h[j];
        keep(w, first + i, active.h[j]);
      }
  }
  return st;
}

sg_status sgi_sparse_fires(const sg_model *m, const sgi_sparse_set *set, size_t k, size_t feature,
                           const sgi_sparse_rows *rows, size_t most, bool (*go_on)(void *user), void *user,
                           sgi_sparse_firings *out, sg_error *err) {
  sgi_sparse_place place;
  size_t T = rows->T;
  *out = (sgi_sparse_firings){0};
  whole a = {.w = {.l = &set->at[k], .out = out, .feature = feature, .most = most, .pad = m->config.pad_id}};
  bool topk = set->at[k].form.activation == SGI_SPARSE_TOPK;
  sgi_pass *pass = NULL;
  int32_t *ids = sgi_alloc(3 * T * sizeof *ids);
  out->top = sgi_alloc((most + 1) * sizeof *out->top);
  sg_status st = ids && out->top ? SG_OK : sgi_fail_memory(err, 3 * T * sizeof *ids, "a row of tokens");
  if (!st) st = sgi_sparse_place_of(m, set->site, set->at[k].layer, &place, err);
  if (!st && topk) st = sgi_sparse_work_create(&set->at[k].form, T, false, &a.work, err);
  if (!st) st = sgi_pass_create(m, 1, T, false, &pass, err);
  sgi_sparse_watch watch = {.places = &place, .n = 1, .input = topk ? input_topk : input, .user = &a, .stop = true};
  for (size_t i = 0; i < rows->n && !st; i++) {
    rows->get(rows->user, i, ids, ids + T, ids + 2 * T);
    a.w.row = i;
    a.w.targets = ids + T;
    sgi_batch b = {.B = 1, .T = T, .inputs = ids, .targets = ids + T, .starts = ids + 2 * T};
    st = sgi_sparse_watch_pass(&watch, pass, &b, err);
    if (!st && go_on && !go_on(user)) st = sgi_fail(err, SG_ERR_CANCELLED, "stopped");
  }
  if (out->count) out->mean /= (double)out->count;
  sgi_sparse_work_free(a.work);
  sgi_pass_free(pass);
  sgi_free(ids);
  return st;
}

void sgi_sparse_firings_deinit(sgi_sparse_firings *f) {
  sgi_free(f->top);
  *f = (sgi_sparse_firings){0};
}
