/* A composed layer as a layer of chosen neurons against tests/golden/monet/peer: the
 * converted tensors, what they choose, what they make, and the gates that are kept; and whole
 * models of several sizes by the same rules. */
#include "support/golden.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "model/config.h"
#include "model/convert.h"
#include "model/pass.h"
#include "ref/ref.h"
#include "support/near.h"
#include "support/small.h"

static const double OF_MAX = 2e-5;

typedef struct golden {
  sgi_safetensors *f;
  json_t *json;
  const char *name;
  size_t N, m, H, D, P, side;
  sg_model *from, *to;
} golden;

static size_t number(const golden *g, const char *key) {
  json_t *v = json_object_get(g->json, key);
  assert_non_null(v);
  return (size_t)json_integer_value(v);
}

static const float *tensor(const golden *g, const char *name, size_t count) {
  const sgi_tensor *t = sgi_safetensors_find(g->f, name);
  if (!t || t->count != count) fail_msg("%s: %s is not there, or of another size", g->name, name);
  return t->data;
}

static golden open_golden(const char *name) {
  golden g = {.name = name};
  char path[96];
  snprintf(path, sizeof path, "tests/golden/monet/peer/monet_%s.safetensors", name);
  assert_sg_ok(sgi_safetensors_open(path, &g.f, err));
  snprintf(path, sizeof path, "tests/golden/monet/peer/monet_%s.json", name);
  g.json = golden_json(path);
  g.N = number(&g, "num_experts");
  g.m = number(&g, "expert_dim");
  g.H = number(&g, "num_channels");
  g.D = number(&g, "hidden_size");
  g.P = number(&g, "pairs");
  g.side = number(&g, "side");
  sg_config c = {.vocab_size = 3,
                 .hidden_size = g.D,
                 .head_dim = 2,
                 .num_heads = 1,
                 .num_layers = 1,
                 .max_position = 8,
                 .rms_norm_eps = 1e-6,
                 .rope_theta = 1e4,
                 .num_channels = g.H,
                 .top_k = number(&g, "top_k"),
                 .num_experts = g.N,
                 .expert_dim = g.m};
  snprintf(c.feedforward, sizeof c.feedforward, "monet");
  snprintf(c.activation, sizeof c.activation, "relu2");
  snprintf(c.decomposition, sizeof c.decomposition, "%s", json_string_value(json_object_get(g.json, "kind")));
  assert_sg_ok(sg_model_create(&c, 1, &g.from, err));
  const sgi_sublayer *s = sgi_feedforward_of(g.from, 0);
  for (size_t i = SGI_T_OWN; i < s->n_tensors; i++) {
    const sgi_row *row = &g.from->table.rows[s->row[i]];
    memcpy(g.from->arena + row->offset, tensor(&g, strstr(row->name, "mlp.") + 4, row->count),
           row->count * sizeof(float));
  }
  json_t *key_dim = json_object_get(json_object_get(g.json, "peer"), "key_dim");
  sgi_ffn_convert how = {.to = "peer", .pairs = g.P, .key_dim = (size_t)json_integer_value(key_dim)};
  assert_sg_ok(sgi_model_convert(g.from, &how, NULL, NULL, &g.to, err));
  return g;
}

static void close_golden(golden *g) {
  sg_model_free(g->from);
  sg_model_free(g->to);
  sgi_safetensors_close(g->f);
  json_decref(g->json);
}

static void compare(const golden *g, const char *what, const float *got, const float *want, size_t n) {
  double most = 0, worst = 0;
  for (size_t i = 0; i < n; i++) {
    most = fmax(most, fabs((double)want[i]));
    worst = worse(worst, fabs((double)got[i] - (double)want[i]));
  }
  if (getenv("SGATLIN_TEST_VERBOSE")) print_message("%s %-30s %.1e of %.1e\n", g->name, what, worst, most);
  if (!(worst <= OF_MAX * most)) fail_msg("%s: %s differs by %.3g of %.3g", g->name, what, worst, most);
}

