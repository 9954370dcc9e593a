/* Two neurons as one: the closed form against LAPACK's singular values and least squares; pairs
 * that are one neuron already, after which nothing changes where both fire; what the merged model
 * writes against what was promised; and what can not be merged. */
#include "support/golden.h"

#include <lapacke.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "model/pass.h"
#include "model/quantize.h"
#include "read/merge.h"
#include "ref/ref.h"
#include "support/near.h"
#include "support/recorded.h"

/* ---- the form -------------------------------------------------------------------------------- */

enum { N = 60, D = 11 };

typedef struct pair {
  double value[N][2], gate[N][2];
  float row[2][D];
} pair;

/* ratio: of the gates, 0 for any; share: of the second's a and row that are the first's. */
static pair make_pair(uint64_t seed, double ratio, double same_in, double same_out) {
  ref_random r = {.state = seed};
  pair p;
  for (size_t n = 0; n < N; n++) {
    double a[2] = {ref_normal(&r), ref_normal(&r)};
    a[1] = same_in * 0.7 * a[0] + (1 - same_in) * a[1];
    for (size_t k = 0; k < 2; k++) p.gate[n][k] = ref_normal(&r);
    if (ratio != 0) p.gate[n][1] = ratio * p.gate[n][0];
    for (size_t k = 0; k < 2; k++) p.value[n][k] = p.gate[n][k] * a[k];
  }
  for (size_t d = 0; d < D; d++) {
    p.row[0][d] = (float)ref_normal(&r);
    p.row[1][d] = (float)(same_out * -1.5 * (double)p.row[0][d] + (1 - same_out) * ref_normal(&r));
  }
  return p;
}

static bool fit(const pair *p, sgi_merge_form *form, float *u) {
  sgi_merge_sums s = {0};
  for (size_t n = 0; n < N; n++) assert_true(sgi_merge_add(&s, p->value[n], p->gate[n]));
  assert_int_equal(s.n, N);
  return sgi_merge_fit(&s, (const float *const[]){p->row[0], p->row[1]}, D, form, u);
}

/* y (N,D), and sum y^2. */
static double written(const pair *p, double *y) {
  double total = 0;
  for (size_t n = 0; n < N; n++)
    for (size_t d = 0; d < D; d++) {
      y[n * D + d] = p->value[n][0] * (double)p->row[0][d] + p->value[n][1] * (double)p->row[1][d];
      total += y[n * D + d] * y[n * D + d];
    }
  return total;
}

/* The share that neuron k keeps with LAPACK's u and least squares. */
static double kept_by(const pair *p, const double *y, double total, const double *u, size_t k) {
  double a[N * 2], t[N], in[2], error = 0;
  for (size_t n = 0; n < N; n++) {
    a[n * 2] = p->value[n][k];
    a[n * 2 + 1] = p->gate[n][k] * p->value[n][1 - k] / p->gate[n][1 - k];
    t[n] = 0;
    for (size_t d = 0; d < D; d++) t[n] += u[d] * y[n * D + d];
  }
  double singular[2], copy[N * 2];
  lapack_int rank;
  memcpy(copy, a, sizeof a);
  assert_int_equal(LAPACKE_dgelsd(LAPACK_ROW_MAJOR, N, 2, 1, copy, 2, t, 1, singular, 1e-6, &rank), 0);
  in[0] = t[0], in[1] = t[1];
  for (size_t n = 0; n < N; n++)
    for (size_t d = 0; d < D; d++) {
      double e = (a[n * 2] * in[0] + a[n * 2 + 1] * in[1]) * u[d] - y[n * D + d];
      error += e * e;
    }
  return 1 - error / total;
}

static void check_form(const pair *p, bool one_gate) {
  sgi_merge_form form;
  float u[D];
  double y[N * D], copy[N * D], singular[D], left[N * D], right[D * D], along = 0, total = written(p, y);
  assert_true(fit(p, &form, u));
  memcpy(copy, y, sizeof y);
  assert_int_equal(LAPACKE_dgesdd(LAPACK_ROW_MAJOR, 'S', N, D, copy, D, singular, left, D, right, D), 0);
  near("explained", form.explained, singular[0] * singular[0] / total, 1e-12);
  for (size_t d = 0; d < D; d++) along += (double)u[d] * right[d];
  near("u along the first singular vector", fabs(along), 1, 1e-6);
  double kept[2] = {kept_by(p, y, total, right, 0), kept_by(p, y, total, right, 1)};
  near("kept", form.kept, kept[0] > kept[1] ? kept[0] : kept[1], 1e-9);
  near("kept by the one that was chosen", form.kept, kept[form.into], 1e-9);
  if (one_gate) near("error with one gate", 1 - form.kept, 1 - form.explained, 1e-12);
  assert_true(form.kept <= form.explained + 1e-12 && form.explained >= 0.5 && form.explained <= 1 + 1e-12);
}

