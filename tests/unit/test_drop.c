/* Chosen neurons left out by chance while a model trains: how many, that who is left out depends on
 * the number of the token in the run alone, that the gradient is that of the pass with the mask
 * held, with every option that changes how neurons run, that readers' and evaluations' passes leave
 * nothing out, that threads change no bit, and what is refused. */
#include "support/golden.h"

#include <math.h>
#include <omp.h>
#include <stdio.h>
#include <string.h>

#include "core/arena.h"
#include "ffn/drop.h"
#include "model/config_options.h"
#include "model/metrics.h"
#include "model/pass.h"
#include "support/small.h"
#include "train/settings.h"
#include "train/trainer.h"

enum { B = SMALL_B, T = SMALL_T, MANY = 200000 };

static sg_config layer_of(size_t channels, size_t top_k, size_t layer) {
  sg_config c = small_config("sgatlin");
  c.num_channels = channels;
  c.top_k = top_k;
  c.layer = layer;
  return c;
}

static void fill(float *x, size_t n) {
  for (size_t i = 0; i < n; i++) x[i] = 1;
}

static void a_share_of_them(void **state) {
  (void)state;
  static const double shares[] = {0.001, 0.1, 0.5, 0.9};
  sg_config c = layer_of(5, 8, 1);
  float *x = sgi_alloc(MANY * sizeof *x);
  int32_t *index = sgi_alloc(MANY * sizeof *index);
  for (size_t i = 0; i < MANY; i++) index[i] = (int32_t)(i % 8 * 3);
  for (size_t s = 0; s < SGI_COUNT(shares); s++) {
    size_t left_out = 0;
    fill(x, MANY);
    sgi_drop_values(&(sgi_drop){.share = shares[s], .seed = 3, .first = 12}, &c, index, x, MANY / 40);
    for (size_t i = 0; i < MANY; i++) left_out += x[i] == 0;
    double p = shares[s], sigma = sqrt(p * (1 - p) * MANY);
    assert_true(fabs((double)left_out - p * MANY) < 4 * sigma);
  }
  sgi_free(x);
  sgi_free(index);
}

enum { N = 50, C = 4, K = 6, M = C * K };

/* K neurons of each channel, in no order. */
static void choose(int32_t *index, size_t n, size_t k) {
  for (size_t i = 0; i < n; i++) index[i] = (int32_t)((i * 7 + i / k * 5) % 36);
}

/* Cut anywhere the same tokens have the same mask; another layer, seed or place has another. */
static void by_the_number_of_the_token(void **state) {
  (void)state;
  sg_config c = layer_of(C, K, 2), above = layer_of(C, K, 1);
  float whole[N * M], parts[N * M];
  int32_t index[N * M];
  size_t same[3] = {0};
  choose(index, N * M, K);
  fill(whole, N * M);
  fill(parts, N * M);
  sgi_drop_values(&(sgi_drop){.share = 0.5, .seed = 3, .first = 1000}, &c, index, whole, N);
  for (size_t at = 0, n = 1; at < N; at += n, n++) {
    if (at + n > N) n = N - at;
    sgi_drop_values(&(sgi_drop){.share = 0.5, .seed = 3, .first = 1000 + at}, &c, index + at * M, parts + at * M, n);
  }
  assert_memory_equal(whole, parts, sizeof whole);
  const sgi_drop others[] = {{.share = 0.5, .seed = 4, .first = 1000},
                             {.share = 0.5, .seed = 3, .first = 1001},
                             {.share = 0.5, .seed = 3, .first = 1000}};
  for (size_t k = 0; k < 3; k++) {
    fill(parts, N * M);
    sgi_drop_values(&others[k], k == 2 ? &above : &c, index, parts, N);
    for (size_t i = 0; i < N * M; i++) same[k] += whole[i] == parts[i];
    assert_true(same[k] > N * M * 2 / 5 && same[k] < N * M * 3 / 5);
  }
  /* The same neurons in another order. */
  for (size_t at = 0; at < N * M; at += K) {
    int32_t first = index[at];
    memmove(index + at, index + at + 1, (K - 1) * sizeof *index);
    index[at + K - 1] = first;
  }
  fill(parts, N * M);
  sgi_drop_values(&(sgi_drop){.share = 0.5, .seed = 3, .first = 1000}, &c, index, parts, N);
  for (size_t at = 0; at < N * M; at++) assert_true(parts[at] == whole[at / K * K + (at % K + 1) % K]);
}

