/* Neurons as functions: known functions are found again, gates become hard, features have second
 * moment 1, packed and unpacked sums agree, a layer whose neurons all stay rows is the layer, files
 * come back as they were, and broken ones are refused by name. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/arena.h"
#include "core/file.h"
#include "core/rng.h"
#include "functions/bench.h"
#include "functions/features.h"
#include "functions/fit.h"
#include "functions/joint.h"
#include "functions/neuron_fit.h"
#include "functions/outputs.h"
#include "functions/score.h"
#include "functions/set.h"
#include "support/failing.h"
#include "support/near.h"
#include "support/recorded.h"
#include "support/small.h"

enum { R = 6, N = 400 };

/* ---- one neuron ------------------------------------------------------------------------------ */

typedef struct samples {
  float z[N * R], value[N], weight[N];
  uint32_t row[N];
} samples;

static double known(const float *z) {
  return 0.5 + 2 * fmax(0, (double)z[3] - 0.2) + tanh(1.5 * (double)z[1]) + ((double)z[0] > 0.4 && (double)z[5] > -0.3);
}

static samples *draw(double (*f)(const float *)) {
  samples *s = calloc(1, sizeof *s);
  sgi_rng rng = sgi_rng_make(1, 0, 0);
  for (size_t i = 0; i < N; i++) {
    for (size_t r = 0; r < R; r++) s->z[i * R + r] = (float)sgi_rng_normal(&rng);
    s->row[i] = (uint32_t)i;
    s->weight[i] = 0.5f + (float)sgi_rng_uniform(&rng);
    s->value[i] = (float)f(s->z + i * R);
  }
  return s;
}

static double weighted_r2(const samples *s, const sgi_expert *e, const sgi_grid *g) {
  double sum = 0, mean = 0, squares = 0, errors = 0;
  for (size_t i = 0; i < N; i++) {
    sum += (double)s->weight[i];
    mean += (double)s->weight[i] * (double)s->value[i];
  }
  mean /= sum;
  for (size_t i = 0; i < N; i++) {
    double y = (double)s->value[i], p = sgi_expert_value(e, g, s->z + i * R);
    squares += (double)s->weight[i] * (y - mean) * (y - mean);
    errors += (double)s->weight[i] * (y - p) * (y - p);
  }
  return 1 - errors / squares;
}

static sgi_expert fit_known(const samples *s, bool logic, bool base, sgi_neuron_quality *q) {
  sgi_neuron_fit f = {{-3, 3, 8}, R, 8, base, logic, N};
  sgi_neuron_samples in = {N, s->z, s->row, s->value, s->weight};
  sgi_neuron_work *w;
  sgi_expert e;
  assert_sg_ok(sgi_neuron_work_create(&f, &w, err));
  assert_sg_ok(sgi_neuron_fit_run(&f, w, &in, &e, q, err));
  sgi_neuron_work_free(w);
  return e;
}

static bool reads(const sgi_expert *e, size_t feature) {
  for (size_t k = 0; k < e->edges; k++)
    if (e->edge[k].feature == feature) return true;
  return false;
}

/* The two splines that are there are found, and hard gates take most of what they leave. */
static void neuron(void **state) {
  (void)state;
  samples *s = draw(known);
  sgi_neuron_quality q, with;
  for (int base = 0; base < 2; base++) {
    sgi_expert plain = fit_known(s, false, base, &q), e = fit_known(s, true, base, &with);
    assert_true(reads(&plain, 1) && reads(&plain, 3));
    assert_false(reads(&plain, 2) || reads(&plain, 4));
    near("R2 of splines", weighted_r2(s, &plain, &(sgi_grid){-3, 3, 8}), q.edges, 1e-9);
    assert_true(with.tried && with.logic);
    assert_true(with.final > q.edges + 0.01 && with.final > 0.985);
    near("R2 of the hard form", weighted_r2(s, &e, &(sgi_grid){-3, 3, 8}), with.final, 1e-9);
    near("soft beside hard", with.error_hard, 1 - with.final, 1e-9);
    for (size_t g = 0; g < e.gates; g++)
      for (size_t k = 0; k < 4; k++) assert_true(e.table[g][k] == 0 || e.table[g][k] == 1);
  }
  free(s);
}

static double constant(const float *z) {
  (void)z;
  return 3;
}
static double noise(const float *z) { return fmod(fabs(1e5 * (double)z[0]), 1); }

