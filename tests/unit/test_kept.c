/* Neurons that a recording keeps one by one: beside plain loops over the card's values along each
 * row; resumed; damaged. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/arena.h"
#include "core/file.h"
#include "read/kept.h"
#include "read/label.h"
#include "read/neuron.h"
#include "read/neuron_list.h"
#include "read/neuron_record.h"
#include "support/recorded.h"

enum { ROWS = 5, T = 20, N = ROWS * T };

static void fill_rows(int32_t *ids) {
  for (int i = 0; i < N; i++) ids[i] = 3 + i * i % 17 + (i % 7 == 0);
}

typedef struct ranked {
  float value;
  uint32_t position;
} ranked;

static int by_size(const void *a, const void *b) {
  const ranked *x = a, *y = b;
  if (fabsf(x->value) != fabsf(y->value)) return fabsf(x->value) > fabsf(y->value) ? -1 : 1;
  return x->position < y->position ? -1 : 1;
}

static void kept_beside(const char *model) {
  sg_model *m;
  int32_t ids[N];
  assert_sg_ok(sg_model_load(model, &m, err));
  const sg_config *c = &m->layers[0].config;
  fill_rows(ids);
  char *directory = golden_temporary();
  recorded_rows rows = {ids, ROWS, T};
  sgi_record_request q = recorded_request(m, &rows);
  sgi_recording *r = recorded_open(&q, directory);
  sgi_bound bound;
  assert_sg_ok(sgi_recording_bind(r, m, "it", &bound, err));
  assert_int_equal(bound, SGI_BOUND);
  sgi_neuron_list list;
  assert_sg_ok(sgi_neuron_list_make(m, NULL, r, NULL, NULL, &list, err));
  size_t looked = 0, channels = sgi_unit_channels(c);
  for (size_t u = 0; u < 40; u++) {
    size_t layer = u % c->num_layers, channel = u % channels, index = (11 * u) % c->num_neurons;
    const sgi_kept *k = sgi_recording_kept(r, layer);
    assert_non_null(k);
    ranked side[2][N];
    size_t n[2] = {0}, count = 0, at;
    double sum = 0, all = 0, low = INFINITY, high = -INFINITY;
    for (size_t row = 0; row < ROWS; row++) {
      int32_t inputs[T];
      sg_activation a[T];
      inputs[0] = c->bos_id;
      memcpy(inputs + 1, ids + row * T, (T - 1) * sizeof *inputs);
      assert_sg_ok(sg_neuron_activations(m, inputs, T, layer, channel, index, a, err));
      for (size_t t = 0; t < T; t++) {
        if (!a[t].chosen) continue;
        float x = (float)a[t].value;
        count += sgi_feedforward_of(m, layer)->ffn->routes ? 1 : x > 0;
        if (sgi_label_special(m, NULL, (size_t)inputs[t])) continue;
        sum += (double)x;
        all += fabs((double)x);
        low = fmin(low, (double)x);
        high = fmax(high, (double)x);
        if (x != 0) side[x < 0][n[x < 0]++] = (ranked){x, (uint32_t)(row * T + t)};
      }
    }
    sgi_neuron_record record;
    assert_sg_ok(sgi_neuron_record_init(&record, r, layer, channel, index, NULL, NULL, 5, false, err));
    assert_true(record.kept);
    assert_int_equal(record.count, count);
    size_t shown = 0;
    for (int s = 0; s < 2; s++) {
      qsort(side[s], n[s], sizeof *side[s], by_size);
      size_t most = n[s] < SGI_KEPT_EACH ? n[s] : SGI_KEPT_EACH;
      if (!s) assert_int_equal(record.n_for, most);
      for (size_t i = 0; i < most; i++, shown++) {
        /* Batches of other sizes: the last bits may differ, and so may the order of near equals. */
        assert_true(fabs(record.firings[shown].value - (double)side[s][i].value) <=
                    1e-5 * (1 + fabs(side[s][i].value)));
        double value;
        assert_sg_ok(
            sgi_neuron_recorded_values(r, layer, channel, index, record.firings[shown].position, 1, &value, err));
        assert_true(value == record.firings[shown].value);
        looked++;
      }
    }
    assert_int_equal(record.n_firings, shown);
    size_t sampled = 0;
    for (size_t b = 0; b < SGI_NEURON_BINS; b++) sampled += record.values.count[b];
    assert_int_equal(sampled, n[0] + n[1]); /* of so few positions all are in the sample */
    if (sampled) {
      assert_true(fabs(record.values.low - low) <= 1e-5 * (1 + fabs(low)));
      assert_true(fabs(record.values.high - high) <= 1e-5 * (1 + fabs(high)));
    }
    assert_sg_ok(sgi_neuron_list_find(&list, layer, channel, index, &at, err));
    assert_true(list.at[at].recorded && list.at[at].count == count);
    assert_true(fabs(list.at[at].sum - sum) <= 1e-4 * (1 + all) && fabs(list.at[at].all - all) <= 1e-4 * (1 + all));
    sgi_label l;
    assert_sg_ok(sgi_label_make(m, NULL, r, layer, channel, index, &l, err));
    assert_int_equal(l.recorded, n[0] + n[1] > 0);
    sgi_neuron_record_deinit(&record);
  }
  assert_true(looked > 100);
  sgi_neuron_list_deinit(&list);
  sg_recording_close(r);
  golden_remove(directory);
  sg_model_free(m);
}

