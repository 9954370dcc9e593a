#include "report/convert.h"

#include <math.h>
#include <string.h>

#include "model/convert.h"
#include "report/recovered.h"
#include "train/layerwise.h"

enum { BATCH = 8 }; /* rows of calibration at a time */

/* What a text says of a layer. */
typedef struct measured {
  sgi_layer_fit fit;
  double mass, lists; /* gates of the teacher's pairs that the student chose, over rows and channels */
} measured;

typedef struct job {
  const sg_model *from;
  sg_model *to;
  const sgi_conversion *r;
  bool *which;        /* (L) */
  measured *layers;   /* (L) */
  sgi_layer_fit *fit; /* (L) */
  float **g[2];       /* (L) gates of the layer's own router, (n,H,N) */
  float *scale;       /* (L) */
  int32_t *inputs;    /* (BATCH,T) */
} job;

static sgi_ffn_convert how_of(const sgi_conversion *r) {
  return (sgi_ffn_convert){.to = r->to, .pairs = r->pairs, .key_dim = r->key_dim, .ungroup = r->ungroup};
}

bool sgi_conversion_needs_text(const sg_model *m, const sgi_conversion *r) {
  sgi_ffn_convert how = how_of(r);
  return sgi_convert_is_loose(&m->config, &how);
}

static size_t gates_of(const sg_config *c) { return c->num_channels * c->num_experts; }

static sg_status allocate(job *j, sg_error *err) {
  size_t L = j->from->config.num_layers, T = j->r->calibration.T;
  bool all = (j->which = sgi_alloc(L)) && (j->layers = sgi_alloc(L * sizeof *j->layers)) &&
             (j->fit = sgi_alloc(L * sizeof *j->fit)) && (j->scale = sgi_alloc(L * sizeof *j->scale)) &&
             (j->inputs = sgi_alloc((BATCH * T + 1) * sizeof *j->inputs));
  for (size_t k = 0; k < 2 && all; k++) all = (j->g[k] = sgi_alloc(L * sizeof **j->g)) != NULL;
  for (size_t l = 0; l < L && all; l++) {
    j->scale[l] = 1;
    j->which[l] = sgi_convert_differs(j->from, j->to, l);
    for (size_t k = 0; k < 2 && all && j->which[l] && j->r->calibration.B; k++)
      all = (j->g[k][l] = sgi_alloc(BATCH * T * gates_of(&j->from->layers[l].config) * sizeof(float))) != NULL;
  }
  return all ? SG_OK : sgi_fail_memory(err, BATCH * T * sizeof(float), "a conversion's calibration");
}

static void release(job *j) {
  for (size_t k = 0; k < 2; k++) {
    for (size_t l = 0; l < j->from->config.num_layers && j->g[k]; l++) sgi_free(j->g[k][l]);
    sgi_free(j->g[k]);
  }
  void *blocks[] = {j->which, j->layers, j->fit, j->scale, j->inputs};
  for (size_t i = 0; i < SGI_COUNT(blocks); i++) sgi_free(blocks[i]);
  sg_model_free(j->to);
}

/* ---- calibration ----------------------------------------------------------------------------- */

static sg_status visit(void *user, const sgi_site *s, sg_error *err) {
  job *j = user;
  (void)err;
  size_t k = s->id == SGI_SITE_ROUTER_G2;
  if ((s->id != SGI_SITE_ROUTER_G1 && !k) || s->layer < 0 || !j->g[k][s->layer]) return SG_OK;
  memcpy(j->g[k][s->layer] + s->first * sgi_site_width(s), s->data, s->n * sgi_site_width(s) * sizeof(float));
  return SG_OK;
}

static size_t root(size_t n) {
  size_t s = (size_t)sqrt((double)n);
  while (s * s > n) s--;
  while ((s + 1) * (s + 1) <= n) s++;
  return s;
}

/* Unit a S + b lies in the square of pair (a / side, b / side): side^2 units of a chosen pair are
 * there. */
static void seen(void *user, size_t l, const sgi_ffn_call *call, const bool *counted) {
  job *j = user;
  const sg_config *c = &j->from->layers[l].config;
  size_t N = c->num_experts, S = root(call->config->num_neurons), router = sgi_config_router(c, l);
  const float *g1 = j->g[0][router], *g2 = j->g[1][router];
  sgi_gates k;
  if (!N || S % N || !g1 || !g2 || !j->to->layers[l].feedforward.ffn->gates) return;
  j->to->layers[l].feedforward.ffn->gates(call->config, call->n, call->saved, &k);
  size_t side = S / N, H = k.channels;
  if (H != c->num_channels) return;
  for (size_t i = 0; i < call->n * H; i++) {
    double sum = 0;
    if (!counted[i / H]) continue;
    for (size_t e = i * k.top_k; e < (i + 1) * k.top_k; e++) {
      size_t f = (size_t)k.index[e];
      sum += (double)g1[i * N + f / S / side] * (double)g2[i * N + f % S / side];
    }
    j->layers[l].mass += sum / (double)(side * side);
    j->layers[l].lists++;
  }
}

static void shift(int32_t *inputs, const int32_t *targets, size_t T, int32_t bos) {
  inputs[0] = bos;
  memcpy(inputs + 1, targets, (T - 1) * sizeof *inputs);
}

static bool told(const job *j, const char *what, size_t done, size_t wanted) {
  return !j->r->progress || j->r->progress(j->r->user, what, done, wanted);
}

