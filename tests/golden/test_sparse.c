/* Sparse MLPs against vectors of a second computation in double: one batch (tests/golden/interp),
 * thresholds' gradients and 20 steps of every form (tests/golden/comparison), by lists of what acts
 * and by whole matrices. */
#include <math.h>
#include <string.h>

#include "compare/sparse_eval.h"
#include "compare/sparse_match.h"
#include "compare/sparse_mlp.h"
#include "model/model.h"
#include "support/near.h"
#include "support/transcoders.h"

#define HERE "tests/golden/comparison/"
#define INTERP "tests/golden/interp/"

typedef struct game {
  sgi_safetensors *file;
  json_t *json;
  sgi_sparse_form form;
  sgi_sparse_work *work;
  void *memory;
  sgi_sparse_arrays p, g, m, v;
  float *x, *target;
  size_t n;
} game;

static const double *numbers(const game *g, const char *name, size_t *count) {
  const sgi_tensor *t = sgi_safetensors_find(g->file, name);
  if (!t) fail_msg("no tensor %s", name);
  assert_int_equal(t->dtype, SGI_F64);
  if (count) *count = t->count;
  return t->data;
}

static double one(const game *g, const char *name) { return *numbers(g, name, NULL); }

static double bound(const char *group, const char *what, const char *measure) {
  static json_t *all;
  if (!all) all = golden_json(HERE "tolerances.json");
  const json_t *t = json_object_get(json_object_get(json_object_get(all, group), what), measure);
  if (!json_is_number(t)) fail_msg("no tolerance %s, %s, %s", group, what, measure);
  return json_number_value(t);
}

static float *floats(const game *g, const char *name) {
  size_t n;
  const double *d = numbers(g, name, &n);
  float *f = sgi_alloc(n * sizeof *f);
  assert_non_null(f);
  for (size_t i = 0; i < n; i++) f[i] = (float)d[i];
  return f;
}

static size_t integer(const json_t *o, const char *key) { return (size_t)json_integer_value(json_object_get(o, key)); }

static void begin(game *g, const char *folder, const char *tensors, const char *json) {
  char path[200];
  *g = (game){0};
  snprintf(path, sizeof path, "%s%s", folder, tensors);
  assert_sg_ok(sgi_safetensors_open(path, &g->file, err));
  snprintf(path, sizeof path, "%s%s", folder, json);
  g->json = golden_json(path);
  g->x = floats(g, "x");
  g->target = floats(g, "target");
  const sgi_tensor *x = sgi_safetensors_find(g->file, "x"), *t = sgi_safetensors_find(g->file, "target");
  g->n = x->dims[0];
  g->form = (sgi_sparse_form){
      .in = x->dims[1], .out = t->dims[1], .features = integer(g->json, "features"), .decoder = SGI_DECODER_FREE};
}

/* Weights of tensors PREFIXW_e ..., once the form is known. */
static void weights(game *g, const char *prefix, size_t rows) {
  sgi_arena a = {0};
  sgi_sparse_arrays *all[] = {&g->p, &g->g, &g->m, &g->v};
  sgi_free(g->memory);
  sgi_sparse_work_free(g->work);
  for (size_t i = 0; i < 4; i++) sgi_sparse_take(&g->form, &a, all[i]);
  g->memory = sgi_alloc(a.used);
  a = (sgi_arena){.base = g->memory, .size = a.used};
  for (size_t i = 0; i < 4; i++) sgi_sparse_take(&g->form, &a, all[i]);
  for (int k = 0; k < SGI_SPARSE_PARTS; k++) {
    char name[80];
    size_t M = g->form.features, count = sgi_sparse_count(&g->form, (sgi_sparse_part)k);
    snprintf(name, sizeof name, "%s%s", prefix, golden_parts[k]);
    if (!count || !sgi_safetensors_find(g->file, name)) continue;
    const double *w = numbers(g, name, NULL);
    for (size_t i = 0; i < count; i++)
      g->p.at[k][i] = (float)w[k == SGI_SPARSE_W_E ? i % g->form.in * M + i / g->form.in : i];
  }
  assert_sg_ok(sgi_sparse_work_create(&g->form, rows, true, &g->work, err));
}