static void dense(void **state) {
  (void)state;
  kept_beside("tests/golden/models/mlp");
}

static void experts(void **state) {
  (void)state;
  kept_beside("tests/golden/models/moe");
}

/* The file is whole or not there; numbers out of bounds are told with the file, and never read. */
static void damage(void **state) {
  (void)state;
  sg_model *m;
  int32_t ids[N];
  assert_sg_ok(sg_model_load("tests/golden/models/mlp", &m, err));
  fill_rows(ids);
  char *directory = golden_temporary(), path[600], *bytes, *again;
  recorded_rows rows = {ids, ROWS, T};
  sgi_record_request q = recorded_request(m, &rows);
  sg_recording_close(recorded_open(&q, directory));
  snprintf(path, sizeof path, "%s/" SGI_KEPT_FILE, directory);
  size_t size, size2, refused = 0;
  assert_sg_ok(sgi_read_file(path, 1 << 24, &bytes, &size, err));
  /* A run that lost the file makes the same one. */
  assert_sg_ok(sgi_remove_tree(path, err));
  sgi_recorder *recorder;
  size_t reused;
  assert_sg_ok(sgi_recorder_create(&q, &recorder, err));
  assert_sg_ok(sgi_recorder_run(recorder, directory, NULL, &reused, err));
  sgi_recorder_free(recorder);
  assert_sg_ok(sgi_read_file(path, 1 << 24, &again, &size2, err));
  assert_true(size == size2 && !memcmp(bytes, again, size));
  char manifest[600];
  snprintf(manifest, sizeof manifest, "%s/MANIFEST.json", directory);
  assert_sg_ok(sgi_remove_tree(manifest, err)); /* so that hashes do not say it first */
  for (size_t i = size / 3; i < size; i += size / 60) {
    bytes[i] = bytes[i] == (char)0xff ? 0x7f : (char)0xff;
    assert_sg_ok(sgi_write_file(path, bytes, size, err));
    sgi_recording *r;
    sg_error e = {0};
    sg_status st = sg_recording_open(directory, &r, &e);
    for (size_t l = 0; !st && l < 3; l++) {
      const sgi_kept *k = sgi_recording_kept(r, l);
      uint32_t position;
      float value;
      for (size_t u = 0; k && u < k->channels * k->neurons; u++)
        for (int side = 0; side < 2; side++)
          for (size_t j = 0; sgi_kept_at(r, k, u, side, j, &position, &value); j++)
            assert_true(position < N && isfinite(value));
    }
    if (!st) st = sgi_recording_check(r, &e);
    assert_true(!st || st == SG_ERR_FORMAT);
    refused += st != SG_OK;
    if (st) assert_non_null(strstr(e.text, directory));
    sg_recording_close(r);
    bytes[i] = again[i];
  }
  assert_true(refused > 5);
  assert_sg_ok(sgi_write_file(path, bytes, size / 2, err));
  sgi_recording *r;
  assert_int_equal(sg_recording_open(directory, &r, NULL), SG_ERR_FORMAT);
  sgi_free(bytes);
  sgi_free(again);
  golden_remove(directory);
  sg_model_free(m);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(dense), cmocka_unit_test(experts), cmocka_unit_test(damage)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