static void the_form_is_lapacks(void **state) {
  (void)state;
  for (uint64_t seed = 1; seed <= 20; seed++) {
    const double ratios[] = {0, 0.8};
    for (size_t k = 0; k < SGI_COUNT(ratios); k++) {
      pair p = make_pair(seed, ratios[k], 0, 0), lean = make_pair(seed, ratios[k], 0.9, 0.9);
      check_form(&p, ratios[k] != 0);
      check_form(&lean, ratios[k] != 0);
    }
  }
}

static void one_neuron_in_two_is_whole(void **state) {
  (void)state;
  sgi_merge_form form;
  float u[D];
  pair in = make_pair(3, 0.8, 1, 0), out = make_pair(4, 0.8, 0, 1), both = make_pair(5, 0, 1, 1);
  assert_true(fit(&in, &form, u));
  near("explained, one input row", form.explained, 1, 1e-12);
  near("kept", form.kept, 1, 1e-12);
  assert_true(fit(&out, &form, u));
  near("explained, one output row", form.explained, 1, 1e-12);
  near("kept", form.kept, 1, 1e-12);
  assert_true(fit(&both, &form, u)); /* one direction, but no gate is the sum of both */
  near("explained, other gates", form.explained, 1, 1e-12);
  assert_true(form.kept < 0.999);
}

static void nothing_to_fit(void **state) {
  (void)state;
  sgi_merge_form form;
  sgi_merge_sums s = {0};
  float u[D], zero[D] = {0}, one[D] = {1};
  assert_false(sgi_merge_fit(&s, (const float *const[]){one, one}, D, &form, u)); /* no position */
  assert_false(sgi_merge_add(&s, (const double[]){1, 0}, (const double[]){1, 0}));
  assert_false(sgi_merge_add(&s, (const double[]){NAN, 1}, (const double[]){1, 1}));
  assert_int_equal(s.n, 0);
  assert_true(sgi_merge_add(&s, (const double[]){1, 2}, (const double[]){1, 1}));
  assert_false(sgi_merge_fit(&s, (const float *const[]){zero, zero}, D, &form, u)); /* no output row */
  assert_true(sgi_merge_fit(&s, (const float *const[]){zero, one}, D, &form, u));
  near("explained by the other alone", form.explained, 1, 1e-12);
}

/* ---- of a model ------------------------------------------------------------------------------ */

enum { DOCUMENTS = 40, LENGTH = 24, LAST = 2, SUB_KEYS = 8 };

static float *row_of(sg_model *m, size_t layer, const char *name, size_t at, size_t width) {
  char full[96];
  snprintf(full, sizeof full, "model.layers.%zu.mlp.%s", layer, name);
  ptrdiff_t row = sgi_table_find(&m->table, full);
  assert_true(row >= 0);
  return m->arena + m->table.rows[row].offset + at * width;
}

static sg_model *trained(void) {
  sg_model *m;
  assert_sg_ok(sg_model_load("tests/golden/eval/model", &m, err));
  assert_sg_ok(sgi_model_own(m, err));
  return m;
}

static int32_t *make_ids(const sg_model *m) {
  int32_t *ids = sgi_alloc(DOCUMENTS * LENGTH * sizeof *ids);
  ref_random r = {.state = 5};
  for (size_t i = 0; i < DOCUMENTS * LENGTH; i++)
    ids[i] = 2 + (int32_t)ref_below(&r, 20 + ref_below(&r, m->config.vocab_size - 22));
  return ids;
}

static sgi_recording *record(const sg_model *m, const int32_t *ids, const char *tmp, const char *name,
                             const char *values) {
  char path[300];
  recorded_rows rows = {ids, DOCUMENTS, LENGTH};
  sgi_record_request q = recorded_request(m, &rows);
  q.values = values;
  snprintf(path, sizeof path, "%s/%s", tmp, name);
  return recorded_open(&q, path);
}