static sg_status calibrate(job *j, bool measures_mass, sg_error *err) {
  const sgi_text_rows *rows = &j->r->calibration;
  size_t L = j->from->config.num_layers, T = rows->T;
  sgi_layerwise *x = NULL;
  sgi_tap tap = {.visit = visit, .user = j, .err = err};
  sgi_layer_seen look = {.seen = seen, .teacher = &tap, .user = j};
  memset(j->fit, 0, L * sizeof *j->fit);
  sg_status st = sgi_layerwise_create(j->from, j->to, j->which, BATCH, T, false, &x, err);
  for (size_t i = 0; i < rows->B && !st; i += BATCH) {
    size_t B = rows->B - i < BATCH ? rows->B - i : BATCH;
    const int32_t *targets = rows->targets + i * T;
    for (size_t b = 0; b < B; b++) shift(j->inputs + b * T, targets + b * T, T, j->from->config.bos_id);
    sgi_batch batch = {.B = B, .T = T, .inputs = j->inputs, .targets = targets};
    st = sgi_layerwise_run(x, &batch, j->fit, NULL, measures_mass ? &look : NULL, err);
    if (!st && !told(j, "calibrating", i + B, rows->B)) st = sgi_fail(err, SG_ERR_CANCELLED, "stopped");
  }
  sgi_layerwise_free(x);
  for (size_t l = 0; l < L && !st; l++) j->layers[l].fit = j->fit[l];
  return st;
}

/* The number a layer by which its outputs come nearest to the teacher's. */
static sg_status fit_scales(job *j, sg_error *err) {
  for (size_t l = 0; l < j->from->config.num_layers; l++) {
    const sgi_layer_fit *f = &j->layers[l].fit;
    if (!j->which[l] || !(f->own > 0)) continue;
    j->scale[l] = (float)(f->cross / f->own);
    sgi_convert_scale(j->to, l, j->scale[l]);
  }
  return calibrate(j, false, err);
}

/* ---- the document ---------------------------------------------------------------------------- */

static json_t *real_or_null(bool any, double x) { return any ? sgi_report_real(x) : json_null(); }

static json_t *layers_json(const job *j) {
  json_t *list = json_array();
  for (size_t l = 0; l < j->to->config.num_layers; l++) {
    const sg_config *c = &j->to->layers[l].config;
    const measured *m = &j->layers[l];
    if (!j->which[l]) continue;
    json_array_append_new(
        list,
        json_pack("{s:I, s:I, s:I, s:I, s:o, s:o, s:f}", "layer", (json_int_t)l, "neurons", (json_int_t)c->num_neurons,
                  "channels", (json_int_t)c->num_channels, "top_k", (json_int_t)c->top_k, "kept_mass",
                  real_or_null(m->lists > 0, m->mass / m->lists), "relative_error",
                  real_or_null(m->fit.square > 0, m->fit.error / m->fit.square), "scale", (double)j->scale[l]));
  }
  return list;
}

static bool goes_on(void *user) { return told(user, "evaluating", 0, 1); }

static sg_status losses(job *j, json_t *o, sg_error *err) {
  sgi_recovered r = {0};
  bool any = j->r->held_out.B > 0;
  sg_status st = any ? sgi_recovered_begin(j->from, &j->r->held_out, goes_on, j, &r, err) : SG_OK;
  double loss = 0;
  if (!st && any) st = sgi_recovered_loss(j->to, &j->r->held_out, goes_on, j, &loss, err);
  if (st) return st;
  json_object_set_new(o, "loss_before", real_or_null(any, r.teacher));
  json_object_set_new(o, "loss", real_or_null(any, loss));
  json_object_set_new(o, "loss_zero", real_or_null(any, r.zero));
  json_object_set_new(o, "recovered", real_or_null(any, sgi_recovered_share(&r, loss)));
  return SG_OK;
}

static sg_status document(job *j, json_t **out, sg_error *err) {
  uint64_t before, after;
  size_t T = j->from->config.max_position;
  sg_status st = sg_config_flops(&j->from->config, T, &before, err);
  if (!st) st = sg_config_flops(&j->to->config, T, &after, err);
  if (st) return st;
  const sg_config *c = &j->to->config;
  json_t *o = json_pack("{s:s, s:I, s:I, s:b, s:I, s:I, s:f, s:f, s:o}", "to", j->r->to, "pairs",
                        (json_int_t)j->r->pairs, "key_dim", (json_int_t)c->key_dim, "ungroup", (int)j->r->ungroup,
                        "parameters_before", (json_int_t)j->from->table.parameters, "parameters",
                        (json_int_t)j->to->table.parameters, "flops_before", (double)before / (double)T, "flops",
                        (double)after / (double)T, "layers", layers_json(j));
  st = losses(j, o, err);
  if (st)
    json_decref(o);
  else
    *out = o;
  return st;
}

static bool converting(void *user, size_t done, size_t wanted) { return told(user, "converting", done, wanted); }

sg_status sgi_conversion_make(const sg_model *m, const sgi_conversion *r, const char *directory, json_t **out,
                              sg_error *err) {
  job j = {.from = m, .r = r};
  sgi_ffn_convert how = how_of(r);
  *out = NULL;
  if (sgi_conversion_needs_text(m, r) && !r->calibration.B)
    return sgi_fail(err, SG_ERR_ARG,
                    "layers of %.40s have no form that does the same: a text is needed that their outputs are scaled "
                    "by (data)",
                    r->to);
  sg_status st = sgi_model_convert(m, &how, converting, &j, &j.to, err);
  if (!st) st = allocate(&j, err);
  if (!st && r->calibration.B) st = calibrate(&j, true, err);
  if (!st && r->calibration.B && sgi_convert_is_loose(&m->config, &how)) st = fit_scales(&j, err);
  if (!st) st = sg_model_save(j.to, directory, err);
  if (!st) st = document(&j, out, err);
  release(&j);
  return st;
}
