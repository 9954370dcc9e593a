/* test_tokenizer.c: ids and decoded text against Hugging Face's, line by line; NFKC and classes on
 * every code point. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "support/golden.h"

#include "core/arena.h"
#include "core/file.h"
#include "text/unicode.h"

#define GOLDEN "tests/golden/"

/* ---- lines of JSON --------------------------------------------------------------------------- */

typedef struct lines {
  FILE *f;
  char *text;
  size_t size, number;
} lines;

static lines open_lines(const char *path) {
  lines l = {.f = fopen(path, "r")};
  if (!l.f) fail_msg("%s can not be read", path);
  return l;
}

static json_t *next_line(lines *l) {
  ssize_t n = getline(&l->text, &l->size, l->f);
  if (n <= 0) {
    fclose(l->f);
    free(l->text);
    return NULL;
  }
  l->number++;
  json_t *v = json_loadb(l->text, (size_t)n, JSON_ALLOW_NUL, NULL);
  assert_non_null(v);
  return v;
}

static bool same_ids(const json_t *want, const int32_t *ids, size_t n) {
  if (json_array_size(want) != n) return false;
  for (size_t i = 0; i < n; i++)
    if (json_integer_value(json_array_get(want, i)) != ids[i]) return false;
  return true;
}

static bool same_text(const json_t *want, const char *text, size_t n) {
  return json_string_length(want) == n && !memcmp(json_string_value(want), text, n);
}

static bool decodes_to(const sg_tokenizer *t, const int32_t *ids, size_t n, bool skip, const json_t *want) {
  char *text;
  size_t length;
  assert_sg_ok(sg_tokenizer_decode(t, ids, n, skip, &text, &length, err));
  bool same = same_text(want, text, length);
  sg_buffer_free(text);
  return same;
}

/* ---- encode.jsonl ---------------------------------------------------------------------------- */

static void check_encode(const char *tokenizer, const char *path, size_t n_lines) {
  sg_tokenizer *t;
  assert_sg_ok(sg_tokenizer_load(tokenizer, &t, err));
  lines l = open_lines(path);
  size_t bad = 0;
  for (json_t *v; (v = next_line(&l)); json_decref(v)) {
    const json_t *text = json_object_get(v, "text"), *want = json_object_get(v, "ids"),
                 *decoded = json_object_get(v, "decoded"), *skipped = json_object_get(v, "decoded_skip_special");
    int32_t *ids;
    size_t n;
    assert_sg_ok(sg_tokenizer_encode(t, json_string_value(text), json_string_length(text), &ids, &n, err));
    bool fine = same_ids(want, ids, n) && decodes_to(t, ids, n, false, decoded) &&
                decodes_to(t, ids, n, true, skipped ? skipped : decoded);
    if (!fine && bad++ < 10)
      print_error("%s: line %zu (%s) differs\n", path, l.number, json_string_value(json_object_get(v, "cat")));
    sg_buffer_free(ids);
  }
  if (bad) fail_msg("%s: %zu lines differ", path, bad);
  assert_int_equal(l.number, n_lines);
  sg_tokenizer_free(t);
}

static void test_encode(void **state) {
  (void)state;
  check_encode(GOLDEN "tokenizer/tokenizer.json", GOLDEN "tokenizer/encode.jsonl", 1099);
}

static void test_encode_gpt2(void **state) {
  (void)state;
  check_encode(GOLDEN "gpt2/tokenizer.json", GOLDEN "gpt2/encode.jsonl", 1042);
  check_encode(GOLDEN "gpt2/tokenizer_pad0.json", GOLDEN "gpt2/encode_pad0.jsonl", 309);
}

/* ---- tokenizer-forms: the parts that today's tokenizers are made of -------------------------- */

/* Files of tests/peers/compare_tokenizers.py: a tokenizer of each form, and lines with the ids that
 * Hugging Face's library gives. */
static const char *const forms[] = {"gpt2",
                                    "gpt2-prefix-nfkc",
                                    "whole-text",
                                    "cl100k",
                                    "cl100k-possessive",
                                    "cl100k-inverted",
                                    "llama3",
                                    "qwen2",
                                    "o200k",
                                    "deepseek",
                                    "smollm",
                                    "digits-together",
                                    "punctuation",
                                    "split-removed",
                                    "split-contiguous",
                                    "split-previous",
                                    "split-next",
                                    "split-previous-inverted",
                                    "split-empty",
                                    "split-lines",
                                    "split-string",
                                    "added-lstrip",
                                    "added-rstrip",
                                    "added-both",
                                    "added-single-word",
                                    "added-normalized",
                                    "added-normalized-strip"};

