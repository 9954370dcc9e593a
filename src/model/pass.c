#include "model/pass.h"

#include "math/gemm.h"
#include "math/kernels.h"
#include "math/rows.h"
#include "model/held.h"
#include "model/loss.h"
#include "model/pass_inside.h"

/* Counts what a step keeps for n rows. */
static size_t saved_bytes(const sgi_plan_step *s, size_t n) {
  sgi_arena a = {0};
  SGI_TAKE(&a, n, float);
  s->sub->ops->saved(s->sub->config, n, &a);
  return a.used;
}

static size_t scratch_bytes(const sg_model *m, size_t n, size_t keys, bool backward) {
  sgi_arena loss = {0};
  sgi_loss_scratch(n, m->config.hidden_size, m->config.vocab_size, &loss);
  size_t most = loss.used;
  for (size_t i = 0; i < m->plan.n_steps; i++) {
    const sgi_sublayer *s = m->plan.steps[i].sub;
    sgi_arena a = {0};
    layout_step_work(&m->config, n, &a, &(step_work){0});
    s->ops->scratch(s->config, n, keys, backward, &a);
    most = larger(most, a.used);
  }
  return most;
}

/* What forms with stages need beside the streams. */
static void layout_form(sgi_pass *p, size_t n, sgi_arena *a) {
  const sg_config *c = &p->model->config;
  const sgi_layer_form *f = sgi_form_of(c);
  size_t D = c->hidden_size;
  if (f->chain) return;
  p->field = SGI_TAKE(a, n * D, float);
  if (f->stages > 1) p->sum = SGI_TAKE(a, n * D, float);
  if (f->stages > 1 && !p->backward) p->stage = SGI_TAKE(a, n * D, float);
  if (!p->backward) return;
  p->d_field = SGI_TAKE(a, n * D, float);
  p->d_stage = SGI_TAKE(a, n * D, float);
  p->d_to = SGI_TAKE(a, n * D, float);
}

/* Blocks of the steps: one behind the other, or one for all. */
static void layout_saved(sgi_pass *p, size_t n, sgi_arena *a) {
  const sgi_plan *plan = &p->model->plan;
  size_t total = 0;
  p->saved_at = SGI_TAKE(a, plan->n_steps + 1, size_t);
  for (size_t i = 0; i < plan->n_steps; i++) {
    size_t block = saved_bytes(&plan->steps[i], n);
    if (p->saved_at) p->saved_at[i] = p->backward ? total : 0;
    if (!p->backward)
      total = larger(total, block);
    else if (!sgi_size_add(total, block, &total))
      total = SIZE_MAX;
  }
  if (p->saved_at) p->saved_at[plan->n_steps] = total;
  p->saved = sgi_take(a, total, 1);
}

/* Blocks of routers outlive their steps in every pass: later layers of a group read them. */
static void layout_shared(sgi_pass *p, size_t n, sgi_arena *a) {
  const sgi_plan *plan = &p->model->plan;
  size_t total = 0;
  bool any = false;
  for (size_t i = 0; i < plan->n_steps; i++) any = any || plan->steps[i].router != SIZE_MAX;
  if (!any) return;
  p->shared_at = SGI_TAKE(a, plan->n_steps, size_t);
  for (size_t i = 0; i < plan->n_steps; i++) {
    const sgi_plan_step *s = &plan->steps[i];
    sgi_arena block = {0};
    if (s->router != i) continue;
    s->sub->ffn->shared(s->sub->config, n, p->backward, &block);
    if (p->shared_at) p->shared_at[i] = total;
    if (!sgi_size_add(total, block.used, &total)) total = SIZE_MAX;
  }
  p->shared = sgi_take(a, total, 1);
}

/* Counts (base NULL) or places everything of a pass. */
static void layout_pass(sgi_pass *p, sgi_arena *a) {
  const sg_config *c = &p->model->config;
  size_t n = p->max_B * p->max_T, D = c->hidden_size;
  p->cos = SGI_TAKE(a, p->max_keys * (c->head_dim / 2), float);
  p->sin = SGI_TAKE(a, p->max_keys * (c->head_dim / 2), float);
  p->position = SGI_TAKE(a, n, int32_t);
  p->x = SGI_TAKE(a, n * D, float);
  p->xn = SGI_TAKE(a, n * D, float);
  p->r = SGI_TAKE(a, n, float);
  if (p->backward) p->dx = SGI_TAKE(a, n * D, float);
  p->nll = SGI_TAKE(a, n, float);
  p->best = SGI_TAKE(a, n, int32_t);
  p->before = SGI_TAKE(a, larger(n, 2 * c->num_heads * p->max_T), float);
  p->partial = SGI_TAKE(a, SGI_NORM_PARTIALS * larger(D, c->head_dim), float);
  p->stream_size = (n * D + 15) / 16 * 16;
  if (p->backward) p->streams = sgi_take(a, p->model->plan.n_evaluations, p->stream_size * sizeof(float));
  layout_form(p, n, a);
  layout_saved(p, n, a);
  layout_shared(p, n, a);
  size_t scratch = scratch_bytes(p->model, n, p->max_keys, p->backward);
  p->scratch = (sgi_arena){.base = sgi_take(a, scratch, 1), .size = scratch};
}

