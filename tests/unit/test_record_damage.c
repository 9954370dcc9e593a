/* A recording whose files were damaged: refused with the file's name, or read without going outside
 * anything; never told as if it were whole. Every byte of a small one is changed, and every file is
 * cut at every length. */
#include "support/recorded.h"
#include "support/small.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/manifest.h"
#include "read/coactivation.h"
#include "read/neighbors.h"
#include "read/neuron_record.h"
#include "read/usage.h"

enum { DOCUMENTS = 2, LENGTH = 4, N = DOCUMENTS * LENGTH, C = 2, K = 2, F = 5, V = 50 };

static char *root;
static const char *const files[] = {"index-layer-0.safetensors", "shard-00000.safetensors", "recording.json"};

static char *read_whole(const char *name, size_t *n) {
  char path[4200], *text;
  snprintf(path, sizeof path, "%s/%s", root, name);
  assert_sg_ok(sgi_read_file(path, 1 << 20, &text, n, err));
  return text;
}

static void write_whole(const char *name, const char *text, size_t n) {
  char path[4200];
  snprintf(path, sizeof path, "%s/%s", root, name);
  FILE *f = fopen(path, "wb");
  assert_non_null(f);
  assert_int_equal(fwrite(text, 1, n, f), n);
  fclose(f);
}

static int begin(void **state) {
  (void)state;
  root = golden_temporary();
  sg_recording_close(recorded_random(root, DOCUMENTS, LENGTH, C, K, F, 3));
  return 0;
}

static int end(void **state) {
  (void)state;
  golden_remove(root);
  return 0;
}

/* What every reader may rely on: all of it is touched. */
static void touch_all(const sgi_recording *r) {
  const sgi_recording_info *info = sgi_recording_info_of(r);
  int32_t index[C * K];
  float score[C * K], value[C * K];
  if (info->slots[0].channels * info->slots[0].top_k > C * K)
    return; /* sizes that the files bear out, but not those of these buffers */
  for (size_t p = 0; p < info->n_positions; p++) {
    sgi_recorded at = sgi_recording_at(r, p);
    assert_true(at.input >= 0 && (size_t)at.input < info->vocab_size);
    assert_true(at.target >= 0 && (size_t)at.target < info->vocab_size);
    assert_true(at.document < info->n_documents);
    for (size_t i = 0; i < SGI_RECORD_PREDICTIONS; i++)
      assert_true(at.predictions[i] >= 0 && (size_t)at.predictions[i] < info->vocab_size);
    sgi_recording_circuit(r, 0, p, index, score);
    sgi_recording_values(r, 0, p, value);
    for (size_t i = 0; i < info->slots[0].channels * info->slots[0].top_k; i++)
      assert_true(index[i] >= 0 && (size_t)index[i] < info->slots[0].pool && isfinite(score[i]));
    for (size_t c = 0; sgi_recording_indexed(r) && c <= info->slots[0].channels; c++) {
      double norm = sgi_recording_norm(r, 0, c, p);
      assert_true(norm >= 0 && isfinite(norm));
    }
  }
  for (size_t c = 0; sgi_recording_indexed(r) && c < info->slots[0].channels; c++)
    for (size_t f = 0; f < info->slots[0].pool; f++) {
      sgi_postings list = sgi_recording_postings(r, 0, c, f);
      assert_true(list.count <= info->n_positions);
      for (size_t k = 0; k < list.count; k++)
        assert_true(list.position[k] < info->n_positions && isfinite(list.score[k]) &&
                    (!k || list.position[k] > list.position[k - 1]));
    }
}