/* Nothing to say is said by a bias; what no feature explains stays unexplained. */
static void nothing(void **state) {
  (void)state;
  sgi_neuron_quality q;
  samples *s = draw(constant);
  sgi_expert e = fit_known(s, true, false, &q);
  near("a constant", sgi_expert_value(&e, &(sgi_grid){-3, 3, 8}, s->z), 3, 1e-2);
  free(s);
  s = draw(noise);
  fit_known(s, false, false, &q);
  assert_true(q.final < 0.25);
  free(s);
}

/* ---- a layer --------------------------------------------------------------------------------- */

typedef struct fixture {
  sg_model *m;
  char *tmp;
  sgi_recording *rec;
  int32_t *ids;
  sgi_function_documents d;
  sgi_function_place p;
} fixture;

static fixture make(const char *kind) {
  fixture x = {0};
  sg_config c = small_config(kind);
  char path[300];
  enum { ROWS = 40 };
  assert_sg_ok(sg_model_create(&c, 3, &x.m, err));
  x.tmp = golden_temporary();
  x.ids = malloc(ROWS * SMALL_T * sizeof *x.ids);
  sgi_rng rng = sgi_rng_make(5, 0, 0);
  for (size_t i = 0; i < ROWS * SMALL_T; i++) x.ids[i] = 3 + (int32_t)sgi_rng_below(&rng, SMALL_V - 3);
  recorded_rows rows = {x.ids, ROWS, SMALL_T};
  sgi_record_request q = recorded_request(x.m, &rows);
  snprintf(path, sizeof path, "%s/rec", x.tmp);
  x.rec = recorded_open(&q, path);
  assert_sg_ok(sgi_function_documents_choose(x.rec, 0, &x.d, err));
  assert_int_equal(x.d.n_held, 5);
  assert_sg_ok(sgi_function_place_of(x.m, 1, &x.p, err));
  return x;
}

static void drop(fixture *x) {
  sgi_function_documents_deinit(&x->d);
  sg_recording_close(x->rec);
  sg_model_free(x->m);
  golden_remove(x->tmp);
  free(x->ids);
}

static sgi_function_settings small_functions(void) {
  sgi_function_settings s = sgi_function_usual();
  s.features = 8;
  s.steps = 40;
  s.batch = 64;
  s.least = 16;
  s.samples = 64;
  return s;
}

static void features(void **state) {
  (void)state;
  fixture x = make("peer");
  sgi_function_rows rows;
  enum { K = 5 };
  size_t D = x.p.D;
  float *P = sgi_alloc(K * D * sizeof *P);
  assert_sg_ok(sgi_function_rows_make(x.m, &x.p, &x.d, NULL, NULL, &rows, err));
  assert_sg_ok(sgi_function_features(&x.p, &rows, K, P, err));
  for (size_t a = 0; a < K; a++)
    for (size_t b = 0; b < K; b++) {
      double sum = 0;
      for (size_t i = 0; i < rows.n; i++) {
        double za = 0, zb = 0;
        for (size_t d = 0; d < D; d++) {
          za += (double)P[a * D + d] * (double)rows.x[i * D + d];
          zb += (double)P[b * D + d] * (double)rows.x[i * D + d];
        }
        sum += za * zb / (double)rows.n;
      }
      near("a second moment", sum, a == b, 1e-3);
    }
  sgi_free(P);
  sgi_function_rows_deinit(&rows);
  drop(&x);
}

/* Factor times own is the value that the model's neuron had, and a layer without any function is
 * the layer. */
static void rows_kept(void **state) {
  (void)state;
  static const char *const kinds[] = {"sgatlin", "peer"};
  for (size_t i = 0; i < SGI_COUNT(kinds); i++) {
    fixture x = make(kinds[i]);
    sgi_function_settings s = small_functions();
    sgi_function_layer l;
    sgi_function_report report;
    sgi_function_score score;
    const sgi_function_layer *list = &l;
    s.least = s.samples = 100000;
    s.steps = 0;
    assert_int_equal(x.p.factored, i == 1);
    assert_sg_ok(sgi_function_fit(x.m, &x.d, 1, &s, &l, NULL, &report, err));
    assert_int_equal(report.functions, 0);
    assert_sg_ok(sgi_function_score_run(x.m, &list, 1, &x.d, NULL, NULL, &score, err));
    near("loss", score.at[0].loss, score.loss, 1e-5);
    near("all", score.all.loss, score.at[0].loss, 0);
    near("variance", score.at[0].variance, 1, 1e-9);
    assert_true(fabs(score.at[0].loss_zero - score.loss) > 1e-6);
    sgi_function_score_deinit(&score);
    sgi_function_layer_deinit(&l);
    drop(&x);
  }
}

