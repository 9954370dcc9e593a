/* Weights of other types and in shards: every number of BF16 and F16, roundings of F64, a model
 * that is the same to the bit however it is stored, and every lie of an index. */
#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/arena.h"
#include "core/convert.h"
#include "core/file.h"
#include "model/weights.h"
#include "support/golden.h"
#include "train/checkpoint.h"

#define MODEL "tests/golden/models/sgatlin_product_dense_identity"

static char *directory;

static int set_up(void **state) {
  (void)state;
  directory = golden_temporary();
  return 0;
}

static int tear_down(void **state) {
  (void)state;
  golden_remove(directory);
  return 0;
}

static uint32_t bits_of(float x) {
  uint32_t b;
  memcpy(&b, &x, sizeof b);
  return b;
}

/* ---- numbers --------------------------------------------------------------------------------- */

static void all_of(sgi_dtype type, float *out) {
  uint16_t *all = malloc(65536 * sizeof *all);
  size_t bad;
  for (size_t i = 0; i < 65536; i++) all[i] = (uint16_t)i;
  const sgi_tensor t = {.name = "x", .dtype = type, .count = 65536, .data = all};
  assert_true(sgi_to_float(&t, out, &bad));
  free(all);
}

static void halves(void **state) {
  (void)state;
  float *x = malloc(65536 * sizeof *x);
  all_of(SGI_BF16, x);
  for (uint32_t i = 0; i < 65536; i++) assert_int_equal(bits_of(x[i]), i << 16);
  all_of(SGI_F16, x);
  for (uint32_t i = 0; i < 65536; i++) {
    int exponent = (int)(i >> 10 & 31), mantissa = (int)(i & 1023);
    double sign = i & 0x8000 ? -1 : 1;
    if (exponent == 31) {
      assert_true(mantissa ? isnan(x[i]) : x[i] == sign * INFINITY);
      continue;
    }
    double want = exponent ? ldexp(1024 + mantissa, exponent - 25) : ldexp(mantissa, -24);
    assert_true((double)x[i] == sign * want && !!signbit(x[i]) == (sign < 0));
  }
  free(x);
}

static void doubles(void **state) {
  (void)state;
  const double in[] = {
      1, 1 + ldexp(1, -24), 1 + ldexp(3, -24), 0x1.fffffefffffffp0, 1e-46, -0.0, 1e-40, FLT_MAX, INFINITY, NAN};
  const float want[] = {1, 1, 1 + 2 * FLT_EPSILON, 0x1.fffffep0f, 0, -0.0f, 1e-40f, FLT_MAX, INFINITY, NAN};
  float out[10];
  size_t bad;
  sgi_tensor t = {.name = "x", .dtype = SGI_F64, .count = 10, .data = in};
  assert_true(sgi_to_float(&t, out, &bad));
  for (size_t i = 0; i < 9; i++) assert_int_equal(bits_of(out[i]), bits_of(want[i]));
  assert_true(isnan(out[9]));
  const double large[] = {1, 2, 1e39, -1e300};
  t = (sgi_tensor){.name = "x", .dtype = SGI_F64, .count = 4, .data = large};
  assert_false(sgi_to_float(&t, out, &bad));
  assert_int_equal(bad, 2);
}

/* ---- the model, stored otherwise ------------------------------------------------------------- */

static char *in(const char *name) { return sgi_path_join(directory, name); }

static void save_in(const char *name, const sgi_tensor *t, size_t n) {
  char *path = in(name);
  assert_sg_ok(sgi_safetensors_save(path, t, n, NULL, 0, err));
  sgi_free(path);
}

static void write_in(const char *name, const char *text) {
  char *path = in(name);
  assert_sg_ok(sgi_write_file(path, text, strlen(text), err));
  sgi_free(path);
}

static void remove_in(const char *name) {
  char *path = in(name);
  remove(path);
  sgi_free(path);
}