/* The library's readers: each is well, or says that the file is damaged. */
static void read_all(const sgi_recording *r) {
  sgi_search *s = NULL;
  sgi_neighbor list[3];
  sgi_together t = {0};
  sgi_usage_result_t usage;
  sgi_neuron_record n = {0};
  size_t found;
  sg_error e = {0};
  sg_status st = sgi_search_create(r, 0, SGI_ALL_CHANNELS, -1, &s, &e);
  for (size_t p = 0; p < N && !st; p++) st = sgi_search_nearest(s, p, 3, list, &found, &e);
  sgi_search_free(s);
  if (!st) st = sgi_recording_usage(r, 0, &usage, &e);
  for (size_t f = 0; f < F && !st; f++) {
    st = sgi_neuron_record_init(&n, r, 0, 0, f, NULL, NULL, 3, true, &e);
    sgi_neuron_record_deinit(&n);
  }
  if (!st) st = sgi_fire_together(r, 0, (sgi_neuron[]){{0, 0}, {1, 1}}, 2, &t, &e);
  sgi_free(t.position);
  if (st && st != SG_ERR_FORMAT && st != SG_ERR_ARG && st != SG_ERR_MEMORY)
    fail_msg("%s: %s", sg_status_text(st), e.text);
  if (st == SG_ERR_FORMAT) assert_non_null(strstr(e.text, "safetensors: "));
}

/* 0: refused when opened; 1: found damaged when read; 2: nothing seen. */
static int open_and_read(void) {
  sgi_recording *r;
  sg_error e = {0};
  sg_status st = sg_recording_open(root, &r, &e);
  if (st) {
    if (st != SG_ERR_FORMAT && st != SG_ERR_IO && st != SG_ERR_ARG) fail_msg("%s: %s", sg_status_text(st), e.text);
    assert_non_null(strstr(e.text, root));
    return 0;
  }
  touch_all(r);
  bool damaged = sgi_recording_check(r, &e) != SG_OK;
  if (damaged) assert_non_null(strstr(e.text, root));
  read_all(r);
  sg_recording_close(r);
  return damaged ? 1 : 2;
}

static void every_byte(void **state) {
  (void)state;
  static const unsigned char masks[] = {0xff, 0x40};
  size_t counts[3] = {0};
  assert_int_equal(open_and_read(), 2);
  for (size_t i = 0; i < SGI_COUNT(files); i++) {
    size_t n;
    char *text = read_whole(files[i], &n);
    for (size_t at = 0; at < n; at++)
      for (size_t k = 0; k < SGI_COUNT(masks); k++) {
        text[at] = (char)(text[at] ^ masks[k]);
        write_whole(files[i], text, n);
        counts[open_and_read()]++;
        text[at] = (char)(text[at] ^ masks[k]);
      }
    write_whole(files[i], text, n);
    sgi_free(text);
  }
  assert_int_equal(open_and_read(), 2);
  assert_true(counts[0] > 500 && counts[1] > 500);
}

static void every_length(void **state) {
  (void)state;
  for (size_t i = 0; i < SGI_COUNT(files); i++) {
    size_t n;
    char *text = read_whole(files[i], &n);
    for (size_t at = 0; at + 1 < n; at++) { /* the last byte of recording.json is a line's end */
      write_whole(files[i], text, at);
      assert_int_equal(open_and_read(), 0);
    }
    write_whole(files[i], text, n);
    sgi_free(text);
  }
}

/* Numbers of recording.json at their extremes. */
static void every_number(void **state) {
  (void)state;
  static const char *const values[] = {
      "-1",    "0",    "1",  "2147483647", "2147483648", "4294967295", "9007199254740992", "9223372036854775807",
      "1e308", "null", "[]", "\"0\""};
  size_t n;
  char *text = read_whole("recording.json", &n);
  json_t *o;
  assert_sg_ok(sgi_json_parse(text, n, "recording.json", &o, err));
  const char *key;
  json_t *v;
  json_object_foreach(o, key, v) {
    for (size_t i = 0; i < SGI_COUNT(values); i++) {
      json_t *copy = json_deep_copy(o);
      json_object_set_new(copy, key, json_loads(values[i], JSON_DECODE_ANY, NULL));
      char *changed = json_dumps(copy, 0);
      write_whole("recording.json", changed, strlen(changed));
      open_and_read();
      free(changed);
      json_decref(copy);
    }
  }
  json_decref(o);
  write_whole("recording.json", text, n);
  sgi_free(text);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(every_byte), cmocka_unit_test(every_length),
                                     cmocka_unit_test(every_number)};
  return cmocka_run_group_tests_name("damaged recordings", tests, begin, end);
}
