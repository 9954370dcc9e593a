/* Neuron cards: weights through the embedding by plain loops; firings and partners by looking at
 * every recorded position. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "model/model.h"
#include "read/circuit.h"
#include "read/neuron_record.h"
#include "read/record.h"
#include "ffn/beside.h"
#include "support/prompts.h"
#include "support/near.h"

static const float *tensor(const sg_model *m, const char *name) {
  ptrdiff_t i = sgi_table_find(&m->table, name);
  if (i < 0) fail_msg("no tensor %s", name);
  return m->w[i];
}

static void weights(void **state) {
  (void)state;
  sg_model *m;
  assert_sg_ok(sg_model_load("tests/golden/models/sgatlin_product_dense_identity", &m, err));
  const sg_config *c = &m->config;
  size_t V = c->vocab_size, D = c->hidden_size, F = c->num_neurons, C = c->num_channels, Q = c->key_dim, S = 8;
  size_t channel = 2, index = 29;
  float *v = ref_alloc(4 * V, sizeof *v);
  sg_neuron_view view = {v, v + V, v + 2 * V, v + 3 * V};
  assert_sg_ok(sg_neuron_read(m, 1, channel, index, &view, err));
  const float *E = tensor(m, "model.embed_tokens.weight"),
              *g = tensor(m, "model.layers.1.post_attention_layernorm.weight");
  const float *in = tensor(m, "model.layers.1.mlp.experts.w_in") + (channel * F + index) * D;
  const float *out = tensor(m, "model.layers.1.mlp.experts.w_out") + (channel * F + index) * D;
  const float *down = tensor(m, "model.layers.1.mlp.router.down.weight"),
              *up = tensor(m, "model.layers.1.mlp.router.up.weight");
  const float *final = tensor(m, "model.norm.weight");
  for (size_t t = 0; t < V; t++) {
    double sum = 0, reads = 0, opens = 0, writes = 0;
    for (size_t d = 0; d < D; d++) sum += (double)E[t * D + d] * E[t * D + d];
    double r = 1 / sqrt(sum / (double)D + c->rms_norm_eps);
    for (size_t d = 0; d < D; d++)
      reads += r * E[t * D + d] * g[d] * in[d], writes += (double)E[t * D + d] * final[d] * out[d];
    for (size_t q = 0; q < Q; q++) {
      double h = 0;
      for (size_t d = 0; d < D; d++) h += r * E[t * D + d] * g[d] * down[q * D + d];
      opens += h * ((double)up[(channel * S + index / S) * Q + q] + up[((C + channel) * S + index % S) * Q + q]);
    }
    near("reads", reads, view.reads[t], 1e-4), near("opens", opens, view.opens[t], 1e-4);
    near("writes", writes, view.writes[t], 1e-4), near("reads * opens", reads * opens, view.value[t], 1e-3);
  }
  sg_neuron_link link[3];
  size_t found;
  assert_sg_ok(sg_neuron_links(m, 1, channel, index, true, 3, link, &found, err));
  assert_int_equal(found, 3);
  const float *before = tensor(m, "model.layers.0.mlp.experts.w_out");
  size_t larger = 0;
  for (size_t u = 0; u < C * F; u++) {
    double w = 0;
    for (size_t d = 0; d < D; d++) w += (double)before[u * D + d] * g[d] * in[d];
    larger += fabs(w) > fabs((double)link[2].weight) + 1e-6;
    for (size_t k = 0; k < 3; k++)
      if ((size_t)link[k].channel * F + (size_t)link[k].index == u) near("w", w, link[k].weight, 1e-5);
  }
  assert_int_equal(larger, 2);
  assert_sg_ok(sg_neuron_links(m, 1, channel, index, false, 3, link, &found, err));
  assert_int_equal(found, 0); /* the last layer */
  assert_int_equal(sg_neuron_read(m, 2, 0, 0, &view, NULL), SG_ERR_ARG);
  assert_int_equal(sg_neuron_read(m, 1, C, 0, &view, NULL), SG_ERR_ARG);
  free(v);
  sg_model_free(m);
}

enum { DOCUMENTS = 30, LENGTH = 12 };
static int32_t documents[DOCUMENTS][LENGTH];

static const int32_t *document(const void *source, size_t i, size_t *n) {
  (void)source;
  *n = LENGTH;
  return documents[i];
}