/* One run of a model's first feedforward on rows x. */
typedef struct ran {
  sgi_arena saved, shared, scratch;
  float *y;
  sgi_ffn_call call;
  const sgi_ffn_ops *ffn;
} ran;

static sgi_arena block(size_t bytes) { return (sgi_arena){.base = sgi_alloc(bytes ? bytes : 1), .size = bytes}; }

static ran run(const sg_model *m, const float *x, size_t n) {
  const sgi_sublayer *s = sgi_feedforward_of(m, 0);
  sgi_arena size[3] = {{0}};
  ran r = {.ffn = s->ffn, .y = sgi_alloc(n * m->config.hidden_size * sizeof *r.y)};
  r.ffn->saved(s->config, n, &size[0]);
  if (r.ffn->shared) r.ffn->shared(s->config, n, false, &size[1]);
  r.ffn->scratch(s->config, n, false, &size[2]);
  r.saved = block(size[0].used), r.shared = block(size[1].used), r.scratch = block(size[2].used);
  r.call = (sgi_ffn_call){.config = s->config,
                          .w = s->weight + SGI_T_OWN,
                          .n = n,
                          .saved = r.saved,
                          .shared = r.shared,
                          .scratch = r.scratch};
  assert_int_equal(sgi_ffn_forward(r.ffn, &r.call, r.y, x), SG_OK);
  return r;
}

static void drop(ran *r) {
  sgi_free(r->saved.base), sgi_free(r->shared.base), sgi_free(r->scratch.base), sgi_free(r->y);
}

static int ascending(const void *a, const void *b) {
  int32_t x = *(const int32_t *)a, y = *(const int32_t *)b;
  return (x > y) - (x < y);
}

static void tensors_are_the_vectors(const golden *g) {
  const sgi_sublayer *s = sgi_feedforward_of(g->to, 0);
  assert_string_equal(s->config->feedforward, "peer");
  assert_int_equal(s->n_tensors - SGI_T_OWN, 5);
  for (size_t i = SGI_T_OWN; i < s->n_tensors; i++) {
    const sgi_row *row = &g->to->table.rows[s->row[i]];
    char name[80];
    snprintf(name, sizeof name, "peer.%s", strstr(row->name, "mlp.") + 4);
    const float *want = tensor(g, name, row->count), *got = g->to->arena + row->offset;
    for (size_t k = 0; k < row->count; k++)
      if (!(fabs((double)got[k] - (double)want[k]) <= 2e-7 * fabs((double)want[k])))
        fail_msg("%s: entry %zu of %s is %.9g, expected %.9g", g->name, k, name, (double)got[k], (double)want[k]);
  }
}

/* The gates of the pairs that were chosen: every place of a pair stands for one of its neurons. */
static void kept_mass(const golden *g, const sgi_gates *k, size_t n) {
  size_t S = g->N * g->side;
  const float *g1 = tensor(g, "g1", n * g->H * g->N), *g2 = tensor(g, "g2", n * g->H * g->N);
  const float *want = tensor(g, "kept_mass", n * g->H);
  for (size_t i = 0; i < n * g->H; i++) {
    double sum = 0;
    for (size_t e = 0; e < k->top_k; e++) {
      size_t f = (size_t)k->index[i * k->top_k + e];
      sum += (double)g1[i * g->N + f / S / g->side] * (double)g2[i * g->N + f % S / g->side];
    }
    assert_true(fabs(sum / (double)(g->side * g->side) - (double)want[i]) < 1e-5);
  }
}

