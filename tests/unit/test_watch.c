/* Runs, margins and attributions that tell how far they are: the same numbers to the last bit, and
 * an end at any of their looks. */
#include <stdlib.h>
#include <string.h>

#include "read/run.h"
#include "support/small.h"

enum { T = 20 };

typedef struct watch {
  size_t calls, stop_at, last, wanted;
} watch;

static bool look(void *user, size_t done, size_t wanted) {
  watch *w = user;
  assert_true(done <= wanted && done >= w->last); /* forwards */
  w->last = done;
  w->wanted = wanted;
  return ++w->calls != w->stop_at;
}

/* Each does its work on a model with a watch or none; *n bytes of result, new: free. */
typedef sg_status (*job)(const sg_model *m, const int32_t *tokens, watch *w, char **out, size_t *n);

static sg_status run(const sg_model *m, const int32_t *tokens, watch *w, char **out, size_t *n) {
  sg_run_request q = {.tokens = tokens, .count = T, .progress = w ? look : NULL, .user = w};
  sg_run *r;
  sg_status st = sg_run_create(m, &q, &r, NULL);
  if (st) {
    assert_null(r);
    return st;
  }
  *n = m->config.vocab_size * sizeof(float);
  *out = malloc(*n);
  assert_sg_ok(sg_run_logits(r, -1, (float *)*out, err));
  sg_run_free(r);
  return SG_OK;
}

static sg_status margins(const sg_model *m, const int32_t *tokens, watch *w, char **out, size_t *n) {
  size_t C = sg_margin_channels(m);
  if (!C) return SG_ERR_UNSUPPORTED;
  *n = m->config.num_layers * C * T * sizeof(sg_margin);
  *out = calloc(1, *n);
  return w ? sg_margins_watched(m, tokens, T, (sg_margin *)*out, look, w, NULL)
           : sg_margins(m, tokens, T, (sg_margin *)*out, NULL);
}

static sg_status attribution(const sg_model *m, const int32_t *tokens, watch *w, char **out, size_t *n) {
  sg_attribute_request q = {
      .tokens = tokens, .count = T, .position = -1, .target = 5, .against = -1, .progress = w ? look : NULL, .user = w};
  sg_attribution *a;
  sg_status st = sg_attribute(m, &q, &a, NULL);
  if (st) return st;
  *n = a->neurons.count * sizeof *a->neurons.terms;
  *out = malloc(*n);
  memcpy(*out, a->neurons.terms, *n);
  sg_attribution_free(a);
  return SG_OK;
}

static void check(const char *kind, job work, const char *name) {
  sg_config c = small_config(kind);
  sg_model *m;
  assert_sg_ok(sg_model_create(&c, 4, &m, err));
  int32_t tokens[T];
  for (int i = 0; i < T; i++) tokens[i] = 1 + (i * 7) % (SMALL_V - 1);
  char *plain = NULL, *watched = NULL;
  size_t n = 0, k = 0;
  sg_status st = work(m, tokens, NULL, &plain, &n);
  if (st) assert_int_equal(st, SG_ERR_UNSUPPORTED);
  watch w = {0};
  if (!st) {
    assert_int_equal(work(m, tokens, &w, &watched, &k), SG_OK);
    assert_int_equal(n, k);
    if (memcmp(plain, watched, n)) fail_msg("%s of %s: other numbers where it is watched", name, kind);
    assert_true(w.calls >= SMALL_LAYERS);
    for (size_t i = 1; i <= w.calls; i++) {
      char *none = NULL;
      watch stopped = {.stop_at = i};
      assert_int_equal(work(m, tokens, &stopped, &none, &k), SG_ERR_CANCELLED);
      assert_int_equal(stopped.calls, i);
      free(none);
    }
  }
  free(plain);
  free(watched);
  sg_model_free(m);
}

static void kinds(void **state) {
  (void)state;
  const char *kind;
  for (size_t i = 0; (kind = sg_feedforward_name(i)); i++) {
    check(kind, run, "a run");
    check(kind, margins, "margins");
    check(kind, attribution, "an attribution");
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(kinds)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
