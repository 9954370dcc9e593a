/* Recordings: documents of any length, the same bytes after an interruption at any place, refusal
 * of another request. */
#include "support/golden.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/arena.h"
#include "core/rng.h"
#include "model/pass.h"
#include "read/coactivation.h"
#include "read/usage.h"
#include "support/near.h"
#include "support/prompts.h"
#include "read/kept.h"
#include "support/recorded.h"

enum { DOCUMENTS = 23 };

typedef struct source {
  int32_t *ids[DOCUMENTS];
  size_t n[DOCUMENTS];
} source;

static const int32_t *document(const void *s, size_t i, size_t *n) {
  *n = ((const source *)s)->n[i];
  return ((const source *)s)->ids[i];
}

static sg_model *model;
static source documents;

static int set_up(void **state) {
  (void)state;
  assert_sg_ok(sg_model_load("tests/golden/eval/model", &model, err));
  sgi_rng rng = sgi_rng_make(1, 0, 0);
  for (size_t i = 0; i < DOCUMENTS; i++) {
    documents.n[i] = 1 + (size_t)sgi_rng_below(&rng, 40); /* some longer than the model's 24 */
    documents.ids[i] = malloc(documents.n[i] * sizeof(int32_t));
    for (size_t t = 0; t < documents.n[i]; t++) documents.ids[i][t] = (int32_t)(2 + sgi_rng_below(&rng, 148));
  }
  return 0;
}

static int tear_down(void **state) {
  (void)state;
  for (size_t i = 0; i < DOCUMENTS; i++) free(documents.ids[i]);
  sg_model_free(model);
  return 0;
}

static sgi_record_request request(void) {
  return (sgi_record_request){.model = model,
                              .documents = {DOCUMENTS, document, &documents, 7},
                              .seq_len = 24,
                              .values = "F16",
                              .index = true,
                              .shard_bytes = 20000};
}

/* Document by document alone, against one forward pass of that document. */
static sg_status compare(void *user, const sgi_site *s, sg_error *err) {
  (void)err;
  const struct {
    sgi_recording *r;
    size_t first;
  } *x = user;
  size_t slot = (size_t)s->layer;
  const sgi_site_row *row = sgi_site_row_of(s->id);
  if (row->role == SGI_SITE_OTHER) return SG_OK;
  for (size_t t = 0; t < s->n; t++) {
    int32_t index[12];
    float score[12], value[12];
    sgi_recording_circuit(x->r, slot, x->first + t, index, score);
    assert_true(sgi_recording_values(x->r, slot, x->first + t, value));
    for (size_t i = 0; i < 12; i++) {
      if (row->holds) assert_int_equal(index[i], ((int32_t *)s->data)[t * 12 + i]);
      if (row->holds) continue;
      float want = ((float *)s->data)[t * 12 + i];
      if (row->role == SGI_SITE_SCORES) assert_true(fabsf(score[i] - want) <= 2e-6f * (1 + fabsf(want)));
      if (row->role == SGI_SITE_VALUES) assert_true(fabsf(value[i] - want) <= 1e-3f * (0.01f + fabsf(want)));
    }
  }
  return SG_OK;
}