/* Channels over processes: slices are the whole; a metarouter's pools: rows by their tokens, in any
 * order, and each pool's own. */
static void slices_and_pools(void **state) {
  (void)state;
  sg_config c = layer_of(C, K, 2), half = layer_of(C / 2, K, 2);
  float whole[N * M], part[N * M / 2], some[3 * M], pool[N * M];
  int32_t index[N * M], own_index[N * M];
  choose(index, N * M, K);
  static const int32_t slot[] = {5, 98, 0}; /* of two picks a token: tokens 2, 49, 0 */
  fill(whole, N * M);
  sgi_drop_values(&(sgi_drop){.share = 0.3, .seed = 3}, &c, index, whole, N);
  for (size_t slice = 0; slice < 2; slice++) {
    fill(part, N * M / 2);
    for (size_t i = 0; i < N * M / 2; i++) own_index[i] = index[i / (M / 2) * M + slice * M / 2 + i % (M / 2)];
    sgi_drop_values(&(sgi_drop){.share = 0.3, .seed = 3, .slices = 2, .slice = slice}, &half, own_index, part, N);
    for (size_t i = 0; i < N; i++)
      assert_memory_equal(part + i * M / 2, whole + i * M + slice * M / 2, M / 2 * sizeof *part);
  }
  sgi_drop own = {.share = 0.3, .seed = 3, .picks = 1, .pool = 1, .pools = 3};
  int32_t all[N];
  for (size_t i = 0; i < N; i++) all[i] = (int32_t)i;
  own.slot = all;
  fill(pool, N * M);
  sgi_drop_values(&own, &c, index, pool, N);
  assert_memory_not_equal(pool, whole, sizeof whole);
  own.slot = slot;
  own.picks = 2;
  fill(some, 3 * M);
  for (size_t i = 0; i < 3; i++) memcpy(own_index + i * M, index + (size_t)slot[i] / 2 * M, M * sizeof *index);
  sgi_drop_values(&own, &c, own_index, some, 3);
  for (size_t i = 0; i < 3; i++) assert_memory_equal(some + i * M, pool + (size_t)slot[i] / 2 * M, M * sizeof *some);
}

/* ---- in a model ------------------------------------------------------------------------------ */

typedef struct variant {
  const char *kind;
  bool gates, shared, beside;
  size_t pools, picks;
} variant;
static const variant variants[] = {
    {"sgatlin", false, false, false, 0, 0}, {"peer", false, false, false, 0, 0},  {"sgatlin", true, false, true, 0, 0},
    {"peer", true, true, false, 0, 0},      {"sgatlin", false, true, true, 0, 0}, {"peer", false, false, true, 3, 2},
    {"sgatlin", true, false, false, 3, 2},
};

static sg_config config_of(const variant *v) {
  sg_config c = small_config(v->kind);
  if (v->gates) snprintf(c.options.gates, sizeof c.options.gates, "jumprelu");
  if (v->shared) c.router_group = 2;
  if (v->beside) c.options.sink_mlp = 5, c.options.always_on = 3;
  c.options.meta_experts = v->pools;
  c.options.meta_top_k = v->picks;
  sgi_options_complete(&c.options);
  assert_sg_ok(sg_config_check(&c, err));
  return c;
}

typedef struct data {
  int32_t inputs[B * T], targets[B * T], starts[B * T];
  sgi_batch batch;
} data;

static double loss_of(sgi_pass *p, data *d, float *grad) {
  sgi_metrics sum = {0};
  d->batch = (sgi_batch){B, T, d->inputs, d->targets, d->starts};
  assert_sg_ok(sgi_pass_forward(p, &d->batch, NULL, err));
  assert_sg_ok(sgi_pass_loss(p, &sum, grad, 1, err));
  if (grad) assert_sg_ok(sgi_pass_backward(p, grad, err));
  return sum.nll;
}

/* Thresholds have an estimate for a gradient, and none that differences could show. */
static void leave_thresholds(const sg_model *m, float *grad) {
  for (size_t i = 0; i < m->table.count; i++)
    if (m->table.rows[i].threshold) memset(grad + m->table.rows[i].offset, 0, m->table.rows[i].count * sizeof *grad);
}