static void end(game *g) {
  sgi_safetensors_close(g->file);
  json_decref(g->json);
  sgi_sparse_work_free(g->work);
  sgi_free(g->memory);
  sgi_free(g->x);
  sgi_free(g->target);
}

/* Largest |expected| and difference of a part, of which W_e lies the other way round in the
 * file. */
static void part_near(const game *g, int k, const float *got, const char *name, double abs_bound, double of_max) {
  size_t count, M = g->form.features;
  const double *want = numbers(g, name, &count);
  double largest = 0, worst = 0;
  assert_int_equal(count, sgi_sparse_count(&g->form, (sgi_sparse_part)k));
  for (size_t i = 0; i < count; i++) {
    size_t j = k == SGI_SPARSE_W_E ? i % g->form.in * M + i / g->form.in : i;
    largest = fmax(largest, fabs(want[j]));
    worst = worse(worst, fabs((double)got[i] - want[j]));
    if (of_max > 0 && want[j] == 0 && got[i] != 0)
      fail_msg("%s[%zu] is %g, expected exactly 0", name, j, (double)got[i]);
  }
  near(name, worst, 0, of_max > 0 ? of_max * largest : abs_bound);
}

static void rows_near(const char *what, const float *got, const double *want, size_t n, double of_max) {
  double largest = 0, worst = 0;
  for (size_t i = 0; i < n; i++) {
    largest = fmax(largest, fabs(want[i]));
    worst = worse(worst, fabs((double)got[i] - want[i]));
  }
  near(what, worst, 0, of_max * largest);
}

/* act and y of a forward pass. */
static void forward(const game *g, const char *act, const char *y) {
  sgi_sparse_work *w;
  sgi_sparse_active active;
  size_t M = g->form.features;
  float *h = sgi_alloc(g->n * M * sizeof *h), *out = sgi_alloc(g->n * g->form.out * sizeof *out);
  assert_sg_ok(sgi_sparse_work_create(&g->form, g->n, false, &w, err));
  assert_sg_ok(sgi_sparse_forward(w, &g->form, &g->p, g->x, g->n, out, &active, err));
  for (size_t r = 0; r < g->n; r++)
    for (size_t i = 0; i < active.count[r]; i++)
      h[r * M + active.feature[active.start[r] + i]] = active.h[active.start[r] + i];
  rows_near(act, h, numbers(g, act, NULL), g->n * M, bound("jumprelu", "pre, act, y", "of_max"));
  rows_near(y, out, numbers(g, y, NULL), g->n * g->form.out, bound("jumprelu", "pre, act, y", "of_max"));
  sgi_sparse_work_free(w);
  sgi_free(h);
  sgi_free(out);
}

static void gradient(game *g, double ramp, bool dense, sgi_sparse_loss *loss) {
  assert_sg_ok(
      sgi_sparse_gradient(g->work, &g->form, &g->p, g->x, g->target, g->n, ramp, dense, &g->g, NULL, 0, loss, err));
}

static void gradients_near(const game *g, const char *prefix) {
  for (int k = 0; k < SGI_SPARSE_PARTS; k++) {
    char name[80];
    snprintf(name, sizeof name, "%s%s", prefix, golden_parts[k]);
    if (g->g.at[k]) part_near(g, k, g->g.at[k], name, 0, bound("jumprelu", "grad_*", "of_max"));
  }
}

static void thresholds(void **state) {
  (void)state;
  for (int dense = 0; dense < 2; dense++) {
    game g;
    sgi_sparse_loss loss;
    begin(&g, HERE "jumprelu/", "expected.safetensors", "case.json");
    g.form.activation = SGI_SPARSE_JUMPRELU;
    g.form.bandwidth = json_number_value(json_object_get(g.json, "bandwidth"));
    weights(&g, "", g.n);
    forward(&g, "act", "y");
    gradient(&g, 1, dense, &loss);
    gradients_near(&g, "grad_mse.");
    near("mse", loss.mse / one(&g, "mse"), 1, bound("jumprelu", "mse, l0, loss", "rel"));
    near("l0", loss.l0 / one(&g, "l0"), 1, bound("jumprelu", "mse, l0, loss", "rel"));
    g.form.lambda = json_number_value(json_object_get(g.json, "lam"));
    gradient(&g, 1, dense, &loss);
    gradients_near(&g, "grad_loss.");
    near("loss", loss.total / one(&g, "loss"), 1, bound("jumprelu", "mse, l0, loss", "rel"));
    end(&g);
  }
}