static void every_document(void **state) {
  (void)state;
  char *directory = golden_temporary();
  sgi_record_request q = request();
  sgi_recording *r = recorded_open(&q, directory);
  const sgi_recording_info *info = sgi_recording_info_of(r);
  assert_int_equal(info->n_documents, DOCUMENTS);
  sgi_pass *p;
  assert_sg_ok(sgi_pass_create(model, 1, 24, false, &p, err));
  for (size_t d = 0; d < DOCUMENTS; d++) {
    size_t first, n, want = documents.n[d] < 24 ? documents.n[d] : 24;
    sgi_recording_document(r, d, &first, &n);
    assert_int_equal(n, want);
    int32_t inputs[24] = {model->config.bos_id};
    memcpy(inputs + 1, documents.ids[d], (n - 1) * sizeof *inputs);
    for (size_t t = 0; t < n; t++) {
      sgi_recorded at = sgi_recording_at(r, first + t);
      assert_int_equal(at.input, inputs[t]);
      assert_int_equal(at.target, documents.ids[d][t]);
      assert_int_equal(at.document, d);
      assert_int_equal(at.place, t);
    }
    struct {
      sgi_recording *r;
      size_t first;
    } x = {r, first};
    sgi_tap tap = {.visit = compare, .user = &x};
    assert_sg_ok(sgi_pass_forward(p, &(sgi_batch){.B = 1, .T = n, .inputs = inputs}, &tap, err));
  }
  sgi_pass_free(p);
  /* Every circuit's neurons are found in the index, with their scores. */
  size_t entries = 0;
  for (size_t c = 0; c < 3; c++)
    for (size_t f = 0; f < info->slots[0].pool; f++) {
      sgi_postings list = sgi_recording_postings(r, 1, c, f);
      for (size_t i = 0; i < list.count; i++, entries++) {
        int32_t index[12];
        float score[12];
        bool there = false;
        sgi_recording_circuit(r, 1, list.position[i], index, score);
        for (size_t k = c * 4; k < c * 4 + 4; k++) there |= index[k] == (int32_t)f && score[k] == list.score[i];
        assert_true(there);
        if (i) assert_true(list.position[i] > list.position[i - 1]);
      }
    }
  assert_int_equal(entries, info->n_positions * 12);
  sg_recording_close(r);
  golden_remove(directory);
}

/* Estimate and truth. */
static void sizes(void **state) {
  (void)state;
  char *directory = golden_temporary();
  sgi_record_request q = request();
  sgi_recorder *r;
  size_t reused, bytes = 0;
  assert_sg_ok(sgi_recorder_create(&q, &r, err));
  const sgi_record_plan *p = sgi_recorder_plan(r);
  assert_true(p->shards >= 3);
  assert_true(p->cut_tokens > 0);
  assert_sg_ok(sgi_recorder_run(r, directory, NULL, &reused, err));
  char **names = golden_list(directory);
  for (size_t i = 0; names[i]; i++) {
    if (!strstr(names[i], ".safetensors")) continue;
    char path[4200];
    sgi_safetensors *f;
    snprintf(path, sizeof path, "%s/%s", directory, names[i]);
    assert_sg_ok(sgi_safetensors_open(path, &f, err));
    for (size_t t = 0; t < sgi_safetensors_count(f); t++) bytes += sgi_safetensors_at(f, t)->bytes;
    sgi_safetensors_close(f);
  }
  assert_int_equal(bytes, p->shard_bytes + p->index_bytes);
  golden_free(names);
  sgi_recorder_free(r);
  golden_remove(directory);
}

static void same_files(const char *a, const char *b) {
  char **names = golden_list(a), **other = golden_list(b);
  for (size_t i = 0; names[i] || other[i]; i++) {
    char path[2][4200], *data[2];
    size_t n[2];
    assert_non_null(names[i]);
    assert_non_null(other[i]);
    assert_string_equal(names[i], other[i]);
    for (int k = 0; k < 2; k++) {
      snprintf(path[k], sizeof path[k], "%s/%s", k ? b : a, names[i]);
      assert_sg_ok(sgi_read_file(path[k], (size_t)1 << 30, &data[k], &n[k], err));
    }
    assert_int_equal(n[0], n[1]);
    assert_memory_equal(data[0], data[1], n[0]);
    sgi_free(data[0]);
    sgi_free(data[1]);
  }
  golden_free(names);
  golden_free(other);
}

/* Every file call fails once: each run ends with an error, the next goes on, and at last the files
 * are those of one run. */
