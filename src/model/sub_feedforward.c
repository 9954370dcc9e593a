/* sub_feedforward.c: a feedforward kind (ffn.h) as a sublayer (steps.h). */
#include <stdio.h>
#include <string.h>

#include "ffn/beside.h"
#include "math/rows.h"
#include "model/held.h"
#include "model/pass_inside.h"
#include "model/vary.h"

static const sgi_ffn_ops *kind_of(const sg_config *c) { return sgi_ffn_of(c); }

static sg_status tensors(const sg_config *c, const char *prefix, sgi_table *t, sg_error *err) {
  char mlp[80];
  snprintf(mlp, sizeof mlp, "%smlp.", prefix);
  return kind_of(c)->tensors(c, mlp, t, err);
}

static void saved(const sg_config *c, size_t n, sgi_arena *a) { sgi_ffn_saved(kind_of(c), c, n, a); }

static void scratch(const sg_config *c, size_t n, size_t keys, bool backward, sgi_arena *a) {
  (void)keys;
  sgi_ffn_scratch(kind_of(c), c, n, backward, a);
}

static bool multiply_adds(const sg_config *c, size_t T, uint64_t *out) {
  (void)T;
  *out = sgi_ffn_multiply_adds(kind_of(c), c); /* sizes whose tensors can be counted do not wrap */
  return true;
}

static sgi_ffn_order order_of(const sgi_pass *p, const sgi_plan_step *s) {
  const sgi_cache *kv = p->cache;
  sgi_ffn_order o = {.T = p->batch.T, .position = p->position};
  if (!kv || !(o.past_stride = sgi_step_past(s, kv->capacity))) return o;
  o.past = kv->past_of_layers + sgi_cache_past(&p->model->plan, kv, (size_t)(s - p->model->plan.steps));
  return o;
}

static sgi_ffn_call call_of(sgi_pass *p, const sgi_plan_step *s, sgi_arena block, sgi_arena room) {
  return (sgi_ffn_call){.config = s->sub->config,
                        .w = s->sub->weight + SGI_T_OWN,
                        .beside = s->sub->weight + s->sub->beside,
                        .n = rows_of(p),
                        .saved = block,
                        .shared = shared_of(p, s),
                        .order = order_of(p, s),
                        .training = p->training,
                        .drop = p->training && p->drop.share > 0 ? &p->drop : NULL,
                        .scratch = room,
                        .at = sgi_step_at(p, s),
                        .aux = p->aux.rows ? &p->aux : NULL};
}

static sg_status forward(sgi_pass *p, const sgi_plan_step *s, sgi_arena block, sgi_arena room, const sgi_tap *tap,
                         float *y, const float *xn) {
  sgi_ffn_call call = call_of(p, s, block, room);
  call.tap = tap;
  sg_status st = sgi_ffn_forward(s->sub->ffn, &call, y, xn);
  if (!st && p->add_up) p->add_up(p->add_up_user, y, rows_of(p) * p->model->config.hidden_size);
  return st;
}

static sg_status backward(sgi_pass *p, const sgi_plan_step *s, sgi_arena block, sgi_arena room, float *grad, float *dxn,
                          const float *dy, const float *xn) {
  sgi_ffn_call call = call_of(p, s, block, room);
  float *dw[SGI_MAX_TENSORS];
  const sgi_row_sink *sinks[SGI_MAX_TENSORS];
  for (size_t i = SGI_T_OWN; i < s->sub->n_tensors; i++) {
    sinks[i - SGI_T_OWN] = p->sinks ? p->sinks[s->sub->row[i]] : NULL;
    dw[i - SGI_T_OWN] = sinks[i - SGI_T_OWN] ? NULL : gradient(p, grad, s, i);
  }
  call.dw = dw;
  call.sink = sinks;
  call.beside_dw = dw + s->sub->beside - SGI_T_OWN;
  sg_status st = sgi_ffn_backward(s->sub->ffn, &call, dxn, dy, xn);
  if (!st && p->add_up) p->add_up(p->add_up_user, dxn, rows_of(p) * p->model->config.hidden_size);
  return st;
}

static void measure(sgi_pass *p, const sgi_plan_step *s, sgi_arena block, sgi_aux *sum) {
  sgi_ffn_call call = call_of(p, s, block, (sgi_arena){0});
  if (s->sub->ffn->measure) s->sub->ffn->measure(&call, sum);
}

