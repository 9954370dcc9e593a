/* One layer is run by itself as a model of one layer that borrows its weights: a tap puts the
 * stream where the embedding would be and takes what comes out. */
#include "read/defect.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "core/arena.h"

enum { STAGES = 4, FLOW = STAGES * SGI_FLOW_STEPS }; /* of rk4; evaluations of a layer's flow */

static const char *const forms[SGI_DEFECT_FORMS] = {"sequential", "euler", "midpoint", "rk4"};
const char *sgi_defect_form(size_t i) { return i < SGI_DEFECT_FORMS ? forms[i] : NULL; }

typedef struct work {
  const sg_model *m;
  const sgi_batch *batch;
  size_t n, D;
  float *streams;    /* (L,n,D) before each layer */
  float *flow, *out; /* (n,D) after the layer at hand */
  const float *from; /* (n,D) what the layer at hand starts from */
  /* Choices of the step's first stage, and how many later ones differ. */
  int32_t *first;
  size_t width, room;
  uint64_t chosen, other;
  sgi_pass_progress progress;
  void *user;
  size_t layer, done; /* the one at hand; evaluations of the flows so far */
  bool in_flow;
} work;

/* ---- streams of the model's own pass --------------------------------------------------------- */

static sg_status keep(void *user, const sgi_site *s, sg_error *err) {
  work *w = user;
  size_t row = w->n * w->D;
  (void)err;
  if (s->id == SGI_SITE_EMBED) memcpy(w->streams, s->data, row * sizeof *w->streams);
  if (s->id == SGI_SITE_RESID_POST && (size_t)s->layer + 1 < w->m->config.num_layers)
    memcpy(w->streams + ((size_t)s->layer + 1) * row, s->data, row * sizeof *w->streams);
  return SG_OK;
}

static sg_status run(const sg_model *m, const work *w, const sgi_tap *tap, sg_error *err) {
  sgi_pass *p = NULL;
  sg_status st = sgi_pass_create(m, w->batch->B, w->batch->T, false, &p, err);
  if (!st) st = sgi_pass_forward(p, w->batch, tap, err);
  sgi_pass_free(p);
  return st;
}

/* ---- one layer by itself --------------------------------------------------------------------- */

static void compare_choice(work *w, const sgi_site *s) {
  const int32_t *now = s->data;
  size_t K = s->dims[1] > 1 ? s->dims[1] : s->dims[0], count = s->n * sgi_site_width(s);
  if (count > w->room) return;
  if (!s->stage) {
    memcpy(w->first, now, count * sizeof *now);
    return;
  }
  for (size_t i = 0; i < count; i++) {
    bool found = false;
    for (size_t k = i / K * K; k < (i / K + 1) * K; k++) found = found || w->first[k] == now[i];
    w->other += !found;
    w->chosen++;
  }
}

/* The flow is nearly all of the work: its evaluations are what is told. */
static sg_status told(work *w, const sgi_site *s, sg_error *err) {
  size_t now = w->layer * FLOW + s->step * STAGES + s->stage + 1;
  if (s->id != SGI_SITE_ATTN_OUT && s->id != SGI_SITE_MLP_OUT) return SG_OK;
  if (!w->progress || now <= w->done) return SG_OK;
  w->done = now;
  return w->progress(w->user, now, w->m->config.num_layers * FLOW) ? SG_OK : sgi_fail(err, SG_ERR_CANCELLED, "stopped");
}

static sg_status step(void *user, const sgi_site *s, sg_error *err) {
  work *w = user;
  sg_status st = w->in_flow ? told(w, s, err) : SG_OK;
  if (st) return st;
  if (s->id == SGI_SITE_EMBED) memcpy(s->data, w->from, w->n * w->D * sizeof *w->from);
  if (s->id == SGI_SITE_RESID_POST) memcpy(w->out, s->data, w->n * w->D * sizeof *w->out);
  if (sgi_site_row_of(s->id)->role == SGI_SITE_CHOICE && w->first) compare_choice(w, s);
  return SG_OK;
}

