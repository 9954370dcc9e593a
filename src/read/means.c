/* Mean values of neurons and heads over rows of tokens, in double, in the order of the rows. */
#include "read/means.h"

#include <string.h>

#include "ffn/beside.h"
#include "model/held.h"
#include "read/run.h"

static const size_t DEFAULT_BYTES = (size_t)1 << 30;

typedef struct making {
  sg_means *out;
  double **sum; /* (L) of (channels,units) */
  double *z;    /* (L,width) */
} making;

static sg_status visit(void *user, const sgi_site *site, sg_error *err) {
  making *w = user;
  (void)err;
  if (site->id != SGI_SITE_ATTN_Z) return SG_OK;
  size_t width = sgi_site_width(site);
  double *z = w->z + (size_t)site->layer * w->out->width;
  for (size_t i = 0; i < site->n; i++)
    for (size_t d = 0; d < width; d++) z[d] += (double)((const float *)site->data)[i * width + d];
  return SG_OK;
}

/* What multiplies the output rows at one step, as readers hold it: of every kind. */
static sg_status add_values(making *w, sgi_pass *pass, size_t step, sg_error *err) {
  sgi_held h = {0};
  sg_status st = sgi_pass_hold(pass, step, &h, err);
  for (size_t i = 0; i < h.T * h.units && !st; i++) {
    const sgi_unit *u = &h.unit[i];
    size_t layer = h.step->layer;
    w->sum[layer][(size_t)u->channel * w->out->layers[layer].units + (size_t)u->index] += u->value;
  }
  sgi_held_deinit(&h);
  return st;
}

static bool unit_of(const sg_means *m, size_t layer, size_t channel, size_t index, sgi_unit *u) {
  const sgi_sublayer *s = sgi_feedforward_of(m->model, layer);
  return s && s->ffn->unit_at && s->ffn->unit_at(s->config, s->weight + SGI_T_OWN, channel, index, u);
}

void sgi_means_add(const sg_means *m, size_t layer, size_t channel, size_t index, double a, float *y) {
  const sgi_layer_means *l = &m->layers[layer];
  sgi_unit u;
  float x = l->value[channel * l->units + index];
  if (x != 0 && unit_of(m, layer, channel, index, &u)) sgi_slice_add(&u.out, (float)(a * (double)x), y, m->D);
}

static sg_status layout(sg_means *m, making *w, sg_error *err) {
  size_t all = 0, D = m->D;
  for (size_t l = 0; l < m->L; l++) {
    const sgi_sublayer *s = sgi_feedforward_of(m->model, l);
    sgi_unit u;
    if (s && !unit_of(m, l, 0, 0, &u))
      return sgi_fail(err, SG_ERR_UNSUPPORTED, "feedforward kind \"%s\" has no output rows: its neurons have no mean",
                      s->ffn->name);
    if (s && sgi_beside_units(s->config))
      return sgi_fail(
          err, SG_ERR_UNSUPPORTED,
          "layer %zu has neurons beside its kind (always_on, sink_mlp): means are taken of the kind's alone, "
          "so what is silent can only be at 0 there",
          l);
    m->layers[l].channels = s ? sgi_unit_channels(s->config) : 0;
    m->layers[l].units = s ? s->config->num_neurons : 0;
    all += m->layers[l].channels * m->layers[l].units;
  }
  float *at = m->memory = sgi_alloc((all + m->L * (D + m->width)) * sizeof *at);
  double *sums = sgi_alloc((all + m->L * m->width) * sizeof *sums);
  w->sum = sgi_alloc(m->L * sizeof *w->sum);
  w->z = sums;
  if (!at || !sums || !w->sum) return sgi_fail_memory(err, all * sizeof *sums, "mean values of neurons");
  memset(sums, 0, (all + m->L * m->width) * sizeof *sums);
  sums += m->L * m->width;
  m->z = at;
  at += m->L * m->width;
  for (size_t l = 0; l < m->L; l++) {
    size_t n = m->layers[l].channels * m->layers[l].units;
    m->layers[l].output = at;
    m->layers[l].value = at + D;
    w->sum[l] = sums;
    at += D + n;
    sums += n;
  }
  return SG_OK;
}