static void goes_on(void **state) {
  (void)state;
  char *whole = golden_temporary(), *broken = golden_temporary();
  sgi_record_request q = request();
  sg_recording_close(recorded_open(&q, whole));
  sgi_recorder *r;
  assert_sg_ok(sgi_recorder_create(&q, &r, err));
  size_t reused, failures = 0, most = 0;
  for (size_t at = 2;; at += 1) {
    sgi_file_fail_at(at, 5 /* EIO */, false);
    sg_status st = sgi_recorder_run(r, broken, NULL, &reused, NULL);
    sgi_file_fail_at(0, 0, false);
    if (reused > most) most = reused;
    if (!st) break;
    failures++;
    assert_true(failures < 1000);
  }
  assert_true(failures > 3);
  assert_true(most > 0);
  sgi_recorder_free(r);
  same_files(whole, broken);
  golden_remove(whole);
  golden_remove(broken);
}

/* Record, open, search and count with the n-th allocation failing: out of memory each time, until
 * none fails. */
static sg_status whole_way(const char *directory) {
  sgi_record_request q = request();
  sgi_recorder *r = NULL;
  sgi_recording *rec = NULL;
  sgi_search *s = NULL;
  sgi_neighbor list[3];
  sgi_group group[2];
  sgi_usage_result_t usage;
  size_t n;
  q.max_documents = 3;
  sg_status st = sgi_recorder_create(&q, &r, NULL);
  if (!st) st = sgi_recorder_run(r, directory, NULL, &n, NULL);
  if (!st) st = sg_recording_open(directory, &rec, NULL);
  if (!st) st = sgi_search_create(rec, 0, SGI_ALL_CHANNELS, 0, &s, NULL);
  if (!st) st = sgi_search_nearest(s, 2, 3, list, &n, NULL);
  sgi_group_request g = {.channel = SGI_ALL_CHANNELS, .min_count = 2, .min_lift = 1, .max_size = 3, .max_groups = 2};
  if (!st) st = sgi_coactivation_groups(rec, &g, NULL, NULL, group, &n, NULL);
  if (!st) st = sgi_recording_usage(rec, 1, &usage, NULL);
  sgi_search_free(s);
  sg_recording_close(rec);
  sgi_recorder_free(r);
  return st;
}

static void memory_runs_out(void **state) {
  (void)state;
  char *directory = golden_temporary();
  size_t at = 1;
  for (;; at++) {
    sgi_alloc_fail_at(at, false);
    sg_status st = whole_way(directory);
    sgi_alloc_fail_at(0, false);
    if (!st) break;
    assert_int_equal(st, SG_ERR_MEMORY);
    assert_true(at < 10000);
  }
  assert_true(at > 50);
  golden_remove(directory);
}

static bool stop_at(void *user, const char *what, uint64_t done, uint64_t total) {
  (void)what;
  (void)total;
  return done < *(size_t *)user;
}

static void stops(void **state) {
  (void)state;
  char *directory = golden_temporary();
  sgi_record_request q = request();
  sgi_recorder *r;
  sgi_recording *rec;
  size_t reused, at = 100;
  sg_error e = {0};
  assert_sg_ok(sgi_recorder_create(&q, &r, err));
  assert_int_equal(sgi_recorder_run(r, directory, &(sgi_record_events){&at, stop_at}, &reused, &e), SG_ERR_CANCELLED);
  assert_int_equal(sg_recording_open(directory, &rec, &e), SG_ERR_FORMAT);
  assert_non_null(strstr(e.text, "not finished"));
  sgi_recorder_free(r);
  q.seq_len = 20; /* another request */
  assert_sg_ok(sgi_recorder_create(&q, &r, err));
  assert_int_equal(sgi_recorder_run(r, directory, NULL, &reused, &e), SG_ERR_ARG);
  sgi_recorder_free(r);
  golden_remove(directory);
}

static void requests_that_can_not_be(void **state) {
  (void)state;
  sgi_recorder *r;
  sgi_record_request q = request();
  const size_t twice[] = {1, 1}, high[] = {3};
  q.layers = twice, q.n_layers = 2;
  assert_int_equal(sgi_recorder_create(&q, &r, NULL), SG_ERR_ARG);
  q.layers = high, q.n_layers = 1;
  assert_int_equal(sgi_recorder_create(&q, &r, NULL), SG_ERR_ARG);
  q = request();
  q.values = "F8";
  assert_int_equal(sgi_recorder_create(&q, &r, NULL), SG_ERR_ARG);
}