/* Two second sub-keys of channel 1 get equal rows, so (a,0) and (a,1) have one gate. */
static void plant(sg_model *m, bool one_input) {
  size_t width = m->config.hidden_size, Q = m->config.key_dim, F = m->config.num_neurons, C = m->config.num_channels;
  float *b = row_of(m, LAST, "router.up.weight", (C + 1) * SUB_KEYS, Q);
  for (size_t q = 0; q < Q; q++) b[Q + q] = b[q] *= 2;
  for (size_t a = 0; a < SUB_KEYS; a++) {
    float *in = row_of(m, LAST, "experts.w_in", F + a * SUB_KEYS, width),
          *out = row_of(m, LAST, "experts.w_out", F + a * SUB_KEYS, width);
    for (size_t d = 0; d < width; d++)
      if (one_input)
        in[width + d] = 0.5F * in[d];
      else
        out[width + d] = -2 * out[d];
  }
}

static float *logits_of(const sg_model *m, const int32_t *inputs) {
  size_t n = DOCUMENTS * LENGTH, V = m->config.vocab_size;
  float *x = sgi_alloc(n * V * sizeof *x);
  sgi_pass *p;
  assert_sg_ok(sgi_pass_create(m, DOCUMENTS, LENGTH, false, &p, err));
  assert_sg_ok(sgi_pass_forward(p, &(sgi_batch){.B = DOCUMENTS, .T = LENGTH, .inputs = inputs}, NULL, err));
  assert_sg_ok(sgi_pass_logits(p, 0, n, x, err));
  sgi_pass_free(p);
  return x;
}

static size_t fire(const sgi_recording *rec, size_t slot, size_t position, const sgi_merged *p) {
  float value;
  size_t n = 0;
  for (size_t k = 0; k < 2; k++)
    n += sgi_recording_value(rec, slot, position, (size_t)p->unit[k].channel, (size_t)p->unit[k].index, &value);
  return n;
}

/* In the last layer, behind which no position sees another: where both fire nothing changes, where
 * neither does not one bit. */
static void check_planted(bool one_input) {
  sg_model *m = trained();
  plant(m, one_input);
  int32_t *ids = make_ids(m), inputs[DOCUMENTS * LENGTH];
  char *tmp = golden_temporary();
  sgi_recording *rec = record(m, ids, tmp, "rec", "F32");
  sgi_merge_settings s = {.most = 1, .min_together = 10, .min_share = 0.5};
  sgi_merges x;
  assert_sg_ok(sgi_merge_check(m, rec, LAST, err));
  assert_sg_ok(sgi_merge_find(m, rec, LAST, &s, &x, err));
  assert_int_equal(x.n, 1);
  const sgi_merged *p = &x.list[0];
  assert_true(p->unit[0].channel == 1 && p->unit[1].channel == 1);
  assert_true((p->unit[0].index ^ p->unit[1].index) == 1 && (p->unit[0].index & ~1) % SUB_KEYS == 0);
  near("explained", p->form.explained, 1, 1e-9);
  near("kept", p->form.kept, 1, 1e-9);
  for (size_t i = 0; i < DOCUMENTS * LENGTH; i++) inputs[i] = sgi_recording_at(rec, i).input;
  float *before = logits_of(m, inputs);
  sgi_merge_apply(m, LAST, &x);
  float *after = logits_of(m, inputs);
  size_t V = m->config.vocab_size, count[3] = {0}, changed = 0;
  for (size_t i = 0; i < DOCUMENTS * LENGTH; i++) {
    size_t n = fire(rec, LAST, i, p);
    double most = 0;
    for (size_t v = 0; v < V; v++) most = worse(most, fabs((double)after[i * V + v] - (double)before[i * V + v]));
    count[n]++;
    if (n == 2) near("a logit where both fire", most, 0, 2e-5);
    if (n == 0) near("a logit where neither fires", most, 0, 0);
    if (n == 1) changed += most > 1e-3;
  }
  assert_true(count[2] == p->together && count[0] && count[1] && changed);
  sgi_merges_deinit(&x);
  sgi_free(before), sgi_free(after), sgi_free(ids);
  sg_recording_close(rec);
  golden_remove(tmp);
  sg_model_free(m);
}

static void one_neuron_in_two_changes_nothing(void **state) {
  (void)state;
  check_planted(true);
  check_planted(false);
}