/* ---- reading --------------------------------------------------------------------------------- */

/* Output rows that are stored as columns: of the kind's units, and of the sink MLP's. */
typedef struct columns {
  size_t kind, sink;
} columns;

static columns columns_of(const sgi_sublayer *s) {
  const sg_config *c = s->config;
  sgi_unit first;
  bool kind = s->ffn->unit_at(c, s->weight + SGI_T_OWN, 0, 0, &first) && first.out.stride != 1;
  return (columns){kind ? sgi_unit_channels(c) * c->num_neurons : 0, sgi_beside_neurons(c, SGI_SINK_MLP)};
}

static bool held_bytes(const sgi_sublayer *s, size_t T, size_t *bytes) {
  const sg_config *c = s->config;
  size_t bias, outputs;
  columns k = columns_of(s);
  return sgi_size_mul(sgi_ffn_unit_count(s->ffn, c) * sizeof(sgi_unit), T, bytes) &&
         sgi_size_mul(sizeof(double) * c->hidden_size, T, &bias) && sgi_size_add(*bytes, bias, bytes) &&
         sgi_size_mul(sizeof(float) * c->hidden_size, k.kind + k.sink, &outputs) &&
         sgi_size_add(*bytes, outputs, bytes);
}

/* Where output rows are stored as columns, those of the units at hand are copied, so that reading
 * one is one walk. */
static sg_status gather_outputs(const sgi_sublayer *s, sgi_held *h, sg_error *err) {
  sgi_unit *u = h->unit;
  const sg_config *c = s->config;
  columns k = columns_of(s);
  size_t rows = k.kind + k.sink;
  if (!rows || !h->units) return SG_OK;
  float *out = h->outputs = sgi_alloc(rows * h->D * sizeof *out);
  bool *done = sgi_alloc(rows);
  h->copied = sgi_alloc(sizeof *h->copied);
  if (!out || !done || !h->copied) {
    sgi_free(done);
    return sgi_fail_memory(err, rows * h->D * sizeof *out, "a layer's output rows");
  }
  *h->copied = sgi_weight_floats(out, rows, h->D);
  for (size_t i = 0; i < h->T * h->units; i++) {
    bool own = (size_t)u[i].channel < sgi_unit_channels(c);
    size_t row = own ? (size_t)u[i].channel * c->num_neurons + (size_t)u[i].index : k.kind + (size_t)u[i].index;
    if (u[i].out.stride == 1) continue;
    if (!done[row]) sgi_unit_out(&u[i], out + row * h->D, h->D);
    done[row] = true;
    u[i].out = (sgi_slice){.weight = h->copied, .at = row * h->D, .stride = 1};
  }
  sgi_free(done);
  return SG_OK;
}

static sg_status hold(sgi_pass *p, const sgi_plan_step *s, sgi_held *h, sg_error *err) {
  const sg_config *c = s->sub->config;
  size_t T = h->T;
  float *r;
  sgi_arena block = block_of(p, s, &r);
  sgi_ffn_call call = call_of(p, s, block, (sgi_arena){0});
  if (!s->sub->ffn->units)
    return sgi_fail(err, SG_ERR_UNSUPPORTED, "feedforward kind \"%s\" has no linear form to read", s->sub->ffn->name);
  h->units = sgi_ffn_unit_count(s->sub->ffn, c);
  h->unit = sgi_alloc(T * h->units * sizeof *h->unit);
  h->bias = sgi_alloc(T * h->D * sizeof *h->bias);
  if (!h->unit || !h->bias) return sgi_fail_memory(err, T * h->units * sizeof *h->unit, "the units of a layer");
  bool any = false;
  for (size_t t = 0; t < T; t++) {
    sgi_unit *u = h->unit + t * h->units;
    double *bias = h->bias + t * h->D;
    sgi_ffn_units(s->sub->ffn, &call, t, u, bias);
    for (size_t d = 0; d < h->D; d++) any = any || bias[d] != 0;
    for (size_t j = 0; j < h->units; j++) h->has_constants = h->has_constants || u[j].constant != 0;
  }
  h->has_constants = h->has_constants || any;
  if (!any) {
    sgi_free(h->bias);
    h->bias = NULL;
  }
  return gather_outputs(s->sub, h, err);
}

