/* test_bpe.c: training against Hugging Face's trainer, merge by merge, and what training writes
 * against its files. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "support/golden.h"

#include "core/arena.h"
#include "core/file.h"
#include "text/tokenizer.h"
#include "text/words.h"

#define BPE "tests/golden/bpe/"

/* ---- documents, cut at "\n<|endoftext|>\n" --------------------------------------------------- */

typedef struct corpus {
  char *text;
  const char *documents[1024];
  size_t lengths[1024], n;
} corpus;

static corpus read_corpus(const char *name) {
  static const char mark[] = "\n<|endoftext|>\n";
  corpus c = {0};
  char path[128];
  size_t n;
  snprintf(path, sizeof path, BPE "%s.txt", name);
  assert_sg_ok(sgi_read_file(path, 1 << 20, &c.text, &n, err));
  for (char *p = c.text, *end; (end = strstr(p, mark)); p = end + strlen(mark)) {
    assert_true(c.n < SGI_COUNT(c.documents));
    c.documents[c.n] = p;
    c.lengths[c.n++] = (size_t)(end - p);
  }
  return c;
}

static sg_tokenizer *train(const corpus *c, size_t vocab_size, bool full) {
  static const char *const special[] = {"<|pad|>", "<|endoftext|>"};
  sg_tokenizer_training s = {.vocab_size = vocab_size,
                             .full_alphabet = full,
                             .nfkc = true,
                             .prefix_space = true,
                             .special = special,
                             .n_special = 2};
  sg_tokenizer *t;
  assert_sg_ok(sg_tokenizer_train(&s, c->documents, c->lengths, c->n, &t, err));
  return t;
}

/* ---- merges ---------------------------------------------------------------------------------- */

static void check_merges(const sg_tokenizer *t, const char *run) {
  char path[128], line[1024];
  size_t n = 0;
  snprintf(path, sizeof path, BPE "%s.merges.tsv", run);
  FILE *f = fopen(path, "r");
  assert_non_null(f);
  while (fgets(line, sizeof line, f)) {
    unsigned rank;
    int left, right, id;
    assert_int_equal(sscanf(line, "%u %d %d %d", &rank, &left, &right, &id), 4);
    if (n >= t->n_merges || rank != n || t->merges[n].left != left || t->merges[n].right != right ||
        t->merges[n].id != id)
      fail_msg("%s: merge %zu differs", run, n);
    n++;
  }
  fclose(f);
  assert_int_equal(n, t->n_merges);
}

/* The file that is written holds what the golden one holds, and reading it gives the same again. */
static void check_file(const sg_tokenizer *t, const char *run, const char *directory) {
  char golden[128], *path = sgi_path_join(directory, "tokenizer.json");
  snprintf(golden, sizeof golden, BPE "%s.json", run);
  json_t *want = golden_json(golden);
  sg_tokenizer *again;
  for (int round = 0; round < 2; round++) {
    assert_sg_ok(sg_tokenizer_save(t, path, err));
    json_t *own = golden_json(path);
    if (!json_equal(own, want)) fail_msg("%s: another tokenizer.json", run);
    json_decref(own);
    if (round == 0) {
      assert_sg_ok(sg_tokenizer_load(path, &again, err));
      t = again;
    }
  }
  sg_tokenizer_free(again);
  json_decref(want);
  sgi_free(path);
}

/* Some runs have texts encoded with their tokenizer. Returns whether this one has. */
static bool check_encode(const sg_tokenizer *t, const char *run) {
  char path[128], *line = NULL;
  size_t size = 0, number = 0;
  snprintf(path, sizeof path, BPE "%s.encode.jsonl", run);
  FILE *f = fopen(path, "r");
  if (!f) return false;
  for (ssize_t n; (n = getline(&line, &size, f)) > 0;) {
    json_t *v = json_loadb(line, (size_t)n, JSON_ALLOW_NUL, NULL);
    const json_t *text = json_object_get(v, "text"), *want = json_object_get(v, "ids"),
                 *decoded = json_object_get(v, "decoded");
    int32_t *ids;
    size_t count, length;
    char *back;
    assert_sg_ok(sg_tokenizer_encode(t, json_string_value(text), json_string_length(text), &ids, &count, err));
    number++;
    bool same = count == json_array_size(want);
    for (size_t i = 0; same && i < count; i++) same = json_integer_value(json_array_get(want, i)) == ids[i];
    if (!same) fail_msg("%s: ids of line %zu differ", run, number);
    assert_sg_ok(sg_tokenizer_decode(t, ids, count, false, &back, &length, err));
    if (length != json_string_length(decoded) || memcmp(back, json_string_value(decoded), length))
      fail_msg("%s: decoded text of line %zu differs", run, number);
    sg_buffer_free(ids);
    sg_buffer_free(back);
    json_decref(v);
  }
  assert_int_equal(number, 184);
  free(line);
  fclose(f);
  return true;
}

static void check_corpus(const char *name, const size_t sizes[3]) {
  corpus c = read_corpus(name);
  char *directory = golden_temporary();
  int encoded = 0;
  for (int full = 0; full < 2; full++)
    for (size_t i = 0; i < 3; i++) {
      char run[64];
      snprintf(run, sizeof run, "%s_%s_%zu", name, full ? "alpha" : "noalpha", sizes[i]);
      sg_tokenizer *t = train(&c, sizes[i], full);
      check_merges(t, run);
      check_file(t, run, directory);
      encoded += check_encode(t, run);
      sg_tokenizer_free(t);
    }
  assert_int_equal(encoded, 2);
  golden_remove(directory);
  sgi_free(c.text);
}

static void test_stories(void **state) {
  (void)state;
  check_corpus("stories", (const size_t[]){300, 512, 2000});
}

static void test_mixed(void **state) {
  (void)state;
  check_corpus("mixed", (const size_t[]){300, 600, 5000});
}

/* ---- words ----------------------------------------------------------------------------------- */

static void check_words(const char *name) {
  corpus c = read_corpus(name);
  sgi_words w = {.nfkc = true, .prefix_space = true};
  for (size_t i = 0; i < c.n; i++) assert_sg_ok(sgi_words_add(&w, c.documents[i], c.lengths[i], err));
  char path[128], *line = NULL;
  size_t size = 0, rows = 0;
  snprintf(path, sizeof path, BPE "%s.words.tsv", name);
  FILE *f = fopen(path, "r");
  assert_non_null(f);
  sgi_bytes word = {0};
  for (ssize_t n; (n = getline(&line, &size, f)) > 0; rows++) {
    char *tab = strchr(line, '\t');
    uint64_t count = strtoull(line, NULL, 10);
    bool plain, found = false;
    word.n = 0;
    line[n - 1] = '\0';
    assert_true(sgi_bytes_from_name(tab + 1, strlen(tab + 1), &word, &plain) && plain);
    for (size_t i = 0; i < w.n && !found; i++)
      found = w.at[i].n == word.n && !memcmp(w.text.data + w.at[i].begin, word.data, word.n) && w.at[i].count == count;
    if (!found) fail_msg("%s: \"%s\" is not there %llu times", name, tab + 1, (unsigned long long)count);
  }
  assert_int_equal(rows, w.n);
  fclose(f);
  free(line);
  sgi_bytes_deinit(&word);
  sgi_words_deinit(&w);
  sgi_free(c.text);
}

static void test_words(void **state) {
  (void)state;
  check_words("stories");
  check_words("mixed");
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_words), cmocka_unit_test(test_stories),
                                     cmocka_unit_test(test_mixed)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