/* A model of layer l alone, in a form of so many steps. */
static sg_status alone(const sg_model *m, size_t l, const char *form, size_t steps, sg_model **out, sg_error *err) {
  sg_config c = m->layers[l].config;
  c.num_layers = 1;
  c.layer_form[0] = 0;
  c.ode_steps = 0;
  if (!sgi_attention_of(m, l)) c.layers[0].absent |= SG_ATTENTION;
  if (!sgi_feedforward_of(m, l)) c.layers[0].absent |= SG_FEEDFORWARD;
  sg_status st = sgi_model_shell(&c, out, err);
  if (st) return st;
  sg_model *one = *out;
  one->weights[SGI_ROW_EMBED] = m->weights[SGI_ROW_EMBED];
  one->weights[sgi_final_norm_row(one)] = m->weights[sgi_final_norm_row(m)];
  const sgi_sublayer *from[] = {sgi_attention_of(m, l), sgi_feedforward_of(m, l)},
                     *to[] = {sgi_attention_of(one, 0), sgi_feedforward_of(one, 0)};
  for (size_t k = 0; k < 2; k++)
    for (size_t i = 0; from[k] && i < from[k]->n_tensors; i++) one->weights[to[k]->row[i]] = *from[k]->weight[i];
  sgi_model_point(one);
  snprintf(one->config.layer_form, sizeof one->config.layer_form, "%s", form);
  one->config.ode_steps = steps;
  sgi_plan_deinit(&one->plan);
  st = sgi_plan_make(&one->config, one->layers, &one->plan, err);
  if (st) sg_model_free(one);
  return st;
}

static sg_status run_layer(work *w, size_t l, const char *form, size_t steps, sg_error *err) {
  sg_model *one = NULL;
  sg_status st = alone(w->m, l, form, steps, &one, err);
  if (st) return st;
  st = run(one, w, &(sgi_tap){step, w, err, NULL, w->first || w->in_flow}, err);
  sg_model_free(one);
  return st;
}

static double distance(const float *a, const float *b, size_t n) {
  double sum = 0;
  for (size_t i = 0; i < n; i++) sum += ((double)a[i] - (double)b[i]) * ((double)a[i] - (double)b[i]);
  return sqrt(sum);
}

static sg_status measure(work *w, size_t l, sgi_defect *out, sg_error *err) {
  size_t count = w->n * w->D;
  int32_t *first = w->first;
  w->from = w->streams + l * count;
  w->first = NULL;
  w->layer = l;
  w->in_flow = true;
  sg_status st = run_layer(w, l, "rk4", SGI_FLOW_STEPS, err);
  w->in_flow = false;
  if (!st) memcpy(w->flow, w->out, count * sizeof *w->flow);
  double moved = st ? 0 : distance(w->flow, w->from, count);
  for (size_t i = 0; i < SGI_DEFECT_FORMS && !st; i++) {
    w->chosen = w->other = 0;
    w->first = i + 1 == SGI_DEFECT_FORMS ? first : NULL;
    st = run_layer(w, l, forms[i], 1, err);
    if (!st) out->of[i] = moved > 0 ? distance(w->out, w->flow, count) / moved : NAN;
  }
  out->rerouted = w->chosen ? (double)w->other / (double)w->chosen : NAN;
  w->first = first;
  return st;
}

sg_status sgi_ode_defect(const sg_model *m, const sgi_batch *batch, sgi_defect *out, sgi_pass_progress progress,
                         void *user, sg_error *err) {
  size_t n = batch->B * batch->T, D = m->config.hidden_size, L = m->config.num_layers;
  work w = {.m = m,
            .batch = batch,
            .n = n,
            .D = D,
            .room = n * sgi_model_largest(m).entries,
            .progress = progress,
            .user = user};
  w.streams = sgi_alloc(L * n * D * sizeof *w.streams);
  w.flow = sgi_alloc(n * D * sizeof *w.flow);
  w.out = sgi_alloc(n * D * sizeof *w.out);
  w.first = sgi_alloc((w.room + 1) * sizeof *w.first);
  sg_status st = w.streams && w.flow && w.out && w.first
                     ? SG_OK
                     : sgi_fail_memory(err, L * n * D * sizeof *w.streams, "the streams before layers");
  if (!st) st = run(m, &w, &(sgi_tap){.visit = keep, .user = &w, .err = err}, err);
  for (size_t l = 0; l < L && !st; l++) st = measure(&w, l, &out[l], err);
  sgi_free(w.streams);
  sgi_free(w.flow);
  sgi_free(w.out);
  sgi_free(w.first);
  return st;
}
