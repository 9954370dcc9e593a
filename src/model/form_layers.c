/* form_layers.c: a layer's steps put together, forwards and backwards (form.h; docs/method.md,
 * layer forms).
 *
 * Chain: every step reads a stream of its own and adds to it; the sum is left to the norm of the
 * next step, which makes it while the rows are in cache, unless a tap wants to see it.
 *
 * Stages: with x the stream before a step of the form and h = 1 / steps,
 *
 *   u_0 = x;  k_q = Attn(u_q) + FFN(u_q);  u_(q+1) = x + (reach_(q+1) h) k_q
 *   x' = x + (h / whole) sum of weight_q k_q
 *
 * and backwards, for q from the last stage down, with d = dx' and dx starting as d:
 *
 *   dk_q = (weight_q h / whole) d + (reach_(q+1) h) du_(q+1);  du_q = J_q^T dk_q;  dx += du_q
 *
 * which are the gradients of the computed stages, not of a flow. */
#include <string.h>

#include "math/rows.h"
#include "model/pass_inside.h"

/* A stream of a layer as a site. */
static sg_status show_stream(const sgi_pass *p, size_t layer, const sgi_tap *tap, sgi_site_id id, float *x) {
  sgi_at at = {.config = &p->model->layers[layer].config, .layer = (ptrdiff_t)layer, .T = p->batch.T};
  return sgi_tap_visit(tap, &at, id, &(sgi_left){.data = x}, 0, rows_of(p));
}

/* ---- chain ----------------------------------------------------------------------------------- */

sg_status sgi_chain_forward(sgi_pass *p, size_t layer, const sgi_tap *tap) {
  const sgi_plan *plan = &p->model->plan;
  size_t n = rows_of(p), D = p->model->config.hidden_size, end = plan->first[layer + 1];
  float *y = sgi_step_output(p);
  for (size_t i = plan->first[layer]; i < end; i++) {
    const sgi_plan_step *s = &plan->steps[i];
    float *x = stream_of(p, s->evaluation), *out = stream_of(p, s->evaluation + 1);
    sg_status st = sgi_step_forward(p, s, tap, x, y);
    if (st) return st;
    p->sum_x = x;
    p->sum_y = y;
    if (!tap) continue;
    p->sum_x = NULL;
    sgi_sum(out, x, y, n * D);
    if (i + 1 < end) st = show_stream(p, layer, tap, SGI_SITE_RESID_MID, out);
    if (st) return st;
  }
  return show_stream(p, layer, tap, SGI_SITE_RESID_POST, stream_of(p, plan->evaluation[layer + 1]));
}

sg_status sgi_chain_backward(sgi_pass *p, size_t layer, float *grad) {
  const sgi_plan *plan = &p->model->plan;
  sg_status st = SG_OK;
  for (size_t i = plan->first[layer + 1]; i-- > plan->first[layer] && !st;)
    st = sgi_step_backward(p, &plan->steps[i], grad, p->dx, p->dx);
  return st;
}

/* ---- stages ---------------------------------------------------------------------------------- */

/* The sublayers of stage q of step `round`: a range of the layer's steps. */
static void stage_steps(const sgi_pass *p, size_t layer, size_t round, size_t q, size_t *first, size_t *end) {
  const sgi_plan *plan = &p->model->plan;
  size_t stages = sgi_form_of(&p->model->config)->stages, rounds = sgi_form_steps(&p->model->config);
  size_t each = (plan->first[layer + 1] - plan->first[layer]) / (stages * rounds);
  *first = plan->first[layer] + (round * stages + q) * each;
  *end = *first + each;
}

/* field = the sum of the stage's sublayers, each of the stream u. */
static sg_status field_forward(sgi_pass *p, size_t first, size_t end, const sgi_tap *tap, float *u) {
  const sgi_plan *plan = &p->model->plan;
  size_t count = rows_of(p) * p->model->config.hidden_size;
  float *y = sgi_step_output(p);
  sg_status st = SG_OK;
  for (size_t i = first; i < end && !st; i++) {
    st = sgi_step_forward(p, &plan->steps[i], tap, u, i == first ? p->field : y);
    if (!st && i > first) sgi_sum(p->field, p->field, y, count);
  }
  return st;
}

sg_status sgi_stages_forward(sgi_pass *p, size_t layer, const sgi_tap *tap) {
  const sg_config *c = &p->model->config;
  const sgi_layer_form *f = sgi_form_of(c);
  const sgi_plan *plan = &p->model->plan;
  size_t n = rows_of(p), D = c->hidden_size, rounds = sgi_form_steps(c), e = plan->evaluation[layer];
  bool none = plan->first[layer] == plan->first[layer + 1];
  double h = 1.0 / (double)rounds;
  for (size_t k = 0; k < rounds && !none; k++) {
    float *x = stream_of(p, e), *u = x;
    const float *total = f->stages > 1 ? p->sum : p->field;
    for (size_t q = 0; q < f->stages; q++, e++) {
      size_t first, end;
      stage_steps(p, layer, k, q, &first, &end);
      sg_status st = field_forward(p, first, end, tap, u);
      if (st) return st;
      if (f->stages > 1 && !q) memset(p->sum, 0, n * D * sizeof *p->sum);
      if (f->stages > 1) sgi_sum_scaled(p->sum, p->sum, (float)f->weight[q], p->field, n * D);
      if (q + 1 == f->stages) break;
      u = p->backward ? stream_of(p, e + 1) : p->stage;
      sgi_sum_scaled(u, x, (float)(f->reach[q + 1] * h), p->field, n * D);
    }
    sgi_sum_scaled(stream_of(p, ++e), x, (float)(h / f->whole), total, n * D);
  }
  return show_stream(p, layer, tap, SGI_SITE_RESID_POST, stream_of(p, plan->evaluation[layer + 1]));
}

sg_status sgi_stages_backward(sgi_pass *p, size_t layer, float *grad) {
  const sg_config *c = &p->model->config;
  const sgi_layer_form *f = sgi_form_of(c);
  const sgi_plan *plan = &p->model->plan;
  size_t count = rows_of(p) * c->hidden_size, rounds = sgi_form_steps(c);
  bool none = plan->first[layer] == plan->first[layer + 1];
  double h = 1.0 / (double)rounds;
  for (size_t k = rounds; k-- > 0 && !none;) {
    memcpy(p->d_to, p->dx, count * sizeof *p->dx);
    memset(p->d_stage, 0, count * sizeof *p->d_stage); /* of the stage after the last: there is none */
    for (size_t q = f->stages; q-- > 0;) {
      double reach = q + 1 < f->stages ? f->reach[q + 1] * h : 0;
      memset(p->d_field, 0, count * sizeof *p->d_field);
      sgi_sum_scaled(p->d_field, p->d_field, (float)(f->weight[q] * h / f->whole), p->d_to, count);
      sgi_sum_scaled(p->d_field, p->d_field, (float)reach, p->d_stage, count);
      memset(p->d_stage, 0, count * sizeof *p->d_stage);
      size_t first, end;
      stage_steps(p, layer, k, q, &first, &end);
      for (size_t i = end; i-- > first;) {
        sg_status st = sgi_step_backward(p, &plan->steps[i], grad, p->d_stage, p->d_field);
        if (st) return st;
      }
      sgi_sum(p->dx, p->dx, p->d_stage, count);
    }
  }
  return SG_OK;
}
