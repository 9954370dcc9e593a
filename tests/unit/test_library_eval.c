/* sg_evaluate against the evaluator that runs and the command use, and maps against their stages;
 * what is missing or wrong; failing allocations; cancelling. */
#include <math.h>
#include <omp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/file.h"
#include "core/rng.h"
#include "read/evaluate.h"
#include "read/map.h"
#include "support/failing.h"
#include "support/recorded.h"

static char *root;
static sg_model *model;
static sg_tokenizer *tok;
static char text_path[4300];

static int begin(void **state) {
  (void)state;
  const char *words = "a b c d e f g";
  size_t n = strlen(words);
  sg_tokenizer_training t = {
      .vocab_size = 100, .special = (const char *const[]){"<|pad|>", "<|endoftext|>"}, .n_special = 2};
  root = golden_temporary();
  snprintf(text_path, sizeof text_path, "%s/text.txt", root);
  FILE *f = fopen(text_path, "w");
  assert_non_null(f);
  for (int i = 0; i < 12; i++) {
    for (int k = 0; k < 5 + 4 * i; k++) fprintf(f, "%c ", 'a' + (i * k + k) % 7);
    fprintf(f, "<|endoftext|>");
  }
  fclose(f);
  assert_sg_ok(sg_tokenizer_train(&t, &words, &n, 1, &tok, err));
  assert_sg_ok(sg_model_load("tests/golden/eval/model", &model, err));
  return 0;
}

static int end(void **state) {
  (void)state;
  sg_tokenizer_free(tok);
  sg_model_free(model);
  golden_remove(root);
  return 0;
}

/* By the parts: corpus, rows, pass, evaluator. */
static void by_hand(sgi_rows rows, size_t stride, sgi_eval_method method, size_t batch, sg_evaluation *out) {
  const sg_config *c = sg_model_config(model);
  sgi_corpus *corpus;
  sgi_batcher *b;
  sgi_pass *pass;
  sgi_evaluator *e;
  size_t T = c->max_position, at_once = batch ? batch : 16;
  assert_sg_ok(sgi_corpus_open(text_path, NULL, tok, c->eos_id, NULL, NULL, &corpus, err));
  sgi_batcher_settings s = {.rows = rows, .B = 1, .T = T, .bos = c->bos_id, .pad = c->pad_id, .stride = stride};
  assert_sg_ok(sgi_batcher_create(corpus, &s, &b, err));
  sgi_evaluate_request r = {.rows = b, .n_rows = sgi_batcher_batches(b), .T = T, .batch_rows = batch, .method = method};
  if (at_once > r.n_rows) at_once = (size_t)r.n_rows;
  size_t fit;
  assert_sg_ok(sgi_pass_fit_within(c, at_once, T, false, 1 << 30, &fit, err));
  assert_sg_ok(sgi_pass_create(model, fit, T, false, &pass, err));
  assert_sg_ok(sgi_evaluator_create(pass, model, fit, T, &e, err));
  assert_sg_ok(sgi_evaluate(e, &r, out, err));
  sgi_evaluator_free(e);
  sgi_pass_free(pass);
  sgi_batcher_free(b);
  sgi_corpus_close(corpus);
}

static sg_evaluate_request request(void) { return (sg_evaluate_request){.data = text_path, .tokenizer = tok}; }

static void text(void **state) {
  (void)state;
  sg_evaluation a, b;
  size_t T = sg_model_config(model)->max_position;
  sg_evaluate_request q = request();
  q.rows = SG_EVAL_PAD;
  assert_sg_ok(sg_evaluate(model, &q, &a, err));
  by_hand(SGI_ROWS_PAD, 0, SGI_EVAL_TOKENS, 0, &b);
  assert_memory_equal(&a, &b, sizeof a);
  assert_int_equal(a.rows, 12);
  q.rows = SG_EVAL_ROWS_AUTO; /* some documents are longer than the model's rows: windows */
  assert_sg_ok(sg_evaluate(model, &q, &a, err));
  by_hand(SGI_ROWS_WINDOWS, T / 2, SGI_EVAL_TOKENS, 0, &b);
  assert_memory_equal(&a, &b, sizeof a);
  q.rows = SG_EVAL_PACK;
  assert_sg_ok(sg_evaluate(model, &q, &a, err));
  by_hand(SGI_ROWS_PACK, 0, SGI_EVAL_TOKENS, 0, &b);
  assert_memory_equal(&a, &b, sizeof a);
  q = request();
  q.method = SG_EVAL_BATCHES;
  q.batch_rows = 4;
  assert_sg_ok(sg_evaluate(model, &q, &a, err));
  by_hand(SGI_ROWS_PAD, 0, SGI_EVAL_BATCHES, 4, &b);
  assert_memory_equal(&a, &b, sizeof a);
}

