/* Batches: golden rows, every document or token once an epoch, the same batch for the same number
 * whatever was asked before. */
#include <jansson.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
/* after the four headers it needs */
#include <cmocka.h>

#include "core/arena.h"
#include "support/text_scratch.h"
#include "data/data.h"

enum { BOS = 1, PAD = 0, DOCUMENTS = 53, MAX_CELLS = 1 << 16 };

static sg_tokenizer *tok;
static sgi_corpus *corpus; /* DOCUMENTS documents, all different, one of them of one token */
static int32_t inputs[MAX_CELLS], targets[MAX_CELLS], starts[MAX_CELLS];

static sgi_corpus *open_text(const char *name) {
  sgi_corpus *c;
  sg_error err;
  if (sgi_corpus_open(scratch_path(name), NULL, tok, BOS, NULL, NULL, &c, &err)) fail_msg("%s: %s", name, err.text);
  return c;
}

static sgi_batcher *make(const sgi_corpus *c, sgi_rows rows, size_t B, size_t T, bool shuffle, uint64_t seed) {
  sgi_batcher *b;
  sg_error err;
  assert_true(B * T <= MAX_CELLS);
  sgi_batcher_settings s = {.rows = rows, .B = B, .T = T, .bos = BOS, .pad = PAD, .shuffle = shuffle, .seed = seed};
  if (sgi_batcher_create(c, &s, &b, &err)) fail_msg("%s", err.text);
  return b;
}

/* The rule of the shift, for any padded row. */
static void expect_shifted(size_t T) {
  for (size_t t = 0; t < T; t++) assert_int_equal(inputs[t], t ? targets[t - 1] : BOS);
}

static void golden_rows(void **state) {
  (void)state;
  FILE *f = fopen("tests/golden/tokenizer/truncate_pad.jsonl", "rb");
  assert_non_null(f);
  char *line = NULL;
  size_t size = 0, checked = 0;
  while (getline(&line, &size, f) > 0) {
    json_t *row = json_loads(line, 0, NULL);
    assert_non_null(row);
    const char *text = json_string_value(json_object_get(row, "text"));
    const json_t *ids = json_object_get(row, "ids");
    size_t T = json_integer_value(json_object_get(row, "max_length"));
    assert_int_equal(json_array_size(ids), T);
    if (json_is_true(json_object_get(row, "add_eos")) && *text) {
      json_t *document = json_pack("{sO}", "text", json_object_get(row, "text"));
      char *dumped = json_dumps(document, 0);
      scratch_text("golden.jsonl", dumped);
      sgi_corpus *c = open_text("golden.jsonl");
      sgi_batcher *b = make(c, SGI_ROWS_PAD, 1, T, false, 0);
      sgi_batcher_get(b, 0, inputs, targets, NULL);
      for (size_t t = 0; t < T; t++) assert_int_equal(targets[t], json_integer_value(json_array_get(ids, t)));
      expect_shifted(T);
      sgi_batcher_free(b);
      sgi_corpus_close(c);
      free(dumped);
      json_decref(document);
      checked++;
    }
    json_decref(row);
  }
  assert_true(checked > 20);
  free(line);
  fclose(f);
}

/* The document that a padded row shows, by its tokens; DOCUMENTS if none. */
static size_t document_of(const int32_t *row, size_t T) {
  for (size_t i = 0; i < DOCUMENTS; i++) {
    size_t n;
    const int32_t *ids = sgi_corpus_document(corpus, i, &n);
    size_t k = n < T ? n : T;
    bool same = !memcmp(row, ids, k * sizeof *ids);
    for (size_t t = k; t < T; t++) same = same && row[t] == PAD;
    if (same) return i;
  }
  return DOCUMENTS;
}

