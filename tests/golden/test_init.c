/* Distribution of every tensor at initialisation (tests/golden/init.json), and the rotary
 * tables. */
#include "support/golden.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "model/attention.h"
#include "model/model.h"

static size_t size(const json_t *o, const char *key) { return (size_t)json_integer_value(json_object_get(o, key)); }

/* "sgatlin:dense" -> kind, router. */
static sg_config config_of(const char *name, const json_t *sizes) {
  sg_config c = {.rms_norm_eps = 1e-6, .rope_theta = 1e4, .max_position = 16, .num_layers = 1};
  const char *colon = strchr(name, ':');
  snprintf(c.feedforward, sizeof c.feedforward, "%.*s", colon ? (int)(colon - name) : (int)strlen(name), name);
  snprintf(c.router, sizeof c.router, "%s", colon ? colon + 1 : "");
  const sgi_ffn_ops *ffn = sgi_ffn_find(c.feedforward, NULL);
  if (!ffn) fail_msg("unknown kind %s", c.feedforward);
  if ((ffn->uses & SGI_USES_ROUTER) && !c.router[0]) snprintf(c.router, sizeof c.router, "product_key_value");
  if (!(ffn->uses & SGI_USES_ROUTER)) c.router[0] = 0;
  snprintf(c.activation, sizeof c.activation, "%s", ffn->default_activation);
  c.vocab_size = size(sizes, "V");
  c.hidden_size = size(sizes, "D");
  c.head_dim = size(sizes, "dh");
  c.num_heads = c.hidden_size / c.head_dim;
  c.num_neurons = size(sizes, "F");
  if (ffn->uses & SGI_USES_CHANNELS) c.num_channels = size(sizes, "C");
  if (ffn->uses & SGI_USES_TOP_K) c.top_k = size(sizes, "K");
  if (ffn->uses & SGI_USES_KEY_DIM) c.key_dim = size(sizes, "Q");
  return c;
}

static void check_tensor(const char *name, const sg_tensor *t, const json_t *want) {
  double mean = 0, square = 0, largest = 0;
  for (size_t i = 0; i < t->count; i++) {
    double x = (double)t->data[i];
    mean += x;
    square += x * x;
    if (fabs(x) > largest) largest = fabs(x);
  }
  mean /= (double)t->count;
  double std = sqrt(square / (double)t->count - mean * mean);
  const json_t *dims = json_object_get(want, "shape");
  for (int i = 0; i < t->n_dims; i++)
    if (t->dims[i] != (size_t)json_integer_value(json_array_get(dims, (size_t)i)))
      fail_msg("%s: %s has another shape", name, t->name);
  const json_t *formula = json_object_get(want, "std"), *cut = json_object_get(want, "max_abs");
  double target = json_is_number(formula) ? json_number_value(formula) : 0;
  if (target == 0) {
    double constant = json_number_value(json_object_get(want, "measured_mean"));
    if (std > 1e-6 || fabs(mean - constant) > 1e-6) fail_msg("%s: %s is not %g", name, t->name, constant);
    return;
  }
  double bound = golden_tolerance("init", "std rel", "");
  if (fabs(std - target) > bound * target) fail_msg("%s: %s has std %g, expected %g", name, t->name, std, target);
  if (fabs(mean) > 5 * target / sqrt((double)t->count)) fail_msg("%s: %s has mean %g", name, t->name, mean);
  if (json_is_number(cut)) {
    double limit = json_number_value(cut);
    if (largest > limit * (1 + 1e-6) || largest < 0.98 * limit)
      fail_msg("%s: %s reaches %g, expected %g", name, t->name, largest, limit);
  } else if (largest < 3 * target) {
    fail_msg("%s: %s is cut at %g", name, t->name, largest);
  }
}

static void initialisation(void **state) {
  (void)state;
  json_t *all = golden_json("tests/golden/init.json");
  const char *name;
  json_t *one;
  size_t cases = 0;
  json_object_foreach(all, name, one) {
    const json_t *tensors = json_object_get(one, "tensors");
    if (!tensors) continue;
    sg_config c = config_of(name, json_object_get(one, "sizes"));
    sg_model *m;
    assert_sg_ok(sg_model_create(&c, 7, &m, err));
    size_t found = 0;
    for (size_t i = 0; i < sg_model_tensor_count(m); i++) {
      sg_tensor t = sg_model_tensor(m, i);
      const json_t *want = json_object_get(tensors, t.name);
      if (!want) fail_msg("%s: %s is not in init.json", name, t.name);
      check_tensor(name, &t, want);
      found++;
    }
    assert_int_equal(found, json_object_size(tensors));
    sg_model_free(m);
    cases++;
  }
  assert_true(cases >= 5);
  json_decref(all);
}

