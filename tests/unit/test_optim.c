/* Every optimizer of the list: against its formula in double, in shards, with any number of
 * threads, and as a setting. */
#include <math.h>
#include <omp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "model/flops.h"
#include "ref/ref.h"
#include "support/page.h"
#include "support/small.h"
#include "train/settings.h"

enum { UPDATES = 5 };

/* Three tensors, the second of which does not decay, the third longer than a thread's stretch. */
static sgi_table three(void) {
  sgi_table t = {0};
  assert_sg_ok(sgi_table_add(&t, "", "a", SGI_DIMS(7, 5), true, SGI_INIT_ZERO, 0, err));
  assert_sg_ok(sgi_table_add(&t, "", "b", SGI_DIMS(9), false, SGI_INIT_ZERO, 0, err));
  assert_sg_ok(sgi_table_add(&t, "", "c", SGI_DIMS(40, 1000), true, SGI_INIT_ZERO, 0, err));
  return t;
}

typedef struct state {
  float *w, *g, *moment[SGI_MAX_MOMENTS];
} state;

static state begin(const sgi_table *t) {
  state s = {.w = test_calloc(t->floats, sizeof(float)), .g = test_calloc(t->floats, sizeof(float))};
  for (size_t k = 0; k < SGI_MAX_MOMENTS; k++) s.moment[k] = test_calloc(t->floats, sizeof(float));
  ref_random r = {.state = 3};
  ref_fill(&r, s.w, t->floats, 0, 1);
  return s;
}

static void end(state *s) {
  test_free(s->w);
  test_free(s->g);
  for (size_t k = 0; k < SGI_MAX_MOMENTS; k++) test_free(s->moment[k]);
}

static sgi_update told(uint64_t done) {
  return (sgi_update){.lr = 1e-2 / (double)(done + 1), .decay = 0.3, .grad_scale = 0.5, .done = done};
}

/* The gradient of update `done`; some entries are 0. */
static void fill_gradient(const sgi_table *t, uint64_t done, float *g) {
  ref_random r = {.state = 100 + done};
  for (size_t row = 0; row < t->count; row++)
    for (size_t i = 0; i < t->rows[row].count; i++)
      g[t->rows[row].offset + i] = (i + done) % 3 ? (float)ref_normal(&r) : 0;
}

/* Updates in parts that end at the places of `ends`, the last of which is the arena's end. */
static void run(const sgi_optimizer *o, const sgi_table *t, const state *s, const size_t *ends) {
  for (uint64_t done = 0; done < UPDATES; done++) {
    sgi_update u = told(done);
    fill_gradient(t, done, s->g);
    size_t k = 0, from = 0;
    do {
      sgi_optimizer_update(o, &u, &(sgi_shard){t, s->w, s->g, s->moment, from, ends[k], 0});
      from = ends[k];
    } while (ends[k++] < t->floats);
    for (size_t i = 0; i < t->floats; i++)
      if (s->g[i] != 0) fail_msg("%s leaves a gradient at %zu", o->ops->name, i);
  }
}

typedef struct doubles {
  double *w, *moment; /* moment (floats, 2) */
} doubles;

static void run_formula(const sgi_optimizer *o, const sgi_table *t, const doubles *d) {
  float *g = test_calloc(t->floats, sizeof *g);
  for (uint64_t done = 0; done < UPDATES; done++) {
    sgi_update u = told(done);
    ref_update r = {o->ops->name, o->value, u.lr, 0, u.grad_scale, (double)done + 1};
    fill_gradient(t, done, g);
    for (size_t row = 0; row < t->count; row++) {
      r.decay = t->rows[row].decay ? u.decay : 0;
      for (size_t k = 0, i = t->rows[row].offset; k < t->rows[row].count; k++, i++)
        if (!ref_optimizer(&r, (double)g[i], &d->w[i], d->moment + 2 * i))
          fail_msg("optimizer %s has no formula in tests/ref/ref_optim.c", o->ops->name);
    }
  }
  test_free(g);
}