/* An empty directory with the model's config. */
static void start(const char *dtype) {
  char *text;
  size_t n;
  assert_sg_ok(sgi_read_file(MODEL "/config.json", 1 << 20, &text, &n, err));
  char *at = strstr(text, "\"dtype\": \"float32\"");
  assert_non_null(at);
  char *changed = malloc(n + 40);
  sprintf(changed, "%.*s\"dtype\": \"%s\"%s", (int)(at - text), text, dtype, at + strlen("\"dtype\": \"float32\""));
  static const char *const names[] = {"model.safetensors", "model.safetensors.index.json", "a.safetensors",
                                      "b.safetensors"};
  for (size_t i = 0; i < 4; i++) remove_in(names[i]);
  write_in("config.json", changed);
  free(changed);
  sgi_free(text);
}

static sg_status load(sg_model **m, sg_error *err) { return sg_model_load(directory, m, err); }

/* Opens the directory; its weights are want's to the bit. */
static void holds(const sg_model *want) {
  sg_model *m;
  sg_error e = {0};
  if (load(&m, &e)) fail_msg("%s", e.text);
  for (size_t i = 0; i < sg_model_tensor_count(want); i++) {
    sg_tensor a = sg_model_tensor(want, i), b = sg_model_tensor(m, i);
    float *numbers = malloc(a.count * sizeof *numbers);
    assert_sg_ok(sg_model_read(m, i, 0, b.count, numbers, err));
    assert_memory_equal(a.data, numbers, a.count * sizeof(float));
    free(numbers);
  }
  sg_model_free(m);
}

static void refused(sg_status code, const char *part) {
  sg_model *m;
  sg_error e = {0};
  sg_status st = load(&m, &e);
  if (st != code || !strstr(e.text, part))
    fail_msg("status %d, \"%s\"; expected %d and \"%s\"", st, e.text, code, part);
  assert_null(m);
}

typedef struct stored {
  sg_model *m;
  sgi_tensor *t; /* (n) as F32 */
  size_t n;
} stored;

static stored open_model(void) {
  stored s;
  assert_sg_ok(sg_model_load(MODEL, &s.m, err));
  s.n = sg_model_tensor_count(s.m);
  s.t = calloc(s.n, sizeof *s.t);
  for (size_t i = 0; i < s.n; i++) {
    sg_tensor x = sg_model_tensor(s.m, i);
    s.t[i] = (sgi_tensor){.name = x.name, .dtype = SGI_F32, .n_dims = x.n_dims, .count = x.count, .data = x.data};
    memcpy(s.t[i].dims, x.dims, sizeof x.dims);
  }
  return s;
}

static void close_model(stored *s) {
  sg_model_free(s->m);
  free(s->t);
}

/* Rewrites the even tensors as F64, which loses nothing. */
static void as_double(void **state) {
  (void)state;
  stored s = open_model();
  double **made = calloc(s.n, sizeof *made);
  start("float64");
  for (size_t i = 0; i < s.n; i += 2) {
    made[i] = malloc(s.t[i].count * sizeof(double));
    for (size_t k = 0; k < s.t[i].count; k++) made[i][k] = (double)((const float *)s.t[i].data)[k];
    s.t[i].dtype = SGI_F64;
    s.t[i].data = made[i];
  }
  save_in("model.safetensors", s.t, s.n);
  holds(s.m);
  sgi_weights *w;
  assert_sg_ok(sgi_weights_open(directory, &w, err));
  assert_string_equal(sgi_weights_types(w), "F32, F64");
  assert_int_equal(sgi_weights_files(w), 1);
  sgi_weights_close(w);
  made[0][1] = 1e200;
  save_in("model.safetensors", s.t, s.n);
  refused(SG_ERR_FORMAT, "element 1 is 1e+200, which float32 can not hold");
  made[0][1] = NAN;
  save_in("model.safetensors", s.t, s.n);
  refused(SG_ERR_FORMAT, "NaN");
  for (size_t i = 0; i < s.n; i++) free(made[i]);
  free(made);
  close_model(&s);
}