static bool has_ids_of(const sg_tokenizer *t, const json_t *line) {
  const json_t *text = json_object_get(line, "text");
  int32_t *ids;
  size_t n;
  assert_sg_ok(sg_tokenizer_encode(t, json_string_value(text), json_string_length(text), &ids, &n, err));
  bool same = same_ids(json_object_get(line, "ids"), ids, n);
  sg_buffer_free(ids);
  return same;
}

static void test_forms(void **state) {
  (void)state;
  char *directory = golden_temporary(), *again = sgi_path_join(directory, "tokenizer.json");
  for (size_t i = 0; i < SGI_COUNT(forms); i++) {
    char path[200];
    sg_tokenizer *t, *saved;
    size_t bad = 0;
    snprintf(path, sizeof path, GOLDEN "tokenizer-forms/%s.json", forms[i]);
    assert_sg_ok(sg_tokenizer_load(path, &t, err));
    json_t *want = golden_json(path);
    assert_sg_ok(sg_tokenizer_save(t, again, err));
    json_t *own = golden_json(again);
    if (!json_equal(own, want)) fail_msg("%s: written otherwise", path);
    assert_sg_ok(sg_tokenizer_load(again, &saved, err));
    snprintf(path, sizeof path, GOLDEN "tokenizer-forms/%s.jsonl", forms[i]);
    lines l = open_lines(path);
    for (json_t *v; (v = next_line(&l)); json_decref(v))
      if ((!has_ids_of(t, v) || !has_ids_of(saved, v)) && bad++ < 5)
        print_error("%s: line %zu differs\n", path, l.number);
    if (bad || l.number != 80) fail_msg("%s: %zu of %zu lines differ", path, bad, l.number);
    json_decref(want);
    json_decref(own);
    sg_tokenizer_free(t);
    sg_tokenizer_free(saved);
  }
  sgi_free(again);
  golden_remove(directory);
}

/* ---- what is read is written again ----------------------------------------------------------- */

static void test_save(void **state) {
  (void)state;
  static const char *const files[] = {GOLDEN "tokenizer/tokenizer.json", GOLDEN "gpt2/tokenizer.json",
                                      GOLDEN "gpt2/tokenizer_pad0.json"};
  char *directory = golden_temporary(), *path = sgi_path_join(directory, "tokenizer.json");
  for (size_t i = 0; i < SGI_COUNT(files); i++) {
    sg_tokenizer *t;
    assert_sg_ok(sg_tokenizer_load(files[i], &t, err));
    assert_sg_ok(sg_tokenizer_save(t, path, err));
    json_t *want = golden_json(files[i]), *own = golden_json(path);
    if (!json_equal(own, want)) fail_msg("%s: written otherwise", files[i]);
    json_decref(want);
    json_decref(own);
    sg_tokenizer_free(t);
  }
  sgi_free(path);
  golden_remove(directory);
}

/* ---- truncate_pad.jsonl: the reference's rows ------------------------------------------------ */

static void check_rows(const char *tokenizer, const char *path) {
  sg_tokenizer *t;
  assert_sg_ok(sg_tokenizer_load(tokenizer, &t, err));
  int32_t pad = sg_tokenizer_special(t, "<|pad|>");
  lines l = open_lines(path);
  size_t bad = 0;
  for (json_t *v; (v = next_line(&l)); json_decref(v)) {
    const json_t *text = json_object_get(v, "text"), *want = json_object_get(v, "ids");
    size_t length = (size_t)json_integer_value(json_object_get(v, "max_length")), n, size = json_string_length(text);
    const char *eos = json_is_true(json_object_get(v, "add_eos")) ? "<|endoftext|>" : "";
    char *whole = malloc(size + strlen(eos) + 1);
    memcpy(whole, json_string_value(text), size);
    strcpy(whole + size, eos);
    int32_t *ids, *row = malloc(length * sizeof *row);
    assert_sg_ok(sg_tokenizer_encode(t, whole, size + strlen(eos), &ids, &n, err));
    for (size_t i = 0; i < length; i++) row[i] = i < n ? ids[i] : pad;
    if (!same_ids(want, row, length) && bad++ < 10) print_error("%s: line %zu differs\n", path, l.number);
    sg_buffer_free(ids);
    free(row);
    free(whole);
  }
  if (bad) fail_msg("%s: %zu lines differ", path, bad);
  assert_int_equal(l.number, 128);
  sg_tokenizer_free(t);
}

