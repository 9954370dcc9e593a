/* Superposition among neurons that fire together against vectors: every single and pair effect of a
 * layer, and the scores of its pairs; then planted pairs, which must be found, and values that are
 * moved, which must not. */
#include "support/golden.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/json.h"
#include "read/superposition.h"
#include "ref/ref.h"
#include "support/near.h"
#include "support/recorded.h"

static const char *const DIR = "tests/golden/experts/superposition";
static const double EFFECTS = 5e-5, SCORES = 1e-4;

typedef struct fixture {
  sg_model *m;
  sgi_safetensors *f;
  json_t *test;
  char *tmp;
  sgi_recording *rec;
  const int32_t *inputs, *targets;
  size_t B, T;
} fixture;

static fixture open_fixture(void) {
  fixture x = {0};
  char path[300];
  assert_sg_ok(sg_model_load(DIR, &x.m, err));
  snprintf(path, sizeof path, "%s/expected.safetensors", DIR);
  assert_sg_ok(sgi_safetensors_open(path, &x.f, err));
  snprintf(path, sizeof path, "%s/test.json", DIR);
  assert_sg_ok(sgi_json_load(path, &x.test, err));
  const sgi_tensor *targets = sgi_safetensors_find(x.f, "targets");
  x.targets = targets->data;
  x.inputs = sgi_safetensors_find(x.f, "inputs")->data;
  x.B = targets->dims[0];
  x.T = targets->dims[1];
  x.tmp = golden_temporary();
  recorded_rows rows = {x.targets, x.B, x.T};
  sgi_record_request q = recorded_request(x.m, &rows);
  snprintf(path, sizeof path, "%s/rec", x.tmp);
  x.rec = recorded_open(&q, path);
  return x;
}

static void close_fixture(fixture *x) {
  sg_recording_close(x->rec);
  sgi_safetensors_close(x->f);
  json_decref(x->test);
  sg_model_free(x->m);
  golden_remove(x->tmp);
}

/* Effects of position (b,t,...): entry i of a tensor (n, 2 + 2 k) of neurons (channel, index). */
static void check_effects(const fixture *x, const char *positions, const char *effects, size_t k) {
  const sgi_tensor *at = sgi_safetensors_find(x->f, positions), *want = sgi_safetensors_find(x->f, effects);
  const int32_t *row = at->data;
  size_t width = 2 + 2 * k, F = x->m->config.num_neurons;
  sgi_without *w;
  int32_t document = -1;
  assert_int_equal(at->dims[1], width);
  assert_sg_ok(sgi_without_create(x->m, 0, x->T, &w, err));
  for (size_t i = 0; i < at->dims[0]; i++, row += width) {
    sgi_firing set[2] = {{0}, {0}};
    double effect;
    if (row[0] != document) {
      document = row[0];
      size_t from = (size_t)document * x->T;
      assert_sg_ok(sgi_without_document(w, x->inputs + from, x->targets + from, x->T, err));
    }
    for (size_t u = 0; u < k; u++) set[u].unit = (uint32_t)((size_t)row[2 + 2 * u] * F + (size_t)row[3 + 2 * u]);
    sgi_without_values(w, (size_t)row[1], set, k);
    assert_sg_ok(sgi_without_effects(w, (size_t)row[1], set, k, 1, &effect, err));
    near("an effect", effect, (double)((const float *)want->data)[i], EFFECTS);
  }
  sgi_without_free(w);
}

static void effects(void **state) {
  (void)state;
  fixture x = open_fixture();
  check_effects(&x, "single.position", "single.effect", 1);
  check_effects(&x, "pair.position", "pair.effect", 2);
  close_fixture(&x);
}

static const sgi_super_pair *find_pair(const sgi_superposition *s, const json_t *pair) {
  for (size_t k = 0; k < s->n_pairs; k++) {
    bool same = true;
    for (size_t u = 0; u < 2; u++) {
      const json_t *one = json_array_get(pair, u);
      same = same && s->pairs[k].unit[u].channel == json_integer_value(json_array_get(one, 0)) &&
             s->pairs[k].unit[u].index == json_integer_value(json_array_get(one, 1));
    }
    if (same) return &s->pairs[k];
  }
  return NULL;
}