static void one(const char *name) {
  golden g = open_golden(name);
  size_t n = sgi_safetensors_find(g.f, "x")->dims[0];
  const float *x = tensor(&g, "x", n * g.D);
  tensors_are_the_vectors(&g);
  ran monet = run(g.from, x, n), peer = run(g.to, x, n);
  compare(&g, "y_monet", monet.y, tensor(&g, "y_monet", n * g.D), n * g.D);
  compare(&g, "y_peer", peer.y, tensor(&g, "y_peer", n * g.D), n * g.D);
  sgi_gates k;
  peer.ffn->gates(peer.call.config, n, peer.saved, &k);
  size_t K = k.top_k;
  const int32_t *want = sgi_safetensors_find(g.f, "peer.indices_sorted")->data;
  for (size_t i = 0; i < n * g.H; i++) {
    int32_t sorted[SGI_MAX_TENSORS * 8];
    assert_true(K <= SGI_COUNT(sorted));
    memcpy(sorted, k.index + i * K, K * sizeof *sorted);
    qsort(sorted, K, sizeof *sorted, ascending);
    assert_memory_equal(sorted, want + i * K, K * sizeof *sorted);
  }
  kept_mass(&g, &k, n);
  /* The units that readers see of the composed layer are the exact expansion. */
  size_t units = monet.ffn->unit_count(monet.call.config);
  sgi_unit *u = malloc(units * sizeof *u);
  double *sum = malloc(g.D * sizeof *sum);
  const float *expanded = tensor(&g, "y_expanded", n * g.D);
  for (size_t i = 0; i < n; i++) {
    double most = 0;
    monet.ffn->units(&monet.call, i, u, sum);
    for (size_t j = 0; j < units; j++)
      for (size_t d = 0; d < g.D; d++) sum[d] += u[j].value * (double)sgi_slice_at(&u[j].out, d);
    for (size_t d = 0; d < g.D; d++) most = fmax(most, fabs((double)expanded[i * g.D + d]));
    for (size_t d = 0; d < g.D; d++) assert_true(fabs(sum[d] - (double)expanded[i * g.D + d]) <= OF_MAX * most);
  }
  free(u), free(sum);
  drop(&monet), drop(&peer);
  close_golden(&g);
}

static void horizontal(void **state) {
  (void)state;
  one("hd");
}
static void vertical(void **state) {
  (void)state;
  one("vd");
}

/* ---- other sizes ----------------------------------------------------------------------------- */

static sg_model *random_monet(const char *decomposition, size_t N, size_t m, size_t D, size_t layers, size_t group) {
  sg_config c = small_config("monet");
  sg_model *out;
  c.hidden_size = D;
  c.num_layers = layers;
  c.num_experts = N;
  c.expert_dim = m;
  c.top_k = 2;
  c.router_group = group;
  snprintf(c.decomposition, sizeof c.decomposition, "%s", decomposition);
  assert_sg_ok(sg_model_create(&c, 3, &out, err));
  ref_random r = {.state = N * m};
  for (size_t i = 0; i < out->table.count; i++) /* constants that are not 0 */
    if (out->table.rows[i].init == SGI_INIT_ZERO && !out->table.rows[i].state)
      ref_fill(&r, out->arena + out->table.rows[i].offset, out->table.rows[i].count, 0, 0.3);
  return out;
}

/* Copies of a pair tie to the bit whatever the path of the product: what is chosen is whole pairs,
 * and the softmax over them is that of the pairs. */