static void padded(void **state) {
  (void)state;
  enum { B = 4, T = 24 };
  size_t orders[3][DOCUMENTS];
  sgi_batcher *b = make(corpus, SGI_ROWS_PAD, B, T, true, 7), *other = make(corpus, SGI_ROWS_PAD, B, T, true, 8);
  uint64_t batches = sgi_batcher_batches(b);
  assert_int_equal(batches, DOCUMENTS / B);
  for (size_t e = 0; e < 3; e++) {
    bool seen[DOCUMENTS] = {false};
    for (uint64_t i = 0; i < batches; i++) {
      sgi_batcher_get(b, e * batches + i, inputs, targets, starts);
      expect_shifted(T);
      for (size_t r = 0; r < B; r++) {
        size_t d = document_of(targets + r * T, T);
        assert_true(d < DOCUMENTS && !seen[d]);
        seen[d] = true;
        orders[e][i * B + r] = d;
        for (size_t t = 0; t < T; t++) assert_int_equal(starts[r * T + t], 0);
      }
    }
  }
  size_t used = batches * B * sizeof orders[0][0], same = 0;
  assert_memory_not_equal(orders[0], orders[1], used);
  assert_memory_not_equal(orders[1], orders[2], used);
  for (uint64_t i = 0; i < batches; i++) {
    sgi_batcher_get(other, i, inputs, targets, NULL);
    same += document_of(targets, T) == orders[0][i * B];
  }
  assert_true(same < batches);
  sgi_batcher_free(other);
  sgi_batcher_free(b);
  b = make(corpus, SGI_ROWS_PAD, B, T, false, 7); /* the order of the file, each epoch */
  for (uint64_t i = 0; i < 2 * batches; i++) {
    sgi_batcher_get(b, i, inputs, targets, NULL);
    for (size_t r = 0; r < B; r++) assert_int_equal(document_of(targets + r * T, T), i % batches * B + r);
  }
  sgi_batcher_free(b);
}

/* One epoch's rows joined must be whole documents, each once, but for the end that is dropped. With
 * no special token inside a document, bos as input marks exactly the documents' begins. */
static void expect_packed(sgi_batcher *b, size_t B, size_t T, uint64_t epoch) {
  uint64_t batches = sgi_batcher_batches(b), tokens = sgi_corpus_tokens(corpus);
  assert_int_equal(batches, tokens / T / B);
  size_t total = batches * B * T;
  int32_t *stream = malloc(total * sizeof *stream);
  bool *begins = malloc(total), seen[DOCUMENTS] = {false};
  assert_non_null(stream);
  assert_non_null(begins);
  for (uint64_t i = 0; i < batches; i++) {
    sgi_batcher_get(b, epoch * batches + i, inputs, targets, starts);
    for (size_t r = 0; r < B; r++) {
      int32_t start = 0;
      for (size_t t = 0; t < T; t++) {
        size_t cell = r * T + t, at = i * B * T + cell;
        stream[at] = targets[cell];
        begins[at] = inputs[cell] == BOS;
        if (begins[at]) start = (int32_t)t;
        assert_int_equal(starts[cell], start);
        assert_true(begins[at] || (at > 0 && inputs[cell] == stream[at - 1]));
        if (at > 0) assert_int_equal(begins[at], stream[at - 1] == BOS); /* behind an eos, and only there */
      }
    }
  }
  assert_true(begins[0]);
  for (size_t at = 0; at < total;) {
    size_t end = at + 1;
    while (end < total && !begins[end]) end++;
    bool cut = end == total, found = false;
    for (size_t d = 0; d < DOCUMENTS && !found; d++) {
      size_t n;
      const int32_t *ids = sgi_corpus_document(corpus, d, &n);
      if (seen[d] || (cut ? n < end - at : n != end - at) || memcmp(stream + at, ids, (end - at) * sizeof *ids))
        continue;
      seen[d] = found = true;
    }
    assert_true(found);
    at = end;
  }
  free(stream);
  free(begins);
}

static void packed(void **state) {
  (void)state;
  const size_t sizes[][2] = {{1, 1}, {1, 7}, {3, 16}, {2, 64}, {5, 11}, {1, 500}};
  for (size_t k = 0; k < SGI_COUNT(sizes); k++) {
    for (int shuffle = 0; shuffle < 2; shuffle++) {
      sgi_batcher *b = make(corpus, SGI_ROWS_PACK, sizes[k][0], sizes[k][1], shuffle, 3);
      for (uint64_t epoch = 0; epoch < 3; epoch++) expect_packed(b, sizes[k][0], sizes[k][1], epoch);
      sgi_batcher_free(b);
    }
  }
  /* In file order the stream is the file. */
  sgi_batcher *b = make(corpus, SGI_ROWS_PACK, 1, 40, false, 0);
  size_t n, m, got = 0;
  sgi_batcher_get(b, 0, inputs, targets, starts);
  for (size_t d = 0; got < 40; d++) {
    const int32_t *ids = sgi_corpus_document(corpus, d, &n);
    m = n < 40 - got ? n : 40 - got;
    assert_memory_equal(targets + got, ids, m * sizeof *ids);
    got += m;
  }
  /* The last row ends with the last whole one: one row of all tokens is possible, too. */
  sgi_batcher_free(b);
  size_t all = sgi_corpus_tokens(corpus);
  b = make(corpus, SGI_ROWS_PACK, 1, all, true, 5);
  assert_int_equal(sgi_batcher_batches(b), 1);
  expect_packed(b, 1, all, 9);
  sgi_batcher_free(b);
}