/* Without vectors: the L0 part of the gradient is a difference quotient of S over the window. */
static void quotient(void **state) {
  (void)state;
  game g;
  sgi_sparse_loss with, without;
  begin(&g, HERE "jumprelu/", "expected.safetensors", "case.json");
  g.form.activation = SGI_SPARSE_JUMPRELU;
  g.form.bandwidth = json_number_value(json_object_get(g.json, "bandwidth"));
  weights(&g, "", g.n);
  size_t M = g.form.features;
  double a[64], w = g.form.bandwidth;
  float plain[64];
  assert_true(M <= 64);
  gradient(&g, 1, false, &without);
  memcpy(plain, g.g.at[SGI_SPARSE_LOG_THETA], M * sizeof *plain);
  g.form.lambda = 1;
  gradient(&g, 1, false, &with);
  for (size_t j = 0; j < M; j++) {
    double theta = exp((double)g.p.at[SGI_SPARSE_LOG_THETA][j]), up = 0, down = 0;
    for (size_t r = 0; r < g.n; r++) {
      sgi_sparse_pre(&g.form, &g.p, g.x + r * g.form.in, a);
      up += a[j] > theta + w / 2;
      down += a[j] > theta - w / 2;
    }
    near("L0's gradient", (double)(g.g.at[SGI_SPARSE_LOG_THETA][j] - plain[j]), theta * (up - down) / (double)g.n / w,
         1e-6);
  }
  end(&g);
}

/* One batch of relu with L1 on the sum, and of top-k. */
static void one_batch(const char *tensors, const char *json, bool topk, bool dense) {
  game g;
  sgi_sparse_loss loss;
  char name[40];
  const char *way = topk ? "topk." : "l1.";
  begin(&g, INTERP, tensors, json);
  g.form.activation = topk ? SGI_SPARSE_TOPK : SGI_SPARSE_RELU;
  g.form.top_k = integer(g.json, "top_k");
  weights(&g, "", g.n);
  snprintf(name, sizeof name, "%sact", way);
  char y[40];
  snprintf(y, sizeof y, "%sy", way);
  forward(&g, name, y);
  gradient(&g, 1, dense, &loss);
  snprintf(name, sizeof name, "%sgrad_mse.", way);
  gradients_near(&g, name);
  snprintf(name, sizeof name, "%smse", way);
  near(name, loss.mse / one(&g, name), 1, 1e-5);
  snprintf(name, sizeof name, "%sl0", way);
  near(name, loss.l0 / one(&g, name), 1, 1e-6);
  end(&g);
}

static void batches(void **state) {
  (void)state;
  for (int topk = 0; topk < 2; topk++)
    for (int dense = 0; dense < 2; dense++) {
      one_batch("transcoder.safetensors", "transcoder.json", topk, dense);
      one_batch("sae.safetensors", "sae.json", topk, dense);
    }
}

