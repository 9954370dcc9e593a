#include "compare/trials.h"

#include <math.h>
#include <string.h>

#include "core/arena.h"
#include "math/rows.h"
#include "math/stored.h"
#include "model/finite.h"
#include "model/sub_attention.h"

struct sgi_trials {
  const sg_model *m;
  sgi_pass *pass;
  size_t max_count, count, n;
  int32_t *inputs;         /* (n,count) */
  const sgi_trial *trials; /* of the run at hand */
  sgi_trial_watch watch;
  void *user;
  float *q, *k;    /* (n * count,H*d) of the layer at hand */
  float *normed;   /* (D) */
  double *weights; /* (count) */
};

sg_status sgi_trials_create(const sg_model *m, size_t max_count, sgi_trials **out, sg_error *err) {
  *out = NULL;
  if (sgi_form_evaluations(&m->config) > 1)
    return sgi_fail(err, SG_ERR_UNSUPPORTED,
                    "a layer of this model runs its sublayers more than once: an edge cut in one stage is not cut");
  sg_status st = SG_OK;
  sgi_trials *t = sgi_alloc(sizeof *t);
  if (!t) return sgi_fail_memory(err, sizeof *t, "trials");
  size_t rows = SGI_TRIALS_MOST * max_count, W = sgi_heads_width(&m->config);
  *t = (sgi_trials){.m = m, .max_count = max_count};
  t->inputs = sgi_alloc(rows * sizeof *t->inputs);
  t->q = sgi_alloc(rows * W * sizeof *t->q);
  t->k = sgi_alloc(rows * W * sizeof *t->k);
  t->normed = sgi_alloc(m->config.hidden_size * sizeof *t->normed);
  t->weights = sgi_alloc(max_count * sizeof *t->weights);
  if (!t->inputs || !t->q || !t->k || !t->normed || !t->weights)
    st = sgi_fail_memory(err, rows * W * 2 * sizeof(float), "trials");
  if (!st) st = sgi_pass_create(m, SGI_TRIALS_MOST, max_count, false, &t->pass, err);
  if (st)
    sgi_trials_free(t);
  else
    *out = t;
  return st;
}

void sgi_trials_free(sgi_trials *t) {
  if (!t) return;
  sgi_pass_free(t->pass);
  sgi_free(t->inputs);
  sgi_free(t->q);
  sgi_free(t->k);
  sgi_free(t->normed);
  sgi_free(t->weights);
  sgi_free(t);
}

static bool within(size_t from, size_t to, size_t layer) { return layer >= from && layer < to; }

static bool blocks(const sgi_trials *t, size_t trial, size_t layer) {
  const sgi_trial *x = &t->trials[trial];
  return x->blocked.at && within(x->blocked.from, x->blocked.to, layer);
}

static bool any_blocks(const sgi_trials *t, size_t layer) {
  for (size_t i = 0; i < t->n; i++)
    if (blocks(t, i, layer)) return true;
  return false;
}

/* The last row of a trial, made anew over the sources that are left: dividing the rest of a row
 * that rounding has emptied would not do. row (H,T of the site). */
static void block_row(const sgi_trials *t, size_t trial, size_t layer, size_t width, float *row) {
  const sg_config *c = &t->m->config;
  const bool *at = t->trials[trial].blocked.at;
  size_t H = c->num_heads, d = c->head_dim, T = t->count, last = (trial + 1) * T - 1;
  double scale = 1 / sqrt((double)d);
  const float *sinks = sgi_sinks_of(sgi_attention_of(t->m, layer));
  for (size_t h = 0; h < H; h++) {
    float *p = row + h * width;
    const float *q = t->q + (last * H + h) * d;
    double most = sinks ? (double)sinks[h] : -INFINITY, sum = 0;
    for (size_t s = 0; s < T; s++) {
      const float *k = t->k + ((trial * T + s) * H + h) * d;
      double x = 0;
      for (size_t e = 0; e < d; e++) x += (double)q[e] * (double)k[e];
      t->weights[s] = at[s] ? -INFINITY : x * scale;
      most = fmax(most, t->weights[s]);
    }
    if (sinks) sum = exp((double)sinks[h] - most);
    for (size_t s = 0; s < T; s++) sum += t->weights[s] = at[s] ? 0 : exp(t->weights[s] - most);
    for (size_t s = 0; s < T; s++) p[s] = sum > 0 ? (float)(t->weights[s] / sum) : 0;
  }
}

