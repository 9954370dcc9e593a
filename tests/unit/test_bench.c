/* The bench on a small model of every kind: what it counts, what it must not do. */
#include "support/golden.h"
#include "support/near.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "model/flops.h"
#include "model/presets.h"
#include "train/bench.h"

static sg_config small(const char *kind) {
  sgi_preset_t p;
  sg_error err;
  if (sgi_preset("tinystories", kind, &p, &err)) fail_msg("%s", err.text);
  sg_config c = p.config;
  c.vocab_size = 300;
  c.hidden_size = 32;
  c.head_dim = 16;
  c.num_heads = 2;
  c.num_layers = 2;
  c.num_neurons = c.router[0] ? 144 : 40;
  if (c.num_channels) c.num_channels = 2;
  if (c.num_experts) c.num_neurons = 0;
  if (c.key_dim) c.key_dim = 8;
  return c;
}

static bool counted(void *user, size_t done, size_t rounds) {
  assert_int_equal(rounds, 2);
  assert_int_equal(done, ++*(size_t *)user);
  return true;
}

/* directory: a saved model, or NULL. */
static void check(const char *kind, const char *directory, bool forward_only) {
  sg_config c = small(kind);
  sg_error err;
  sgi_bench b;
  size_t calls = 0;
  sgi_bench_request r = {.config = &c,
                         .directory = directory,
                         .batch_size = 2,
                         .seq_len = 24,
                         .rounds = 2,
                         .cpu_time = forward_only,
                         .forward_only = forward_only,
                         .seed = 5,
                         .progress = counted,
                         .user = &calls};
  if (sgi_bench_run(&r, &b, &err)) fail_msg("%s: %s", kind, err.text);
  assert_true((b.open_seconds > 0) == (directory != NULL) && b.first_token_seconds >= b.open_seconds);
  assert_int_equal(calls, 2);
  assert_int_equal(b.allocations, 0);
  assert_true(b.gemm_flops_per_second > 0 && b.copy_bytes_per_second > 0 && b.forward_seconds > 0);
  assert_true((b.train_seconds > 0) == !forward_only && (b.train.count > 0) == !forward_only);
  assert_true(b.planned_bytes > 4 * b.parameters && b.peak_rss_bytes > 0);

  /* By hand: projections, the positions that a token sees, the kind's own, the head. */
  uint64_t all;
  if (sg_config_flops(&c, 24, &all, &err)) fail_msg("%s", err.text);
  double whole = 2.0 * 2 * 2 * 32 * 24, half = 2.0 * 2 * 2 * 32 * 12.5; /* layers, two products, 2 per multiply-add */
  double want = (double)all / 24 - whole + half + 2.0 * 300 * 32;
  near("b.forward_flops_per_token / want", b.forward_flops_per_token / want, 1, 1e-12);
  assert_true(b.train_flops_per_token == (forward_only ? 0 : 3 * b.forward_flops_per_token));
  assert_true(sgi_bench_utilisation(&b, false) > 0);

  double seconds = 0, flops = 0;
  for (size_t i = 0; i < b.forward.count; i++) {
    bool memory;
    assert_true(b.forward.kernels[i].calls % 2 == 0 && sgi_bench_limit_share(&b, &b.forward, i, &memory) >= 0);
    seconds += b.forward.kernels[i].seconds;
    flops += b.forward.kernels[i].flops;
  }
  near("flops / (2 * 48 * want)", flops / (2 * 48 * want), 1, 1e-9); /* the kernels' FLOPs are the model's */
  assert_true(seconds > 0);

  /* A decoded token meets every product, too: FLOPs of a row beside the positions before it. */
  if (sg_config_flops(&c, 1, &all, &err)) fail_msg("%s", err.text);
  flops = 0;
  for (size_t i = 0; i < b.decode.count; i++) flops += b.decode.kernels[i].flops;
  double before = 2.0 * 2 * 2 * 32 * (1 + (double)b.decoded) / 2; /* layers, two products, 2 per multiply-add */
  near("flops / (2.0 * b.decoded * (all + before ...",
       flops / (2.0 * (double)b.decoded * ((double)all + before + 2.0 * 300 * 32)), 1, 1e-9);
}

static void every_kind_is_measured(void **state) {
  (void)state;
  const char *kind;
  for (size_t i = 0; (kind = sg_feedforward_name(i)); i++) check(kind, NULL, false);
  check("sgatlin", NULL, true);
}

