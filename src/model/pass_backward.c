/* pass_backward.c: the forward pass backwards; input gradients assign, weight gradients add. */
#include "math/kernels.h"
#include "math/rows.h"
#include "model/pass_inside.h"

sg_status sgi_step_backward(sgi_pass *p, const sgi_plan_step *s, float *grad, float *dx, const float *dy) {
  const sg_config *c = &p->model->config;
  size_t n = rows_of(p), D = c->hidden_size;
  const float *x = stream_of(p, s->evaluation), *gain = s->sub->w[SGI_T_NORM];
  float *r;
  sgi_arena block = block_of(p, s, &r), scratch = p->scratch;
  step_work w;
  layout_step_work(c, n, &scratch, &w);
  double at = sgi_lap_begin(scratch.profile);
  sgi_rmsnorm(w.xn, r, x, gain, n, D, sgi_norm_eps(c));
  lap_moved(p, &at, "norms, residual backward", n, D, 2);
  sg_status st = s->sub->ops->backward(p, s, block, scratch, grad, w.y, dy, w.xn);
  if (st) return st;
  at = sgi_lap_begin(scratch.profile);
  if (sgi_has_norm(c))
    sgi_rmsnorm_backward(dx, gradient(p, grad, s, SGI_T_NORM), w.y, x, r, gain, n, D, true, p->partial);
  else
    sgi_gain_backward(dx, w.y, gain, n, D, true);
  lap_moved(p, &at, "norms, residual backward", n, D, 4);
  return SG_OK;
}

/* Rows of dE by token: a thread owns columns, so rows add in order whoever runs. */
static void embed_backward(const sgi_pass *p, float *dE) {
  size_t n = p->batch.B * p->batch.T, D = p->model->config.hidden_size;
  const sgi_kernels *kern = sgi_kernel_table();
  enum { COLUMNS = 64 };
#pragma omp parallel for schedule(static)
  for (size_t d = 0; d < D; d += COLUMNS)
    for (size_t i = 0; i < n; i++)
      kern->add(dE + (size_t)p->batch.inputs[i] * D + d, p->dx + i * D + d, D - d < COLUMNS ? D - d : COLUMNS);
}

sg_status sgi_pass_backward(sgi_pass *p, float *grad, sg_error *err) {
  const sg_model *m = p->model;
  size_t n = p->batch.B * p->batch.T, D = m->config.hidden_size, norm = sgi_final_norm_row(m);
  double at = sgi_lap_begin(p->scratch.profile);
  if (sgi_has_norm(&m->config))
    sgi_rmsnorm_backward(p->dx, grad + m->table.rows[norm].offset, p->dx, p->x, p->r, m->w[norm], n, D, false,
                         p->partial);
  else
    sgi_gain_backward(p->dx, p->dx, m->w[norm], n, D, false);
  lap_moved(p, &at, "norms, residual backward", n, D, 4);
  sg_status st = SG_OK;
  for (size_t i = 0; i < m->plan.n_steps; i++) {
    const sgi_plan_step *s = &m->plan.steps[i];
    if (s->router == i) s->sub->ffn->clear(s->sub->config, n, shared_of(p, s));
  }
  bool chain = sgi_form_of(&m->config)->chain;
  for (size_t l = m->config.num_layers; l-- > 0 && !st;) {
    st = chain ? sgi_chain_backward(p, l, grad) : sgi_stages_backward(p, l, grad);
    if (!st && p->back) p->back(p->back_user, l);
  }
  if (st) return named(st, err, "backward pass");
  at = sgi_lap_begin(p->scratch.profile);
  embed_backward(p, grad + m->table.rows[SGI_ROW_EMBED].offset);
  lap_moved(p, &at, "embedding backward", n, D, 3);
  return SG_OK;
}
