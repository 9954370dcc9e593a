/* Recordings from outside: the bytes that the command writes, and what readers of slots say, by
 * layer; what is missing or wrong is refused; allocations fail; threads share one. */
#include <omp.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/file.h"
#include "core/rng.h"
#include "read/cka.h"
#include "read/coactivation.h"
#include "read/usage.h"
#include "support/failing.h"
#include "support/recorded.h"

enum { DOCUMENTS = 30, LONGEST = 40 };

static sg_model *model;
static sg_recording *rec;
static char *root;
static int32_t tokens[DOCUMENTS * LONGEST];
static size_t starts[DOCUMENTS + 1];

static const char *in_root(const char *name) {
  static char path[4][4300];
  static int turn;
  turn = (turn + 1) % 4;
  snprintf(path[turn], sizeof path[turn], "%s/%s", root, name);
  return path[turn];
}

static sg_record_request request(void) {
  return (sg_record_request){.model = model,
                             .tokens = tokens,
                             .starts = starts,
                             .n_documents = DOCUMENTS,
                             .layers = NULL,
                             .values = "F32",
                             .model_path = "a model"};
}

static int begin(void **state) {
  (void)state;
  root = golden_temporary();
  assert_sg_ok(sg_model_load("tests/golden/eval/model", &model, err));
  sgi_rng rng = sgi_rng_make(1, 0, 0);
  for (size_t i = 0; i < DOCUMENTS; i++) {
    starts[i + 1] = starts[i] + 1 + (size_t)sgi_rng_below(&rng, LONGEST);
    for (size_t t = starts[i]; t < starts[i + 1]; t++) tokens[t] = (int32_t)(2 + sgi_rng_below(&rng, 40));
  }
  sg_record_request q = request();
  sg_record_plan plan, again;
  assert_sg_ok(sg_record(&q, NULL, &plan, err));
  assert_sg_ok(sg_record(&q, in_root("rec"), &again, err));
  assert_memory_equal(&plan, &again, sizeof plan);
  assert_sg_ok(sg_recording_open(in_root("rec"), &rec, err));
  assert_int_equal(plan.positions, sg_recording_describe(rec).n_positions);
  return 0;
}

static int end(void **state) {
  (void)state;
  sg_recording_close(rec);
  sg_recording_close(NULL);
  sg_model_free(model);
  golden_remove(root);
  return 0;
}

static const int32_t *document(const void *source, size_t i, size_t *n) {
  (void)source;
  *n = starts[i + 1] - starts[i];
  return tokens + starts[i];
}

static void expect_same(const char *a, const char *b, const char *file) {
  char one[200], other[200], *text[2];
  size_t n[2];
  snprintf(one, sizeof one, "%s/%s", a, file);
  snprintf(other, sizeof other, "%s/%s", b, file);
  assert_sg_ok(sgi_read_file(in_root(one), 1 << 26, &text[0], &n[0], err));
  assert_sg_ok(sgi_read_file(in_root(other), 1 << 26, &text[1], &n[1], err));
  if (n[0] != n[1] || memcmp(text[0], text[1], n[0])) fail_msg("%s of %s and %s differ", file, a, b);
  sgi_free(text[0]);
  sgi_free(text[1]);
}

static const char *const files[] = {"shard-00000.safetensors", "index-layer-0.safetensors",
                                    "index-layer-1.safetensors"};

static bool interrupt(void *user, const char *what, uint64_t done, uint64_t wanted) {
  int *left = user;
  assert_true(*what && done <= wanted);
  return --*left > 0;
}

/* The recorder that the command calls writes the same; so does one that is stopped again and
 * again. */