static void patch_row(const sgi_trials *t, size_t trial, size_t layer, size_t position, float *row) {
  const sgi_trial *x = &t->trials[trial];
  size_t D = t->m->config.hidden_size;
  float scale;
  if (!x->patched.at || !within(x->patched.from, x->patched.to, layer) || !x->patched.at[position]) return;
  sgi_rmsnorm(row, &scale, x->patched.stream + position * D, sgi_attention_of(t->m, layer)->w[SGI_T_NORM], 1, D,
              sgi_norm_eps(&t->m->config));
}

static void cut_row(const sgi_trials *t, size_t trial, const sgi_site *s, size_t width, float *row) {
  const sgi_trial *x = &t->trials[trial];
  bool own = s->id == SGI_SITE_ATTN_OUT ? x->cut.attention : x->cut.feedforward;
  if (own && within(x->cut.from, x->cut.to, (size_t)s->layer)) memset(row, 0, width * sizeof *row);
}

static sg_status visit(void *user, const sgi_site *s, sg_error *err) {
  (void)err;
  sgi_trials *t = user;
  if (sgi_site_is_index(s->id)) return SG_OK;
  size_t width = sgi_site_width(s), T = t->count, layer = s->layer < 0 ? 0 : (size_t)s->layer;
  if (s->id == SGI_SITE_ATTN_Q || s->id == SGI_SITE_ATTN_K)
    memcpy((s->id == SGI_SITE_ATTN_Q ? t->q : t->k) + s->first * width, s->data, s->n * width * sizeof(float));
  for (size_t i = 0; i < s->n; i++) {
    size_t trial = (s->first + i) / T, position = (s->first + i) % T;
    float *row = (float *)s->data + i * width;
    switch (s->id) {
      case SGI_SITE_ATTN_NORM: patch_row(t, trial, layer, position, row); break;
      case SGI_SITE_ATTN_PATTERN:
        if (position == T - 1 && blocks(t, trial, layer)) block_row(t, trial, layer, s->dims[1], row);
        break;
      case SGI_SITE_ATTN_OUT:
      case SGI_SITE_MLP_OUT: cut_row(t, trial, s, width, row); break;
      default: break;
    }
    if (t->watch) t->watch(t->user, trial, s, position, row);
  }
  return SG_OK;
}

static bool wants(void *user, const sgi_site *s) {
  return s->id == SGI_SITE_ATTN_PATTERN && any_blocks(user, (size_t)s->layer);
}

sg_status sgi_trials_run(sgi_trials *t, const int32_t *tokens, size_t count, const sgi_trial *trials, size_t n,
                         sgi_trial_watch watch, void *user, sg_error *err) {
  if (!n || n > SGI_TRIALS_MOST || !count || count > t->max_count)
    return sgi_fail(err, SG_ERR_ARG, "%zu trials of %zu tokens: expected 1 to %d of 1 to %zu", n, count,
                    SGI_TRIALS_MOST, t->max_count);
  t->count = count;
  t->n = n;
  t->trials = trials;
  t->watch = watch;
  t->user = user;
  for (size_t i = 0; i < n; i++) memcpy(t->inputs + i * count, tokens, count * sizeof *tokens);
  sgi_batch batch = {.B = n, .T = count, .inputs = t->inputs};
  return sgi_pass_forward(t->pass, &batch, &(sgi_tap){.visit = visit, .user = t, .err = err, .wants = wants}, err);
}

sg_status sgi_trials_logits(sgi_trials *t, float *logits, sg_error *err) {
  size_t V = t->m->config.vocab_size;
  sg_status st = SG_OK;
  for (size_t i = 0; i < t->n && !st; i++)
    st = sgi_pass_logits(t->pass, (i + 1) * t->count - 1, 1, logits + i * V, err);
  return st ? st : sgi_model_watch(t->m, logits, t->n * V, "the logits of a trial", err);
}

sg_status sgi_trials_lens(const sg_model *m, bool raw, const float *x, float *room, float *scores, sg_error *err) {
  size_t D = m->config.hidden_size;
  const float *g = m->w[sgi_final_norm_row(m)];
  for (size_t d = 0; d < D; d++) room[d] = raw ? x[d] : g[d] * x[d];
  sg_status st =
      sgi_stored_linear(scores, m->config.vocab_size, room, D, &m->weights[SGI_ROW_EMBED], 1, (sgi_arena){0});
  if (st) return sgi_fail(err, st, "output head: a matrix product failed");
  return sgi_model_watch(m, scores, m->config.vocab_size, "scores of tokens", err);
}