static void same_seed_same_weights(void **state) {
  (void)state;
  sg_config c;
  assert_sg_ok(sg_config_load("tests/golden/models/peer", &c, err));
  sg_model *a, *b, *other;
  assert_sg_ok(sg_model_create(&c, 1, &a, err));
  assert_sg_ok(sg_model_create(&c, 1, &b, err));
  assert_sg_ok(sg_model_create(&c, 2, &other, err));
  assert_memory_equal(a->arena, b->arena, a->table.floats * sizeof(float));
  assert_true(memcmp(a->arena, other->arena, a->table.floats * sizeof(float)) != 0);
  sg_model_free(a);
  sg_model_free(b);
  sg_model_free(other);
}

static void rotary(void **state) {
  (void)state;
  enum { T = 2048 };
  sgi_safetensors *f;
  assert_sg_ok(sgi_safetensors_open("tests/golden/rotary.safetensors", &f, err));
  const sgi_tensor *positions = sgi_safetensors_find(f, "positions");
  double near = golden_tolerance("rotary", "abs up to position 64", ""),
         far = golden_tolerance("rotary", "abs up to position 2047", "");
  static const size_t dims[] = {8, 16, 64};
  for (size_t k = 0; k < SGI_COUNT(dims); k++) {
    size_t d = dims[k];
    float *cos = test_malloc(T * d / 2 * sizeof *cos), *sin = test_malloc(T * d / 2 * sizeof *sin);
    sgi_rotary_tables(cos, sin, T, d, 1e4);
    for (int s = 0; s < 2; s++) {
      char name[32];
      snprintf(name, sizeof name, "%s.%zu", s ? "sin" : "cos", d);
      const sgi_tensor *want = sgi_safetensors_find(f, name);
      assert_non_null(want);
      size_t width = want->dims[1];
      for (size_t i = 0; i < positions->count; i++) {
        int32_t p = ((const int32_t *)positions->data)[i];
        for (size_t j = 0; j < width; j++) {
          double got = (double)(s ? sin : cos)[(size_t)p * d / 2 + j % (d / 2)],
                 expected = (double)((const float *)want->data)[i * width + j];
          if (!(fabs(got - expected) <= (p <= 64 ? near : far)))
            fail_msg("%s, position %d, entry %zu: %.9g, expected %.9g", name, p, j, got, expected);
        }
      }
    }
    test_free(cos);
    test_free(sin);
  }
  sgi_safetensors_close(f);
}

/* train.init=monet: a plain normal of one deviation for all that starts with random numbers. */
static void plain_normal(void **state) {
  (void)state;
  sg_config c = {.vocab_size = 400,
                 .hidden_size = 64,
                 .head_dim = 16,
                 .num_heads = 4,
                 .num_layers = 1,
                 .max_position = 8,
                 .rms_norm_eps = 1e-6,
                 .rope_theta = 1e4,
                 .num_channels = 4,
                 .top_k = 4,
                 .num_experts = 16,
                 .expert_dim = 8};
  sg_model *m;
  snprintf(c.feedforward, sizeof c.feedforward, "monet");
  snprintf(c.activation, sizeof c.activation, "relu2");
  snprintf(c.decomposition, sizeof c.decomposition, "horizontal");
  assert_sg_ok(sgi_model_blank(&c, &m, err));
  sgi_table_start_normal(&m->table, 0.02);
  sgi_model_fill_arena(m, 7);
  for (size_t r = 0; r < m->table.count; r++) {
    const sgi_row *row = &m->table.rows[r];
    const float *w = m->arena + row->offset;
    double sum = 0, squares = 0, n = (double)row->count, most = 0;
    for (size_t i = 0; i < row->count; i++) {
      sum += (double)w[i], squares += (double)w[i] * (double)w[i];
      most = fmax(most, fabs((double)w[i]));
    }
    if (row->init == SGI_INIT_ZERO || row->init == SGI_INIT_ONE) {
      assert_true(squares == (row->init == SGI_INIT_ONE ? n : 0));
    } else {
      double sd = sqrt(squares / n - sum / n * (sum / n));
      assert_true(fabs(sum / n) < 5 * 0.02 / sqrt(n) && fabs(sd / 0.02 - 1) < 5 / sqrt(2 * n));
      assert_true(most > 2 * 0.02); /* not cut at two */
    }
  }
  sg_model_free(m);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(initialisation), cmocka_unit_test(same_seed_same_weights),
                                     cmocka_unit_test(rotary), cmocka_unit_test(plain_normal)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