static void scores(void **state) {
  (void)state;
  fixture x = open_fixture();
  sgi_super_settings s = sgi_super_usual();
  sgi_superposition out;
  s.min_together = 2;
  s.min_lift = 1.5;
  s.max_places = 0;
  s.samples = 1000;
  assert_sg_ok(sgi_superposition_run(x.m, x.rec, 0, &s, &out, err));
  assert_int_equal(out.positions, json_integer_value(json_object_get(x.test, "positions")));
  const json_t *list = json_object_get(x.test, "pairs"), *v;
  size_t i, seen = 0;
  double bound = 0; /* of a logarithm of a score within SCORES */
  json_array_foreach(list, i, v) {
    const sgi_super_pair *p = find_pair(&out, json_object_get(v, "pair"));
    if (!p) fail_msg("pair %zu of the vectors was not tested", i);
    assert_int_equal(p->together, json_integer_value(json_object_get(v, "together")));
    near("lift", p->lift, json_number_value(json_object_get(v, "lift")), 1e-9);
    assert_int_equal(p->places, json_integer_value(json_object_get(v, "occurrences")));
    near("score", p->score, json_number_value(json_object_get(v, "score")), SCORES);
    near("null", p->null, json_number_value(json_object_get(v, "null")), SCORES);
    near("excess", p->excess, json_number_value(json_object_get(v, "excess")), SCORES * (1 / p->score + 1 / p->null));
    bound += SCORES * (1 / p->score + 1 / p->null);
    seen++;
  }
  for (size_t k = 0; k < out.n_pairs; k++) seen -= out.pairs[k].places > 0;
  assert_int_equal(seen, 0); /* no other pair has a place */
  near("mean excess", out.mean_excess, json_number_value(json_object_get(x.test, "mean_excess")),
       bound / (double)out.scored);
  assert_true(out.low <= out.mean_excess && out.mean_excess <= out.high && out.p > 0 && out.p <= 1);
  sgi_superposition_deinit(&out);
  close_fixture(&x);
}

/* ---- planted pairs, and moved values --------------------------------------------------------- */

enum { PLANT_LAYER = 1, SUB_KEYS = 8 };

static float *row_of(sg_model *m, const char *name, size_t at, size_t width) {
  char full[96];
  snprintf(full, sizeof full, "model.layers.%d.mlp.%s", PLANT_LAYER, name);
  ptrdiff_t row = sgi_table_find(&m->table, full);
  assert_true(row >= 0);
  return m->arena + m->table.rows[row].offset + at * width;
}

/* Two second sub-keys of each channel get equal rows, so (a,0) and (a,1) fire together wherever
 * either would. Both read the same and write along the embedding of a token: so strongly that one
 * suffices (either), or half of that each. */
static void plant(sg_model *m, bool either, double strength) {
  const sg_config *c = &m->config;
  size_t D = c->hidden_size, Q = c->key_dim, F = c->num_neurons, C = c->num_channels;
  for (size_t ch = 0; ch < C; ch++) {
    float *b0 = row_of(m, "router.up.weight", (C + ch) * SUB_KEYS, Q);
    for (size_t q = 0; q < Q; q++) b0[Q + q] = b0[q] *= 2;
    for (size_t a = 0; a < SUB_KEYS; a++) {
      size_t i = ch * F + a * SUB_KEYS, token = 20 + 3 * a + 31 * ch;
      float *in = row_of(m, "experts.w_in", i, D), *out = row_of(m, "experts.w_out", i, D);
      for (size_t d = 0; d < D; d++) {
        in[D + d] = in[d];
        out[d] = out[D + d] = (float)(either ? strength : strength / 2) * m->arena[token * D + d];
      }
    }
  }
}

typedef struct world {
  int32_t *ids;
  size_t n, T;
} world;

/* Frequent and rare tokens at random. */
static world make_world(const sg_model *m, size_t n, size_t T) {
  world w = {sgi_alloc(n * T * sizeof *w.ids), n, T};
  ref_random r = {.state = 11};
  for (size_t i = 0; i < n * T; i++)
    w.ids[i] = 2 + (int32_t)ref_below(&r, 20 + ref_below(&r, m->config.vocab_size - 22));
  return w;
}

static sgi_recording *record_world(const sg_model *m, const world *w, const char *tmp) {
  char path[300];
  recorded_rows rows = {w->ids, w->n, w->T};
  sgi_record_request q = recorded_request(m, &rows);
  snprintf(path, sizeof path, "%s/rec", tmp);
  return recorded_open(&q, path);
}

static sg_model *trained(void) {
  sg_model *m;
  assert_sg_ok(sg_model_load("tests/golden/eval/model", &m, err));
  assert_sg_ok(sgi_model_own(m, err));
  return m;
}

/* Of n fair coins so many or more. */
static double binomial_tail(size_t n, size_t least) {
  double sum = 0, one = pow(0.5, (double)n);
  for (size_t k = 0; k <= n; k++) {
    if (k >= least) sum += one;
    one *= (double)(n - k) / (double)(k + 1);
  }
  return sum;
}