static void any_order(void **state) {
  (void)state;
  enum { B = 3, T = 16, N = B * T };
  for (int rows = 0; rows < 2; rows++) {
    sgi_batcher *b = make(corpus, rows ? SGI_ROWS_PACK : SGI_ROWS_PAD, B, T, true, 11);
    uint64_t count = 3 * sgi_batcher_batches(b);
    int32_t *sequence = malloc(count * 3 * N * sizeof *sequence);
    assert_non_null(sequence);
    size_t allocations = sgi_alloc_count();
    for (uint64_t i = 0; i < count; i++) {
      int32_t *s = sequence + i * 3 * N;
      sgi_batcher_get(b, i, s, s + N, s + 2 * N);
    }
    for (uint64_t k = 0; k < 3 * count; k++) {
      uint64_t i = (k * 7919 + 5) % count; /* jumps between epochs */
      const int32_t *s = sequence + i * 3 * N;
      sgi_batcher_get(b, i, inputs, targets, starts);
      assert_memory_equal(inputs, s, N * sizeof *s);
      assert_memory_equal(targets, s + N, N * sizeof *s);
      assert_memory_equal(starts, s + 2 * N, N * sizeof *s);
    }
    assert_int_equal(sgi_alloc_count(), allocations);
    sgi_batcher_free(b);
    b = make(corpus, rows ? SGI_ROWS_PACK : SGI_ROWS_PAD, B, T, true, 11); /* a resumed run begins in the middle */
    for (uint64_t i = count / 2 + 1; i < count; i++) {
      const int32_t *s = sequence + i * 3 * N;
      sgi_batcher_get(b, i, inputs, targets, NULL);
      assert_memory_equal(inputs, s, N * sizeof *s);
      assert_memory_equal(targets, s + N, N * sizeof *s);
    }
    sgi_batcher_free(b);
    free(sequence);
  }
}

static void refused(void **state) {
  (void)state;
  sgi_batcher *b;
  sg_error err;
  sgi_batcher_settings s = {.rows = SGI_ROWS_PAD, .B = DOCUMENTS + 1, .T = 8, .bos = BOS, .pad = PAD};
  assert_int_equal(sgi_batcher_create(corpus, &s, &b, &err), SG_ERR_ARG);
  assert_non_null(strstr(err.text, "53"));
  assert_non_null(strstr(err.text, "54"));
  s.rows = SGI_ROWS_PACK;
  s.B = 1;
  s.T = sgi_corpus_tokens(corpus) + 1;
  assert_int_equal(sgi_batcher_create(corpus, &s, &b, &err), SG_ERR_ARG);
  const size_t wrong[][2] = {{0, 8}, {8, 0}, {1, (size_t)1 << 31}, {SIZE_MAX, 2}, {SIZE_MAX / 4, 2}};
  for (size_t i = 0; i < SGI_COUNT(wrong); i++) {
    s.B = wrong[i][0];
    s.T = wrong[i][1];
    assert_int_equal(sgi_batcher_create(corpus, &s, &b, &err), SG_ERR_ARG);
    assert_null(b);
  }
  scratch_text("none.txt", "");
  sgi_corpus *none = open_text("none.txt");
  s.B = s.T = 1;
  assert_int_equal(sgi_batcher_create(none, &s, &b, &err), SG_ERR_ARG);
  s.rows = SGI_ROWS_PAD;
  assert_int_equal(sgi_batcher_create(none, &s, &b, &err), SG_ERR_ARG);
  sgi_corpus_close(none);
  s.rows = SGI_ROWS_PACK;
  for (size_t at = 1; at < 3; at++) {
    sgi_alloc_fail_at(at, false);
    sg_status st = sgi_batcher_create(corpus, &s, &b, &err);
    sgi_alloc_fail_at(0, false);
    assert_int_equal(st, SG_ERR_MEMORY);
    assert_null(b);
  }
  sgi_batcher_free(NULL);
}

/* Windows count every token of every document once, each behind the token before it and with enough
 * of its document. */