static void bytes(void **state) {
  (void)state;
  sgi_record_request by_hand = {.model = model,
                                .documents = {DOCUMENTS, document, NULL, 1},
                                .seq_len = sg_model_config(model)->max_position,
                                .values = "F32",
                                .index = true,
                                .shard_bytes = 1 << 20,
                                .max_memory = 1 << 26};
  sg_recording_close(recorded_open(&by_hand, in_root("by hand")));
  for (size_t i = 0; i < SGI_COUNT(files); i++) expect_same("rec", "by hand", files[i]);
  sg_record_request q = request();
  int left, tries = 0;
  q.progress = interrupt;
  q.user = &left;
  q.shard_bytes = 20000;
  for (sg_status st = SG_ERR_CANCELLED; st; tries++) {
    left = 1 + tries;
    st = sg_record(&q, in_root("stopped"), NULL, NULL);
    assert_true(st == SG_OK || st == SG_ERR_CANCELLED);
  }
  assert_true(tries > 3);
  q.progress = NULL;
  assert_sg_ok(sg_record(&q, in_root("at once"), NULL, err));
  for (size_t i = 0; i < SGI_COUNT(files); i++) expect_same("stopped", "at once", files[i]);
  q.n_documents--; /* another request is refused and leaves it as it is */
  assert_refused(sg_record(&q, in_root("stopped"), NULL, err), SG_ERR_ARG, "another");
  expect_same("stopped", "at once", "recording.json");
}

/* Text and ids: the same circuits. */
static void text(void **state) {
  (void)state;
  sg_tokenizer *tok;
  const char *words = "a b c d", *path = in_root("words.txt");
  size_t n = strlen(words);
  sg_tokenizer_training t = {
      .vocab_size = 100, .special = (const char *const[]){"<|pad|>", "<|endoftext|>"}, .n_special = 2};
  assert_sg_ok(sg_tokenizer_train(&t, &words, &n, 1, &tok, err));
  assert_sg_ok(sgi_write_file(path, "a b c\n\nd a", 10, err));
  sg_record_request q = {.model = model, .tokenizer = tok, .data = path, .form = {.blank_lines = true}};
  sg_record_plan plan;
  assert_sg_ok(sg_record(&q, in_root("text"), &plan, err));
  assert_int_equal(plan.documents, 2);
  assert_true(sgi_is_file(in_root("text/tokenizer.json")));
  q.tokenizer = NULL;
  assert_refused(sg_record(&q, NULL, NULL, err), SG_ERR_ARG, "tokenizer");
  q.tokenizer = tok;
  q.data = "/no/such.txt";
  assert_refused(sg_record(&q, NULL, NULL, err), SG_ERR_IO, "/no/such");
  sg_tokenizer_free(tok);
}

static void refused_requests(void **state) {
  (void)state;
  size_t wrong[DOCUMENTS + 1], layers[] = {1, 0};
  memcpy(wrong, starts, sizeof wrong);
  wrong[5] = wrong[4];
  sg_record_request q = request();
  assert_refused(sg_record(NULL, NULL, NULL, err), SG_ERR_ARG, "request");
  q.model = NULL;
  assert_refused(sg_record(&q, NULL, NULL, err), SG_ERR_ARG, "model");
  q = request(), q.tokens = NULL;
  assert_refused(sg_record(&q, NULL, NULL, err), SG_ERR_ARG, "tokens");
  q = request(), q.starts = NULL;
  assert_refused(sg_record(&q, NULL, NULL, err), SG_ERR_ARG, "starts");
  q = request(), q.n_documents = 0;
  assert_refused(sg_record(&q, NULL, NULL, err), SG_ERR_ARG, "no document");
  q = request(), q.starts = wrong;
  assert_refused(sg_record(&q, NULL, NULL, err), SG_ERR_ARG, "document 4");
  int32_t first = tokens[0];
  tokens[0] = 100000;
  q = request();
  assert_refused(sg_record(&q, NULL, NULL, err), SG_ERR_ARG, "100000");
  tokens[0] = first;
  q.values = "F8";
  assert_refused(sg_record(&q, NULL, NULL, err), SG_ERR_ARG, "F8");
  q = request(), q.n_layers = 2;
  assert_refused(sg_record(&q, NULL, NULL, err), SG_ERR_ARG, "layers");
  q.layers = layers;
  assert_refused(sg_record(&q, NULL, NULL, err), SG_ERR_ARG, "ascend");
}

static sg_status record(void *user, sg_error *err) {
  (void)user;
  sg_record_request q = request();
  q.n_documents = 4;
  sg_status st = sg_record(&q, in_root("memory"), NULL, err);
  sgi_remove_tree(in_root("memory"), NULL);
  return st;
}

static sg_status open(void *user, sg_error *err) {
  (void)user;
  sg_recording *r;
  sg_status st = sg_recording_open(in_root("rec"), &r, err);
  if (!st) sg_recording_close(r);
  return st;
}