/* Experts of moe: their logits are the scores, and there is no activation of a neuron. */
static void experts(void **state) {
  (void)state;
  static const int32_t ids[2][6] = {{5, 6, 7, 8, 9, 1}, {9, 8, 7, 6, 5, 4}};
  sg_model *moe;
  assert_sg_ok(sg_model_load("tests/golden/models/moe", &moe, err));
  char *directory = golden_temporary();
  recorded_rows rows = {&ids[0][0], 2, 6};
  sgi_record_request q = recorded_request(moe, &rows);
  sgi_recording *r = recorded_open(&q, directory);
  const sgi_recording_info *info = sgi_recording_info_of(r);
  assert_int_equal(info->slots[0].channels, 1);
  assert_int_equal(info->slots[0].top_k, 2);
  assert_false(info->slots[0].has_values);
  for (size_t p = 0; p < 12; p++) {
    float score[2];
    sgi_recording_circuit(r, 0, p, NULL, score);
    assert_true(score[0] >= score[1]);
  }
  sg_recording_close(r);
  golden_remove(directory);
  sg_model_free(moe);
}

/* ---- layers that differ, forms --------------------------------------------------------------- */

enum { ROWS = 3, LONG = 17, MOST = 64 };

/* What a pass over a row holds of the layers that were recorded, in the first evaluation. */
typedef struct looked {
  sgi_recording *r;
  size_t first, compared;
} looked;

static sg_status look(void *user, const sgi_site *s, sg_error *failure) {
  (void)failure;
  looked *x = user;
  const sgi_site_row *row = sgi_site_row_of(s->id);
  size_t slot;
  if (row->role == SGI_SITE_OTHER || s->stage > 0 || sgi_recording_slot(x->r, (size_t)s->layer, &slot, NULL))
    return SG_OK;
  const sgi_slot *like = &sgi_recording_info_of(x->r)->slots[slot];
  size_t n = like->channels * like->top_k;
  int32_t index[MOST];
  float score[MOST], value[MOST];
  assert_true(n <= MOST);
  for (size_t t = 0; t < s->n; t++) {
    sgi_recording_circuit(x->r, slot, x->first + t, index, score);
    bool values = sgi_recording_values(x->r, slot, x->first + t, value);
    assert_true(values == like->has_values);
    for (size_t i = 0; i < n; i++)
      if (row->holds)
        assert_int_equal(index[i], ((int32_t *)s->data)[t * n + i]);
      else if (row->role == SGI_SITE_SCORES && like->has_values && sgi_recording_acts(like, score[i]))
        near("a recorded score", score[i], ((float *)s->data)[t * n + i], 2e-6);
      else if (row->role == SGI_SITE_VALUES && values)
        near("a recorded value", value[i], ((float *)s->data)[t * n + i], 2e-6);
    x->compared += n;
  }
  return SG_OK;
}

/* Searches in a slot of its own sizes: the nearest of each position, by the definition. */
static double apart(const sgi_recording *r, size_t slot, size_t a, size_t b) {
  const sgi_slot *s = &sgi_recording_info_of(r)->slots[slot];
  int32_t i[MOST], k[MOST];
  float x[MOST], y[MOST];
  double dot = 0, xx = 0, yy = 0;
  sgi_recording_circuit(r, slot, a, i, x);
  sgi_recording_circuit(r, slot, b, k, y);
  for (size_t u = 0; u < s->channels * s->top_k; u++) {
    xx += (double)x[u] * (double)x[u];
    yy += (double)y[u] * (double)y[u];
    for (size_t v = u / s->top_k * s->top_k; v < (u / s->top_k + 1) * s->top_k; v++)
      if (i[u] == k[v]) dot += (double)x[u] * (double)y[v];
  }
  return xx > 0 && yy > 0 ? 1 - dot / sqrt(xx * yy) : 1;
}

