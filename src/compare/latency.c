#include "compare/latency.h"

#include <stdlib.h>
#include <string.h>

#include "compare/cut.h"
#include "core/median.h"
#include "core/profile.h"
#include "model/pass.h"

/* ---- one model, timed ------------------------------------------------------------------------ */

typedef struct timed {
  const sgi_latency_request *r;
  sg_generator *generator; /* decoding */
  sgi_pass *pass;          /* prefill */
  int32_t *ids;            /* (T) */
} timed;

static sg_status open_timed(const sg_model *m, const sgi_latency_request *r, timed *out, sg_error *err) {
  *out = (timed){.r = r};
  out->ids = sgi_alloc(r->T * sizeof *out->ids);
  if (!out->ids) return sgi_fail_memory(err, r->T * sizeof *out->ids, "tokens to time");
  /* Any text will do: sparse layers choose by it, so it should not be one token again and again. */
  for (size_t t = 0; t < r->T; t++) out->ids[t] = (int32_t)((7919 * t + 13) % m->config.vocab_size);
  return r->use == SGI_FOR_DECODE ? sg_generator_create(m, 1, r->T, &out->generator, err)
                                  : sgi_pass_create(m, 1, r->T, false, &out->pass, err);
}

static void close_timed(timed *t) {
  sg_generator_free(t->generator);
  sgi_pass_free(t->pass);
  sgi_free(t->ids);
}

/* Milliseconds of a token, or of a row. */
static sg_status run_timed(timed *t, double *ms, sg_error *err) {
  double (*clock)(void) = t->r->cpu_time ? sgi_cpu_now : sgi_now;
  sg_status st = SG_OK;
  if (t->pass) {
    sgi_batch batch = {.B = 1, .T = t->r->T, .inputs = t->ids};
    double from = clock();
    st = sgi_pass_forward(t->pass, &batch, NULL, err);
    *ms = 1e3 * (clock() - from);
    return st;
  }
  size_t half = t->r->T / 2;
  sg_generator_reset(t->generator);
  st = sg_generator_feed(t->generator, t->ids, half, err);
  double from = clock();
  for (size_t i = half; i < t->r->T && !st; i++) st = sg_generator_step(t->generator, t->ids + i, err);
  *ms = 1e3 * (clock() - from) / (double)(t->r->T - half);
  return st;
}

typedef struct pair {
  double *a, *b, *ratio, *less; /* (rounds) times, a / b, a - b */
} pair;

/* Both once to warm up, then in turn. */
static sg_status alternate(const sg_model *a, const sg_model *b, const sgi_latency_request *r, pair *out, size_t *done,
                           size_t wanted, sg_error *err) {
  timed x = {0}, y = {0};
  double warm;
  sg_status st = open_timed(a, r, &x, err);
  if (!st) st = open_timed(b, r, &y, err);
  if (!st) st = run_timed(&x, &warm, err);
  if (!st) st = run_timed(&y, &warm, err);
  for (size_t k = 0; k < r->rounds && !st; k++) {
    st = run_timed(&x, &out->a[k], err);
    if (!st) st = run_timed(&y, &out->b[k], err);
    out->ratio[k] = out->a[k] / out->b[k];
    out->less[k] = out->a[k] - out->b[k];
    if (!st && r->progress && !r->progress(r->user, ++*done, wanted)) st = sgi_fail(err, SG_ERR_CANCELLED, "stopped");
  }
  close_timed(&x);
  close_timed(&y);
  return st;
}

static sg_status make_pair(const sgi_latency_request *r, pair *p, sg_error *err) {
  if (r->rounds < 9 || r->T < 2)
    return sgi_fail(err, SG_ERR_ARG, "a latency needs at least 9 alternations and 2 positions");
  p->a = sgi_alloc(4 * r->rounds * sizeof *p->a);
  if (!p->a) return sgi_fail_memory(err, 4 * r->rounds * sizeof *p->a, "timings");
  p->b = p->a + r->rounds;
  p->ratio = p->b + r->rounds;
  p->less = p->ratio + r->rounds;
  return SG_OK;
}