/* ---- reading --------------------------------------------------------------------------------- */

static void places(void **state) {
  (void)state;
  sg_recording_info info = sg_recording_describe(rec);
  sg_recorded_layer z;
  sg_recorded at;
  size_t first, count;
  assert_int_equal(info.n_documents, DOCUMENTS);
  assert_true(info.indexed && info.n_layers > 1 && strlen(info.model_hash) == 16);
  assert_string_equal(info.model, "a model");
  for (size_t s = 0; s < info.n_layers; s++) {
    size_t l = info.layers[s];
    assert_sg_ok(sg_recording_layer(rec, l, &z, err));
    size_t m = z.channels * z.top_k;
    int32_t *index = calloc(2 * m, sizeof *index);
    float *score = calloc(4 * m, sizeof *score), *value = score + 2 * m;
    for (size_t p = 0; p < info.n_positions; p++) {
      assert_sg_ok(sg_recording_circuit(rec, l, p, index, score, value, err));
      sgi_recording_circuit(rec, s, p, index + m, score + m);
      sgi_recording_values(rec, s, p, value + m);
      assert_memory_equal(index, index + m, m * sizeof *index);
      assert_memory_equal(score, score + m, m * sizeof *score);
      assert_memory_equal(value, value + m, m * sizeof *value);
      assert_sg_ok(sg_recording_circuit(rec, l, p, NULL, NULL, NULL, err));
      assert_sg_ok(sg_recording_at(rec, p, &at, err));
      assert_sg_ok(sg_recording_document(rec, at.document, &first, &count, err));
      assert_int_equal(first + at.place, p);
      assert_int_equal(at.target, tokens[starts[at.document] + at.place]);
      for (size_t i = 0; i < m; i++) { /* every entry is in the index of its neuron */
        sg_postings list;
        assert_sg_ok(sg_recording_postings(rec, l, i / z.top_k, (size_t)index[i], &list, err));
        size_t k = 0;
        while (k < list.count && list.position[k] != p) k++;
        assert_true(k < list.count && list.score[k] == score[i]);
      }
    }
    free(index);
    free(score);
  }
  bool known;
  assert_sg_ok(sg_recording_matches(rec, model, &known, err));
  assert_true(known);
  sg_config c = *sg_model_config(model);
  sg_model *other;
  assert_sg_ok(sg_model_create(&c, 99, &other, err));
  assert_refused(sg_recording_matches(rec, other, NULL, err), SG_ERR_ARG, info.model_hash);
  sg_model_free(other);
  c.vocab_size++;
  assert_sg_ok(sg_model_create(&c, 99, &other, err));
  assert_refused(sg_recording_matches(rec, other, NULL, err), SG_ERR_ARG, "another model");
  sg_model_free(other);
}