/* BF16: the upper half of each number; the model is that of these numbers as F32. */
static void as_bfloat(void **state) {
  (void)state;
  stored s = open_model();
  uint16_t **half = calloc(s.n, sizeof *half);
  float **cut = calloc(s.n, sizeof *cut);
  for (size_t i = 0; i < s.n; i++) {
    half[i] = malloc(s.t[i].count * 2);
    cut[i] = malloc(s.t[i].count * sizeof(float));
    for (size_t k = 0; k < s.t[i].count; k++) {
      uint32_t b = bits_of(((const float *)s.t[i].data)[k]) & 0xffff0000u;
      half[i][k] = (uint16_t)(b >> 16);
      memcpy(&cut[i][k], &b, sizeof b);
    }
    s.t[i].data = cut[i];
  }
  start("float32");
  save_in("model.safetensors", s.t, s.n);
  sg_model *want;
  assert_sg_ok(load(&want, err));
  sg_model *kept = want;
  for (size_t i = 0; i < s.n; i++) s.t[i].dtype = SGI_BF16, s.t[i].data = half[i];
  start("bfloat16");
  save_in("model.safetensors", s.t, s.n);
  holds(kept);
  s.t[0].dtype = SGI_I16;
  save_in("model.safetensors", s.t, s.n);
  refused(SG_ERR_UNSUPPORTED, "has type I16: expected F32, BF16, F16 or F64");
  start("int8");
  refused(SG_ERR_UNSUPPORTED, "dtype is \"int8\"");
  sg_model_free(kept);
  for (size_t i = 0; i < s.n; i++) free(half[i]), free(cut[i]);
  free(half);
  free(cut);
  close_model(&s);
}

/* ---- shards ---------------------------------------------------------------------------------- */

/* The index of tensors, the first n_a of them in file a, the rest in b; the tensor `odd` in `file`
 * instead. */
static void write_index(const stored *s, size_t n_a, const char *a, const char *b, size_t odd, const char *file) {
  size_t room = s->n * 200 + 200, n = 0;
  char *text = malloc(room);
  n += (size_t)snprintf(text, room, "{\"metadata\":{\"total_size\":1},\"weight_map\":{");
  for (size_t i = 0; i < s->n; i++)
    n += (size_t)snprintf(text + n, room - n, "%s\"%s\":\"%s\"", i ? "," : "", s->t[i].name,
                          i == odd  ? file
                          : i < n_a ? a
                                    : b);
  snprintf(text + n, room - n, "}}");
  write_in("model.safetensors.index.json", text);
  free(text);
}