/* Rows end where the padding begins. */
static size_t length_of(const sg_means *m, const int32_t *ids, size_t T) {
  size_t n = 1;
  while (n < T && ids[n] != m->model->config.pad_id) n++;
  return n;
}

static sg_status run_rows(making *w, const sg_means_request *r, sg_error *err) {
  const sg_model *m = w->out->model;
  size_t fits;
  sgi_pass *pass = NULL;
  sg_status st = sgi_form_readable(&m->config, "means of neurons", err);
  if (!st) st = sgi_pass_fit_within(&m->config, 1, r->T, true, r->max_bytes ? r->max_bytes : DEFAULT_BYTES, &fits, err);
  if (!st) st = sgi_pass_create(m, 1, r->T, true, &pass, err);
  for (size_t b = 0; b < r->rows && !st; b++) {
    const int32_t *ids = r->tokens + b * r->T;
    size_t n = length_of(w->out, ids, r->T);
    st = sgi_pass_forward(pass, &(sgi_batch){.B = 1, .T = n, .inputs = ids},
                          &(sgi_tap){.visit = visit, .user = w, .err = err}, err);
    for (size_t s = 0; s < m->plan.n_steps && !st; s++)
      if (m->plan.steps[s].sub->ops == &sgi_sublayer_feedforward) st = add_values(w, pass, s, err);
    w->out->positions += n;
    if (!st && r->progress && !r->progress(r->user, b + 1, r->rows)) st = sgi_fail(err, SG_ERR_CANCELLED, "stopped");
  }
  sgi_pass_free(pass);
  return st;
}

static void finish(making *w) {
  sg_means *m = w->out;
  double n = (double)m->positions;
  for (size_t i = 0; i < m->L * m->width; i++) m->z[i] = (float)(w->z[i] / n);
  for (size_t l = 0; l < m->L; l++) {
    sgi_layer_means *x = &m->layers[l];
    memset(x->output, 0, m->D * sizeof *x->output);
    for (size_t i = 0; i < x->channels * x->units; i++) x->value[i] = (float)(w->sum[l][i] / n);
    for (size_t i = 0; i < x->channels * x->units; i++) sgi_means_add(m, l, i / x->units, i % x->units, 1, x->output);
  }
}

sg_status sg_means_create(const sg_model *m, const sg_means_request *r, sg_means **out, sg_error *err) {
  *out = NULL;
  if (!r->rows || !r->T || !r->tokens) return sgi_fail(err, SG_ERR_ARG, "means are of a text: there is no row");
  sg_status st = SG_OK;
  for (size_t b = 0; b < r->rows && !st; b++) st = sgi_prompt_check(m, r->tokens + b * r->T, r->T, err);
  if (st) return st;
  sg_means *x = sgi_alloc(sizeof *x);
  if (!x) return sgi_fail_memory(err, sizeof *x, "means");
  *x = (sg_means){.model = m,
                  .D = m->config.hidden_size,
                  .L = m->config.num_layers,
                  .width = m->config.num_heads * m->config.head_dim};
  making w = {.out = x};
  x->layers = sgi_alloc(x->L * sizeof *x->layers);
  st = x->layers ? layout(x, &w, err) : sgi_fail_memory(err, x->L * sizeof *x->layers, "means");
  if (!st) st = run_rows(&w, r, err);
  if (!st) finish(&w);
  sgi_free(w.sum);
  sgi_free(w.z);
  if (st)
    sg_means_free(x);
  else
    *out = x;
  return st;
}

void sg_means_free(sg_means *m) {
  if (!m) return;
  sgi_free(m->layers);
  sgi_free(m->memory);
  sgi_free(m);
}
