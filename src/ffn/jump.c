/* jump.c: which candidates act, and the straight-through estimate of the thresholds' gradient
 * (docs/method.md, gates):
 *
 *   J = s [s > theta];  ds = dJ [s > theta];  dtheta = - (theta / eps) sum of dJ over candidates
 * with |s - theta| < eps / 2,  and of the mean number acting  - (1 / eps) their number / (n L).
 *
 * Candidates just below a threshold have a dJ, too, the one that the gate would get: it is computed
 * here and for them alone, since the layer skipped them. */
#include "ffn/jump.h"

#include <math.h>
#include <string.h>

sg_status sgi_jump_tensors(const sg_config *c, const char *prefix, sgi_table *t, sg_error *err) {
  if (!sgi_jump_on(c)) return SG_OK;
  sg_status st = sgi_table_add(t, prefix, "router.threshold", SGI_DIMS(c->num_channels), false, SGI_INIT_ZERO, 0, err);
  if (!st) t->rows[t->count - 1].threshold = true;
  return st;
}

void sgi_jump_saved(const sg_config *c, size_t n, sgi_arena *a, sgi_jump *out) {
  *out = (sgi_jump){0};
  if (!sgi_jump_on(c)) return;
  out->active = SGI_TAKE(a, n * c->num_channels * c->top_k, int32_t);
  out->end = SGI_TAKE(a, n * c->num_channels, int32_t);
}

void sgi_jump_work_take(const sg_config *c, size_t n, sgi_arena *a, sgi_jump_work *out) {
  *out = (sgi_jump_work){0};
  if (!sgi_jump_on(c)) return;
  out->end = SGI_TAKE(a, n * c->num_channels, int32_t);
  out->dot = SGI_TAKE(a, n * c->num_channels * c->top_k, float);
  out->value = SGI_TAKE(a, n * c->num_channels * c->top_k, float);
}

void sgi_jump_choose(const sg_config *c, size_t n, const float *theta, const float *score, const sgi_jump *j) {
  size_t C = c->num_channels, K = c->top_k;
#pragma omp parallel for schedule(static) if (n * C * K > 4096)
  for (size_t i = 0; i < n * C; i++)
    for (size_t k = i * K; k < (i + 1) * K; k++) j->active[k] = score[k] > theta[i % C];
}

void sgi_jump_ends(const sg_config *c, size_t n, const sgi_jump *j, const float *more) {
  size_t C = c->num_channels, K = c->top_k;
#pragma omp parallel for schedule(static) if (n * C * K > 4096)
  for (size_t i = 0; i < n * C; i++) {
    size_t end = K;
    while (end && !j->active[i * K + end - 1] && !(more && more[i * K + end - 1] != 0)) end--;
    j->end[i] = (int32_t)end;
  }
}

void sgi_jump_silence(const sg_config *c, size_t n, const sgi_jump *j, float *x) {
  size_t m = n * c->num_channels * c->top_k;
#pragma omp parallel for schedule(static) if (m > 4096)
  for (size_t i = 0; i < m; i++)
    if (!j->active[i]) x[i] = 0;
}

static bool in_window(float score, float theta, float eps) { return fabsf(score - theta) < eps / 2; }

void sgi_jump_measure(const sg_config *c, size_t n, const float *theta, const float *score, const sgi_jump *j,
                      sgi_aux *sum) {
  size_t C = c->num_channels, K = c->top_k, active = 0, near = 0;
  float eps = (float)c->options.bandwidth;
  for (size_t i = 0; i < n * C * K; i++) {
    active += j->active[i] != 0;
    near += in_window(score[i], theta[i / K % C], eps);
  }
  sum->gate_layers++;
  sum->active += (double)active;
  sum->candidates += (double)(n * C * K);
  sum->in_window += (double)near;
}

/* Behind the last of a channel's candidates that act or lie in its window. */
static void window_ends(const sgi_jump_back *b, const sgi_jump_work *w) {
  size_t C = b->config->num_channels, K = b->config->top_k;
  float eps = (float)b->config->options.bandwidth;
#pragma omp parallel for schedule(static) if (b->call->n * C > 1024)
  for (size_t i = 0; i < b->call->n * C; i++) {
    size_t end = (size_t)b->jump->end[i];
    while (end < K && in_window(b->score[i * K + end], b->theta[i % C], eps)) end++;
    w->end[i] = (int32_t)end;
  }
}

/* Of one channel: the sum of dJ over its window, and how many lie there; tokens in order. */
static double channel_sum(const sgi_jump_back *b, const sgi_jump_work *w, size_t c, size_t *near) {
  size_t C = b->config->num_channels, K = b->config->top_k;
  float eps = (float)b->config->options.bandwidth;
  double sum = 0;
  *near = 0;
  for (size_t t = 0; t < b->call->n; t++) {
    size_t i = t * C + c;
    for (size_t k = 0; k < (size_t)w->end[i]; k++) {
      size_t at = i * K + k;
      if (!in_window(b->score[at], b->theta[c], eps)) continue;
      sum += (double)(b->jump->active[at] ? b->dscore[at] : w->value[at]);
      ++*near;
    }
  }
  return sum;
}

void sgi_jump_backward(const sgi_jump_back *b, const sgi_jump_work *w, float *dtheta) {
  const sg_config *c = b->config;
  const sgi_aux *aux = b->call->aux;
  size_t n = b->call->n, C = c->num_channels, m = n * C * c->top_k;
  sgi_profile *profile = b->call->scratch.profile;
  window_ends(b, w);
  sgi_sparse s = b->shape;
  s.first = b->jump->end;
  s.end = w->end;
  memset(w->dot, 0, m * sizeof *w->dot);
  memset(w->value, 0, m * sizeof *w->value);
  sgi_profile_stage(profile, "gates, thresholds");
  sgi_sparse_dot(&s, profile, w->dot, b->w_in, b->index, b->x);
  if (b->bias) sgi_sparse_add_bias(&s, w->dot, b->bias, b->index);
  sgi_sparse_dot(&s, profile, w->value, b->w_out, b->index, b->dy);
  if (b->call->drop) sgi_drop_values(b->call->drop, c, b->index, w->value, n);
  b->outside(c, m, w->value, w->dot);
  double eps = c->options.bandwidth;
  double rows = aux ? (double)aux->rows * (double)aux->gate_layers : 1, slope = aux ? sgi_aux_slope_active(aux) : 0;
#pragma omp parallel for schedule(static) if (m > 4096)
  for (size_t ch = 0; ch < C; ch++) {
    size_t near;
    double sum = channel_sum(b, w, ch, &near);
    double theta = near ? (double)b->theta[ch] : 0;
    dtheta[ch] += (float)(-theta / eps * sum - slope * (double)near / eps / rows);
  }
}