static sg_status too_large(size_t B, size_t T, sg_error *err) {
  return sgi_fail(err, SG_ERR_ARG, "a batch of %zu x %zu tokens is empty or too large: use fewer rows at a time", B, T);
}

static sg_status measure(const sg_model *m, size_t B, size_t T, size_t keys, bool backward, size_t *bytes,
                         sg_error *err) {
  size_t n, entries;
  if (!B || !T || !sgi_size_mul(B, T, &n) || n > INT32_MAX) return too_large(B, T, err);
  for (size_t l = 0; l < m->config.num_layers; l++) {
    const sg_config *c = &m->layers[l].config;
    if (c->top_k && (!sgi_size_mul(n, larger(c->num_channels, 1) * c->top_k, &entries) || entries > INT32_MAX))
      return too_large(B, T, err);
  }
  sgi_pass p = {.model = m, .max_B = B, .max_T = T, .max_keys = keys, .backward = backward};
  sgi_arena a = {0};
  layout_pass(&p, &a);
  *bytes = a.used;
  return a.used == SIZE_MAX ? sgi_fail(err, SG_ERR_MEMORY,
                                       "a batch of %zu x %zu tokens needs more than this machine can address", B, T)
                            : SG_OK;
}

sg_status sgi_pass_bytes(const sg_config *c, size_t B, size_t T, bool backward, size_t *bytes, sg_error *err) {
  sg_model *m;
  sg_status st = sgi_model_shell(c, &m, err);
  if (st) return st;
  st = measure(m, B, T, T, backward, bytes, err);
  sg_model_free(m);
  return st;
}

static sg_status fit(const sg_model *m, size_t B, size_t T, bool backward, size_t max_bytes, size_t *rows,
                     sg_error *err) {
  for (size_t parts = 1; parts <= B; parts++) {
    size_t bytes;
    if (B % parts) continue;
    *rows = B / parts;
    sg_status st = measure(m, *rows, T, T, backward, &bytes, *rows == 1 ? err : NULL);
    if (*rows == 1 || (!st && bytes <= max_bytes)) return st;
  }
  return sgi_fail(err, SG_ERR_ARG, "a batch needs at least one row");
}

sg_status sgi_pass_fit(const sg_config *c, size_t B, size_t T, bool backward, size_t max_bytes, size_t *rows,
                       sg_error *err) {
  sg_model *m;
  sg_status st = sgi_model_shell(c, &m, err);
  if (st) return st;
  st = fit(m, B, T, backward, max_bytes, rows, err);
  sg_model_free(m);
  return st;
}

sg_status sgi_pass_fit_within(const sg_config *c, size_t B, size_t T, bool backward, size_t max_bytes, size_t *rows,
                              sg_error *err) {
  size_t bytes;
  sg_status st = sgi_pass_fit(c, B, T, backward, max_bytes, rows, err);
  if (!st) st = sgi_pass_bytes(c, *rows, T, backward, &bytes, err);
  if (st || bytes <= max_bytes) return st;
  return sgi_fail(
      err, SG_ERR_MEMORY,
      "one row of %zu tokens needs %zu KB, more than the %zu KB that are allowed: take shorter rows, or allow "
      "more (--max-memory)",
      T, bytes >> 10, max_bytes >> 10);
}

static sg_status create(const sg_model *m, size_t B, size_t T, size_t keys, bool backward, sgi_pass **out,
                        sg_error *err) {
  *out = NULL;
  size_t bytes;
  sg_status st = measure(m, B, T, keys, backward, &bytes, err);
  if (!st) st = sgi_kernels_check(err);
  if (!st) st = sgi_gemm_ready(err);
  if (st) return st;
  sgi_pass *p = sgi_alloc(sizeof *p);
  char *block = sgi_alloc(bytes);
  if (!p || !block) {
    sgi_free(p);
    sgi_free(block);
    return sgi_fail_memory(err, bytes, "the activations of a batch");
  }
  *p = (sgi_pass){.model = m, .backward = backward, .max_B = B, .max_T = T, .max_keys = keys, .block = block};
  sgi_arena a = {.base = block, .size = bytes};
  layout_pass(p, &a);
  sgi_rotary_tables(p->cos, p->sin, keys, m->config.head_dim, m->config.rope_theta);
  *out = p;
  return SG_OK;
}

sg_status sgi_pass_create(const sg_model *m, size_t B, size_t T, bool backward, sgi_pass **out, sg_error *err) {
  return create(m, B, T, T, backward, out, err);
}

sg_status sgi_pass_create_cached(const sg_model *m, size_t B, size_t T, const sgi_cache *cache, sgi_pass **out,
                                 sg_error *err) {
  sg_status st = create(m, B, T, larger(T, cache->capacity), false, out, err);
  if (!st) (*out)->cache = cache;
  return st;
}

void sgi_pass_free(sgi_pass *p) {
  if (!p) return;
  sgi_free(p->block);
  sgi_free(p);
}