/* Of the planted pairs how many were scored, and how many of these have more than their null. */
static void count_planted(const sgi_superposition *s, size_t *scored, size_t *above) {
  *scored = *above = 0;
  for (size_t k = 0; k < s->n_pairs; k++) {
    const sgi_super_pair *p = &s->pairs[k];
    bool ours = p->unit[0].channel == p->unit[1].channel && p->unit[0].index % SUB_KEYS == 0 &&
                p->unit[1].index == p->unit[0].index + 1;
    if (!ours || !isfinite(p->excess)) continue;
    ++*scored;
    *above += p->excess > 0;
  }
}

static void planted_pairs_are_found(void **state) {
  (void)state;
  for (int either = 0; either < 2; either++) {
    sg_model *m = trained();
    plant(m, either, 4);
    world w = make_world(m, 40, 24);
    char *tmp = golden_temporary();
    sgi_recording *rec = record_world(m, &w, tmp);
    sgi_super_settings s = sgi_super_usual();
    sgi_superposition out;
    size_t scored, above;
    s.min_together = 8;
    s.min_lift = 1.8;
    s.max_pairs = 200;
    s.max_places = 12;
    s.samples = 100;
    assert_sg_ok(sgi_superposition_run(m, rec, PLANT_LAYER, &s, &out, err));
    count_planted(&out, &scored, &above);
    double p = binomial_tail(scored, above);
    if (getenv("SGATLIN_TEST_VERBOSE"))
      print_message("%s: %zu planted pairs scored, %zu above their null, p %.2g; the layer %.3f\n",
                    either ? "either suffices" : "both needed", scored, above, p, out.mean_excess);
    if (!(p < 0.01)) fail_msg("%zu of %zu planted pairs above their null: p %.3g", above, scored, p);
    sgi_superposition_deinit(&out);
    sg_recording_close(rec);
    golden_remove(tmp);
    sgi_free(w.ids);
    sg_model_free(m);
  }
}

static void moved_values_are_not(void **state) {
  (void)state;
  enum { SEEDS = 8 };
  sg_model *m = trained();
  world w = make_world(m, 40, 24);
  char *tmp = golden_temporary();
  sgi_recording *rec = record_world(m, &w, tmp);
  size_t found = 0;
  for (uint64_t seed = 0; seed < SEEDS; seed++) {
    sgi_super_settings s = sgi_super_usual();
    sgi_superposition out;
    s.min_together = 8;
    s.min_lift = 1.8;
    s.max_pairs = 40;
    s.max_places = 8;
    s.samples = 1000;
    s.shuffled = true;
    s.seed = seed;
    assert_sg_ok(sgi_superposition_run(m, rec, PLANT_LAYER, &s, &out, err));
    if (getenv("SGATLIN_TEST_VERBOSE"))
      print_message("moved, seed %zu: %zu pairs, excess %+.3f [%+.3f, %+.3f], p %.3f\n", (size_t)seed, out.scored,
                    out.mean_excess, out.low, out.high, out.p);
    found += out.p < 0.05;
    sgi_superposition_deinit(&out);
  }
  if (found > 2) fail_msg("%zu of %d layers of moved values have p < 0.05", found, SEEDS); /* at 5 %: 0.6 % */
  sg_recording_close(rec);
  golden_remove(tmp);
  sgi_free(w.ids);
  sg_model_free(m);
}

typedef struct watch {
  size_t calls, stop_at, last, total;
} watch;

static bool look(void *user, size_t done, size_t total) {
  watch *w = user;
  assert_true(done >= w->last && done <= total && (!w->total || total == w->total)); /* forwards, to one end */
  w->last = done;
  w->total = total;
  return ++w->calls != w->stop_at;
}

/* At places of pairs and between sets, which are told as well. */
static void it_ends_at_any_look(void **state) {
  (void)state;
  fixture x = open_fixture();
  sgi_super_settings s = sgi_super_usual();
  sgi_superposition out;
  watch all = {0};
  s.min_together = 3;
  s.min_lift = 1.2;
  s.max_pairs = 6;
  s.max_places = 3;
  s.samples = 10;
  s.progress = look;
  s.user = &all;
  assert_sg_ok(sgi_superposition_run(x.m, x.rec, 0, &s, &out, err));
  assert_true(out.n_sets > 0 && all.calls > out.n_sets);
  sgi_superposition_deinit(&out);
  for (size_t k = 1; k <= all.calls; k++) {
    watch one = {.stop_at = k};
    sg_error why = {0};
    s.user = &one;
    assert_int_equal(sgi_superposition_run(x.m, x.rec, 0, &s, &out, &why), SG_ERR_CANCELLED);
    assert_int_equal(one.calls, k);
    sgi_superposition_deinit(&out);
  }
  close_fixture(&x);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(effects), cmocka_unit_test(scores),
                                     cmocka_unit_test(it_ends_at_any_look), cmocka_unit_test(planted_pairs_are_found),
                                     cmocka_unit_test(moved_values_are_not)};
  return cmocka_run_group_tests_name("superposition", tests, NULL, NULL);
}