static void ids(void **state) {
  (void)state;
  enum { B = 5, T = 9 };
  int32_t targets[B * T];
  sgi_rng rng = sgi_rng_make(2, 0, 0);
  for (size_t i = 0; i < B * T; i++) targets[i] = (int32_t)(2 + sgi_rng_below(&rng, 100));
  sg_evaluate_request q = {.targets = targets, .B = B, .T = T};
  sg_evaluation a;
  sg_loss loss;
  assert_sg_ok(sg_evaluate(model, &q, &a, err));
  assert_sg_ok(sg_rows_run(model, &(sg_rows_request){.B = B, .T = T, .targets = targets}, &loss, err));
  assert_true(a.loss == loss.loss && a.accuracy == loss.accuracy && a.tokens == loss.targets);
  assert_true(a.perplexity_last_token == loss.perplexity_last_token && a.standard_error > 0);
  q.max_rows = 2;
  assert_sg_ok(sg_evaluate(model, &q, &a, err));
  assert_int_equal(a.rows, 2);
  targets[T] = -5;
  assert_refused(sg_evaluate(model, &q, &a, err), SG_ERR_ARG, "row 1, position 0");
  q.targets = NULL;
  assert_refused(sg_evaluate(model, &q, &a, err), SG_ERR_ARG, "targets");
  q.targets = targets, q.T = 0;
  assert_refused(sg_evaluate(model, &q, &a, err), SG_ERR_ARG, "0 tokens");
}

static bool refuse(void *user, const char *what, uint64_t done, uint64_t wanted) {
  (void)done, (void)wanted;
  return strcmp(what, user) != 0;
}

static void refusals(void **state) {
  (void)state;
  sg_evaluation a;
  sg_evaluate_request q = request();
  assert_refused(sg_evaluate(NULL, &q, &a, err), SG_ERR_ARG, "model");
  assert_refused(sg_evaluate(model, NULL, &a, err), SG_ERR_ARG, "request");
  assert_refused(sg_evaluate(model, &q, NULL, err), SG_ERR_ARG, "NULL");
  q.tokenizer = NULL;
  assert_refused(sg_evaluate(model, &q, &a, err), SG_ERR_ARG, "tokenizer");
  q = request(), q.data = "/no/such";
  assert_refused(sg_evaluate(model, &q, &a, err), SG_ERR_IO, "/no/such");
  q = request(), q.rows = SG_EVAL_PAD, q.stride = 3;
  assert_refused(sg_evaluate(model, &q, &a, err), SG_ERR_ARG, "stride");
  q = request(), q.stride = 10000;
  assert_refused(sg_evaluate(model, &q, &a, err), SG_ERR_ARG, "stride");
  q = request(), q.rows = (sg_eval_rows)9;
  assert_refused(sg_evaluate(model, &q, &a, err), SG_ERR_ARG, "rows");
  q = request(), q.method = SG_EVAL_BATCHES;
  assert_refused(sg_evaluate(model, &q, &a, err), SG_ERR_ARG, "no row");
  q = request(), q.max_bytes = 1;
  assert_int_equal(sg_evaluate(model, &q, &a, NULL), SG_ERR_MEMORY);
  q = request(), q.progress = refuse, q.user = "evaluating";
  assert_int_equal(sg_evaluate(model, &q, &a, NULL), SG_ERR_CANCELLED);
}

static sg_status evaluate(void *user, sg_error *err) {
  sg_evaluation a;
  sg_evaluate_request q = request();
  (void)user;
  return sg_evaluate(model, &q, &a, err);
}

/* ---- maps ------------------------------------------------------------------------------------ */

static sg_recording *rec;

static bool stop_at(void *user, const char *what, size_t done, size_t wanted) {
  assert_true(done <= wanted);
  return strcmp(what, user) != 0;
}

static sg_map_request map_request(void) {
  return (sg_map_request){
      .channel = SG_ALL_CHANNELS, .top = 20, .neighbors = 5, .min_dist = 0.1, .epochs = 30, .seed = 7, .trust = true};
}

static sg_status make_map(void *user, sg_error *err) {
  sg_map *m;
  sg_status st = sg_map_create(rec, user, &m, err);
  assert_true(!st == !!m);
  sg_map_free(m);
  return st;
}

