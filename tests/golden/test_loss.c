/* Loss, accuracy and both perplexities on given logits, with padding in odd places, and the
 * gradient of the loss. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>

#include "support/near.h"
#include "core/safetensors.h"
#include "model/loss.h"
#include "model/metrics.h"

/* The head is fed with x = logits and E = identity, so that its product gives the logits back. */
typedef struct head {
  size_t n, V;
  float *identity, *nll, *dx, *dE;
  sgi_weight map; /* the identity */
  int32_t *best;
  sgi_arena scratch;
} head;

static head make_head(size_t n, size_t V) {
  head h = {.n = n, .V = V};
  h.identity = sgi_alloc(V * V * sizeof(float));
  h.nll = sgi_alloc(n * sizeof(float));
  h.dx = sgi_alloc(n * V * sizeof(float));
  h.dE = sgi_alloc(V * V * sizeof(float));
  h.best = sgi_alloc(n * sizeof(int32_t));
  sgi_loss_scratch(n, V, V, &h.scratch);
  h.scratch = (sgi_arena){.base = sgi_alloc(h.scratch.used), .size = h.scratch.used};
  for (size_t i = 0; i < V; i++) h.identity[i * V + i] = 1;
  h.map = sgi_weight_floats(h.identity, V, V);
  return h;
}

static void free_head(head *h) {
  sgi_free(h->identity);
  sgi_free(h->nll);
  sgi_free(h->dx);
  sgi_free(h->dE);
  sgi_free(h->best);
  sgi_free(h->scratch.base);
}

static double log_sum(const float *logits, size_t V) {
  double max = -INFINITY, sum = 0;
  for (size_t v = 0; v < V; v++) max = fmax(max, (double)logits[v]);
  for (size_t v = 0; v < V; v++) sum += exp((double)logits[v] - max);
  return max + log(sum);
}

static void loss_near(double found, const json_t *c, const char *key) {
  double expected = json_number_value(json_object_get(c, key));
  if (!(fabs(found - expected) <= 1e-5 * fabs(expected)))
    fail_msg("%s: %s is %.9g, expected %.9g", json_string_value(json_object_get(c, "name")), key, found, expected);
}

static const sgi_tensor *tensor(const sgi_safetensors *f, const char *name, const char *what) {
  char key[96];
  snprintf(key, sizeof key, "%s%s%s", name, *name ? "." : "", what);
  const sgi_tensor *t = sgi_safetensors_find(f, key);
  if (!t) fail_msg("loss.safetensors: %s is missing", key);
  return t;
}

static void check_case(const sgi_safetensors *f, const json_t *c, int32_t pad, int32_t bos) {
  const char *name = json_string_value(json_object_get(c, "name"));
  const sgi_tensor *logits = tensor(f, "", "logits"), *t = tensor(f, name, "targets"), *in = tensor(f, name, "inputs");
  const float *x = logits->data;
  const int32_t *targets = t->data, *inputs = in->data;
  size_t B = t->dims[0], T = t->dims[1], n = B * T, V = logits->dims[2];
  for (size_t i = 0; i < n; i++) assert_int_equal(inputs[i], i % T ? targets[i - 1] : bos);

  head h = make_head(n, V);
  const float scale = 0.25f;
  assert_int_equal(sgi_loss(h.nll, h.best, h.dx, h.dE, x, &h.map, targets, pad, scale, n, V, V, h.scratch), SG_OK);
  sgi_metrics m = {0};
  sgi_metrics_add(&m, h.nll, h.best, targets, pad, B, T);
  loss_near(sgi_metrics_loss(&m), c, "loss");
  loss_near(sgi_metrics_accuracy(&m), c, "acc");
  loss_near(sgi_metrics_perplexity(&m), c, "perplexity");
  loss_near(sgi_metrics_perplexity_last_token(&m), c, "perplexity_last_token");

  /* d nll / d logits = softmax - onehot; none where the target is padding. */
  for (size_t i = 0; i < n; i++) {
    double sum = log_sum(x + i * V, V);
    near("h.nll[i]", (double)h.nll[i], (sum - (double)x[i * V + (size_t)targets[i]]), 1e-5);
    for (size_t v = 0; v < V; v++) {
      double expected = exp((double)x[i * V + v] - sum) - (targets[i] == (int32_t)v);
      if (targets[i] == pad) expected = 0;
      near("h.dx[i * V + v]", (double)h.dx[i * V + v], 0.25 * expected, 1e-6);
    }
  }
  free_head(&h);
}

static void every_golden_case(void **state) {
  (void)state;
  sg_error err = {0};
  sgi_safetensors *f = NULL;
  if (sgi_safetensors_open("tests/golden/eval/loss/loss.safetensors", &f, &err)) fail_msg("%s", err.text);
  json_t *o = json_load_file("tests/golden/eval/loss/loss.json", 0, NULL), *c;
  const json_t *cases = json_object_get(o, "cases");
  int32_t pad = (int32_t)json_integer_value(json_object_get(o, "pad_token_id"));
  int32_t bos = (int32_t)json_integer_value(json_object_get(o, "bos_token_id"));
  size_t i;
  assert_int_equal(json_array_size(cases), 4);
  json_array_foreach(cases, i, c) check_case(f, c, pad, bos);
  json_decref(o);
  sgi_safetensors_close(f);
}

/* The same rows over and over, across the blocks in which the loss is taken. */
static void blocks_do_not_show(void **state) {
  (void)state;
  sgi_safetensors *f = NULL;
  assert_int_equal(sgi_safetensors_open("tests/golden/eval/loss/loss.safetensors", &f, NULL), SG_OK);
  const sgi_tensor *logits = tensor(f, "", "logits"), *t = tensor(f, "padded", "targets");
  size_t n = t->count, V = logits->dims[2], copies = 15;
  head one = make_head(n, V), many = make_head(n * copies, V);
  float *x = sgi_alloc(copies * logits->count * sizeof *x);
  int32_t *targets = sgi_alloc(copies * n * sizeof *targets);
  for (size_t k = 0; k < copies; k++) {
    memcpy(x + k * logits->count, logits->data, logits->count * sizeof *x);
    memcpy(targets + k * n, t->data, n * sizeof *targets);
  }
  assert_int_equal(sgi_loss(one.nll, one.best, NULL, NULL, x, &one.map, targets, 4, 1, n, V, V, one.scratch), SG_OK);
  assert_int_equal(
      sgi_loss(many.nll, many.best, NULL, NULL, x, &many.map, targets, 4, 1, n * copies, V, V, many.scratch), SG_OK);
  for (size_t i = 0; i < n * copies; i++) {
    near("many.nll[i]", (double)many.nll[i], (double)one.nll[i % n], 1e-6);
    assert_int_equal(many.best[i], one.best[i % n]);
  }
  sgi_free(x);
  sgi_free(targets);
  free_head(&one);
  free_head(&many);
  sgi_safetensors_close(f);
}

static void nothing_counted_is_no_nan(void **state) {
  (void)state;
  sgi_metrics m = {0};
  assert_true(sgi_metrics_loss(&m) == 0 && sgi_metrics_accuracy(&m) == 0 && sgi_metrics_perplexity(&m) == 1 &&
              sgi_metrics_perplexity_last_token(&m) == 1);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(every_golden_case),
      cmocka_unit_test(blocks_do_not_show),
      cmocka_unit_test(nothing_counted_is_no_nan),
  };
  return cmocka_run_group_tests_name("loss", tests, NULL, NULL);
}