static void a_saved_model_is_measured(void **state) {
  (void)state;
  sg_config c = small("sgatlin");
  sg_model *m;
  char *dir = golden_temporary();
  assert_sg_ok(sg_model_create(&c, 1, &m, err));
  assert_sg_ok(sg_model_save(m, dir, err));
  sg_model_free(m);
  check("sgatlin", dir, false);
  check("sgatlin", dir, true);
  golden_remove(dir);
}

static double ticks(void) {
  static double now;
  return now += 1;
}

/* A rate is of a shape that the model has, or of the square. */
static void the_yardstick_has_the_models_shapes(void **state) {
  (void)state;
  sg_config c = small("mlp"); /* maps of (32,32), (40,32), (32,40), and the head's (300,32) */
  sg_error why;
  sgi_bench b;
  sgi_bench_request r = {.config = &c, .batch_size = 2, .seq_len = 24, .rounds = 1, .forward_only = true, .seed = 5};
  if (sgi_bench_run(&r, &b, &why)) fail_msg("%s", why.text);
  sgi_yardstick_shape s = b.gemm_shape;
  bool square = s.m == 1024 && s.n == 1024 && s.k == 1024;
  bool own = s.m == 48 && ((s.k == 32 && (s.n == 32 || s.n == 40 || s.n == 300)) || (s.n == 32 && s.k == 40));
  if (!square && !own) fail_msg("%zu x %zu x %zu is no shape of the model", s.m, s.k, s.n);

  sg_model *m;
  sgi_yardstick *y;
  assert_sg_ok(sg_model_create(&c, 1, &m, err));
  assert_sg_ok(sgi_yardstick_create(m, 48, 1, &y, err));
  assert_sg_ok(sgi_yardstick_round(y, 0, ticks, err));
  /* The clock says that each shape took the same time: the largest is the best, and its rate is
   * known. */
  near("rate", sgi_yardstick_best(y, &s), 2.0 * 1024 * 1024 * 1024, 1e-9);
  assert_true(s.m == 1024 && s.n == 1024 && s.k == 1024);
  sgi_yardstick_free(y);
  sg_model_free(m);
}

static bool stop(void *user, size_t done, size_t rounds) {
  (void)user, (void)done, (void)rounds;
  return false;
}

static void stops_and_refuses(void **state) {
  (void)state;
  sg_config c = small("mlp");
  sg_error err;
  sgi_bench b;
  sgi_bench_request r = {
      .config = &c, .batch_size = 2, .seq_len = 24, .rounds = 3, .forward_only = true, .seed = 5, .progress = stop};
  assert_int_equal(sgi_bench_run(&r, &b, &err), SG_ERR_CANCELLED);
  r.rounds = 0;
  assert_int_equal(sgi_bench_run(&r, &b, &err), SG_ERR_ARG);
  r.rounds = 1;
  r.batch_size = 0;
  assert_int_equal(sgi_bench_run(&r, &b, &err), SG_ERR_ARG);
  r.batch_size = SIZE_MAX / 2;
  assert_int_equal(sgi_bench_run(&r, &b, &err), SG_ERR_ARG);
}

static void profile_adds_by_name(void **state) {
  (void)state;
  sgi_profile p = {0};
  char names[SGI_PROFILE_KERNELS + 5][8];
  for (size_t i = 0; i < SGI_COUNT(names); i++) {
    snprintf(names[i], sizeof names[i], "k%zu", i);
    sgi_profile_add(&p, names[i], 1, 2, 3);
  }
  assert_int_equal(p.count, SGI_PROFILE_KERNELS);
  sgi_profile_add(&p, "k3", 1, 2, 3);
  assert_true(p.kernels[3].calls == 2 && p.kernels[3].seconds == 2 && p.kernels[3].flops == 4 &&
              p.kernels[3].bytes == 6);
  double at = sgi_lap_begin(NULL);
  sgi_lap(NULL, &at, "nothing", 1, 1);
  assert_true(at == 0);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(every_kind_is_measured),
                                     cmocka_unit_test(a_saved_model_is_measured),
                                     cmocka_unit_test(the_yardstick_has_the_models_shapes),
                                     cmocka_unit_test(stops_and_refuses), cmocka_unit_test(profile_adds_by_name)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