static void search_slot(const sgi_recording *r, size_t slot) {
  size_t n = sgi_recording_info_of(r)->n_positions, found;
  sgi_search *s;
  sgi_neighbor list[5];
  sgi_usage_result_t usage;
  assert_sg_ok(sgi_search_create(r, slot, SGI_ALL_CHANNELS, -1, &s, err));
  for (size_t q = 0; q < n; q += 11) {
    double least = INFINITY;
    assert_sg_ok(sgi_search_nearest(s, q, 5, list, &found, err));
    for (size_t p = 0; p < n; p++)
      if (p != q) least = fmin(least, apart(r, slot, q, p));
    near("the nearest", list[0].distance, least, 1e-9);
    for (size_t i = 0; i < found; i++) near("a near one", list[i].distance, apart(r, slot, q, list[i].position), 1e-9);
  }
  sgi_search_free(s);
  assert_sg_ok(sgi_recording_usage(r, slot, &usage, err));
}

/* Layers that choose nothing stand in no slot; where none chooses, neurons alone are kept. */
static void one_model(const sg_model *m, const char *name, ref_random *r) {
  int32_t ids[ROWS * LONG];
  for (size_t i = 0; i < ROWS * LONG; i++) ids[i] = 2 + (int32_t)ref_below(r, m->config.vocab_size - 2);
  recorded_rows rows = {ids, ROWS, LONG};
  sgi_record_request q = recorded_request(m, &rows);
  size_t choosing = 0;
  for (size_t l = 0; l < m->config.num_layers; l++) {
    const sgi_sublayer *s = sgi_feedforward_of(m, l);
    choosing += s && s->ffn->gates;
  }
  if (!choosing) {
    char *alone = golden_temporary();
    sgi_recording *kept = recorded_open(&q, alone);
    size_t slot;
    assert_int_equal(sgi_recording_info_of(kept)->n_layers, 0);
    for (size_t l = 0; l < m->config.num_layers; l++)
      assert_int_equal(sgi_recording_kept(kept, l) != NULL, sgi_feedforward_of(m, l) != NULL);
    assert_int_equal(sgi_recording_slot(kept, 0, &slot, NULL), SG_ERR_ARG);
    sg_recording_close(kept);
    golden_remove(alone);
    return;
  }
  char *directory = golden_temporary();
  sgi_recording *rec = recorded_open(&q, directory);
  assert_int_equal(sgi_recording_info_of(rec)->n_layers, choosing);
  sgi_pass *p;
  size_t compared = 0;
  assert_sg_ok(sgi_pass_create(m, 1, LONG, false, &p, err));
  for (size_t d = 0; d < ROWS; d++) {
    looked x = {.r = rec, .first = d * LONG};
    int32_t inputs[LONG] = {m->config.bos_id};
    memcpy(inputs + 1, ids + d * LONG, (LONG - 1) * sizeof *ids);
    sgi_tap tap = {.visit = look, .user = &x};
    assert_sg_ok(sgi_pass_forward(p, &(sgi_batch){.B = 1, .T = LONG, .inputs = inputs}, &tap, err));
    compared += x.compared;
  }
  if (compared < ROWS * LONG * choosing) fail_msg("%s: %zu numbers were compared", name, compared);
  for (size_t s = 0; s < choosing; s++) search_slot(rec, s);
  sgi_pass_free(p);
  sg_recording_close(rec);
  golden_remove(directory);
}

static void layers_that_differ(void **state) {
  (void)state;
  each_model(one_model);
  each_form(one_model);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(every_document), cmocka_unit_test(sizes),
      cmocka_unit_test(goes_on),        cmocka_unit_test(memory_runs_out),
      cmocka_unit_test(stops),          cmocka_unit_test(requests_that_can_not_be),
      cmocka_unit_test(experts),        cmocka_unit_test(layers_that_differ),
  };
  return cmocka_run_group_tests_name("record", tests, set_up, tear_down);
}