/* 20 steps. */
static void trajectory(const char *run, bool dense) {
  game g;
  char name[80];
  begin(&g, HERE "trajectory/", "expected.safetensors", "case.json");
  const json_t *of = json_object_get(json_object_get(g.json, "runs"), run);
  size_t B = integer(g.json, "batch"), steps = integer(g.json, "steps"), D = g.form.in;
  const int32_t *rows = sgi_safetensors_find(g.file, "batches")->data;
  const double *lr = numbers(&g, "lr", NULL), *ramp = numbers(&g, "ramp", NULL);
  float *x = sgi_alloc(B * D * sizeof *x), *target = sgi_alloc(B * g.form.out * sizeof *target);
  const char *kind = json_string_value(json_object_get(of, "kind"));
  g.form.activation = !strcmp(kind, "relu")   ? SGI_SPARSE_RELU
                      : !strcmp(kind, "topk") ? SGI_SPARSE_TOPK
                                              : SGI_SPARSE_JUMPRELU;
  g.form.decoder = json_is_true(json_object_get(of, "unit"))       ? SGI_DECODER_UNIT
                   : json_is_true(json_object_get(of, "weighted")) ? SGI_DECODER_WEIGHTED
                                                                   : SGI_DECODER_FREE;
  g.form.lambda = json_number_value(json_object_get(of, "lam"));
  g.form.bandwidth = json_number_value(json_object_get(of, "eps"));
  g.form.top_k = integer(of, "k");
  snprintf(name, sizeof name, "%s.init.", run);
  weights(&g, name, B);
  snprintf(name, sizeof name, "%s.log", run);
  const double *log = numbers(&g, name, NULL);
  sgi_sparse_normalise(&g.form, &g.p);
  for (size_t s = 0; s < steps; s++) {
    sgi_sparse_loss loss;
    for (size_t i = 0; i < B; i++) {
      memcpy(x + i * D, g.x + (size_t)rows[s * B + i] * D, D * sizeof *x);
      memcpy(target + i * g.form.out, g.target + (size_t)rows[s * B + i] * g.form.out, g.form.out * sizeof *target);
    }
    assert_sg_ok(sgi_sparse_gradient(g.work, &g.form, &g.p, x, target, B, ramp[s], dense, &g.g, NULL, 0, &loss, err));
    const double got[] = {loss.total, loss.mse, loss.penalty, loss.l0};
    for (size_t k = 0; k < 4; k++) {
      if (k == 2 && g.form.activation == SGI_SPARSE_TOPK) continue; /* it has no S */
      near(name, got[k], log[s * 4 + k],
           bound("trajectory", "log", "abs") + bound("trajectory", "log", "rel") * fabs(log[s * 4 + k]));
    }
    sgi_sparse_update(&g.form, &g.p, &g.g, &g.m, &g.v,
                      &(sgi_sparse_rates){.lr = lr[s],
                                          .decay = json_number_value(json_object_get(of, "weight_decay")) /
                                                   json_number_value(json_object_get(g.json, "peak_lr")),
                                          .beta1 = 0.9,
                                          .beta2 = 0.999,
                                          .eps = 1e-8,
                                          .done = s});
  }
  for (int k = 0; k < SGI_SPARSE_PARTS; k++) {
    snprintf(name, sizeof name, "%s.final.%s", run, golden_parts[k]);
    if (g.p.at[k]) part_near(&g, k, g.p.at[k], name, bound("trajectory", "*.final.*", "abs"), 0);
  }
  sgi_free(x);
  sgi_free(target);
  end(&g);
}

static void trajectories(void **state) {
  (void)state;
  static const char *const runs[] = {"l1_free", "l1_unit", "l1_weighted", "jumprelu", "topk"};
  for (size_t i = 0; i < SGI_COUNT(runs); i++)
    for (int dense = 0; dense < 2; dense++) trajectory(runs[i], dense);
}

/* ---- loss recovered, on a model -------------------------------------------------------------- */

static void get_row(void *user, size_t row, int32_t *inputs, int32_t *targets, int32_t *starts) {
  const game *g = user;
  const sgi_tensor *x = sgi_safetensors_find(g->file, "inputs"), *t = sgi_safetensors_find(g->file, "targets");
  size_t T = x->dims[1];
  memcpy(inputs, (const int32_t *)x->data + row * T, T * sizeof *inputs);
  memcpy(targets, (const int32_t *)t->data + row * T, T * sizeof *targets);
  memset(starts, 0, T * sizeof *starts);
}

static void list_near(const game *g, const char *name, size_t k, double got, const char *what, const char *measure) {
  double want = numbers(g, name, NULL)[k];
  near(name, got, want, bound("ablation", what, measure) * (strcmp(measure, "rel") ? 1 : fabs(want)));
}