static void against_the_formula(void **unused) {
  (void)unused;
  sgi_table t = three();
  const sgi_optimizer_ops *ops;
  for (size_t k = 0; (ops = sgi_optimizer_at(k)); k++) {
    sgi_optimizer o = sgi_optimizer_usual(ops);
    state s = begin(&t);
    doubles d = {test_malloc(t.floats * sizeof(double)), test_calloc(2 * t.floats, sizeof(double))};
    for (size_t i = 0; i < t.floats; i++) d.w[i] = (double)s.w[i];
    run(&o, &t, &s, &t.floats);
    run_formula(&o, &t, &d);
    for (size_t i = 0; i < t.floats; i++) {
      if (!(fabs(d.w[i] - (double)s.w[i]) < 2e-6))
        fail_msg("%s, weight %zu: %.9g, expected %.9g", ops->name, i, (double)s.w[i], d.w[i]);
      for (size_t m = 0; m < ops->n_moments; m++)
        if (!(fabs(d.moment[2 * i + m] - (double)s.moment[m][i]) < 2e-6))
          fail_msg("%s, %s %zu: %.9g, expected %.9g", ops->name, ops->moments[m].words, i, (double)s.moment[m][i],
                   d.moment[2 * i + m]);
    }
    test_free(d.w);
    test_free(d.moment);
    end(&s);
  }
  sgi_table_deinit(&t);
}

static void expect_same_bits(const sgi_optimizer_ops *ops, const char *what, size_t floats, const state *a,
                             const state *b) {
  size_t bytes = floats * sizeof(float);
  if (memcmp(a->w, b->w, bytes)) fail_msg("%s, %s: other weights", ops->name, what);
  for (size_t m = 0; m < ops->n_moments; m++)
    if (memcmp(a->moment[m], b->moment[m], bytes))
      fail_msg("%s, %s: another %s", ops->name, what, ops->moments[m].words);
}

/* Any part of the arena can be updated by itself, by any number of threads. */
static void shards_and_threads(void **unused) {
  (void)unused;
  sgi_table t = three();
  const sgi_optimizer_ops *ops;
  const size_t thirds[] = {16, 61, 20003, t.floats}, inside[] = {3, 4, 64, 70, 36977, t.floats};
  for (size_t k = 0; (ops = sgi_optimizer_at(k)); k++) {
    sgi_optimizer o = sgi_optimizer_usual(ops);
    state whole = begin(&t), shards = begin(&t), more = begin(&t), two = begin(&t);
    omp_set_num_threads(1);
    run(&o, &t, &whole, &t.floats);
    run(&o, &t, &shards, thirds);
    run(&o, &t, &more, inside);
    omp_set_num_threads(2);
    run(&o, &t, &two, &t.floats);
    expect_same_bits(ops, "in four parts", t.floats, &whole, &shards);
    expect_same_bits(ops, "in parts that begin inside tensors", t.floats, &whole, &more);
    expect_same_bits(ops, "with two threads", t.floats, &whole, &two);
    end(&whole);
    end(&shards);
    end(&more);
    end(&two);
  }
  sgi_table_deinit(&t);
}

/* ---- as settings ----------------------------------------------------------------------------- */

typedef struct given {
  const char *key, *value;
  int rank;
} given;

static sg_status resolve(const given *list, sgi_settings *out, sg_error *why) {
  sgi_assignments a = {0};
  for (; list->key; list++) {
    a.rank = list->rank;
    assert_sg_ok(sgi_assign(&a, list->key, list->value, "here", err));
  }
  sg_status st = sgi_settings_resolve(&a, out, why);
  sgi_assignments_free(&a);
  return st;
}

static void refused(const given *list, const char *words) {
  sgi_settings s;
  sg_error why = {0};
  assert_int_equal(resolve(list, &s, &why), SG_ERR_ARG);
  if (!strstr(why.text, words)) fail_msg("expected \"%s\" in: %s", words, why.text);
}

static void every_setting(void **unused) {
  (void)unused;
  const sgi_optimizer_ops *ops;
  for (size_t k = 0; (ops = sgi_optimizer_at(k)); k++)
    for (size_t i = 0; ops->settings[i].name; i++) {
      const sgi_optimizer_setting *o = &ops->settings[i];
      char text[40], below[40];
      snprintf(text, sizeof text, "%.17g", o->least + 0.25 * (o->below - o->least));
      snprintf(below, sizeof below, "%.17g", o->below);
      sgi_settings s, again;
      given list[] = {{o->name, text, 0}, {"optimizer.kind", ops->name, 0}, {0}};
      assert_sg_ok(resolve(list, &s, err));
      assert_ptr_equal(s.optimizer.ops, ops);
      for (size_t j = 0; ops->settings[j].name; j++)
        assert_true(s.optimizer.value[j] == (j == i ? atof(text) : ops->settings[j].usual));
      /* What a run writes down resolves to the same. */
      json_t *json = sgi_settings_to_json(&s);
      sgi_assignments a = {0};
      assert_sg_ok(sgi_assign_json(&a, json, "a file", err));
      assert_sg_ok(sgi_settings_resolve(&a, &again, err));
      assert_memory_equal(&s.optimizer, &again.optimizer, sizeof s.optimizer);
      sgi_assignments_free(&a);
      json_decref(json);
      refused((given[]){{"optimizer.kind", ops->name, 0}, {o->name, below, 0}, {0}}, o->name);
      refused((given[]){{"optimizer.kind", ops->name, 0}, {o->name, "nan", 0}, {0}}, o->name);
    }
}