static void refused_places(void **state) {
  (void)state;
  sg_recording_info info = sg_recording_describe(rec);
  sg_recorded_layer z;
  sg_recorded at;
  sg_postings list;
  float x[4096];
  size_t n;
  assert_int_equal(sg_recording_describe(NULL).n_positions, 0);
  assert_sg_ok(sg_recording_layer(rec, 0, &z, err));
  assert_refused(sg_recording_open("/no/such", (sg_recording **)&(sg_recording *){NULL}, err), SG_ERR_IO, "/no/such");
  assert_refused(sg_recording_layer(rec, 99, &z, err), SG_ERR_ARG, "layer 99");
  assert_refused(sg_recording_layer(NULL, 0, &z, err), SG_ERR_ARG, "recording");
  assert_refused(sg_recording_layer(rec, 0, NULL, err), SG_ERR_ARG, "NULL");
  assert_refused(sg_recording_at(rec, info.n_positions, &at, err), SG_ERR_ARG, "ends at");
  assert_refused(sg_recording_at(NULL, 0, &at, err), SG_ERR_ARG, "recording");
  assert_refused(sg_recording_document(rec, DOCUMENTS, &n, &n, err), SG_ERR_ARG, "document 30");
  assert_refused(sg_recording_circuit(rec, 0, SIZE_MAX, NULL, x, NULL, err), SG_ERR_ARG, "ends at");
  assert_refused(sg_recording_circuit(rec, 7, 0, NULL, x, NULL, err), SG_ERR_ARG, "layer 7");
  assert_refused(sg_recording_postings(rec, 0, z.channels, 0, &list, err), SG_ERR_ARG, "channel");
  assert_refused(sg_recording_postings(rec, 0, 0, z.pool, &list, err), SG_ERR_ARG, "neuron");
  assert_refused(sg_recording_postings(rec, 0, 0, 0, NULL, err), SG_ERR_ARG, "NULL");
  assert_refused(sg_recording_matches(rec, NULL, NULL, err), SG_ERR_ARG, "model");
  /* Without index and values what needs them is refused. */
  sg_record_request q = request();
  sg_recording *bare;
  sg_search *s;
  uint32_t row[4096];
  q.no_index = true;
  q.values = "none";
  assert_sg_ok(sg_record(&q, in_root("bare"), NULL, err));
  assert_sg_ok(sg_recording_open(in_root("bare"), &bare, err));
  assert_refused(sg_recording_circuit(bare, 0, 0, NULL, NULL, x, err), SG_ERR_ARG, "NULL for value");
  assert_refused(sg_recording_postings(bare, 0, 0, 0, &list, err), SG_ERR_ARG, "inverted index");
  assert_refused(sg_search_create(bare, 0, SG_ALL_CHANNELS, -1, &s, err), SG_ERR_ARG, "inverted index");
  assert_refused(sg_coactivation_row(bare, 0, 0, 0, 0, row, err), SG_ERR_ARG, "inverted index");
  assert_refused(sg_coactivation_save(bare, 0, 0, in_root("x"), err), SG_ERR_ARG, "inverted index");
  sg_recording_close(bare);
}

/* ---- what is made of many positions ---------------------------------------------------------- */

typedef struct answers {
  sg_neighbor near[2][7];
  size_t found[2];
  sg_together together;
  sg_group groups[4];
  size_t n_groups;
  sg_usage usage;
  sg_top_token top[9];
  size_t n_top;
  double cka[2];
  uint32_t row[256];
} answers;

/* Everything at once, so that failing allocations and threads meet all of it. */
static sg_status ask(void *user, sg_error *err) {
  answers *a = user;
  sg_search *s = NULL;
  int32_t index[64];
  float score[64];
  sg_group_request g = {.layer = 1, .channel = SG_ALL_CHANNELS, .min_count = 2, .max_size = 3, .max_groups = 4};
  memset(a, 0, sizeof *a);
  sg_status st = sg_search_create(rec, 1, SG_ALL_CHANNELS, -1, &s, err);
  if (!st) st = sg_search_nearest(s, 11, 7, a->near[0], &a->found[0], err);
  if (!st) st = sg_recording_circuit(rec, 1, 11, index, score, NULL, err);
  if (!st) st = sg_search_among(s, (const uint32_t[]){3, 5, 11, 60, 61, 62, 63, 64}, 8, err);
  if (!st) st = sg_search_nearest_to(s, index, score, 7, a->near[1], &a->found[1], err);
  sg_search_free(s);
  sg_neuron_id pair[] = {{0, (size_t)index[0]}, {0, (size_t)index[1]}};
  if (!st) st = sg_fire_together(rec, 1, pair, 2, &a->together, err);
  sg_buffer_free(a->together.position);
  a->together.position = NULL;
  if (!st) st = sg_coactivation_groups(rec, &g, a->groups, &a->n_groups, err);
  if (!st) st = sg_coactivation_row(rec, 1, 0, 1, 0, a->row, err);
  if (!st) st = sg_recording_usage(rec, 1, &a->usage, err);
  if (!st) st = sg_top_tokens(rec, 9, 0, -1, false, a->top, &a->n_top, err);
  if (!st) st = sg_embedding_cka(rec, model, 1, 0, a->top, a->n_top, &a->cka[0], err);
  if (!st) st = sg_embedding_cka(rec, model, 1, SG_ALL_CHANNELS, a->top, a->n_top, &a->cka[1], err);
  return st;
}