static void recorded(void **state) {
  (void)state;
  sg_model *m;
  ref_random r = {77};
  char *dir = golden_temporary(), path[300];
  assert_sg_ok(sg_model_load("tests/golden/models/sgatlin_product_dense_identity", &m, err));
  for (size_t i = 0; i < DOCUMENTS; i++) random_prompt(m, &r, documents[i], LENGTH);
  sgi_record_request q = {
      .model = m, .documents = {DOCUMENTS, document, NULL, 1}, .seq_len = LENGTH, .values = "F32", .index = true};
  sgi_recorder *recorder;
  size_t reused;
  snprintf(path, sizeof path, "%s/rec", dir);
  assert_sg_ok(sgi_recorder_create(&q, &recorder, err));
  assert_sg_ok(sgi_recorder_run(recorder, path, NULL, &reused, err));
  sgi_recorder_free(recorder);
  sgi_recording *rec;
  assert_sg_ok(sg_recording_open(path, &rec, err));
  const sgi_recording_info *info = sgi_recording_info_of(rec);
  size_t C = info->slots[0].channels, K = info->slots[0].top_k, F = info->slots[0].pool, n = info->n_positions;
  int32_t *index = ref_alloc(n * C * K, sizeof *index);
  float *value = ref_alloc(n * C * K, sizeof *value);
  for (size_t p = 0; p < n; p++) {
    sgi_recording_circuit(rec, 1, p, index + p * C * K, NULL);
    assert_true(sgi_recording_values(rec, 1, p, value + p * C * K));
  }
  /* The circuits of a document given as a prompt are those that were recorded of it. */
  int32_t prompt[LENGTH], *mine = ref_alloc(LENGTH * C * K, sizeof *mine);
  float *gates = ref_alloc(LENGTH * C * K, sizeof *gates), *theirs = ref_alloc(C * K, sizeof *theirs);
  for (size_t d = 0; d < DOCUMENTS; d += 7) {
    size_t first, rows;
    sgi_recording_document(rec, d, &first, &rows);
    for (size_t t = 0; t < rows; t++) prompt[t] = sgi_recording_at(rec, first + t).input;
    assert_sg_ok(sgi_prompt_circuits(m, rec, prompt, rows, 1, mine, gates, err));
    assert_memory_equal(mine, index + first * C * K, rows * C * K * sizeof *mine);
    for (size_t t = 0; t < rows; t++) {
      sgi_recording_circuit(rec, 1, first + t, NULL, theirs);
      for (size_t i = 0; i < C * K; i++) assert_true(fabsf(theirs[i] - gates[t * C * K + i]) <= 1e-5f);
    }
  }
  assert_int_equal(sgi_prompt_circuits(m, rec, prompt, 3, 9, mine, gates, NULL), SG_ERR_ARG);
  sg_model *small;
  assert_sg_ok(sg_model_load("tests/golden/eval/model", &small, err));
  assert_int_equal(sgi_prompt_circuits(small, rec, prompt, 3, 0, mine, gates, NULL), SG_ERR_ARG);
  sg_model_free(small);
  free(mine), free(gates), free(theirs);
  /* The neuron that fires most in channel 1. */
  size_t best = 0, most = 0, *times = ref_alloc(C * F, sizeof *times), *both = ref_alloc(C * F, sizeof *both);
  for (size_t i = 0; i < n * C * K; i++) times[i / K % C * F + (size_t)index[i]]++;
  for (size_t f = 0; f < F; f++)
    if (times[F + f] > most) most = times[F + f], best = f;
  double sum = 0;
  for (size_t p = 0; p < n; p++)
    for (size_t k = 0; k < K; k++) {
      if ((size_t)index[(p * C + 1) * K + k] != best) continue;
      sum += value[(p * C + 1) * K + k];
      for (size_t e = 0; e < C * K; e++) both[e / K * F + (size_t)index[p * C * K + e]]++;
    }
  sgi_neuron_record x;
  float *ones = ref_alloc(info->vocab_size, sizeof *ones);
  assert_sg_ok(sgi_neuron_record_init(&x, rec, 1, 1, best, ones, NULL, C * F, true, err));
  assert_int_equal(x.count, most);
  assert_int_equal(x.n_firings, most);
  for (size_t i = 0; i < x.n_firings; i++) sum -= x.firings[i].value;
  assert_true(x.n_for > 0 && x.n_for < x.n_firings); /* both sides are there to be told apart */
  for (size_t i = 0; i < x.n_firings; i++) {
    assert_true((x.firings[i].value < 0) == (i >= x.n_for));
    if (i && i != x.n_for) assert_true(fabs(x.firings[i].value) <= fabs(x.firings[i - 1].value));
  }
  near("sum", sum, 0, 1e-3), near("x.density", x.density, (double)most / (double)n, 1e-12);
  assert_true(isnan(x.agreement)); /* what foretells the same of all tokens agrees with nothing */
  size_t partners = 0;
  for (size_t f = 0; f < C * F; f++) partners += f != F + best && both[f] && 10 * both[f] >= most;
  assert_int_equal(x.n_partners, partners);
  for (size_t i = 0; i < x.n_partners; i++) {
    size_t f = (size_t)x.partners[i].channel * F + (size_t)x.partners[i].index;
    assert_int_equal(x.partners[i].together, both[f]);
    near("x.partners[i].lift", x.partners[i].lift, (double)both[f] * (double)n / ((double)most * (double)times[f]),
         1e-9);
  }
  /* Foretold by the recorded means themselves, it agrees fully; by their opposites, not at all. */
  double *mean = ref_alloc(info->vocab_size, sizeof *mean), *count = ref_alloc(info->vocab_size, sizeof *count);
  for (size_t i = 0; i < x.n_firings; i++) {
    int32_t t = sgi_recording_at(rec, x.firings[i].position).input;
    mean[t] += x.firings[i].value;
    count[t]++;
  }
  /* Parts of the histograms hold all firings, each in the part that its number belongs to. */
  const sgi_neuron_histogram *h[] = {&x.gates, &x.values};
  for (size_t k = 0; k < 2; k++) {
    size_t all = 0;
    for (size_t b = 0; b < SGI_NEURON_BINS; b++) {
      double width = (h[k]->high - h[k]->low) / SGI_NEURON_BINS, low = h[k]->low + width * (double)b;
      size_t inside = 0;
      for (size_t i = 0; i < x.n_firings; i++) {
        double v = k ? x.firings[i].value : x.firings[i].score;
        inside += v >= low - 1e-9 && (v < low + width + 1e-9);
      }
      assert_true(h[k]->count[b] <= inside);
      all += h[k]->count[b];
    }
    assert_int_equal(all, most);
  }
  /* Values of a range: the neuron's where it fired, NaN elsewhere. */
  double *range = ref_alloc(n, sizeof *range), *after = ref_alloc(info->vocab_size, sizeof *after),
         *follows = ref_alloc(info->vocab_size, sizeof *follows);
  assert_sg_ok(sgi_neuron_recorded_values(rec, 1, 1, best, 0, n, range, err));
  for (size_t p = 0; p < n; p++) {
    double found = NAN;
    for (size_t k = 0; k < K; k++)
      if ((size_t)index[(p * C + 1) * K + k] == best) found = (double)value[(p * C + 1) * K + k];
    assert_true(isnan(found) ? isnan(range[p]) : range[p] == found);
    int32_t t = sgi_recording_at(rec, p).target;
    after[t] += isnan(found) ? 0 : found;
    follows[t]++;
  }
  assert_int_equal(sgi_neuron_recorded_values(rec, 1, 1, best, n, 1, range, NULL), SG_ERR_ARG);
  for (size_t t = 0; t < info->vocab_size; t++) ones[t] = follows[t] > 0 ? (float)(after[t] / follows[t]) : 1e6f;
  sgi_neuron_record_deinit(&x);
  assert_sg_ok(sgi_neuron_record_init(&x, rec, 1, 1, best, NULL, ones, 3, true, err));
  assert_true(x.written_tokens >= 3 && fabs(x.written_agreement - 1) < 0.02 && isnan(x.agreement));
  free(range), free(after), free(follows);
  for (int sign = -1; sign <= 1; sign += 2) {
    for (size_t t = 0; t < info->vocab_size; t++) ones[t] = count[t] > 0 ? (float)(sign * mean[t] / count[t]) : 0;
    sgi_neuron_record_deinit(&x);
    assert_sg_ok(sgi_neuron_record_init(&x, rec, 1, 1, best, ones, NULL, 3, true, err));
    assert_true(x.agreement_tokens >= 3 && fabs(x.agreement - sign) < 0.02);
  }
  sgi_neuron_record_deinit(&x);
  assert_sg_ok(sgi_neuron_record_init(&x, rec, 1, 1, best, NULL, NULL, 3, false, err));
  for (size_t i = 0; i < x.n_firings; i++) assert_true(sgi_recording_at(rec, x.firings[i].position).input != info->bos);
  sgi_neuron_record_deinit(&x);
  assert_int_equal(sgi_neuron_record_init(&x, rec, 1, C, 0, NULL, NULL, 3, false, NULL), SG_ERR_ARG);
  sgi_neuron_record_deinit(&x);
  assert_int_equal(sgi_neuron_record_init(&x, rec, 9, 0, 0, NULL, NULL, 3, false, NULL), SG_ERR_ARG);
  sgi_neuron_record_deinit(&x);
  free(index), free(value), free(times), free(both), free(ones), free(mean), free(count);
  sg_recording_close(rec);
  sg_model_free(m);
  golden_remove(dir);
}