/* Which neurons were chosen, and which of them act: what a difference must not change, as the loss
 * jumps there. */
typedef struct choices {
  int32_t index[SMALL_LAYERS][B * T * 12];
  bool acts[SMALL_LAYERS][B * T * 12];
} choices;

static void look(sgi_pass *p, choices *c) {
  memset(c, 0, sizeof *c);
  for (size_t l = 0; l < SMALL_LAYERS; l++) {
    sgi_gates g;
    assert_true(sgi_pass_gates(p, l, &g));
    size_t n = B * T * g.channels * g.top_k;
    assert_true(n <= B * T * 12);
    memcpy(c->index[l], g.index, n * sizeof *g.index);
    for (size_t i = 0; i < n; i++) c->acts[l][i] = g.value[i] != 0;
  }
}

/* Along the gradient itself, by differences, from 2e-3 downwards until both sides choose
 * alike; false where none does. */
static bool check_gradient(const variant *v, uint64_t seed) {
  sg_config c = config_of(v);
  sg_model *m;
  sgi_pass *p;
  data d;
  assert_sg_ok(sg_model_create(&c, seed, &m, err));
  assert_sg_ok(sgi_pass_create(m, B, T, true, &p, err));
  small_batch(3, d.inputs, d.targets, d.starts);
  double plain = loss_of(p, &d, NULL);
  sgi_pass_drop(p, &(sgi_drop){.share = 0.4, .seed = 7, .first = 64});
  double reading = loss_of(p, &d, NULL);
  assert_memory_equal(&plain, &reading, sizeof plain); /* nothing is left out but in training */
  sgi_pass_train(p, true);
  size_t n = m->table.floats;
  float *grad = sgi_alloc(n * sizeof *grad), *w = sgi_alloc(n * sizeof *w);
  double dropped = loss_of(p, &d, grad), squares = 0;
  assert_true(dropped != plain);
  leave_thresholds(m, grad);
  memcpy(w, m->arena, n * sizeof *w);
  for (size_t i = 0; i < n; i++) squares += (double)grad[i] * (double)grad[i];
  static choices middle, beside;
  double h = 4e-3 / sqrt(squares), least = 5e-5 / sqrt(squares), side[2] = {0};
  loss_of(p, &d, NULL);
  look(p, &middle);
  for (int k = 0; k < 2 && h > least; k++) {
    if (!k) h /= 2;
    for (size_t i = 0; i < n; i++) m->arena[i] = (float)((double)w[i] + (k ? -h : h) * (double)grad[i]);
    side[k] = loss_of(p, &d, NULL);
    look(p, &beside);
    if (memcmp(&middle, &beside, sizeof middle)) k = -1;
  }
  double slope = (side[0] - side[1]) / (2 * h);
  bool alike = h > least;
  if (alike && fabs(slope - squares) > 0.01 * squares)
    fail_msg("%s, variant %zu: a slope of %g, by differences %g", v->kind, (size_t)(v - variants), squares, slope);
  sgi_pass_drop(p, &(sgi_drop){.share = 0});
  memcpy(m->arena, w, n * sizeof *w);
  double off = loss_of(p, &d, NULL);
  assert_memory_equal(&plain, &off, sizeof plain);
  sgi_free(grad);
  sgi_free(w);
  sgi_pass_free(p);
  sg_model_free(m);
  return alike;
}

/* Of the last variant, gates in a metarouter's pools, every step changes a choice. */
static void the_gradient_of_what_is_left(void **state) {
  (void)state;
  for (size_t i = 0; i + 1 < SGI_COUNT(variants); i++) assert_true(check_gradient(&variants[i], 5));
}

/* Four steps; the weights behind them into w (floats of the table). */
static double steps(const variant *v, size_t micro_batch, int threads, float **w, size_t *floats) {
  sgi_trainer_settings s = small_settings();
  sg_config c = config_of(v);
  sg_model *m;
  sgi_trainer *t;
  sgi_step step = {0};
  int before = omp_get_max_threads();
  s.gate_dropout = 0.3;
  s.seed = 11;
  s.micro_batch = micro_batch;
  omp_set_num_threads(threads);
  assert_sg_ok(sg_model_create(&c, 5, &m, err));
  assert_sg_ok(sgi_trainer_create(m, &s, &t, err));
  for (size_t i = 0; i < 4; i++) step = small_step(t);
  *floats = t->model->table.floats;
  *w = sgi_alloc(*floats * sizeof **w);
  memcpy(*w, t->model->arena, *floats * sizeof **w);
  sgi_trainer_free(t);
  omp_set_num_threads(before);
  return step.loss;
}