/* A run of an older version says nothing of its optimizer; a file's settings do not hold for
 * another kind that the command line names. */
static void kinds(void **unused) {
  (void)unused;
  sgi_settings s;
  sgi_optimizer adamw = sgi_optimizer_usual(&sgi_optimizer_adamw), lion = sgi_optimizer_usual(&sgi_optimizer_lion);
  assert_sg_ok(resolve((given[]){{0}}, &s, err));
  assert_memory_equal(&s.optimizer, &adamw, sizeof adamw);
  assert_sg_ok(resolve((given[]){{"optimizer.beta1", "0.8", 0}, {"optimizer.kind", "lion", 1}, {0}}, &s, err));
  assert_memory_equal(&s.optimizer, &lion, sizeof lion);
  assert_sg_ok(resolve((given[]){{"optimizer.eps", "0.5", 0}, {"optimizer.kind", "lion", 1}, {0}}, &s, err));
  refused((given[]){{"optimizer.kind", "lion", 0}, {"optimizer.eps", "1e-6", 0}, {0}}, "lion has no optimizer.eps");
  refused((given[]){{"optimizer.kind", "adam", 0}, {0}}, "did you mean adamw?");
  refused((given[]){{"optimizer.beta", "0.9", 0}, {0}}, "did you mean \"optimizer.beta1\"?");
}

/* What an optimizer's file opens with, as a paragraph of the method: "name: text", then lines
 * without their stars. */
static void paragraph(FILE *f, const char *name) {
  char path[64], opening[64];
  snprintf(path, sizeof path, "src/train/optim_%s.c", name);
  int n = snprintf(opening, sizeof opening, "/* %s: ", name);
  char *text = page_read(path), *line = text + n, *end = strstr(text, "*/");
  if (strncmp(text, opening, (size_t)n) || !end) fail_msg("%s does not begin with \"%s\"", path, opening);
  while (end > line && strchr(" \n", end[-1])) end--;
  *end = 0;
  if (!strstr(line, "w <- w")) fail_msg("%s opens without its formula, \"w <- w - ...\"", path);
  fprintf(f, "**%s** (`optimizer.kind=%s`): ", name, name);
  while (line) {
    char *next = strchr(line, '\n');
    fprintf(f, "%.*s\n", (int)(next ? next - line : (ptrdiff_t)strlen(line)), line);
    line = !next ? NULL : next + 1 + strspn(next + 1, " ");
    if (line && strncmp(line, "* ", 2) == 0)
      line += 2;
    else if (line)
      line++;
  }
  fprintf(f, "\n");
  free(text);
}

static void paragraphs(FILE *f) {
  const sgi_optimizer_ops *ops;
  for (size_t k = 0; (ops = sgi_optimizer_at(k)); k++) paragraph(f, ops->name);
}

/* Its formula is written down, once. */
static void method(void **unused) {
  (void)unused;
  page_holds("docs/method.md", "as each `src/train/optim_NAME.c` begins:\n\n", "**Schedules.**", paragraphs,
             "src/train/optim_NAME.c", "build/tests/unit/test_optim");
}

/* Moments take memory and room in a checkpoint: what is foretold says so. */
static void memory(void **unused) {
  (void)unused;
  sg_config c = small_config(sg_feedforward_name(0));
  const sgi_optimizer_ops *ops;
  size_t parameters, bytes, least = 0;
  assert_sg_ok(sgi_config_parameters(&c, &parameters, err));
  for (size_t moments = 0; moments <= SGI_MAX_MOMENTS; moments++) {
    size_t most = 0; /* of those with so many */
    for (size_t k = 0; (ops = sgi_optimizer_at(k)); k++) {
      if (ops->n_moments != moments) continue;
      sgi_trainer_settings s = small_settings();
      s.optimizer = sgi_optimizer_usual(ops);
      assert_sg_ok(sgi_trainer_bytes(&c, &s, &bytes, err));
      if (least && bytes < least + parameters * sizeof(float)) fail_msg("%s: %zu bytes", ops->name, bytes);
      if (bytes > most) most = bytes;
    }
    if (most) least = most;
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(against_the_formula),
                                     cmocka_unit_test(shards_and_threads),
                                     cmocka_unit_test(every_setting),
                                     cmocka_unit_test(kinds),
                                     cmocka_unit_test(memory),
                                     cmocka_unit_test(method)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