enum { T = 7 };
static size_t fired;

static const sg_site *site_of(const sg_run *run, size_t layer, const char *name, sg_site *out) {
  char full[SG_SITE_NAME];
  snprintf(full, sizeof full, "layers.%zu.%s", layer, name);
  return sg_run_find(run, full, out) ? out : NULL;
}

/* Along a prompt: the run's own sites, wherever the neuron stands in them. */
static void along(const sg_model *m, const char *name, ref_random *r) {
  const sg_config *c;
  size_t l = some_feedforward(m, r, &c);
  char pattern[32];
  const char *all = pattern;
  snprintf(pattern, sizeof pattern, "layers.%zu.*", l);
  int32_t tokens[T];
  sg_run *run;
  sg_site values, norm, score, index, gate, expert;
  sg_activation a[T];
  random_prompt(m, r, tokens, T);
  assert_sg_ok(
      sg_run_create(m, &(sg_run_request){.tokens = tokens, .count = T, .record = &all, .n_record = 1}, &run, err));
  assert_non_null(site_of(run, l, "neurons", &values));
  assert_non_null(site_of(run, l, "mlp.norm", &norm));
  const sg_site *s = site_of(run, l, "router.scores", &score), *x = site_of(run, l, "router.indices", &index);
  const sg_site *g = site_of(run, l, "gate.logits", &gate), *e = site_of(run, l, "gate.indices", &expert);
  size_t C = sgi_unit_channels(c), K = c->top_k, F = c->num_neurons, D = c->hidden_size;
  for (size_t i = 0; i < 40; i++) {
    size_t t0 = ref_below(r, T), channel = ref_below(r, C), f = ref_below(r, F);
    if (x) f = (size_t)x->index[(t0 * C + channel) * K + ref_below(r, K)]; /* one that fires somewhere */
    if (e) channel = (size_t)e->index[t0 * K + ref_below(r, K)];
    if (!s && !g) channel = 0;
    assert_sg_ok(sg_neuron_activations(m, tokens, T, l, channel, f, a, err));
    sgi_unit u;
    assert_true(
        sgi_feedforward_of(m, l)->ffn->unit_at(c, sgi_feedforward_of(m, l)->weight + SGI_T_OWN, channel, f, &u));
    for (size_t t = 0; t < T; t++) {
      double want = 0, gates = 0, input = u.constant;
      bool chosen = !s && !g;
      if (chosen) want = (double)values.data[t * F + f];
      for (size_t k = 0; k < K && (s || g); k++) {
        size_t at = (t * C + channel) * K + k;
        if (x && (size_t)x->index[at] == f) chosen = true, want = (double)values.data[at], gates = (double)s->data[at];
        if (e && (size_t)e->index[t * K + k] == channel)
          chosen = true, want = (double)values.data[(t * K + k) * F + f], gates = (double)g->data[t * C + channel];
      }
      for (size_t d = 0; d < D; d++) input += (double)norm.data[t * D + d] * (double)sgi_slice_at(&u.in, d);
      if (a[t].chosen != chosen || a[t].value != want || a[t].score != gates || fabs(a[t].input - input) > 1e-9)
        fail_msg("%s: neuron %zu of channel %zu at %zu: %g, gate %g, expected %g, %g", name, f, channel, t, a[t].value,
                 a[t].score, want, gates);
      fired += chosen && want != 0;
    }
    if (s || g) assert_true(a[t0].chosen);
  }
  for (int part = 0; part < SGI_BESIDE_PARTS; part++) {
    size_t N = sgi_beside_neurons(c, (sgi_beside)part), channel = sgi_beside_channel(c, (sgi_beside)part);
    sgi_unit u;
    if (!N) continue;
    assert_non_null(site_of(run, l, sgi_site_row_of(sgi_beside_site((sgi_beside)part))->name, &values));
    assert_sg_ok(sg_neuron_activations(m, tokens, T, l, channel, N - 1, a, err));
    assert_true(sgi_sublayer_unit_at(sgi_feedforward_of(m, l), channel, N - 1, &u));
    for (size_t t = 0; t < T; t++) {
      double input = sgi_unit_read_in(&u, norm.data + t * D, D);
      assert_true(a[t].chosen && a[t].score == 0 && a[t].value == (double)values.data[t * N + N - 1]);
      near("input", a[t].input, input, 1e-9);
    }
    assert_int_equal(sg_neuron_activations(m, tokens, T, l, channel, N, a, NULL), SG_ERR_ARG);
  }
  assert_int_equal(sg_neuron_activations(m, tokens, T, l, C + SGI_BESIDE_PARTS, 0, a, NULL), SG_ERR_ARG);
  assert_int_equal(sg_neuron_activations(m, tokens, T, c->num_layers, 0, 0, a, NULL), SG_ERR_ARG);
  sg_run_free(run);
}

static void activations(void **state) {
  (void)state;
  each_model(along);
  assert_true(fired > 500);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(weights), cmocka_unit_test(recorded),
                                     cmocka_unit_test(activations)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
