/* Gate margins by trying: just short of the margin nothing changes, just past it the named units
 * change places. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "math/gemm.h"
#include "model/model.h"
#include "support/prompts.h"

enum { T = 6 };
static size_t tried, shorter;

/* Site of the stream that a layer's feedforward reads. */
static void read_by(const sg_model *m, size_t layer, char out[SG_SITE_NAME]) {
  const sgi_plan *p = &m->plan;
  size_t i = sgi_plan_find(p, layer, &sgi_sublayer_feedforward);
  if (p->steps[i].before != p->first[layer])
    snprintf(out, SG_SITE_NAME, "layers.%zu.resid_mid", layer);
  else if (layer)
    snprintf(out, SG_SITE_NAME, "layers.%zu.resid_post", layer - 1);
  else
    snprintf(out, SG_SITE_NAME, "embed");
}

/* Chosen units of a layer at a position and channel when the stream before the feedforward layer is
 * moved by a vector, the norm's scale held. Sorted. */
static void chosen(const sg_model *m, const int32_t *tokens, const sg_run *base, size_t layer, size_t t, size_t c,
                   const float *move, double amount, int32_t *out, size_t K) {
  sg_edit e[3] = {
      {.op = SG_EDIT_ADD, .value = amount, .vector = move, .vector_count = m->config.hidden_size, .n_axes = 1},
      {.op = SG_EDIT_TAKE, .from = base},
      {.op = SG_EDIT_TAKE, .from = base}};
  read_by(m, layer, e[0].site);
  snprintf(e[1].site, sizeof e[1].site, "layers.%zu.mlp.norm_scale", layer);
  snprintf(e[2].site, sizeof e[2].site, "layers.%zu.meta.choice", layer); /* margins hold the pools */
  bool pools = sgi_feedforward_of(m, layer)->config->options.meta_experts;
  e[0].axes[0] = (sg_edit_axis){"pos", (ptrdiff_t)t, (ptrdiff_t)t};
  const char *indices = "layers.*indices";
  sg_run_request q = {
      .tokens = tokens, .count = T, .record = &indices, .n_record = 1, .edits = e, .n_edits = pools ? 3 : 2};
  sg_run *r;
  assert_sg_ok(sg_run_create(m, &q, &r, err));
  sg_site s;
  char name[2][SG_SITE_NAME];
  snprintf(name[0], SG_SITE_NAME, "layers.%zu.router.indices", layer);
  snprintf(name[1], SG_SITE_NAME, "layers.%zu.gate.indices", layer);
  assert_true(sg_run_find(r, name[0], &s) || sg_run_find(r, name[1], &s));
  size_t C = s.count / T / K;
  memcpy(out, s.index + (t * C + c) * K, K * sizeof *out);
  for (size_t i = 0; i < K; i++)
    for (size_t j = i + 1; j < K; j++)
      if (out[j] < out[i]) {
        int32_t swap = out[i];
        out[i] = out[j];
        out[j] = swap;
      }
  sg_run_free(r);
}

static bool holds(const int32_t *set, size_t K, int32_t unit) {
  for (size_t i = 0; i < K; i++)
    if (set[i] == unit) return true;
  return false;
}

/* Units of a router's one pool. */
static size_t units_of(const sgi_routes *r) {
  size_t F = 1;
  for (size_t p = 0; p < r->parts; p++) F *= r->units;
  return F;
}

/* Direction in which unit `wins` overtakes `loses` soonest. */
static void direction(const sg_model *m, size_t layer, size_t c, const sg_margin *g, float *out) {
  sgi_routes r;
  const sgi_sublayer *s = sgi_feedforward_of(m, layer);
  s->ffn->routes(s->config, &r);
  size_t D = m->config.hidden_size, n = r.parts * r.units;
  float *rows = ref_alloc(n * D, sizeof *rows);
  size_t F = units_of(&r), pool = (size_t)g->loses / F;
  assert_int_equal(s->ffn->route_rows(s->config, s->weight + SGI_T_OWN, c + pool * r.channels, rows), SG_OK);
  const float *gain = s->w[SGI_T_NORM];
  double norm = 0;
  assert_int_equal((size_t)g->wins / F, pool);
  for (size_t d = 0; d < D; d++) {
    size_t a = (size_t)g->loses % F, b = (size_t)g->wins % F;
    double x = r.parts == 1 ? rows[b * D + d] - rows[a * D + d]
                            : (double)rows[b / r.units * D + d] - rows[a / r.units * D + d] +
                                  rows[(r.units + b % r.units) * D + d] - rows[(r.units + a % r.units) * D + d];
    out[d] = (float)(x * gain[d]);
    norm += (double)out[d] * out[d];
  }
  for (size_t d = 0; d < D; d++) out[d] = (float)(out[d] / sqrt(norm));
  free(rows);
}

static sgi_routes routed(const sg_model *m, size_t layer) {
  sgi_routes r = {0};
  const sgi_sublayer *s = sgi_feedforward_of(m, layer);
  if (s && s->ffn->routes && sgi_ffn_routes(s->config)) s->ffn->routes(s->config, &r);
  return r;
}