void sgi_pass_use(sgi_pass *p, const sg_model *m) { p->model = m; }

void sgi_pass_profile(sgi_pass *p, sgi_profile *profile) { p->scratch.profile = profile; }

sgi_arena sgi_pass_shared(const sgi_pass *p, const sgi_plan_step *s) { return shared_of(p, s); }

size_t sgi_step_past(const sgi_plan_step *s, size_t capacity) {
  const sgi_ffn_ops *ffn = s->sub->ffn;
  return ffn && ffn->past ? ffn->past(s->sub->config, capacity) : 0;
}

size_t sgi_cache_past(const sgi_plan *plan, const sgi_cache *cache, size_t step) {
  size_t n = 0;
  for (size_t i = 0; i < step; i++) n += cache->streams * sgi_step_past(&plan->steps[i], cache->capacity);
  return n;
}

/* ---- training -------------------------------------------------------------------------------- */

void sgi_pass_train(sgi_pass *p, bool on) { p->training = on; }
void sgi_pass_drop(sgi_pass *p, const sgi_drop *drop) { p->drop = *drop; }

static sgi_ffn_call router_call(const sgi_pass *p, const sgi_plan_step *s) {
  return (sgi_ffn_call){
      .config = s->sub->config, .w = s->sub->weight + SGI_T_OWN, .n = rows_of(p), .shared = shared_of(p, s)};
}

void sgi_pass_measure(sgi_pass *p, const sgi_aux_weights *weights, double share, sgi_aux *out) {
  const sgi_plan *plan = &p->model->plan;
  p->aux = (sgi_aux){0};
  sgi_aux sum = {.weights = *weights, .share = share, .rows = rows_of(p)};
  for (size_t i = 0; i < plan->n_steps; i++) {
    float *r;
    sgi_arena block = block_of(p, &plan->steps[i], &r);
    if (plan->steps[i].sub->ops->measure) plan->steps[i].sub->ops->measure(p, &plan->steps[i], block, &sum);
  }
  p->aux = *out = sum;
}

void sgi_pass_settle(const sgi_pass *p, sg_model *m) {
  const sgi_plan *plan = &p->model->plan;
  for (size_t i = 0; i < plan->n_steps; i++) {
    const sgi_plan_step *s = &plan->steps[i];
    if (s->router != i || !s->sub->ffn->settle) continue;
    sgi_ffn_call call = router_call(p, s);
    float *state[SGI_MAX_TENSORS] = {0};
    for (size_t t = SGI_T_OWN; t < s->sub->n_tensors; t++) {
      const sgi_row *row = &m->table.rows[s->sub->row[t]];
      if (row->state) state[t - SGI_T_OWN] = m->arena + row->offset;
    }
    s->sub->ffn->settle(&call, state);
  }
}

void sgi_pass_watch(sgi_pass *p, sgi_pass_progress progress, void *user) {
  p->progress = progress;
  p->user = user;
}

void sgi_pass_watch_back(sgi_pass *p, sgi_pass_layer done, void *user) {
  p->back = done;
  p->back_user = user;
}

void sgi_pass_sink(sgi_pass *p, const sgi_row_sink *const *sinks) { p->sinks = sinks; }

void sgi_pass_add_up(sgi_pass *p, sgi_pass_sum sum, void *user) {
  p->add_up = sum;
  p->add_up_user = user;
}

const float *sgi_pass_nll(const sgi_pass *p) { return p->nll; }

/* ---- looking back ---------------------------------------------------------------------------- */

bool sgi_pass_gates(sgi_pass *p, size_t layer, sgi_gates *out) {
  const sgi_plan *plan = &p->model->plan;
  size_t i = sgi_plan_find(plan, layer, &sgi_sublayer_feedforward);
  if (i == plan->n_steps || !plan->steps[i].sub->ffn->gates || (!p->backward && i + 1 != plan->n_steps)) return false;
  float *r;
  sgi_arena saved = block_of(p, &plan->steps[i], &r);
  plan->steps[i].sub->ffn->gates(plan->steps[i].sub->config, rows_of(p), saved, out);
  return true;
}

void sgi_pass_step(sgi_pass *p, size_t i, const float **x, const float **r) {
  const sgi_plan_step *s = &p->model->plan.steps[i];
  float *scales;
  block_of(p, s, &scales);
  *x = stream_of(p, s->evaluation);
  *r = scales;
}

const float *sgi_pass_final_scale(const sgi_pass *p) { return p->r; }
const float *sgi_pass_final_norm(const sgi_pass *p) { return p->xn; }

sg_status sgi_pass_hold(sgi_pass *p, size_t i, sgi_held *out, sg_error *err) {
  const sgi_plan_step *s = &p->model->plan.steps[i];
  *out = (sgi_held){.step = s, .T = p->batch.T, .D = p->model->config.hidden_size, .gain = s->sub->w[SGI_T_NORM]};
  sgi_pass_step(p, i, &out->x, &out->r);
  return s->sub->ops->hold(p, s, out, err);
}