static void maps(void **state) {
  (void)state;
  char path[4300];
  rec = recorded_random(root, 12, 10, 2, 3, 30, 5);
  sg_map_request q = map_request();
  sg_map *m;
  assert_sg_ok(sg_map_create(rec, &q, &m, err));
  /* By its stages. */
  sgi_top_token tokens[20];
  size_t n_tokens, n;
  uint32_t *positions;
  int32_t *label;
  sgi_vectors v;
  sgi_umap_settings s = SGI_UMAP_DEFAULTS;
  double low, high;
  assert_sg_ok(sg_top_tokens(rec, 20, 0, 0, false, tokens, &n_tokens, err));
  assert_sg_ok(sgi_map_positions(rec, tokens, n_tokens, 0, false, &positions, &label, &n, err));
  assert_sg_ok(sgi_map_circuits(rec, 0, SG_ALL_CHANNELS, positions, n, &v, err));
  s.neighbors = 5, s.epochs = 30, s.seed = 7;
  float *xy = calloc(2 * n, sizeof *xy);
  assert_sg_ok(sgi_umap(&v, &s, xy, NULL, NULL, err));
  assert_sg_ok(sgi_trustworthiness(&v, xy, 5, &low, &high, err));
  assert_int_equal(m->n, n);
  assert_memory_equal(m->xy, xy, 2 * n * sizeof *xy);
  assert_memory_equal(m->position, positions, n * sizeof *positions);
  assert_memory_equal(m->label, label, n * sizeof *label);
  assert_true(m->n_tokens == n_tokens && m->trust_min == low && m->trust_max == high);
  free(xy);
  sgi_free(positions);
  sgi_free(label);
  sgi_vectors_free(&v);
  /* Its picture. */
  const char *names[20] = {0};
  for (size_t i = 0; i < 20; i++) names[i] = "name";
  snprintf(path, sizeof path, "%s/map.svg", root);
  assert_sg_ok(sg_map_save_svg(m, names, "title", path, err));
  assert_true(sgi_is_file(path));
  names[3] = NULL;
  assert_refused(sg_map_save_svg(m, names, "title", path, err), SG_ERR_ARG, "name");
  assert_refused(sg_map_save_svg(NULL, names, "title", path, err), SG_ERR_ARG, "map");
  assert_refused(sg_map_save_svg(m, NULL, "title", path, err), SG_ERR_ARG, "names");
  assert_refused(sg_map_save_svg(m, names, NULL, path, err), SG_ERR_ARG, "title");
  assert_refused(sg_map_save_svg(m, names, "title", NULL, err), SG_ERR_ARG, "path");
  sg_map_free(m);
  sg_map_free(NULL);
  /* Embeddings: a point a token. */
  q.embedding_of = model;
  q.trust = false;
  assert_sg_ok(sg_map_create(rec, &q, &m, err));
  assert_true(m->n == m->n_tokens && !m->position && isnan(m->trust_min));
  sg_map_free(m);
  assert_true(allocations_fail(make_map, &q) > 10);
  q = map_request();
  assert_true(allocations_fail(make_map, &q) > 10);
  /* Refused, cancelled. */
  assert_refused(sg_map_create(NULL, &q, &m, err), SG_ERR_ARG, "recording");
  assert_refused(sg_map_create(rec, NULL, &m, err), SG_ERR_ARG, "request");
  assert_refused(sg_map_create(rec, &q, NULL, err), SG_ERR_ARG, "NULL");
  q.layer = 4;
  assert_refused(sg_map_create(rec, &q, &m, err), SG_ERR_ARG, "layer 4");
  q = map_request(), q.channel = 2;
  assert_refused(sg_map_create(rec, &q, &m, err), SG_ERR_ARG, "channel 2");
  q = map_request(), q.neighbors = 500;
  assert_refused(sg_map_create(rec, &q, &m, err), SG_ERR_ARG, "too few");
  q = map_request(), q.neighbors = 1;
  assert_refused(sg_map_create(rec, &q, &m, err), SG_ERR_ARG, "2 points");
  q = map_request(), q.min_dist = (double)NAN;
  assert_refused(sg_map_create(rec, &q, &m, err), SG_ERR_ARG, "min_dist");
  q = map_request(), q.progress = stop_at, q.user = "layout";
  assert_int_equal(sg_map_create(rec, &q, &m, NULL), SG_ERR_CANCELLED);
  assert_null(m);
  q.user = "neighbours";
  assert_int_equal(sg_map_create(rec, &q, &m, NULL), SG_ERR_CANCELLED);
  sg_recording_close(rec);
}

static void memory(void **state) {
  (void)state;
  omp_set_num_threads(1); /* so that the count of allocations is the same each time */
  assert_true(allocations_fail(evaluate, NULL) > 10);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(text),   cmocka_unit_test(ids),  cmocka_unit_test(refusals),
      cmocka_unit_test(memory), cmocka_unit_test(maps),
  };
  return cmocka_run_group_tests(tests, begin, end);
}