sg_status sgi_latency_ratio(const sg_model *a, const sg_model *b, const sgi_latency_request *r, double *ratio,
                            sg_error *err) {
  pair p = {0};
  size_t done = 0;
  sg_status st = make_pair(r, &p, err);
  if (!st) st = alternate(a, b, r, &p, &done, r->rounds, err);
  if (!st) *ratio = sgi_median(p.ratio, r->rounds);
  sgi_free(p.a);
  return st;
}

/* ---- the table ------------------------------------------------------------------------------- */

/* Alike: the same sublayer of equal sizes, both timed. */
static bool alike(const sg_model *m, size_t a, size_t b) {
  if (a % 2 != b % 2 || sgi_cut_stays(m, b)) return false;
  if (a % 2 == 0) return true;
  const sgi_sublayer *x = sgi_feedforward_of(m, a / 2), *y = sgi_feedforward_of(m, b / 2);
  const sg_config *u = x->config, *v = y->config;
  if (u->options.sink_mlp != v->options.sink_mlp || u->options.always_on != v->options.always_on) return false;
  return x->ffn == y->ffn && u->num_neurons == v->num_neurons && u->num_channels == v->num_channels &&
         u->top_k == v->top_k && u->key_dim == v->key_dim && !strcmp(u->router, v->router) &&
         u->options.meta_experts == v->options.meta_experts && u->options.meta_top_k == v->options.meta_top_k;
}

static sg_status share(const sg_model *m, double *x, size_t S, sg_error *err) {
  double *own = sgi_alloc(2 * S * sizeof *own);
  if (!own) return sgi_fail_memory(err, 2 * S * sizeof *own, "latencies");
  double *like = own + S;
  memcpy(own, x, S * sizeof *x);
  for (size_t s = 0; s < S; s++) {
    size_t n = 0;
    if (sgi_cut_stays(m, s)) continue;
    for (size_t k = 0; k < S; k++)
      if (alike(m, s, k)) like[n++] = own[k];
    x[s] = sgi_median(like, n);
  }
  sgi_free(own);
  return SG_OK;
}

sg_status sgi_latency_measure(const sg_model *m, const sgi_latency_request *r, sgi_latency *out, sg_error *err) {
  size_t S = 2 * m->config.num_layers, done = 0, cuttable = 0, timings = 0;
  pair p = {0};
  *out = (sgi_latency){0};
  if (sgi_cut_check(m, err)) return SG_ERR_UNSUPPORTED;
  for (size_t s = 0; s < S; s++) cuttable += !sgi_cut_stays(m, s);
  bool *off = sgi_alloc(S);
  double *all = sgi_alloc(S * sizeof *all);
  out->sublayer = sgi_alloc(S * sizeof *out->sublayer);
  sg_status st = off && all && out->sublayer ? SG_OK : sgi_fail_memory(err, S * sizeof *all, "latencies");
  if (!st) st = make_pair(r, &p, err);
  for (size_t s = 0; s < S && !st; s++) {
    sg_model *without = NULL;
    if (sgi_cut_stays(m, s)) continue;
    memset(off, 0, S);
    off[s] = true;
    st = sgi_cut_view(m, off, &without, err);
    if (!st) st = alternate(m, without, r, &p, &done, cuttable * r->rounds, err);
    sg_model_free(without);
    if (st) break;
    out->sublayer[s] = sgi_median(p.less, r->rounds);
    all[timings++] = sgi_median(p.a, r->rounds);
  }
  if (!st && !r->each) st = share(m, out->sublayer, S, err);
  if (!st) {
    out->all = out->other = sgi_median(all, cuttable);
    /* A difference lost in noise must not be 0: it divides. */
    for (size_t s = 0; s < S; s++) {
      if (!sgi_cut_stays(m, s) && out->sublayer[s] < 1e-3 * out->all) out->sublayer[s] = 1e-3 * out->all;
      out->other -= out->sublayer[s];
    }
    if (out->other < 0) out->other = 0;
  }
  sgi_free(p.a);
  sgi_free(off);
  sgi_free(all);
  return st;
}

void sgi_latency_deinit(sgi_latency *l) {
  sgi_free(l->sublayer);
  *l = (sgi_latency){0};
}