static void margins(const sg_model *m, const char *name, ref_random *r) {
  size_t C = sg_margin_channels(m), D = m->config.hidden_size;
  int32_t tokens[T], at[64], now[64];
  random_prompt(m, r, tokens, T);
  if (!C) {
    assert_int_equal(sg_margins(m, tokens, T, NULL, NULL), SG_ERR_UNSUPPORTED);
    return;
  }
  sg_margin *g = ref_alloc(m->config.num_layers * T * C, sizeof *g);
  assert_sg_ok(sg_margins(m, tokens, T, g, err));
  const char *held[] = {"layers.*.mlp.norm_scale", "layers.*.meta.choice"};
  sg_run_request q = {.tokens = tokens, .count = T, .record = held, .n_record = 1};
  for (size_t l = 0; l < m->config.num_layers; l++)
    if (sgi_feedforward_of(m, l) && sgi_feedforward_of(m, l)->config->options.meta_experts) q.n_record = 2;
  sg_run *base;
  assert_sg_ok(sg_run_create(m, &q, &base, err));
  float *move = ref_alloc(D, sizeof *move);
  for (size_t i = 0; i < 12; i++) {
    size_t layer = ref_below(r, m->config.num_layers), t = ref_below(r, T), c = ref_below(r, C);
    const sg_margin *x = &g[(layer * T + t) * C + c];
    sgi_gates gates;
    if (!sgi_layer_gates(m, layer, &gates) || c >= routed(m, layer).channels) {
      assert_true(x->loses == -1 && x->wins == -1 && isinf(x->distance));
      continue;
    }
    size_t K = gates.top_k;
    if (x->distance < 1e-3) continue; /* too near a tie for float32 */
    assert_true(x->distance > 0 && isfinite(x->distance) && x->stream > 0);
    direction(m, layer, c, x, move);
    chosen(m, tokens, base, layer, t, c, move, 0, at, K);
    assert_true(holds(at, K, x->loses) && !holds(at, K, x->wins));
    chosen(m, tokens, base, layer, t, c, move, 0.99 * x->distance, now, K);
    if (memcmp(at, now, K * sizeof *at)) fail_msg("%s: gates change before their margin", name);
    chosen(m, tokens, base, layer, t, c, move, 1.01 * x->distance, now, K);
    if (holds(now, K, x->loses) || !holds(now, K, x->wins)) fail_msg("%s: gates do not change past their margin", name);
    tried++;
    for (size_t k = 0; k < 8; k++) { /* no other direction is shorter */
      double norm = 0;
      ref_fill(r, move, D, 0, 1);
      for (size_t d = 0; d < D; d++) norm += (double)move[d] * move[d];
      chosen(m, tokens, base, layer, t, c, move, 0.99 * x->distance / sqrt(norm), now, K);
      if (memcmp(at, now, K * sizeof *at)) fail_msg("%s: gates change within their margin", name);
      shorter++;
    }
  }
  free(move), free(g);
  sg_run_free(base);
}

static void margins_by_trying(void **state) {
  (void)state;
  each_model(margins);
  assert_true(tried > 80 && shorter > 600);
}

/* ---- the search that leaves pairs out, against the one that looks at all --------------------- */

static size_t compared;

/* |row_a - row_b|^2, in the arithmetic of the library. */
static double apart(const sgi_routes *r, const float *rows, const float *gram, size_t D, size_t a, size_t b) {
  size_t S = r->units, n = r->parts * S;
  double sum = 0;
  if (r->parts == 1) {
#pragma omp simd reduction(+ : sum)
    for (size_t d = 0; d < D; d++)
      sum += ((double)rows[a * D + d] - rows[b * D + d]) * ((double)rows[a * D + d] - rows[b * D + d]);
    return sum;
  }
  size_t i[4] = {a / S, S + a % S, b / S, S + b % S};
  for (int p = 0; p < 4; p++)
    for (int q = 0; q < 4; q++) {
      if ((i[0] == i[2] && (p % 2 == 0 || q % 2 == 0)) || (i[1] == i[3] && (p % 2 == 1 || q % 2 == 1))) continue;
      sum += ((p < 2) == (q < 2) ? 1 : -1) * (double)gram[i[p] * n + i[q]];
    }
  return sum > 0 ? sum : 0;
}

/* Every chosen unit with every other of its pool, the first of the least. */
static sg_margin slow(const sgi_routes *r, const float *rows, const float *gram, size_t D, size_t F, const float *score,
                      const int32_t *index, double scale) {
  sg_margin best = {.distance = INFINITY, .loses = -1, .wins = -1};
  for (size_t k = 0; k < r->top_k; k++)
    for (size_t b = 0; b < F; b++) {
      size_t a = (size_t)index[k];
      if (holds(index, r->top_k, (int32_t)b)) continue;
      double gap = (double)score[a] - score[b], norm = sqrt(apart(r, rows, gram, D, a, b)) * scale;
      if (gap < 0) gap = 0;
      if (!(norm > 0) || gap / norm >= best.distance) continue;
      best = (sg_margin){.distance = gap / norm, .gap = gap, .loses = (int32_t)a, .wins = (int32_t)b};
    }
  return best;
}