/* Fitting together lowers the error, functions explain what rows of random weights give to a part,
 * and the bench's packed functions are the experts. */
static void layer(void **state) {
  (void)state;
  fixture x = make("peer");
  sgi_function_settings s = small_functions();
  sgi_function_layer l, splines;
  sgi_function_report report;
  char path[300];
  assert_sg_ok(sgi_function_fit(x.m, &x.d, 1, &s, &l, &splines, &report, err));
  assert_true(report.functions > 0 && report.functions <= report.units);
  assert_true(report.error_joint < report.error_before);
  assert_true(report.read_back <= 1e-4);
  assert_true(report.symbolic <= report.edges);
  sgi_function_bench b;
  snprintf(path, sizeof path, "%s/pool", x.tmp);
  for (size_t pool = 0; pool < 2; pool++) {
    sgi_function_bench_request q = {.layer = &l, .units = pool * 500, .rows = 4, .file = path};
    assert_sg_ok(sgi_function_bench_run(&q, &b, err));
    assert_true(b.difference < 1e-5 && b.rounds >= 8 && b.matrix > 0 && b.functions > 0);
    assert_int_equal(b.units, pool ? 500 : l.units);
    assert_false(sgi_is_file(path));
  }
  sgi_function_layer_deinit(&l);
  sgi_function_layer_deinit(&splines);
  drop(&x);
}

/* A layer that is measured beside another is measured as it is alone. */
static void beside_another(void **state) {
  (void)state;
  fixture x = make("sgatlin");
  sgi_function_settings s = small_functions();
  sgi_function_layer l[2];
  sgi_function_report report;
  sgi_function_score both, alone;
  const sgi_function_layer *list[] = {&l[0], &l[1]};
  s.steps = 2;
  for (size_t i = 0; i < 2; i++) assert_sg_ok(sgi_function_fit(x.m, &x.d, i, &s, &l[i], NULL, &report, err));
  assert_sg_ok(sgi_function_score_run(x.m, list, 2, &x.d, NULL, NULL, &both, err));
  for (size_t i = 0; i < 2; i++) {
    assert_sg_ok(sgi_function_score_run(x.m, &list[i], 1, &x.d, NULL, NULL, &alone, err));
    assert_memory_equal(&alone.loss, &both.loss, sizeof alone.loss);
    assert_memory_equal(&alone.at[0], &both.at[i], sizeof alone.at[0]);
    assert_int_equal(alone.positions, both.positions);
    assert_true(both.at[i].variance < 1 && both.all.loss != both.at[i].loss);
    sgi_function_score_deinit(&alone);
  }
  sgi_function_score_deinit(&both);
  for (size_t i = 0; i < 2; i++) sgi_function_layer_deinit(&l[i]);
  drop(&x);
}

/* Rows that are sums of four of a basis are found as such. */
static void outputs(void **state) {
  (void)state;
  enum { D = 12, UNITS = 60, BASIS = 8 };
  sgi_function_layer l = {.D = D, .R = 1, .F = UNITS, .pools = 1, .units = UNITS, .C = 1, .K = 1, .grid = {-3, 3, 8}};
  double basis[BASIS][D], kept;
  sgi_rng rng = sgi_rng_make(2, 0, 0);
  assert_sg_ok(sgi_function_layer_make(&l, err));
  for (size_t b = 0; b < BASIS; b++)
    for (size_t d = 0; d < D; d++) basis[b][d] = sgi_rng_normal(&rng);
  for (size_t u = 0; u < UNITS; u++) {
    size_t part = u % BASIS;
    for (size_t d = 0; d < D; d++)
      l.w_out[u * D + d] = (float)((1 + (double)u) * basis[part][d] + 0.3 * basis[(part + 3) % BASIS][d]);
  }
  float *copy = sgi_alloc(UNITS * D * sizeof *copy);
  memcpy(copy, l.w_out, UNITS * D * sizeof *copy);
  assert_sg_ok(sgi_function_outputs(&l, BASIS, &kept, err));
  assert_true(kept > 0.95);
  assert_null(l.w_out);
  double all = 0, left = 0;
  for (size_t u = 0; u < UNITS; u++)
    for (size_t d = 0; d < D; d++) {
      double y = 0;
      for (size_t q = 0; q < SGI_FUNCTION_PARTS; q++)
        y += (double)l.amount[u * SGI_FUNCTION_PARTS + q] *
             (double)l.basis[(size_t)l.part[u * SGI_FUNCTION_PARTS + q] * D + d];
      all += (double)copy[u * D + d] * (double)copy[u * D + d];
      left += (y - (double)copy[u * D + d]) * (y - (double)copy[u * D + d]);
    }
  near("what is kept", 1 - left / all, kept, 1e-5);
  sgi_free(copy);
  sgi_function_layer_deinit(&l);
}