static void shards(void **state) {
  (void)state;
  stored s = open_model();
  size_t half = s.n / 2;
  start("float32");
  save_in("a.safetensors", s.t, half);
  save_in("b.safetensors", s.t + half, s.n - half);
  write_index(&s, half, "a.safetensors", "b.safetensors", SIZE_MAX, NULL);
  holds(s.m);
  sgi_weights *w;
  assert_sg_ok(sgi_weights_open(directory, &w, err));
  assert_int_equal(sgi_weights_files(w), 2);
  assert_int_equal(sgi_weights_count(w), s.n);
  assert_null(sgi_weights_id(w));
  sgi_weights_close(w);
  char *found;
  assert_sg_ok(sgi_model_locate(directory, "latest", NULL, &found, err));
  assert_string_equal(found, directory);
  sgi_free(found);

  write_index(&s, half, "a.safetensors", "b.safetensors", 0, "b.safetensors");
  refused(SG_ERR_FORMAT, "is not in b.safetensors");
  static const char *const tricks[] = {
      "../a.safetensors", "/tmp/a.safetensors", "x/a.safetensors", ".a.safetensors", "", ".safetensors", "a.bin", ".."};
  for (size_t i = 0; i < sizeof tricks / sizeof *tricks; i++) {
    write_index(&s, half, "a.safetensors", "b.safetensors", 1, tricks[i]);
    refused(SG_ERR_FORMAT, "expected the name of a .safetensors file of this directory");
  }
  write_index(&s, half, "a.safetensors", "b.safetensors", 1, "c.safetensors");
  refused(SG_ERR_IO, "c.safetensors");

  /* A shard with more than is listed, and one tensor in both. */
  write_index(&s, half, "a.safetensors", "b.safetensors", SIZE_MAX, NULL);
  save_in("b.safetensors", s.t + half - 1, s.n - half + 1);
  refused(SG_ERR_FORMAT, "is said to be in another file");
  sgi_tensor *more = malloc((s.n + 1) * sizeof *more);
  memcpy(more, s.t + half, (s.n - half) * sizeof *more);
  more[s.n - half] = (sgi_tensor){.name = "other", .dtype = SGI_F32, .n_dims = 1, .dims = {1}, .data = s.t[0].data};
  save_in("b.safetensors", more, s.n - half + 1);
  refused(SG_ERR_FORMAT, "tensor other of b.safetensors is not in the weight_map");
  free(more);

  /* A list that leaves a tensor of the model out. */
  save_in("b.safetensors", s.t + half, s.n - half - 1);
  refused(SG_ERR_FORMAT, "is not in b.safetensors");
  write_in("model.safetensors.index.json", "{\"weight_map\":{}}");
  refused(SG_ERR_FORMAT, "names no tensor");
  write_in("model.safetensors.index.json", "{\"weight_map\":[]}");
  refused(SG_ERR_FORMAT, "weight_map");
  write_in("model.safetensors.index.json", "{\"metadata\":{}}");
  refused(SG_ERR_FORMAT, "weight_map");
  write_in("model.safetensors.index.json", "{\"weight_map\":{\"a\":5}}");
  refused(SG_ERR_FORMAT, "expected the name");
  write_in("model.safetensors.index.json", "{\"weight_map\":{\"a\":\"a.safetensors\",\"a\":\"b.safetensors\"}}");
  refused(SG_ERR_FORMAT, "JSON");
  close_model(&s);
}

/* A shard cut at every 97th byte, and an index cut anywhere, is refused. */
static void truncated(void **state) {
  (void)state;
  stored s = open_model();
  size_t half = s.n / 2, n;
  char *whole, *path = in("b.safetensors"), *index = in("model.safetensors.index.json");
  sg_model *m;
  start("float32");
  save_in("a.safetensors", s.t, half);
  save_in("b.safetensors", s.t + half, s.n - half);
  write_index(&s, half, "a.safetensors", "b.safetensors", SIZE_MAX, NULL);
  assert_sg_ok(sgi_read_file(path, 1 << 24, &whole, &n, err));
  for (size_t k = 0; k < n; k += 97 + n / 500) {
    assert_sg_ok(sgi_write_file(path, whole, k, err));
    assert_int_equal(load(&m, NULL), SG_ERR_FORMAT);
  }
  assert_sg_ok(sgi_write_file(path, whole, n, err));
  holds(s.m);
  sgi_free(whole);
  assert_sg_ok(sgi_read_file(index, 1 << 24, &whole, &n, err));
  for (size_t k = 0; k < n; k += 11) {
    assert_sg_ok(sgi_write_file(index, whole, k, err));
    assert_int_equal(load(&m, NULL), SG_ERR_FORMAT);
  }
  sgi_free(whole);
  sgi_free(path);
  sgi_free(index);
  close_model(&s);
}

/* Where both are there, the one file counts. */
static void both(void **state) {
  (void)state;
  stored s = open_model();
  start("float32");
  save_in("model.safetensors", s.t, s.n);
  write_in("model.safetensors.index.json", "{\"weight_map\":{\"a\":\"none.safetensors\"}}");
  holds(s.m);
  close_model(&s);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(halves), cmocka_unit_test(doubles),   cmocka_unit_test(as_double), cmocka_unit_test(as_bfloat),
      cmocka_unit_test(shards), cmocka_unit_test(truncated), cmocka_unit_test(both),
  };
  return cmocka_run_group_tests(tests, set_up, tear_down);
}
