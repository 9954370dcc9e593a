/* Three updates of a pool trained as int4 against the vectors of golden/experts/int4_step: levels
 * and buffers exactly, scales and moments within their rounding, the random words by the generator
 * that trains. */
#include "support/golden.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/rng.h"
#include "train/int4_inside.h"

static const double RELATIVE = 1e-5; /* recommended with the vectors */

typedef struct state {
  sgi_int4 all;
  sgi_int4_pool pool;
  sgi_pool w;
  sgi_int4_moved moved[64];
  double squares[16];
} state;

static const void *part(const sgi_safetensors *f, const char *first, int number, const char *last, size_t count) {
  char name[64];
  snprintf(name, sizeof name, "%s%d.%s", first, number, last);
  const sgi_tensor *t = sgi_safetensors_find(f, name);
  if (!t) fail_msg("%s is missing", name);
  assert_int_equal(t->count, count);
  return t->data;
}

static void *copy(const void *x, size_t bytes) {
  void *y = malloc(bytes);
  memcpy(y, x, bytes);
  return y;
}

static void open_pool(state *s, const sgi_safetensors *f, const json_t *o) {
  size_t rows = (size_t)json_integer_value(json_object_get(o, "rows"));
  size_t D = (size_t)json_integer_value(json_object_get(o, "columns")), bytes = (D + 1) / 2;
  s->w = (sgi_pool){.rows = rows, .width = D, .bytes = bytes};
  s->w.q = copy(part(f, "state", 0, "q4", rows * bytes), rows * bytes);
  s->w.a = copy(part(f, "state", 0, "a4", rows * bytes), rows * bytes);
  s->w.scale = copy(part(f, "state", 0, "scale", rows), rows * sizeof(float));
  s->w.v = copy(part(f, "state", 0, "v", rows), rows * sizeof(float));
  s->w.ms = copy(part(f, "state", 0, "m_scale", rows), rows * sizeof(float));
  s->w.vs = copy(part(f, "state", 0, "v_scale", rows), rows * sizeof(float));
  s->w.count = copy(part(f, "state", 0, "count", rows), rows * sizeof(int32_t));
  s->all = (sgi_int4){.settings = sgi_int4_usual(), .count = 1, .pool = &s->pool, .moved = s->moved, .bad = UINT64_MAX};
  s->all.settings.lr_scale = 1; /* the vectors' rate has its factor */
  s->all.lr = json_number_value(json_object_get(o, "lr"));
  sgi_rng rng = sgi_rng_make((uint64_t)json_integer_value(json_object_get(o, "seed")),
                             (uint64_t)json_integer_value(json_object_get(o, "stream")),
                             (uint64_t)json_integer_value(json_object_get(o, "sub")));
  s->pool = (sgi_int4_pool){.all = &s->all, .pool = &s->w, .key = rng.key, .squares = s->squares};
  assert_int_equal(json_integer_value(json_object_get(o, "stream")), SGI_STREAM_INT4);
}

static void near(const char *what, int update, const float *got, const float *want, size_t n) {
  for (size_t i = 0; i < n; i++)
    if (!(fabs((double)got[i] - (double)want[i]) <= RELATIVE * fabs((double)want[i])))
      fail_msg("update %d: %s of row %zu is %.9g, expected %.9g", update, what, i, (double)got[i], (double)want[i]);
}

static void words(const state *s, const uint64_t *want, uint64_t update) {
  size_t n = (s->w.rows * s->w.width + 3) / 4;
  for (size_t i = 0; i < n; i++) assert_true(sgi_rng_word(s->pool.key, update * n + i) == want[i]);
}

static void one_update(state *s, const sgi_safetensors *f, const json_t *o, int k) {
  const json_t *u = json_array_get(json_object_get(o, "updates"), (size_t)k);
  size_t rows = s->w.rows, D = s->w.width, bytes = s->w.bytes, touched = 0;
  const float *g = part(f, "step", k + 1, "grad", rows * D);
  const int32_t *met = part(f, "step", k + 1, "touched", rows);
  s->all.update = (uint64_t)json_integer_value(json_object_get(u, "update"));
  words(s, part(f, "step", k + 1, "words", (rows * D + 3) / 4), s->all.update);
  memset(s->moved, 0, sizeof s->moved);
  for (size_t r = 0; r < rows; r++) {
    uint32_t before = s->w.count[r];
    sgi_int4_step_row(&s->pool, r, g + r * D); /* one without a gradient is left as it is */
    assert_int_equal(s->w.count[r] - before, met[r]);
    touched += s->w.count[r] - before;
  }
  assert_int_equal(touched, json_integer_value(json_object_get(u, "touched")));
  assert_int_equal(s->moved[0].steps, json_integer_value(json_object_get(u, "weight_steps")));
  assert_int_equal(s->moved[0].saturated, json_integer_value(json_object_get(u, "saturated")));
  assert_memory_equal(s->w.q, part(f, "state", k + 1, "q4", rows * bytes), rows * bytes);
  assert_memory_equal(s->w.a, part(f, "state", k + 1, "a4", rows * bytes), rows * bytes);
  assert_memory_equal(s->w.count, part(f, "state", k + 1, "count", rows), rows * sizeof(int32_t));
  near("scale", k, s->w.scale, part(f, "state", k + 1, "scale", rows), rows);
  near("v", k, s->w.v, part(f, "state", k + 1, "v", rows), rows);
  near("ms", k, s->w.ms, part(f, "state", k + 1, "m_scale", rows), rows);
  near("vs", k, s->w.vs, part(f, "state", k + 1, "v_scale", rows), rows);
  assert_true(s->all.bad == UINT64_MAX);
}

static void three_updates(void **unused) {
  (void)unused;
  sgi_safetensors *f;
  json_t *o = golden_json("tests/golden/experts/int4_step/step.json");
  assert_sg_ok(sgi_safetensors_open("tests/golden/experts/int4_step/expected.safetensors", &f, err));
  state s;
  open_pool(&s, f, o);
  for (int k = 0; k < 3; k++) one_update(&s, f, o, k);
  void *blocks[] = {s.w.q, s.w.a, s.w.scale, s.w.v, s.w.ms, s.w.vs, s.w.count};
  for (size_t i = 0; i < SGI_COUNT(blocks); i++) free(blocks[i]);
  sgi_safetensors_close(f);
  json_decref(o);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(three_updates)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