/* Rows at a time change sums alone, not who is left out; threads change nothing. */
static void micro_batches_and_threads(void **state) {
  (void)state;
  for (size_t i = 0; i < SGI_COUNT(variants); i++) {
    float *one, *two, *rows;
    size_t n;
    steps(&variants[i], SMALL_B, 1, &one, &n);
    double whole = steps(&variants[i], SMALL_B, 2, &two, &n);
    assert_memory_equal(one, two, n * sizeof *one);
    double by_rows = steps(&variants[i], 1, 2, &rows, &n);
    if (!variants[i].gates) assert_true(fabs(whole - by_rows) < 1e-4); /* a budget is a micro-batch's own */
    sgi_free(one);
    sgi_free(two);
    sgi_free(rows);
  }
}

static sg_status resolve(const char *const *texts, sgi_settings *out, sg_error *why) {
  sgi_assignments a = {0};
  for (size_t i = 0; texts[i]; i++) assert_sg_ok(sgi_assign_text(&a, texts[i], NULL, err));
  sg_status st = sgi_settings_resolve(&a, out, why);
  sgi_assignments_free(&a);
  return st;
}

static size_t changes;
static void changed(void *user, const char *key, const char *then, const char *now, bool matters) {
  (void)user, (void)then, (void)now;
  assert_string_equal(key, "train.gate_dropout");
  assert_true(matters);
  changes++;
}

static void settings(void **state) {
  (void)state;
  sgi_settings off, on;
  sg_error said = {0};
  assert_sg_ok(resolve((const char *[]){NULL}, &off, err));
  assert_sg_ok(resolve((const char *[]){"train.gate_dropout=0.1", NULL}, &on, err));
  assert_true(off.gate_dropout == 0 && on.gate_dropout == 0.1);
  assert_int_equal(resolve((const char *[]){"train.gate_dropout=1", NULL}, &on, &said), SG_ERR_ARG);
  assert_int_equal(resolve((const char *[]){"train.gate_dropout=nan", NULL}, &on, &said), SG_ERR_ARG);
  static const char *const kinds[] = {"feedforward.kind=mlp", "feedforward.kind=moe", "feedforward.kind=monet"};
  for (size_t i = 0; i < SGI_COUNT(kinds); i++) {
    assert_int_equal(resolve((const char *[]){kinds[i], "train.gate_dropout=0.1", NULL}, &on, &said), SG_ERR_ARG);
    assert_non_null(strstr(said.text, "train.gate_dropout"));
    assert_non_null(strstr(said.text, strchr(kinds[i], '=') + 1));
  }
  /* Off is not written down, and is noticed when it changes. */
  assert_sg_ok(resolve((const char *[]){"train.gate_dropout=0.1", NULL}, &on, err));
  json_t *a = sgi_settings_to_json(&off), *b = sgi_settings_to_json(&on);
  assert_null(json_object_get(json_object_get(a, "train"), "gate_dropout"));
  assert_sg_ok(sgi_settings_compare(&on, a, changed, NULL, err));
  assert_sg_ok(sgi_settings_compare(&off, b, changed, NULL, err));
  assert_int_equal(changes, 2);
  assert_sg_ok(sgi_settings_compare(&on, b, changed, NULL, err));
  assert_sg_ok(sgi_settings_compare(&off, a, changed, NULL, err));
  assert_int_equal(changes, 2);
  json_decref(a);
  json_decref(b);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_share_of_them),           cmocka_unit_test(by_the_number_of_the_token),
      cmocka_unit_test(slices_and_pools),          cmocka_unit_test(the_gradient_of_what_is_left),
      cmocka_unit_test(micro_batches_and_threads), cmocka_unit_test(settings)};
  return cmocka_run_group_tests_name("drop", tests, NULL, NULL);
}