/* ---- files ----------------------------------------------------------------------------------- */

static void same_layer(const sgi_function_layer *a, const sgi_function_layer *b) {
  float z[64];
  sgi_rng rng = sgi_rng_make(3, 0, 0);
  assert_true(a->units == b->units && a->R == b->R && a->basis_rows == b->basis_rows && a->C == b->C && a->K == b->K);
  assert_memory_equal(a->projection, b->projection, a->R * a->D * sizeof(float));
  assert_memory_equal(a->stands, b->stands, a->units);
  for (size_t u = 0; u < a->units; u++) {
    for (size_t r = 0; r < a->R; r++) z[r] = (float)sgi_rng_normal(&rng);
    double own = sgi_expert_value(&a->expert[u], &a->grid, z);
    near("a function", sgi_expert_value(&b->expert[u], &b->grid, z), own, 1e-5 * (1 + fabs(own)));
  }
}

static sgi_function_layer fit_small(const fixture *x, size_t outs) {
  sgi_function_settings s = small_functions();
  sgi_function_layer l;
  sgi_function_report report;
  s.outputs = outs;
  s.steps = 2;
  assert_sg_ok(sgi_function_fit(x->m, &x->d, 1, &s, &l, NULL, &report, err));
  return l;
}

/* The n-th byte string `from` in the file becomes `to`, of the same length. */
static void change(const char *from_path, const char *to_path, const char *from, const char *to) {
  char *data;
  size_t n, k = strlen(from);
  assert_sg_ok(sgi_read_file(from_path, 1 << 24, &data, &n, err));
  char *at = memmem(data, n, from, k);
  assert_non_null(at);
  memcpy(at, to, k);
  assert_sg_ok(sgi_write_file(to_path, data, n, err));
  sgi_free(data);
}

static void files(void **state) {
  (void)state;
  fixture x = make("sgatlin");
  char path[300], other[300];
  snprintf(path, sizeof path, "%s/F", x.tmp);
  snprintf(other, sizeof other, "%s/G", x.tmp);
  for (size_t outs = 0; outs <= 8; outs += 8) {
    sgi_function_layer l = fit_small(&x, outs);
    sgi_function_set *s;
    json_t *about = json_object();
    bool bound = sgi_binding_write(x.m, about);
    assert_true(bound);
    assert_sg_ok(sgi_function_set_save(path, &l, 1, about, err));
    json_decref(about);
    assert_true(sgi_function_set_is(path));
    assert_sg_ok(sgi_function_set_open(path, &s, err));
    assert_sg_ok(sgi_function_set_fits(s, x.m, err));
    same_layer(&l, &s->at[0]);
    sgi_function_set_free(s);
    sgi_function_layer_deinit(&l);
  }
  static const struct {
    const char *from, *to, *says;
  } lies[] = {{"\\\"pools\\\":", "\\\"pooRs\\\":", "pools"},
              {"\\\"features\\\":8", "\\\"features\\\":9", "projection"},
              {"\\\"cells\\\":8", "\\\"cells\\\":7", "edge.coef"},
              {"sgatlin-functions", "sgatlin-funktions", "format"},
              {"layers.1.edge.form", "layers.1.edge.fork", "edge.form"},
              {"sgatlin_functions", "sgatlin_funktions", "sgatlin_functions"}};
  for (size_t i = 0; i < SGI_COUNT(lies); i++) {
    sgi_function_set *s;
    sg_error err = {0};
    change(path, other, lies[i].from, lies[i].to);
    assert_int_equal(sgi_function_set_open(other, &s, &err), SG_ERR_FORMAT);
    if (!strstr(err.text, lies[i].says)) fail_msg("%s: does not name %s", err.text, lies[i].says);
    assert_null(s);
  }
  drop(&x);
}

