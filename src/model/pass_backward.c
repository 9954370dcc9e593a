/* pass_backward.c: the forward pass backwards; input gradients assign, weight gradients add. */
#include "math/gemm.h"
#include "math/kernels.h"
#include "math/rows.h"
#include "model/pass_inside.h"

static sg_status attention_backward(sgi_pass *p, size_t l, const kept *k, float *grad, sgi_arena scratch, work *w) {
  const sg_config *c = &p->model->config;
  size_t n = p->batch.B * p->batch.T, D = c->hidden_size, H = c->num_heads, d = c->head_dim, W = H * d;
  layout_attention_work(c, n, &scratch, w);
  double at = sgi_lap_begin(scratch.profile);
  sg_status st = sgi_linear_dw(gradient(p, grad, l, SGI_LAYER_O), p->dx, D, k->o, W, n, W, D, NULL);
  if (!st) st = sgi_linear_dx(w->d_o, W, p->dx, D, weight(p, l, SGI_LAYER_O), n, W, D, 0, scratch);
  lap_product(p, &at, "attention output backward", n, W, D, 2);
  sgi_attention s = attention_of(p);
  if (!st) st = sgi_attention_backward(&s, scratch, w->dq, w->dk, w->dv, k->o, k->lse, w->d_o, k->q, k->k, k->v);
  lap_attention(p, &at, "attention backward", 5, 8);
  if (st) return st;
  sgi_rotary(w->dq, p->position, p->cos, p->sin, n, H, d, true);
  sgi_rotary(w->dk, p->position, p->cos, p->sin, n, H, d, true);
  sgi_rmsnorm_backward(w->dq, gradient(p, grad, l, SGI_LAYER_Q_NORM), w->dq, k->q_raw, k->rq,
                       weight(p, l, SGI_LAYER_Q_NORM), n * H, d, false, p->partial);
  sgi_rmsnorm_backward(w->dk, gradient(p, grad, l, SGI_LAYER_K_NORM), w->dk, k->k_raw, k->rk,
                       weight(p, l, SGI_LAYER_K_NORM), n * H, d, false, p->partial);
  lap_moved(p, &at, "q and k norm, rotary backward", n, W, 10);
  const float *dout[3] = {w->dq, w->dk, w->dv};
  for (size_t i = 0; i < 3 && !st; i++) {
    st = sgi_linear_dw(gradient(p, grad, l, SGI_LAYER_Q + i), dout[i], W, w->xn, D, n, D, W, NULL);
    if (!st) st = sgi_linear_dx(w->y, D, dout[i], W, weight(p, l, SGI_LAYER_Q + i), n, D, W, i ? 1 : 0, scratch);
  }
  lap_product(p, &at, "qkv backward", n, D, W, 6);
  return st;
}

static sg_status layer_backward(sgi_pass *p, size_t l, float *grad) {
  const sg_config *c = &p->model->config;
  size_t n = p->batch.B * p->batch.T, D = c->hidden_size;
  sgi_arena saved = p->saved[l], scratch = p->scratch;
  kept k;
  work w;
  layout_kept(c, n, &saved, &k);
  layout_work(c, n, &scratch, &w);

  double at = sgi_lap_begin(scratch.profile);
  sgi_rmsnorm(w.xn, k.r2, k.x_mid, weight(p, l, SGI_LAYER_NORM2), n, D, c->rms_norm_eps);
  sgi_ffn_call call = ffn_call(p, l, saved, scratch);
  float *dw[16];
  for (size_t i = 0; i < p->model->layer_rows - SGI_LAYER_MLP; i++) dw[i] = gradient(p, grad, l, SGI_LAYER_MLP + i);
  call.dw = dw;
  lap_moved(p, &at, "norms, residual backward", n, D, 2);
  sg_status st = sgi_ffn_backward(p->model->ffn, &call, w.y, p->dx, w.xn);
  if (st) return st;
  at = sgi_lap_begin(scratch.profile);
  sgi_rmsnorm_backward(p->dx, gradient(p, grad, l, SGI_LAYER_NORM2), w.y, k.x_mid, k.r2, weight(p, l, SGI_LAYER_NORM2),
                       n, D, true, p->partial);

  sgi_rmsnorm(w.xn, k.r1, k.x_in, weight(p, l, SGI_LAYER_NORM1), n, D, c->rms_norm_eps);
  lap_moved(p, &at, "norms, residual backward", n, D, 6);
  st = attention_backward(p, l, &k, grad, scratch, &w);
  if (st) return st;
  at = sgi_lap_begin(scratch.profile);
  sgi_rmsnorm_backward(p->dx, gradient(p, grad, l, SGI_LAYER_NORM1), w.y, k.x_in, k.r1, weight(p, l, SGI_LAYER_NORM1),
                       n, D, true, p->partial);
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
  sgi_rmsnorm_backward(p->dx, grad + m->table.rows[norm].offset, p->dx, p->x, p->r, m->w[norm], n, D, false,
                       p->partial);
  lap_moved(p, &at, "norms, residual backward", n, D, 4);
  sg_status st = SG_OK;
  for (size_t l = m->config.num_layers; l-- > 0 && !st;) st = layer_backward(p, l, grad);
  if (st) return named(st, err, "backward pass");
  at = sgi_lap_begin(p->scratch.profile);
  embed_backward(p, grad + m->table.rows[SGI_ROW_EMBED].offset);
  lap_moved(p, &at, "embedding backward", n, D, 3);
  return SG_OK;
}