static void windows(void **state) {
  (void)state;
  static const size_t sizes[][2] = {{8, 4}, {8, 8}, {8, 1}, {7, 3}, {1, 1}, {40, 13}};
  for (size_t k = 0; k < sizeof sizes / sizeof *sizes; k++) {
    size_t T = sizes[k][0], stride = sizes[k][1], row = 0;
    sgi_batcher_settings s = {.rows = SGI_ROWS_WINDOWS, .B = 1, .T = T, .bos = BOS, .pad = PAD, .stride = stride};
    sgi_batcher *b;
    sg_error err;
    assert_int_equal(sgi_batcher_create(corpus, &s, &b, &err), SG_OK);
    for (size_t d = 0; d < sgi_corpus_documents(corpus); d++) {
      size_t n, counted = 0;
      const int32_t *ids = sgi_corpus_document(corpus, d, &n);
      uint64_t first = 0, end = 0;
      assert_int_equal(sgi_batcher_unit(b, row, &first, &end), d);
      assert_int_equal(first, row);
      for (; row < end; row++) {
        sgi_batcher_get(b, row, inputs, targets, starts);
        for (size_t t = 0, before = 0; t < T; t++) {
          assert_int_equal(starts[t], 0);
          if (targets[t] == PAD) {
            before++;
            continue;
          }
          assert_int_equal(targets[t], ids[counted]);
          for (size_t back = 0; back <= t && back <= counted; back++) /* its window holds the document up to it */
            assert_int_equal(inputs[t - back], counted > back ? ids[counted - back - 1] : BOS);
          assert_true(t + stride >= T || row == first);
          assert_true(row == first || before > 0 || stride == T);
          counted++;
        }
      }
      assert_int_equal(counted, n);
    }
    assert_int_equal(row, sgi_batcher_batches(b));
    sgi_batcher_free(b);
    s.stride = T + 1;
    assert_int_equal(sgi_batcher_create(corpus, &s, &b, &err), SG_ERR_ARG);
    s.stride = 0;
    assert_int_equal(sgi_batcher_create(corpus, &s, &b, &err), SG_ERR_ARG);
  }
}

/* Walked from owner to owner, the targets of each document are its tokens in their order, and of
 * all the rows' tokens none is left out. */
static void owners(void **state) {
  (void)state;
  static const size_t sizes[] = {1, 7, 16, 64, 500};
  for (sgi_rows rows = SGI_ROWS_PAD; rows <= SGI_ROWS_WINDOWS; rows++)
    for (size_t k = 0; k < SGI_COUNT(sizes); k++) {
      size_t T = sizes[k], of[DOCUMENTS] = {0}, all = 0, n, wanted = 0;
      sgi_batcher_settings s = {.rows = rows, .B = 1, .T = T, .bos = BOS, .pad = PAD, .stride = (T + 1) / 2};
      sgi_batcher *b;
      sg_error err;
      assert_int_equal(sgi_batcher_create(corpus, &s, &b, &err), SG_OK);
      for (uint64_t row = 0; row < sgi_batcher_batches(b); row++) {
        sgi_batcher_get(b, row, inputs, targets, starts);
        for (size_t t = 0, end; t < T; t = end) {
          size_t d = sgi_batcher_owner(b, row, t, &end);
          const int32_t *ids = sgi_corpus_document(corpus, d, &n);
          assert_true(d < DOCUMENTS && end > t && end <= T);
          for (size_t i = t; i < end; i++) {
            if (targets[i] == PAD) continue;
            assert_true(of[d] < n);
            assert_int_equal(targets[i], ids[of[d]]);
            of[d]++, all++;
          }
        }
      }
      for (size_t d = 0; d < DOCUMENTS; d++) {
        sgi_corpus_document(corpus, d, &n);
        wanted += rows == SGI_ROWS_PAD && n > T ? T : n;
      }
      assert_int_equal(all, rows == SGI_ROWS_PACK ? wanted / T * T : wanted);
      sgi_batcher_free(b);
    }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(windows), cmocka_unit_test(owners),    cmocka_unit_test(golden_rows), cmocka_unit_test(padded),
      cmocka_unit_test(packed),  cmocka_unit_test(any_order), cmocka_unit_test(refused),
  };
  scratch_begin();
  sg_error err;
  if (sg_tokenizer_load("tests/golden/tokenizer/tokenizer.json", &tok, &err)) {
    fprintf(stderr, "%s\n", err.text);
    return 1;
  }
  char text[16384] = "";
  for (size_t i = 0, n = 0; i < DOCUMENTS; i++) {
    if (i)
      n += (size_t)sprintf(text + n, "%zu came to the house", i);
    else
      n += (size_t)sprintf(text + n, "\x7F"); /* which the tokenizer drops: a document of its eos alone */
    for (size_t k = 0; k < i * 5 % 13; k++) n += (size_t)sprintf(text + n, " and %zu", k);
    n += (size_t)sprintf(text + n, "<|endoftext|>\n");
  }
  scratch_text("corpus.txt", text);
  corpus = open_text("corpus.txt");
  int failed = cmocka_run_group_tests(tests, NULL, NULL);
  sgi_corpus_close(corpus);
  sg_tokenizer_free(tok);
  scratch_end();
  return failed;
}