static void score_near(const game *g, const sgi_sparse_eval *e, size_t k) {
  const sgi_sparse_score *s = &e->at[k];
  static const char losses[] = "losses, kl, recovered*";
  list_near(g, "zero", k, s->run[SGI_WAY_ZERO].loss, losses, "abs");
  list_near(g, "mean", k, s->run[SGI_WAY_MEAN].loss, losses, "abs");
  list_near(g, "replaced", k, s->run[SGI_WAY_SPARSE].loss, losses, "abs");
  list_near(g, "kl_zero", k, s->run[SGI_WAY_ZERO].kl, losses, "abs");
  list_near(g, "kl_replaced", k, s->run[SGI_WAY_SPARSE].kl, losses, "abs");
  list_near(g, "recovered", k, s->run[SGI_WAY_SPARSE].recovered, losses, "abs");
  list_near(g, "recovered_of_mean", k, s->run[SGI_WAY_SPARSE].recovered_of_mean, losses, "abs");
  list_near(g, "mse", k, s->mse, "l1, mse*, variance_explained", "rel");
  list_near(g, "mse_zero", k, s->mse_zero, "l1, mse*, variance_explained", "rel");
  list_near(g, "variance_explained", k, s->variance_explained, "l1, mse*, variance_explained", "rel");
  list_near(g, "l1", k, s->l1, "l1, mse*, variance_explained", "rel");
  list_near(g, "l0", k, s->l0, "l0, frequency, dead", "abs");
  const json_t *dead = json_array_get(json_object_get(g->json, "dead"), k);
  assert_int_equal(s->dead, json_array_size(dead));
  for (size_t i = 0; i < s->dead; i++) assert_true(s->frequency[json_integer_value(json_array_get(dead, i))] == 0);
  for (size_t j = 0; j < 40; j++) list_near(g, "frequency", k * 40 + j, s->frequency[j], "l0, frequency, dead", "abs");
  for (size_t d = 0; d < 24; d++)
    near("mean_output", s->mean_output[d], numbers(g, "mean_output", NULL)[k * 24 + d], 1e-5);
}

static void begin_model(game *g, sg_model **m, sgi_sparse_set *s) {
  *g = (game){0};
  assert_sg_ok(sgi_safetensors_open(HERE "ablation/expected.safetensors", &g->file, err));
  g->json = golden_json(HERE "ablation/case.json");
  assert_sg_ok(sg_model_load(HERE "model_mlp", m, err));
  *s = golden_transcoders(40);
}

static void end_model(game *g, sg_model *m, sgi_sparse_set *s) {
  sgi_safetensors_close(g->file);
  json_decref(g->json);
  sgi_free(s->memory);
  sgi_free(s->at);
  sg_model_free(m);
}

static void ablation(void **state) {
  (void)state;
  game g;
  sg_model *m;
  sgi_sparse_set s;
  sgi_sparse_eval *e;
  begin_model(&g, &m, &s);
  sgi_sparse_rows rows = {.n = 3, .T = 20, .get = get_row, .user = &g};
  assert_sg_ok(sgi_sparse_evaluate(
      &(sgi_sparse_eval_request){.model = m, .set = &s, .rows = rows, .own = true, .fit = &rows}, &e, err));
  assert_int_equal(e->counted, json_integer_value(json_object_get(g.json, "counted")));
  static const char losses[] = "losses, kl, recovered*";
  list_near(&g, "loss", 0, e->loss, losses, "abs");
  list_near(&g, "zero_all", 0, e->all[SGI_WAY_ZERO].loss, losses, "abs");
  list_near(&g, "replaced_all", 0, e->all[SGI_WAY_SPARSE].loss, losses, "abs");
  list_near(&g, "kl_replaced_all", 0, e->all[SGI_WAY_SPARSE].kl, losses, "abs");
  list_near(&g, "recovered_all", 0, e->all[SGI_WAY_SPARSE].recovered, losses, "abs");
  for (size_t k = 0; k < 3; k++) score_near(&g, e, k);
  sgi_sparse_eval_free(e);
  /* An SAE's places: attention's output set to 0. */
  s.site = SGI_PLACE_ATTN_OUT;
  assert_sg_ok(sgi_sparse_evaluate(&(sgi_sparse_eval_request){.model = m, .set = &s, .rows = rows}, &e, err));
  for (size_t k = 0; k < 3; k++) list_near(&g, "zero_attention", k, e->at[k].run[SGI_WAY_ZERO].loss, losses, "abs");
  sgi_sparse_eval_free(e);
  end_model(&g, m, &s);
}