static void pairs_are_whole(void **state) {
  (void)state;
  static const size_t sizes[][4] = {{32, 8, 64, 7}, {32, 8, 64, 10}, {19, 3, 48, 5}, {40, 1, 33, 9}};
  static const size_t rows[] = {1, 2, 3, 7, 16, 33, 200};
  for (size_t i = 0; i < SGI_COUNT(sizes); i++) {
    size_t N = sizes[i][0], D = sizes[i][2], P = sizes[i][3], side = sizes[i][1] == 8 ? 3 : 2, S = N * side;
    sg_model *m = random_monet("horizontal", N, sizes[i][1], D, 1, 1), *to;
    for (size_t q = 0; q < 2; q++) {
      sgi_ffn_convert how = {.to = "peer", .pairs = P, .key_dim = q ? D : 0};
      assert_sg_ok(sgi_model_convert(m, &how, NULL, NULL, &to, err));
      for (size_t k = 0; k < SGI_COUNT(rows); k++) {
        float *x = malloc(rows[k] * D * sizeof *x);
        ref_random r = {.state = rows[k]};
        ref_fill(&r, x, rows[k] * D, 0, 1);
        ran y = run(to, x, rows[k]);
        sgi_gates g;
        y.ffn->gates(y.call.config, rows[k], y.saved, &g);
        for (size_t e = 0; e < rows[k] * g.channels; e++) {
          int *seen = calloc(N * N, sizeof *seen);
          for (size_t f = 0; f < g.top_k; f++) {
            size_t at = (size_t)g.index[e * g.top_k + f];
            seen[at / S / side * N + at % S / side]++;
          }
          for (size_t p = 0; p < N * N; p++)
            if (seen[p] && seen[p] != (int)(side * side))
              fail_msg("N %zu, %zu rows: %d of %zu places of a pair were chosen", N, rows[k], seen[p], side * side);
          free(seen);
        }
        drop(&y);
        free(x);
      }
      sg_model_free(to);
    }
    sg_model_free(m);
  }
}

/* As long as no pair is left out and all sub-experts pass, the converted layer is the layer: N^2
 * pairs, of which K < S can be chosen only where N is 1; one expert an axis. */
static void small_and_exact(void **state) {
  (void)state;
  const char *forms[] = {"horizontal", "vertical"};
  for (size_t i = 0; i < 2; i++) {
    sg_model *m = random_monet(forms[i], 2, 2, 12, 1, 1), *to;
    sgi_ffn_convert how = {.to = "peer", .pairs = 1};
    sg_error e = {0};
    assert_int_equal(sgi_model_convert(m, &how, NULL, NULL, &to, &e), SG_ERR_ARG); /* K = 4 = S */
    assert_non_null(strstr(e.text, "pairs"));
    sg_model_free(m);
  }
}

/* Groups are kept; ungrouped every layer has the group's router. All that is not a feedforward
 * layer stays as it was, and forward passes of both run. */
static void models(void **state) {
  (void)state;
  const char *kinds[] = {"peer", "sgatlin"}, *forms[] = {"horizontal", "vertical"};
  for (size_t i = 0; i < 8; i++) {
    sg_model *m = random_monet(forms[i & 1], 6, 4, 32, 3, 2), *to;
    sgi_ffn_convert how = {.to = kinds[i >> 1 & 1], .pairs = 1, .ungroup = i >> 2};
    assert_sg_ok(sgi_model_convert(m, &how, NULL, NULL, &to, err));
    size_t routers = 0;
    for (size_t l = 0; l < 3; l++) {
      assert_true(sgi_convert_differs(m, to, l));
      assert_string_equal(to->layers[l].config.feedforward, kinds[i >> 1 & 1]);
    }
    for (size_t k = 0; k < to->table.count; k++) {
      const sgi_row *row = &to->table.rows[k];
      routers += strstr(row->name, "router.keys") || strstr(row->name, "router.up");
      ptrdiff_t same = sgi_table_find(&m->table, row->name);
      if (strstr(row->name, ".mlp.")) continue;
      assert_true(same >= 0);
      assert_memory_equal(to->arena + row->offset, m->arena + m->table.rows[same].offset, row->count * sizeof(float));
    }
    assert_int_equal(routers, i >> 2 ? 3 : 2);
    sgi_pass *p;
    int32_t inputs[SMALL_B * SMALL_T], targets[SMALL_B * SMALL_T];
    sgi_metrics sum = {0};
    small_batch(3, inputs, targets, NULL);
    assert_sg_ok(sgi_pass_create(to, SMALL_B, SMALL_T, false, &p, err));
    assert_sg_ok(sgi_pass_forward(p, &(sgi_batch){SMALL_B, SMALL_T, inputs, targets, NULL}, NULL, err));
    assert_sg_ok(sgi_pass_loss(p, &sum, NULL, 1, err));
    assert_true(isfinite(sum.nll));
    sgi_pass_free(p);
    sg_model_free(to);
    sg_model_free(m);
  }
}