/* A unit's value at a position, added over channels where they share a pool. */
static double value_at(const sgi_recording *rec, size_t slot, size_t position, sgi_super_unit u, bool shared) {
  const sgi_slot *z = &sgi_recording_info_of(rec)->slots[slot];
  double sum = 0;
  for (size_t c = 0; c < z->channels; c++) {
    float value = 0;
    if ((shared || (int32_t)c == u.channel) && sgi_recording_value(rec, slot, position, c, (size_t)u.index, &value))
      sum += (double)value;
  }
  return sum;
}

static void copy_row(const sg_model *m, size_t layer, sgi_super_unit u, float *out) {
  const sgi_sublayer *s = sgi_feedforward_of(m, layer);
  sgi_unit unit;
  assert_true(sgi_sublayer_unit_at(s, (size_t)u.channel, (size_t)u.index, &unit));
  sgi_unit_out(&unit, out, m->config.hidden_size);
}

/* Of a merged pair the share that the new model's recording shows to be kept where both fired. */
static double realised(const sgi_recording *old, const sgi_recording *now, size_t slot, const sgi_merged *p,
                       const float *row, size_t width, bool shared) {
  double total = 0, error = 0;
  for (size_t i = 0; i < DOCUMENTS * LENGTH; i++) {
    double v[2] = {value_at(old, slot, i, p->unit[0], shared), value_at(old, slot, i, p->unit[1], shared)};
    if (v[0] == 0 || v[1] == 0) continue;
    double s = value_at(now, slot, i, p->unit[0], shared);
    for (size_t d = 0; d < width; d++) {
      double y = v[0] * (double)row[d] + v[1] * (double)row[width + d], e = y - s * (double)p->u[d];
      total += y * y;
      error += e * e;
    }
  }
  return 1 - error / total;
}

static void check_counts(const sgi_merges *x, bool shared) {
  assert_int_equal(x->found, x->n + x->across + x->taken + x->silent + x->left);
  if (shared) assert_int_equal(x->across, 0);
  for (size_t k = 0; k < x->n; k++) {
    const sgi_merged *p = &x->list[k];
    assert_true(p->unit[0].channel == p->unit[1].channel && p->unit[0].index != p->unit[1].index);
    assert_true(k == 0 || x->list[k - 1].share >= p->share);
    for (size_t i = 0; i < k; i++)
      for (size_t u = 0; u < 4; u++)
        assert_false(x->list[i].unit[u / 2].channel == p->unit[u % 2].channel &&
                     x->list[i].unit[u / 2].index == p->unit[u % 2].index);
  }
}

static void check_realised(sg_model *m, size_t layer, size_t least, bool shared) {
  size_t width = m->config.hidden_size;
  int32_t *ids = make_ids(m);
  char *tmp = golden_temporary();
  sgi_recording *old = record(m, ids, tmp, "old", "F32");
  sgi_merge_settings s = {.most = 6, .min_together = 5, .min_share = 0.3};
  sgi_merges x;
  assert_sg_ok(sgi_merge_check(m, old, layer, err));
  assert_sg_ok(sgi_merge_find(m, old, layer, &s, &x, err));
  assert_true(x.n >= least);
  check_counts(&x, shared);
  float *rows = sgi_alloc(x.n * 2 * width * sizeof *rows);
  for (size_t k = 0; k < x.n * 2; k++) copy_row(m, layer, x.list[k / 2].unit[k % 2], rows + k * width);
  sgi_merge_apply(m, layer, &x);
  sgi_recording *now = record(m, ids, tmp, "now", "F32");
  for (size_t k = 0; k < x.n; k++) {
    const sgi_merged *p = &x.list[k];
    near("kept by the model that was written", realised(old, now, layer, p, rows + k * 2 * width, width, shared),
         p->form.kept, 2e-5);
    copy_row(m, layer, p->unit[1], rows);
    for (size_t d = 0; d < width; d++) assert_true(rows[d] == 0);
  }
  sgi_free(rows), sgi_free(ids);
  sgi_merges_deinit(&x);
  sg_recording_close(old);
  sg_recording_close(now);
  golden_remove(tmp);
  sg_model_free(m);
}

static sg_model *made_as(const char *kind, const char *router, const char *activation, bool bias) {
  sg_model *m;
  sg_config c;
  assert_sg_ok(sg_config_load("tests/golden/eval/model", &c, err));
  snprintf(c.feedforward, sizeof c.feedforward, "%s", kind);
  snprintf(c.router, sizeof c.router, "%s", router);
  snprintf(c.activation, sizeof c.activation, "%s", activation);
  c.options.bias = bias;
  assert_sg_ok(sg_model_create(&c, 3, &m, err));
  return m;
}