/* All of a layer's own activations kept is the model itself; a linear map of full rank explains at
 * least as much as one of rank 1; the formula's edges. */
static void baselines(void **state) {
  (void)state;
  game g;
  sg_model *m;
  sgi_sparse_set s;
  sgi_sparse_eval *e;
  begin_model(&g, &m, &s);
  sgi_sparse_rows rows = {.n = 3, .T = 20, .get = get_row, .user = &g};
  for (size_t k = 0; k < 3; k++) /* everything acts: K = 40 of 48 */
    for (size_t j = 0; j < 40; j++) s.at[k].p.at[SGI_SPARSE_B_E][j] = 1e3f;
  assert_sg_ok(sgi_sparse_evaluate(
      &(sgi_sparse_eval_request){.model = m, .set = &s, .rows = rows, .own = true, .fit = &rows}, &e, err));
  for (size_t k = 0; k < 3; k++) {
    near("l0", e->at[k].l0, 40, 0);
    assert_int_equal(e->at[k].kept, 40);
    near("own, nearly all kept", e->at[k].run[SGI_WAY_OWN].recovered, 1, 0.02);
    assert_true(e->at[k].run[SGI_WAY_LINEAR].recovered > 0.2);
  }
  sgi_sparse_eval_free(e);
  for (size_t k = 0; k < 3; k++) /* nothing acts */
    for (size_t j = 0; j < 40; j++) s.at[k].p.at[SGI_SPARSE_B_E][j] = -1e3f;
  assert_sg_ok(sgi_sparse_evaluate(&(sgi_sparse_eval_request){.model = m, .set = &s, .rows = rows}, &e, err));
  near("l0", e->at[1].l0, 0, 0);
  assert_int_equal(e->at[1].dead, 40);
  sgi_sparse_eval_free(e);
  assert_true(isnan(sgi_loss_recovered(1, 1.5, 1.0005)));
  near("below 0", sgi_loss_recovered(1, 4, 2), -2, 1e-12);
  near("above 1", sgi_loss_recovered(1, 0.5, 2), 1.5, 1e-12);
  end_model(&g, m, &s);
}

/* Cosines with original neurons. */
static void cosines(void **state) {
  (void)state;
  game g;
  begin(&g, INTERP, "transcoder.safetensors", "transcoder.json");
  weights(&g, "", g.n);
  size_t N = integer(g.json, "neurons"), D = g.form.in, M = g.form.features;
  float *W1 = floats(&g, "W1"), *W2 = floats(&g, "W2"), *rows = sgi_alloc(N * D * sizeof *rows),
        *out = sgi_alloc(M * N * sizeof *out);
  for (size_t i = 0; i < N * D; i++) rows[i] = W1[i % D * N + i / D];
  sgi_match_cosines(g.p.at[SGI_SPARSE_W_E], M, rows, N, D, out);
  rows_near("cos_enc", out, numbers(&g, "cos_enc", NULL), M * N, 1e-5);
  sgi_match_cosines(g.p.at[SGI_SPARSE_W_D], M, W2, N, D, out);
  rows_near("cos_dec", out, numbers(&g, "cos_dec", NULL), M * N, 1e-5);
  sgi_free(W1);
  sgi_free(W2);
  sgi_free(rows);
  sgi_free(out);
  end(&g);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(batches),  cmocka_unit_test(thresholds),
                                     cmocka_unit_test(quotient), cmocka_unit_test(trajectories),
                                     cmocka_unit_test(ablation), cmocka_unit_test(baselines),
                                     cmocka_unit_test(cosines)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