/* A query that is too narrow takes the best directions; one as wide as it must be is exact. */
static void narrow_queries(void **state) {
  (void)state;
  sg_model *m = random_monet("horizontal", 12, 3, 32, 1, 1), *exact, *same, *narrow;
  size_t n = 20;
  float *x = malloc(n * 32 * sizeof *x);
  ref_random r = {.state = 9};
  ref_fill(&r, x, n * 32, 0, 1);
  assert_sg_ok(
      sgi_model_convert(m, &(sgi_ffn_convert){.to = "peer", .pairs = 3, .key_dim = 32}, NULL, NULL, &exact, err));
  assert_sg_ok(sgi_model_convert(m, &(sgi_ffn_convert){.to = "peer", .pairs = 3}, NULL, NULL, &same, err));
  assert_sg_ok(
      sgi_model_convert(m, &(sgi_ffn_convert){.to = "peer", .pairs = 3, .key_dim = 11}, NULL, NULL, &narrow, err));
  assert_int_equal(same->config.key_dim, 12);
  ran a = run(exact, x, n), b = run(same, x, n), c = run(narrow, x, n);
  double most = 0, off = 0, off_narrow = 0;
  for (size_t i = 0; i < n * 32; i++) {
    most = fmax(most, fabs((double)a.y[i]));
    off = fmax(off, fabs((double)a.y[i] - (double)b.y[i]));
    off_narrow += fabs((double)a.y[i] - (double)c.y[i]) / (double)(n * 32);
  }
  assert_true(off < 1e-5 * most);
  assert_true(off_narrow > 1e-5 * most && isfinite(off_narrow));
  drop(&a), drop(&b), drop(&c);
  free(x);
  sg_model_free(m), sg_model_free(exact), sg_model_free(same), sg_model_free(narrow);
}

static void refused(const sg_model *m, sgi_ffn_convert how, const char *word) {
  sg_error e = {0};
  sg_model *to;
  assert_int_equal(sgi_model_convert(m, &how, NULL, NULL, &to, &e), SG_ERR_ARG);
  if (!strstr(e.text, word)) fail_msg("refused without \"%s\": %s", word, e.text);
}

static void refusals(void **state) {
  (void)state;
  sg_model *m = random_monet("horizontal", 6, 4, 32, 2, 1);
  refused(m, (sgi_ffn_convert){.to = "mlp", .pairs = 1}, "mlp");
  refused(m, (sgi_ffn_convert){.to = "peer"}, "pairs");
  refused(m, (sgi_ffn_convert){.to = "peer", .pairs = 2}, "2 pairs");
  refused(m, (sgi_ffn_convert){.to = "peer", .pairs = SIZE_MAX / 2}, "pairs");
  refused(m, (sgi_ffn_convert){.to = "peer", .pairs = 1, .key_dim = 33}, "33");
  sg_model_free(m);
  sg_config c = small_config("mlp");
  assert_sg_ok(sg_model_create(&c, 3, &m, err));
  refused(m, (sgi_ffn_convert){.to = "peer", .pairs = 1}, "expected: monet");
  sg_model_free(m);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(horizontal),      cmocka_unit_test(vertical), cmocka_unit_test(pairs_are_whole),
      cmocka_unit_test(small_and_exact), cmocka_unit_test(models),   cmocka_unit_test(narrow_queries),
      cmocka_unit_test(refusals),
  };
  return cmocka_run_group_tests_name("convert", tests, NULL, NULL);
}