/* The same by slots, as the commands ask. */
static void ask_inside(answers *a) {
  sgi_search *s;
  int32_t index[64], *scratch = calloc(4096, sizeof *scratch);
  float score[64];
  size_t slot;
  memset(a, 0, sizeof *a);
  assert_sg_ok(sgi_recording_slot(rec, 1, &slot, err));
  sgi_group_request g = {slot, SGI_ALL_CHANNELS, 2, 0, 3, 4};
  assert_sg_ok(sgi_search_create(rec, slot, SGI_ALL_CHANNELS, -1, &s, err));
  assert_sg_ok(sgi_search_nearest(s, 11, 7, a->near[0], &a->found[0], err));
  sgi_recording_circuit(rec, slot, 11, index, score);
  assert_sg_ok(sgi_search_among(s, (const uint32_t[]){3, 5, 11, 60, 61, 62, 63, 64}, 8, err));
  assert_sg_ok(sgi_search_nearest_to(s, index, score, 7, a->near[1], &a->found[1], err));
  sgi_search_free(s);
  sgi_neuron pair[] = {{0, (size_t)index[0]}, {0, (size_t)index[1]}};
  assert_sg_ok(sgi_fire_together(rec, slot, pair, 2, &a->together, err));
  sgi_free(a->together.position);
  a->together.position = NULL;
  assert_sg_ok(sgi_coactivation_groups(rec, &g, NULL, NULL, a->groups, &a->n_groups, err));
  sgi_coactivation_row(rec, slot, 0, 1, 0, a->row, scratch);
  assert_sg_ok(sgi_recording_usage(rec, slot, &a->usage, err));
  assert_sg_ok(sg_top_tokens(rec, 9, 0, -1, false, a->top, &a->n_top, err));
  for (int i = 0; i < 2; i++)
    assert_sg_ok(sgi_embedding_cka(rec, slot, i ? SGI_ALL_CHANNELS : 0, model, a->top, a->n_top, &a->cka[i], err));
  free(scratch);
}

static void numbers(void **state) {
  (void)state;
  static answers a, b;
  sg_recorded_layer z;
  assert_sg_ok(sg_recording_layer(rec, 1, &z, err));
  assert_true(z.channels * z.top_k <= 64 && z.pool <= 256 && z.top_k > 1);
  assert_sg_ok(ask(&a, err));
  ask_inside(&b);
  assert_memory_equal(&a, &b, sizeof a);
  assert_true(a.found[0] == 7 && a.near[1][0].position == 11 && a.near[1][0].distance == 0);
  assert_true(a.n_groups > 0 && a.n_top == 9 && a.cka[1] > 0 && a.usage.sequences == DOCUMENTS);
  assert_true(a.together.count > 0);
  assert_sg_ok(sg_coactivation_save(rec, 1, 0, in_root("stopped/pairs"), err));
  assert_sg_ok(sgi_coactivation_write(rec, 1, 0, in_root("at once/pairs"), err));
  expect_same("stopped", "at once", "pairs");
}