static void same_as_slow(const sg_model *m, const char *name, ref_random *r) {
  size_t C = sg_margin_channels(m), D = m->config.hidden_size, L = m->config.num_layers;
  if (!C) return;
  int32_t tokens[T];
  random_prompt(m, r, tokens, T);
  tokens[T - 1] = tokens[T - 2];
  sg_margin *g = ref_alloc(L * T * C, sizeof *g);
  assert_sg_ok(sg_margins(m, tokens, T, g, err));
  const char *sites[] = {"layers.*.mlp.norm", "layers.*.mlp.norm_scale", "layers.*indices"};
  sg_run *run;
  assert_sg_ok(
      sg_run_create(m, &(sg_run_request){.tokens = tokens, .count = T, .record = sites, .n_record = 3}, &run, err));
  for (size_t l = 0; l < L; l++) {
    sgi_routes route = routed(m, l);
    const sgi_sublayer *s = sgi_feedforward_of(m, l);
    if (!route.channels) continue;
    size_t n = route.parts * route.units, K = route.top_k, F = units_of(&route), k = s->config->top_k / K;
    sg_margin *want = ref_alloc(route.channels * T, sizeof *want);
    for (size_t i = 0; i < route.channels * T; i++) want[i].distance = INFINITY, want[i].loses = want[i].wins = -1;
    float *rows = ref_alloc(n * D, sizeof *rows), *gram = ref_alloc(n * n, sizeof *gram),
          *part = ref_alloc(T * n, sizeof *part), *score = ref_alloc(F, sizeof *score);
    const float *gain = s->w[SGI_T_NORM];
    char site[SG_SITE_NAME];
    sg_site norm, scale, index;
    snprintf(site, sizeof site, "layers.%zu.mlp.norm", l);
    assert_true(sg_run_find(run, site, &norm));
    snprintf(site, sizeof site, "layers.%zu.mlp.norm_scale", l);
    assert_true(sg_run_find(run, site, &scale));
    snprintf(site, sizeof site, "layers.%zu.router.indices", l);
    if (!sg_run_find(run, site, &index)) {
      snprintf(site, sizeof site, "layers.%zu.gate.indices", l);
      assert_true(sg_run_find(run, site, &index));
    }
    for (size_t i = 0; i < route.channels * route.pools; i++) {
      size_t c = i % route.channels, pool = i / route.channels;
      assert_int_equal(s->ffn->route_rows(s->config, s->weight + SGI_T_OWN, i, rows), SG_OK);
      assert_int_equal(sgi_linear(part, n, norm.data, D, rows, T, D, n, (sgi_arena){0}), SG_OK);
      for (size_t j = 0; j < n * D; j++) rows[j] *= gain[j % D];
      assert_int_equal(sgi_linear(gram, n, rows, D, rows, n, D, n, (sgi_arena){0}), SG_OK);
      for (size_t t = 0; t < T; t++) {
        for (size_t f = 0; f < F; f++)
          score[f] = route.parts == 1 ? part[t * n + f]
                                      : part[t * n + f / route.units] + part[t * n + route.units + f % route.units];
        for (size_t q = 0; q < k; q++) {
          const int32_t *chosen_now = index.index + ((t * (index.count / T / K / k) + c) * k + q) * K;
          int32_t own[64];
          if ((size_t)chosen_now[0] / F != pool) continue;
          for (size_t j = 0; j < K; j++) own[j] = chosen_now[j] - (int32_t)(pool * F);
          sg_margin of_pool = slow(&route, rows, gram, D, F, score, own, scale.data[t]);
          if (of_pool.distance >= want[t * route.channels + c].distance) continue;
          of_pool.loses += (int32_t)(pool * F), of_pool.wins += (int32_t)(pool * F);
          want[t * route.channels + c] = of_pool;
        }
      }
    }
    for (size_t i = 0; i < route.channels * T; i++) {
      size_t t = i / route.channels, c = i % route.channels;
      sg_margin have = g[(l * T + t) * C + c];
      if (want[i].distance != have.distance || want[i].gap != have.gap || want[i].loses != have.loses ||
          want[i].wins != have.wins)
        fail_msg("%s, layer %zu, channel %zu, position %zu: %.17g, %d for %d; looking at all: %.17g, %d for %d", name,
                 l, c, t, have.distance, have.wins, have.loses, want[i].distance, want[i].wins, want[i].loses);
      compared++;
    }
    free(rows), free(gram), free(part), free(score), free(want);
  }
  free(g);
  sg_run_free(run);
}

static void margins_by_looking_at_all(void **state) {
  (void)state;
  each_model(same_as_slow);
  assert_true(compared > 200);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(margins_by_trying), cmocka_unit_test(margins_by_looking_at_all)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