static void test_rows(void **state) {
  (void)state;
  check_rows(GOLDEN "tokenizer/tokenizer.json", GOLDEN "tokenizer/truncate_pad.jsonl");
  check_rows(GOLDEN "gpt2/tokenizer_pad0.json", GOLDEN "gpt2/truncate_pad_pad0.jsonl");
}

/* ---- unicode/ -------------------------------------------------------------------------------- */

static void test_classes(void **state) {
  (void)state;
  FILE *f = fopen(GOLDEN "unicode/classes.tsv", "r");
  assert_non_null(f);
  unsigned first, last, next = 0, rows = 0;
  char name;
  while (fscanf(f, "%x %x %c", &first, &last, &name) == 3) {
    int class = name == 'L' ? SGI_LETTER : name == 'N' ? SGI_NUMBER : SGI_SPACE;
    for (; next < first; next++)
      if (sgi_unicode_class(next) != SGI_OTHER) fail_msg("U+%04X is not \"other\"", next);
    for (; next <= last; next++)
      if (sgi_unicode_class(next) != class) fail_msg("U+%04X is not %c", next, name);
    rows++;
  }
  for (; next < 0x110000; next++)
    if (sgi_unicode_class(next) != SGI_OTHER) fail_msg("U+%04X is not \"other\"", next);
  fclose(f);
  assert_true(rows > 500);
}

static void check_single(uint32_t c, const char *want, size_t n, sgi_points *work, sgi_bytes *out) {
  char text[4];
  size_t length = sgi_utf8_put(c, text);
  out->n = 0;
  assert_true(sgi_normalize(SGI_NFKC, text, length, work, out));
  if (want ? out->n != n || memcmp(out->data, want, n) : out->n != length || memcmp(out->data, text, length))
    fail_msg("NFKC of U+%04X differs", c);
}

static void test_nfkc_single(void **state) {
  (void)state;
  sgi_points work = {0};
  sgi_bytes out = {0};
  lines l = open_lines(GOLDEN "unicode/nfkc_single.tsv");
  uint32_t next = 0;
  while (getline(&l.text, &l.size, l.f) > 0) {
    char want[128], *end;
    size_t n = 0;
    uint32_t c = (uint32_t)strtoul(l.text, &end, 16);
    while (*end && *end != '\n') n += sgi_utf8_put((uint32_t)strtoul(end + 1, &end, 16), want + n);
    for (; next < c; next++)
      if (next < 0xD800 || next > 0xDFFF) check_single(next, NULL, 0, &work, &out);
    check_single(next++, want, n, &work, &out);
    l.number++;
  }
  for (; next < 0x110000; next++) check_single(next, NULL, 0, &work, &out);
  assert_int_equal(l.number, 4794);
  fclose(l.f);
  free(l.text);
  sgi_free(work.at);
  sgi_bytes_deinit(&out);
}

static void test_nfkc_sequences(void **state) {
  (void)state;
  sgi_points work = {0};
  sgi_bytes out = {0};
  lines l = open_lines(GOLDEN "unicode/nfkc_seq.jsonl");
  size_t bad = 0;
  for (json_t *v; (v = next_line(&l)); json_decref(v)) {
    const json_t *text = json_object_get(v, "text");
    out.n = 0;
    assert_true(sgi_normalize(SGI_NFKC, json_string_value(text), json_string_length(text), &work, &out));
    if (!same_text(json_object_get(v, "nfkc"), out.data, out.n) && bad++ < 10)
      print_error("nfkc_seq.jsonl: line %zu differs\n", l.number);
  }
  if (bad) fail_msg("%zu lines differ", bad);
  assert_int_equal(l.number, 1500);
  sgi_free(work.at);
  sgi_bytes_deinit(&out);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_classes),        cmocka_unit_test(test_nfkc_single),
                                     cmocka_unit_test(test_nfkc_sequences), cmocka_unit_test(test_forms),
                                     cmocka_unit_test(test_encode),         cmocka_unit_test(test_encode_gpt2),
                                     cmocka_unit_test(test_rows),           cmocka_unit_test(test_save)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