static sg_status pull(const sgi_held *h, size_t R, size_t rows, ptrdiff_t head, float *before, const float *after,
                      float *room) {
  size_t D = h->D;
  (void)head;
#pragma omp parallel for schedule(static) if (R * rows > 8)
  for (size_t i = 0; i < R * rows; i++) {
    const float *from = after + i * D;
    float *to = before + i * D, *sum = room + i * D;
    const sgi_unit *u = sgi_held_units(h, i % rows);
    memset(sum, 0, D * sizeof *sum);
    for (size_t j = 0; j < h->units; j++) {
      float a = (float)(u[j].gate * sgi_unit_write(&u[j], from, D));
      sgi_unit_add_in(&u[j], a, sum, D);
    }
#pragma omp simd
    for (size_t d = 0; d < D; d++) to[d] += h->r[i % rows] * h->gain[d] * sum[d];
  }
  return SG_OK;
}

/* ---- variants -------------------------------------------------------------------------------- */

/* Rows that go through the kind: the wanted ones of each variant that changed, and behind them the
 * wanted ones that no variant changed, once for all. */
typedef struct varied {
  float *x, *y, *r; /* (n,D), (n,D), (n) */
  sgi_arena block, shared, room;
} varied;

static void layout_varied(const sg_config *c, size_t n, sgi_arena *a, varied *v) {
  size_t D = c->hidden_size;
  sgi_arena block = {.threads = a->threads}, room = {.threads = a->threads}, shared = {.threads = a->threads};
  v->x = SGI_TAKE(a, n * D, float);
  v->y = SGI_TAKE(a, n * D, float);
  v->r = SGI_TAKE(a, n, float);
  saved(c, n, &block);
  scratch(c, n, 0, false, &room);
  v->block = (sgi_arena){.base = sgi_take(a, block.used, 1), .size = block.used};
  if (kind_of(c)->shared) kind_of(c)->shared(c, n, false, &shared);
  v->shared = (sgi_arena){.base = sgi_take(a, shared.used, 1), .size = shared.used};
  v->room = (sgi_arena){.base = sgi_take(a, room.used, 1), .size = room.used};
}

static void vary_room(const sg_config *c, size_t n, size_t keys, sgi_arena *a) {
  (void)keys;
  layout_varied(c, n, a, &(varied){0});
  if (kind_of(c)->past) SGI_TAKE(a, n * kind_of(c)->past(c, 1), float);
}

static bool changed(const sgi_vary *w, size_t position) {
  return position >= w->from && position < w->from + w->changed;
}

/* A layer that mixes changes from the first changed position on. */
static bool is_own(const sgi_plan_step *s, const sgi_vary *w, size_t position) {
  const sgi_ffn_ops *ops = s->sub->ffn;
  return changed(w, position) || (ops->mixes && ops->mixes(s->sub->config) && position >= w->from);
}

/* A layer that uses another's router takes what that one left: for the variant where it had changed
 * there, else for the prompt. */
static void take_router(const sgi_pass *p, const sgi_plan_step *s, const sgi_vary *w, size_t own, const varied *v) {
  const sgi_ffn_ops *ops = s->sub->ffn;
  const sgi_varied_router *k = w->router;
  sgi_shared_row to = {v->shared, w->R * own + w->count - own, 0};
  for (size_t i = 0, mine = 0, others = w->R * own; i < w->count; i++) {
    size_t t = w->first + i;
    bool mine_now = is_own(s, w, t), has = t >= k->from && t < k->from + k->count;
    for (size_t r = 0; r < (mine_now ? w->R : 1); r++) {
      to.row = mine_now ? r * own + mine : others;
      ops->shared_row(s->sub->config, to,
                      has ? (sgi_shared_row){k->block, w->R * k->count, r * k->count + t - k->from}
                          : (sgi_shared_row){shared_of(p, s), rows_of(p), t});
    }
    mine += mine_now;
    others += !mine_now;
  }
}

static void keep_router(const sgi_plan_step *s, const sgi_vary *w, size_t own, size_t n, const varied *v) {
  sgi_varied_router *k = w->router;
  k->from = w->first > w->from ? w->first : w->from;
  k->count = own;
  for (size_t i = 0; i < w->R * own; i++)
    s->sub->ffn->shared_row(s->sub->config, (sgi_shared_row){k->block, w->R * own, i},
                            (sgi_shared_row){v->shared, n, i});
}