static void refused_numbers(void **state) {
  (void)state;
  sg_search *s;
  sg_neighbor near[8];
  size_t n;
  sg_group g;
  sg_group_request q = {.layer = 1, .channel = 99, .min_count = 1, .max_size = 2, .max_groups = 1};
  sg_together t;
  sg_usage u;
  double cka;
  uint32_t row[256];
  sg_top_token top = {.id = 3};
  float x[4] = {1, 2, 3, 4};
  assert_refused(sg_search_create(NULL, 0, 0, -1, &s, err), SG_ERR_ARG, "recording");
  assert_refused(sg_search_create(rec, 0, 99, -1, &s, err), SG_ERR_ARG, "channel 99");
  assert_refused(sg_search_create(rec, 0, 0, -1, NULL, err), SG_ERR_ARG, "NULL");
  assert_sg_ok(sg_search_create(rec, 0, 0, -1, &s, err));
  assert_refused(sg_search_nearest(s, SIZE_MAX, 1, near, &n, err), SG_ERR_ARG, "ends at");
  assert_refused(sg_search_nearest(s, 0, 0, near, &n, err), SG_ERR_ARG, "0 neighbours");
  assert_refused(sg_search_nearest(s, 0, 1, NULL, &n, err), SG_ERR_ARG, "neighbours");
  assert_refused(sg_search_nearest(NULL, 0, 1, near, &n, err), SG_ERR_ARG, "search");
  assert_refused(sg_search_nearest_to(s, NULL, x, 1, near, &n, err), SG_ERR_ARG, "index");
  assert_refused(sg_search_among(s, NULL, 3, err), SG_ERR_ARG, "positions");
  assert_sg_ok(sg_search_among(s, NULL, 0, err));
  sg_search_free(s);
  sg_search_free(NULL);
  assert_refused(sg_coactivation_groups(rec, &q, &g, &n, err), SG_ERR_ARG, "channel 99");
  q.channel = 0, q.max_size = 99;
  assert_refused(sg_coactivation_groups(rec, &q, &g, &n, err), SG_ERR_ARG, "size");
  assert_refused(sg_coactivation_groups(rec, NULL, &g, &n, err), SG_ERR_ARG, "request");
  assert_refused(sg_coactivation_groups(rec, &q, NULL, &n, err), SG_ERR_ARG, "sets");
  assert_refused(sg_coactivation_row(rec, 1, 0, 0, 99, row, err), SG_ERR_ARG, "channel 99");
  assert_refused(sg_coactivation_row(rec, 1, 0, 99999, 0, row, err), SG_ERR_ARG, "neuron 99999");
  assert_refused(sg_coactivation_row(rec, 1, 0, 0, 0, NULL, err), SG_ERR_ARG, "counts");
  assert_refused(sg_coactivation_save(rec, 1, 0, NULL, err), SG_ERR_ARG, "path");
  assert_refused(sg_fire_together(rec, 1, NULL, 2, &t, err), SG_ERR_ARG, "neurons");
  assert_refused(sg_fire_together(rec, 1, &(sg_neuron_id){0, 99999}, 1, &t, err), SG_ERR_ARG, "99999");
  assert_null(t.position);
  assert_refused(sg_recording_usage(rec, 99, &u, err), SG_ERR_ARG, "layer 99");
  assert_refused(sg_embedding_cka(rec, NULL, 1, 0, &top, 1, &cka, err), SG_ERR_ARG, "model");
  top.first = SIZE_MAX;
  assert_refused(sg_embedding_cka(rec, model, 1, 0, &top, 1, &cka, err), SG_ERR_ARG, "ends at");
  top = (sg_top_token){.id = -3};
  assert_refused(sg_embedding_cka(rec, model, 1, 0, &top, 1, &cka, err), SG_ERR_ARG, "-3");
  assert_refused(sg_linear_cka(NULL, 1, x, 1, 4, &cka, err), SG_ERR_ARG, "x is NULL");
  assert_refused(sg_linear_cka(x, 1, x, 1, 0, &cka, err), SG_ERR_ARG, "at least one");
  assert_refused(sg_top_tokens(NULL, 1, 0, -1, false, &top, &n, err), SG_ERR_ARG, "recording");
}

static void *in_thread(void *user) {
  for (int i = 0; i < 5; i++)
    if (ask(user, NULL)) return NULL;
  return user;
}

static void threads(void **state) {
  (void)state;
  static answers alone, of[3];
  pthread_t t[3];
  assert_sg_ok(ask(&alone, err));
  for (int i = 0; i < 3; i++) assert_int_equal(pthread_create(&t[i], NULL, in_thread, &of[i]), 0);
  for (int i = 0; i < 3; i++) {
    void *done;
    pthread_join(t[i], &done);
    assert_ptr_equal(done, &of[i]);
    assert_memory_equal(&of[i], &alone, sizeof alone);
  }
}

static void memory(void **state) {
  (void)state;
  static answers a;
  omp_set_num_threads(1); /* so that the count of allocations is the same each time */
  assert_true(allocations_fail_by(record, NULL, 7) > 10);
  assert_true(allocations_fail(open, NULL) > 5);
  assert_true(allocations_fail(ask, &a) > 10);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(bytes),           cmocka_unit_test(text),           cmocka_unit_test(refused_requests),
      cmocka_unit_test(places),          cmocka_unit_test(refused_places), cmocka_unit_test(numbers),
      cmocka_unit_test(refused_numbers), cmocka_unit_test(threads),        cmocka_unit_test(memory),
  };
  return cmocka_run_group_tests(tests, begin, end);
}