/* Of the candidates those above their channel's threshold act. */
static sg_model *gated(void) {
  sg_model *m;
  sg_config c;
  assert_sg_ok(sg_config_load("tests/golden/eval/model", &c, err));
  snprintf(c.options.gates, sizeof c.options.gates, "jumprelu");
  c.options.bandwidth = 0.1;
  assert_sg_ok(sg_model_create(&c, 3, &m, err));
  float *threshold = row_of(m, 1, "router.threshold", 0, 1);
  for (size_t i = 0; i < c.num_channels; i++) threshold[i] = 0.5F + 0.2F * (float)i;
  return m;
}

static void a_model_keeps_what_was_promised(void **state) {
  (void)state;
  check_realised(trained(), 1, 2, false);
  sg_model *peer = made_as("peer", "product_key_value", "identity", true);
  float *bias = row_of(peer, 1, "experts.b_in", 0, 1);
  for (size_t i = 0; i < peer->config.num_neurons; i++) bias[i] = 0.1F * (float)(i % 7) - 0.2F;
  check_realised(peer, 1, 2, true);
  check_realised(gated(), 1, 2, false);
}

/* ---- what is refused ------------------------------------------------------------------------- */

/* Takes m. */
static void refused(sg_model *m, const char *values, sg_status status, const char *word) {
  int32_t *ids = make_ids(m);
  char *tmp = golden_temporary();
  sgi_recording *rec = record(m, ids, tmp, "rec", values);
  sg_error err = {0};
  assert_int_equal(sgi_merge_check(m, rec, 0, &err), status);
  if (!strstr(err.text, word)) fail_msg("\"%s\" does not say %s", err.text, word);
  sg_recording_close(rec);
  golden_remove(tmp);
  sgi_free(ids);
  sg_model_free(m);
}

static sg_model *in_int8(char *tmp) {
  sg_model *m = trained(), *small;
  sgi_quantize_request r = {.how = {.to = SGI_I8}};
  sgi_quantized done;
  assert_sg_ok(sgi_model_quantize(m, &r, tmp, &done, err));
  assert_sg_ok(sg_model_load(tmp, &small, err));
  sg_model_free(m);
  return small;
}

static sg_model *with_options(bool tied, size_t pools) {
  sg_model *m;
  sg_config c;
  assert_sg_ok(sg_config_load("tests/golden/eval/model", &c, err));
  if (tied) c.layers[1].feedforward_as = 1;
  c.options.meta_experts = pools;
  if (pools) {
    c.options.meta_top_k = 1;
    snprintf(c.options.meta_choice, sizeof c.options.meta_choice, "token");
  }
  assert_sg_ok(sg_model_create(&c, 3, &m, err));
  return m;
}

static void what_can_not_be_merged_says_why(void **state) {
  (void)state;
  static const char *const activations[] = {"gelu", "relu", "relu2", "swish"};
  for (size_t k = 0; k < SGI_COUNT(activations); k++) {
    refused(made_as("sgatlin", "product_dense", activations[k], false), "F32", SG_ERR_UNSUPPORTED, activations[k]);
    refused(made_as("peer", "product_key_value", activations[k], false), "F32", SG_ERR_UNSUPPORTED, activations[k]);
  }
  sg_model *moe;
  assert_sg_ok(sg_model_load("tests/golden/models/moe", &moe, err));
  refused(moe, "F32", SG_ERR_UNSUPPORTED, "moe");
  refused(trained(), "none", SG_ERR_ARG, "--values");
  refused(with_options(true, 0), "F32", SG_ERR_UNSUPPORTED, "shares its neurons");
  refused(with_options(false, 2), "F32", SG_ERR_UNSUPPORTED, "metarouter");
  char *tmp = golden_temporary();
  refused(in_int8(tmp), "F32", SG_ERR_UNSUPPORTED, "int8");
  golden_remove(tmp);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(the_form_is_lapacks),
                                     cmocka_unit_test(one_neuron_in_two_is_whole),
                                     cmocka_unit_test(nothing_to_fit),
                                     cmocka_unit_test(one_neuron_in_two_changes_nothing),
                                     cmocka_unit_test(a_model_keeps_what_was_promised),
                                     cmocka_unit_test(what_can_not_be_merged_says_why)};
  return cmocka_run_group_tests_name("merge", tests, NULL, NULL);
}