/* Of a layer that mixes: the prompt's rows where nothing changed, and what the kind says of the
 * rest. */
static sg_status mix(sgi_pass *p, const sgi_plan_step *s, const sgi_vary *w, size_t own, const varied *v, sgi_arena *a,
                     const float *xn) {
  size_t n = w->R * own + w->count - own;
  float *room = SGI_TAKE(a, w->R * w->changed * s->sub->ffn->past(s->sub->config, 1), float);
  float *r;
  sgi_ffn_call prompt = call_of(p, s, block_of(p, s, &r), v->room);
  for (size_t i = 0; i < w->count - own; i++)
    s->sub->ffn->shared_row(s->sub->config, (sgi_shared_row){v->shared, n, w->R * own + i},
                            (sgi_shared_row){prompt.shared, prompt.n, w->first + i});
  return s->sub->ffn->vary_shared(
      &prompt, &(sgi_ffn_varied){w->R, w->from, w->changed, w->first, w->count, xn, room, v->shared, n, own});
}

static sg_status vary(sgi_pass *p, const sgi_plan_step *s, const sgi_vary *w, sgi_arena a, float *y, const float *xn) {
  const sg_config *c = s->sub->config;
  size_t D = c->hidden_size, own = 0, n;
  varied v;
  for (size_t i = 0; i < w->count; i++) own += is_own(s, w, w->first + i);
  n = w->R * own + w->count - own;
  layout_varied(c, n, &a, &v);
  for (size_t i = 0, mine = 0, others = w->R * own; i < w->count; i++) {
    size_t t = w->first + i;
    bool mine_now = is_own(s, w, t);
    if (!changed(w, t)) {
      float *to = v.x + (mine_now ? mine : others) * D;
      sgi_rmsnorm(to, v.r, stream_of(p, s->evaluation) + t * D, s->sub->w[SGI_T_NORM], 1, D, sgi_norm_eps(c));
      for (size_t r = 1; r < w->R && mine_now; r++) memcpy(to + r * own * D, to, D * sizeof *to);
    } else {
      for (size_t r = 0; r < w->R; r++)
        memcpy(v.x + (r * own + mine) * D, xn + (r * w->changed + t - w->from) * D, D * sizeof *xn);
    }
    mine += mine_now;
    others += !mine_now;
  }
  sgi_ffn_call call = {.config = c,
                       .w = s->sub->weight + SGI_T_OWN,
                       .beside = s->sub->weight + s->sub->beside,
                       .n = n,
                       .saved = v.block,
                       .shared = v.shared,
                       .scratch = v.room,
                       .at = sgi_step_at(p, s)};
  bool is_router = s->router == (size_t)(s - p->model->plan.steps);
  if (w->router && !is_router) take_router(p, s, w, own, &v);
  call.routed = s->sub->ffn->mixes && s->sub->ffn->mixes(c);
  sg_status st = call.routed ? mix(p, s, w, own, &v, &a, xn) : SG_OK;
  if (!st) st = sgi_ffn_forward(s->sub->ffn, &call, v.y, v.x);
  if (w->router && is_router && !st) keep_router(s, w, own, n, &v);
  for (size_t i = 0, mine = 0, others = w->R * own; i < w->count && !st; i++) {
    bool mine_now = is_own(s, w, w->first + i);
    for (size_t r = 0; r < w->R; r++)
      memcpy(y + (r * w->count + i) * D, v.y + (mine_now ? r * own + mine : others) * D, D * sizeof *y);
    mine += mine_now;
    others += !mine_now;
  }
  return st;
}

const sgi_sublayer_ops sgi_sublayer_feedforward = {
    .name = "feedforward",
    .bit = SG_FEEDFORWARD,
    .norm = "post_attention_layernorm.weight",
    .norm_scale_site = SGI_SITE_MLP_NORM_SCALE,
    .norm_site = SGI_SITE_MLP_NORM,
    .out_site = SGI_SITE_MLP_OUT,
    .tensors = tensors,
    .saved = saved,
    .scratch = scratch,
    .multiply_adds = multiply_adds,
    .forward = forward,
    .backward = backward,
    .measure = measure,
    .held_bytes = held_bytes,
    .hold = hold,
    .pull = pull,
    .vary_room = vary_room,
    .vary = vary,
};