/* Numbers of every tensor out of bounds; every truncation. */
static void hostile(void **state) {
  (void)state;
  fixture x = make("sgatlin");
  char path[300], other[300], *data;
  size_t n;
  sgi_function_layer l = fit_small(&x, 8);
  json_t *about = json_object();
  sgi_safetensors *f;
  snprintf(path, sizeof path, "%s/F", x.tmp);
  snprintf(other, sizeof other, "%s/G", x.tmp);
  assert_sg_ok(sgi_function_set_save(path, &l, 1, about, err));
  json_decref(about);
  sgi_function_layer_deinit(&l);
  assert_sg_ok(sgi_read_file(path, 1 << 24, &data, &n, err));
  assert_sg_ok(sgi_safetensors_open(path, &f, err));
  size_t header = n;
  for (size_t k = 0; k < sgi_safetensors_count(f); k++) header -= sgi_safetensors_at(f, k)->bytes;
  size_t at = header;
  for (size_t k = 0; k < sgi_safetensors_count(f); k++) {
    const sgi_tensor *t = sgi_safetensors_at(f, k);
    sgi_function_set *s;
    sg_error err = {0};
    char keep[4];
    bool counts = strstr(t->name, "samples") != NULL; /* told, not used */
    if (t->count && !counts) {
      memcpy(keep, data + at, t->dtype == SGI_U8 ? 1 : 4);
      memcpy(data + at, "\xff\xff\xff\xff", t->dtype == SGI_U8 ? 1 : 4); /* -1, NaN, 255 */
      assert_int_equal(sgi_write_file(other, data, n, &err), SG_OK);
      assert_int_equal(sgi_function_set_open(other, &s, &err), SG_ERR_FORMAT);
      if (!strstr(err.text, t->name)) fail_msg("%s: does not name %s", err.text, t->name);
      memcpy(data + at, keep, t->dtype == SGI_U8 ? 1 : 4);
    }
    at += t->bytes;
  }
  for (size_t cut = 0; cut < n; cut += n / 97 + 1) {
    sgi_function_set *s;
    assert_sg_ok(sgi_write_file(other, data, cut, err));
    assert_int_equal(sgi_function_set_open(other, &s, NULL), SG_ERR_FORMAT);
  }
  sgi_safetensors_close(f);
  sgi_free(data);
  drop(&x);
}

/* A kind that chooses no single neurons is refused by name. */
static void refused(void **state) {
  (void)state;
  static const char *const kinds[] = {"mlp", "moe"};
  for (size_t i = 0; i < SGI_COUNT(kinds); i++) {
    sg_config c = small_config(kinds[i]);
    sg_model *m;
    sgi_function_place p;
    sg_error err = {0};
    assert_int_equal(sg_model_create(&c, 3, &m, &err), SG_OK);
    assert_int_equal(sgi_function_place_of(m, 0, &p, &err), SG_ERR_UNSUPPORTED);
    assert_non_null(strstr(err.text, kinds[i]));
    sg_model_free(m);
  }
}

static sg_status open_once(void *user, sg_error *err) {
  sgi_function_set *s = NULL;
  sg_status st = sgi_function_set_open(user, &s, err);
  sgi_function_set_free(s);
  return st;
}

static sg_status fit_once(void *user, sg_error *err) {
  fixture *x = user;
  sgi_function_settings s = small_functions();
  sgi_function_layer l = {0}, splines = {0};
  sgi_function_report report;
  s.steps = 1;
  s.outputs = 8;
  sg_status st = sgi_function_fit(x->m, &x->d, 1, &s, &l, &splines, &report, err);
  sgi_function_layer_deinit(&l);
  sgi_function_layer_deinit(&splines);
  return st;
}

static void memory(void **state) {
  (void)state;
  fixture x = make("peer");
  char path[300];
  sgi_function_layer l = fit_small(&x, 8);
  json_t *about = json_object();
  snprintf(path, sizeof path, "%s/F", x.tmp);
  assert_sg_ok(sgi_function_set_save(path, &l, 1, about, err));
  json_decref(about);
  sgi_function_layer_deinit(&l);
  assert_true(allocations_fail(open_once, path) > 10);
  assert_true(allocations_fail_by(fit_once, &x, 29) > 2);
  drop(&x);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(neuron),    cmocka_unit_test(nothing), cmocka_unit_test(features),
      cmocka_unit_test(rows_kept), cmocka_unit_test(layer),   cmocka_unit_test(beside_another),
      cmocka_unit_test(outputs),   cmocka_unit_test(files),   cmocka_unit_test(hostile),
      cmocka_unit_test(refused),   cmocka_unit_test(memory)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
