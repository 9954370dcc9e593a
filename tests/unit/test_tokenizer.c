/* test_tokenizer.c: what files are taken and refused, special tokens, broken text, long text,
 * threads, lack of memory.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "support/failing.h"
#include "support/golden.h"

#include "core/arena.h"
#include "core/file.h"
#include "text/tokenizer.h"

#define SMALL "tests/golden/bpe/mixed_alpha_600.json"

static char *directory;

static char *in_directory(const char *name) { return sgi_path_join(directory, name); }

static int set_up(void **state) {
  (void)state;
  directory = golden_temporary();
  return 0;
}

static int tear_down(void **state) {
  (void)state;
  golden_remove(directory);
  return 0;
}

static sg_status load_text(const char *text, sg_tokenizer **t, sg_error *e) {
  char *path = in_directory("tokenizer.json");
  assert_sg_ok(sgi_write_file(path, text, strlen(text), err));
  sg_status st = sg_tokenizer_load(path, t, e);
  sgi_free(path);
  return st;
}

/* ids of text as "1 2 3 ". */
static const char *ids_of(const sg_tokenizer *t, const char *text) {
  static char out[4096];
  int32_t *ids;
  size_t n, at = 0;
  assert_sg_ok(sg_tokenizer_encode(t, text, strlen(text), &ids, &n, err));
  out[0] = '\0';
  for (size_t i = 0; i < n; i++) at += (size_t)snprintf(out + at, sizeof out - at, "%d ", ids[i]);
  sg_buffer_free(ids);
  return out;
}

/* ---- files ----------------------------------------------------------------------------------- */

#define LEVEL "{\"type\":\"ByteLevel\",\"add_prefix_space\":false,\"trim_offsets\":true,\"use_regex\":true}"
#define ADDED \
  "{\"id\":6,\"content\":\"<x>\",\"single_word\":false,\"lstrip\":false,\"rstrip\":false,\"normalized\":false," \
  "\"special\":true}"
#define VOCAB "\"vocab\":{\"a\":0,\"b\":1,\"c\":2,\"ab\":3,\"bc\":4,\"abc\":5}"
#define MERGES "\"merges\":[[\"a\",\"b\"],[\"b\",\"c\"],[\"ab\",\"c\"]]"
#define PARTS "\"normalizer\":null,\"pre_tokenizer\":" LEVEL ",\"post_processor\":null,\"decoder\":" LEVEL
#define PLAIN \
  "{\"version\":\"1.0\",\"truncation\":null,\"padding\":null,\"added_tokens\":[" ADDED "]," PARTS \
  ",\"model\":{\"type\":\"BPE\",\"dropout\":null,\"unk_token\":null,\"continuing_subword_prefix\":null," \
  "\"end_of_word_suffix\":null,\"fuse_unk\":false,\"byte_fallback\":false,\"ignore_merges\":false," VOCAB "," MERGES \
  "}}"

/* PLAIN with its first `from` as `to`. */
static char *changed(const char *from, const char *to) {
  const char *at = strstr(PLAIN, from);
  if (!at) fail_msg("nothing to change: %s", from);
  size_t n = strlen(PLAIN) + strlen(to) + 1;
  char *text = malloc(n);
  snprintf(text, n, "%.*s%s%s", (int)(at - PLAIN), PLAIN, to, at + strlen(from));
  return text;
}

static void refuse(const char *from, const char *to, sg_status code, const char *part) {
  char *text = changed(from, to);
  sg_tokenizer *t;
  sg_error err = {0};
  sg_status st = load_text(text, &t, &err);
  if (st != code || !strstr(err.text, part) || !strstr(err.text, "tokenizer.json"))
    fail_msg("%s -> %s: status %d, \"%s\"; expected %d and \"%s\"", from, to, st, err.text, code, part);
  assert_null(t);
  free(text);
}

static void accept(const char *from, const char *to, const char *text, const char *ids) {
  char *file = changed(from, to);
  sg_tokenizer *t;
  assert_sg_ok(load_text(file, &t, err));
  assert_string_equal(ids_of(t, text), ids);
  sg_tokenizer_free(t);
  free(file);
}

static void test_features(void **state) {
  (void)state;
  accept("1.0", "1.0", "abc<x>bc", "5 6 4 ");
  accept(MERGES, "\"merges\":[\"a b\",\"b c\",\"ab c\"]", "abc<x>bc", "5 6 4 ");
  accept("\"pre_tokenizer\":" LEVEL, "\"pre_tokenizer\":{\"type\":\"Sequence\",\"pretokenizers\":[" LEVEL "]}", "abc",
         "5 ");
  accept("\"normalizer\":null", "\"normalizer\":{\"type\":\"Sequence\",\"normalizers\":[{\"type\":\"NFKC\"}]}",
         "\xEF\xBD\x81\xEF\xBD\x82", "3 ");
  accept("\"post_processor\":null", "\"post_processor\":" LEVEL, "ab", "3 ");
  accept("\"dropout\":null", "\"dropout\":0.0", "ab", "3 ");
  accept("\"continuing_subword_prefix\":null", "\"continuing_subword_prefix\":\"\"", "ab", "3 ");
  accept("\"normalized\":false", "\"normalized\":true", "ab<x>", "3 6 ");
  accept("\"version\":\"1.0\",\"truncation\":null,\"padding\":null,", "", "ab", "3 ");
  /* of two merges of one pair the last counts: "b c" now comes before "a b" */
  accept(MERGES, "\"merges\":[[\"a\",\"b\"],[\"b\",\"c\"],[\"a\",\"b\"],[\"ab\",\"c\"]]", "abc ab", "0 4 3 ");
  /* bytes without a token vanish before merging */
  accept("1.0", "1.0", "a b-c", "0 1 2 ");
  accept("1.0", "1.0", "axb", "3 ");
}

#define SPLIT(regex) \
  "{\"type\":\"Split\",\"pattern\":{\"Regex\":\"" regex "\"},\"behavior\":\"Isolated\",\"invert\":false}"
#define WHOLE "{\"type\":\"ByteLevel\",\"add_prefix_space\":false,\"trim_offsets\":true,\"use_regex\":false}"
#define BEFORE(parts) "\"pre_tokenizer\":{\"type\":\"Sequence\",\"pretokenizers\":[" parts "," WHOLE "]}"
#define BEGIN "{\"SpecialToken\":{\"id\":\"<x>\",\"type_id\":0}}"
#define TEXT "{\"Sequence\":{\"id\":\"A\",\"type_id\":0}}"
#define TEMPLATE(single, ids) \
  "\"post_processor\":{\"type\":\"TemplateProcessing\",\"single\":[" single \
  "],\"pair\":[],\"special_tokens\":{\"<x>\":" \
  "{\"id\":\"<x>\",\"ids\":[" ids "],\"tokens\":[\"<x>\"]}}}"

/* Forms of other libraries' files. That their ids are the same is
 * tests/golden/test_tokenizer.c's. */
static void test_forms(void **state) {
  (void)state;
  accept(MERGES, "\"merges\":[\"#version: 0.2\",\"a b\",\"b c\",\"ab c\"]", "abc<x>bc", "5 6 4 ");
  accept(MERGES, "\"merges\":[\"a b\",\"#version: 0.2 - made by a script\",\"b c\",\"ab c\"]", "abc<x>bc", "5 6 4 ");
  accept("\"pre_tokenizer\":" LEVEL, "\"pre_tokenizer\":" WHOLE, "abc", "5 ");
  accept("\"pre_tokenizer\":" LEVEL, BEFORE(SPLIT("b")), "abc", "0 1 2 ");
  accept("\"pre_tokenizer\":" LEVEL, BEFORE(SPLIT("b(?=c)")), "abcab", "0 1 2 3 ");
  accept("\"normalizer\":null", "\"normalizer\":{\"type\":\"NFC\"}",
         "\xEF\xBD\x81"
         "ab",
         "3 ");
  accept("\"post_processor\":null", TEMPLATE(BEGIN "," TEXT, "6"), "ab", "3 ");
  accept("\"post_processor\":null", TEMPLATE(TEXT, "6"), "ab", "3 ");
  accept("\"lstrip\":false", "\"lstrip\":true", "ab <x> bc", "3 6 4 ");
  accept("\"single_word\":false", "\"single_word\":true", "<x>ab <x> b<x>", "3 6 1 ");
  accept("\"ignore_merges\":false", "\"ignore_merges\":true", "abc", "5 ");
  char *text = changed(MERGES, "\"merges\":[[\"b\",\"c\"]]");
  sg_tokenizer *t;
  assert_sg_ok(load_text(text, &t, err));
  assert_string_equal(ids_of(t, "abc ab"), "0 4 0 1 ");
  sg_tokenizer_free(t);
  char *flag = strstr(text, "\"ignore_merges\":false");
  memcpy(flag, "\"ignore_merges\":true ", 21);
  assert_sg_ok(load_text(text, &t, err));
  assert_string_equal(ids_of(t, "abc"), "5 "); /* a token whole, whatever the merges make of it */
  sg_tokenizer_free(t);
  free(text);
}

/* What an expression may hold; the rest might mean something else to the two libraries. */
static void test_patterns(void **state) {
  (void)state;
  static const char *const good[] = {"",
                                     "a",
                                     " ?",
                                     "(?i:'s|'t)|x+",
                                     "[^\\r\\n\\p{L}\\p{N}]?+\\p{L}++",
                                     "\\p{N}{1,3}|x{2}|y{3,}",
                                     "(?:ab|(c))*?d",
                                     "(?<=a)b(?!c)(?>d)",
                                     "^a$|.",
                                     "[a-z\\-_+*.]",
                                     "[\\u4e00-\\u9fa5\\x{3041}-\\x{3096}]",
                                     "\\x41\\t\\v\\."};
  static const char *const refused[] = {
      "[]-z]",  "[[:alpha:]]", "[a[b]]",  "[a&&b]",  "[\\d-z]", "[a-\\d]",       "[z-a]",
      "[a",     "(a",          "a)",      "*a",      "a**",     "a{2}?",         "a{2}+",
      "a{,3}",  "a{",          "a{3,2}",  "a{9999}", "\\w",     "\\b",           "\\h",
      "\\1",    "\\p{Han}",    "\\pL",    "\\p{L",   "\\xff",   "\\x{110000}",   "\\u12",
      "\\",     "(?i)a",       "(?<n>a)", "(?m:a)",  "(?i:ss)", "(?i:\xC3\xA9)", "(?#a)",
      "(?=a)*", "a|*",         "(*ANY)a"};
  for (size_t i = 0; i < SGI_COUNT(good); i++) {
    sgi_pattern *p;
    assert_sg_ok(sgi_pattern_create(good[i], strlen(good[i]), false, "here", &p, err));
    sgi_pattern_free(p);
  }
  for (size_t i = 0; i < SGI_COUNT(refused); i++) {
    sgi_pattern *p;
    sg_error e = {0};
    if (!sgi_pattern_create(refused[i], strlen(refused[i]), false, "here", &p, &e)) fail_msg("taken: %s", refused[i]);
    assert_int_equal(e.code, SG_ERR_UNSUPPORTED);
    assert_non_null(strstr(e.text, "here: byte "));
  }
}

static sg_status encode_long(const char *regex, const char *text, size_t n) {
  char parts[400];
  snprintf(
      parts, sizeof parts,
      "\"pre_tokenizer\":{\"type\":\"Sequence\",\"pretokenizers\":[{\"type\":\"Split\",\"pattern\":{\"Regex\":\"%s\"},"
      "\"behavior\":\"Isolated\",\"invert\":false}," WHOLE "]}",
      regex);
  char *file = changed("\"pre_tokenizer\":" LEVEL, parts);
  sg_tokenizer *t;
  int32_t *ids;
  size_t count;
  sg_error e = {0};
  assert_sg_ok(load_text(file, &t, err));
  sg_status st = sg_tokenizer_encode(t, text, n, &ids, &count, &e);
  if (st) assert_non_null(strstr(e.text, "steps"));
  sg_buffer_free(ids);
  sg_tokenizer_free(t);
  free(file);
  return st;
}

/* A million characters that repeat: the known splits pass, and expressions that would not end are
 * errors. The number of steps is bounded, so there is no clock here. */
static void test_long_patterns(void **state) {
  (void)state;
  enum { N = 1000000 };
  static const char *const splits[] = {
      "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\\\r\\\\n\\\\p{L}\\\\p{N}]?\\\\p{L}+|\\\\p{N}{1,3}| "
      "?[^\\\\s\\\\p{L}\\\\p{N}]+[\\\\r\\\\n]*|"
      "\\\\s*[\\\\r\\\\n]+|\\\\s+(?!\\\\S)|\\\\s+",
      "[\\\\p{Lu}]*[\\\\p{Ll}]+|[\\\\p{Lu}]+[\\\\p{Ll}]*|\\\\s+(?!\\\\S)|."};
  static const char *const endless[] = {"(?:a+)+$", "a*[bc]", "a*+[bc]", "(?:a*)*b", "(?:a|aa)+c", "(?=(?:a+)+!)b|a"};
  char *text = malloc(N + 1);
  for (size_t i = 0; i < SGI_COUNT(splits); i++)
    for (const char *c = "a A1!"; *c; c++) {
      memset(text, *c, N);
      text[N] = '!';
      assert_int_equal(encode_long(splits[i], text, N), SG_OK);
      assert_int_equal(encode_long(splits[i], text, N + 1), SG_OK);
    }
  memset(text, 'a', N);
  for (size_t i = 0; i < SGI_COUNT(endless); i++)
    if (encode_long(endless[i], text, N + 1) != SG_ERR_FORMAT) fail_msg("no error: %s", endless[i]);
  free(text);
}

/* A window that ends inside the last character, in a buffer that held a longer text before. */
static void test_end_of_window(void **state) {
  (void)state;
  enum { HEAD = 1023, LONG = 4000 };
  static const char *const files[] = {"cl100k", "o200k", "llama3"};
  char text[HEAD + 3], before[2 + LONG];
  memset(text, 'a', HEAD);
  memcpy(text + HEAD, "\xE4\xB8\xAD", 3);
  before[0] = before[1] = 'a';
  for (size_t i = 0; i < LONG; i++) before[2 + i] = "\xE6\xAA\xAA"[i % 3];
  for (size_t i = 0; i < SGI_COUNT(files); i++) {
    char path[100];
    sg_tokenizer *t;
    int32_t *first, *ids, *again;
    size_t n_first, n, n_again;
    snprintf(path, sizeof path, "tests/golden/tokenizer-forms/%s.json", files[i]);
    assert_sg_ok(sg_tokenizer_load(path, &t, err));
    assert_sg_ok(sg_tokenizer_encode(t, text, sizeof text, &first, &n_first, err));
    assert_sg_ok(sg_tokenizer_encode(t, before, sizeof before, &ids, &n, err));
    assert_sg_ok(sg_tokenizer_encode(t, text, sizeof text, &again, &n_again, err));
    assert_int_equal(n_again, n_first);
    assert_memory_equal(again, first, n_first * sizeof *first);
    sg_buffer_free(first);
    sg_buffer_free(ids);
    sg_buffer_free(again);
    sg_tokenizer_free(t);
  }
}

static void test_unsupported(void **state) {
  (void)state;
  const sg_status no = SG_ERR_UNSUPPORTED;
  refuse("\"BPE\"", "\"WordPiece\"", no, "model.type: WordPiece; only BPE is supported");
  refuse("\"1.0\"", "\"2.0\"", no, "version: 2.0; only");
  refuse("\"truncation\":null", "\"truncation\":{\"max_length\":5}", no, "truncation: an object");
  refuse("\"padding\":null", "\"padding\":{\"strategy\":\"x\"}", no, "padding");
  refuse("\"normalizer\":null", "\"normalizer\":{\"type\":\"Lowercase\"}", no, "normalizer: Lowercase");
  refuse("\"normalizer\":null", "\"normalizer\":{\"type\":\"Sequence\",\"normalizers\":[{\"type\":\"NFD\"}]}", no,
         "NFD");
  refuse("\"pre_tokenizer\":" LEVEL, "\"pre_tokenizer\":null", no, "pre_tokenizer: null; only ByteLevel");
  refuse("\"pre_tokenizer\":" LEVEL, "\"pre_tokenizer\":{\"type\":\"Metaspace\"}", no, "Metaspace");
  refuse("\"pre_tokenizer\":" LEVEL,
         "\"pre_tokenizer\":{\"type\":\"Sequence\",\"pretokenizers\":[" LEVEL "," LEVEL "]}", no, "twice");
  refuse("\"pre_tokenizer\":" LEVEL,
         "\"pre_tokenizer\":{\"type\":\"Sequence\",\"pretokenizers\":[" LEVEL "," SPLIT("a") "]}", no,
         "pre_tokenizer: Split; only ByteLevel as the last");
  refuse("\"pre_tokenizer\":" LEVEL, "\"pre_tokenizer\":" SPLIT("a"), no, "only ByteLevel, alone or behind others");
  refuse("\"pre_tokenizer\":" LEVEL, BEFORE(SPLIT("\\\\w+")), no,
         "pre_tokenizer.pattern: byte 0 of the pattern: \\w is not supported");
  refuse("\"pre_tokenizer\":" LEVEL, BEFORE("{\"type\":\"Whitespace\"}"), no, "Whitespace");
  refuse("\"post_processor\":null", TEMPLATE(TEXT "," BEGIN, "6"), no, "post_processor.single");
  refuse("\"post_processor\":null", TEMPLATE(BEGIN "," BEGIN, "6"), no, "post_processor.single");
  refuse("\"decoder\":" LEVEL, "\"decoder\":null", no, "decoder: null");
  refuse("\"post_processor\":null", "\"post_processor\":{\"type\":\"RobertaProcessing\"}", no,
         "post_processor: RobertaProcessing");
  refuse("\"dropout\":null", "\"dropout\":0.1", no, "model.dropout");
  refuse("\"unk_token\":null", "\"unk_token\":\"<unk>\"", no, "model.unk_token is set, and byte 0x00");
  refuse("\"end_of_word_suffix\":null", "\"end_of_word_suffix\":\"</w>\"", no, "model.end_of_word_suffix");
  refuse("\"byte_fallback\":false", "\"byte_fallback\":true", no, "model.byte_fallback");
  refuse("\"version\"", "\"sparkle\"", no, "sparkle");
  refuse("\"dropout\"", "\"drop\"", no, "drop");
}

static void test_hostile(void **state) {
  (void)state;
  const sg_status bad = SG_ERR_FORMAT;
  refuse("\"b\":1", "\"b\":0", bad, "id 0 is there twice");
  refuse("\"b\":1", "\"b\":-1", bad, "id of \"b\" is -1");
  refuse("\"b\":1", "\"b\":16777216", bad, "16777216");
  refuse("\"b\":1", "\"b\":99999999999999999999", bad, "JSON");
  refuse("\"b\":1", "\"b\":1.5", bad, "1.5");
  refuse("\"b\":1", "\"b\":\"1\"", bad, "id of \"b\"");
  refuse("\"b\":1", "\"a\":1", bad, "JSON");
  refuse("[\"ab\",\"c\"]", "[\"ab\",\"d\"]", bad, "merges[2]: the right token \"d\"");
  refuse("[\"ab\",\"c\"]", "[\"c\",\"ab\"]", bad, "joined token \"cab\"");
  refuse("[\"ab\",\"c\"]", "[\"ab\"]", bad, "merges[2]");
  refuse("[\"ab\",\"c\"]", "[\"\",\"c\"]", bad, "merges[2]");
  refuse("[\"ab\",\"c\"]", "7", bad, "merges[2]");
  refuse("[\"ab\",\"c\"]", "\"a b c\"", bad, "merges[2]");
  refuse("[\"ab\",\"c\"]", "\"abc\"", bad, "merges[2]");
  refuse("[\"ab\",\"c\"]", "[\"#version:\",\"0.2\"]", bad, "merges[2]: the left token");
  refuse("\"pre_tokenizer\":" LEVEL,
         BEFORE("{\"type\":\"Split\",\"pattern\":{\"Regex\":\"a\"},\"behavior\":\"Dropped\"}"), bad,
         "pre_tokenizer.behavior is \"Dropped\"");
  refuse("\"pre_tokenizer\":" LEVEL, BEFORE("{\"type\":\"Split\",\"pattern\":\"a\",\"behavior\":\"Isolated\"}"), bad,
         "pre_tokenizer.pattern is");
  refuse("\"post_processor\":null", TEMPLATE("", "6"), bad, "post_processor.single");
  refuse("\"post_processor\":null", TEMPLATE(BEGIN "," TEXT, "7"), bad, "post_processor.single");
  refuse("\"post_processor\":null", TEMPLATE(BEGIN "," TEXT, "6,6"), bad, "post_processor.single");
  refuse("\"id\":6", "\"id\":5", bad, "id 5 of \"<x>\" is taken");
  refuse("\"id\":6", "\"id\":-5", bad, "added_tokens");
  refuse("\"<x>\"", "\"ab\"", bad, "id 6, but id 3");
  refuse("\"<x>\"", "\"\"", bad, "content");
  refuse("\"<x>\"", "5", bad, "content");
  refuse(ADDED, ADDED "," ADDED, bad, "taken");
  refuse(ADDED, ADDED ",{\"id\":7,\"content\":\"<x>\"}", bad, "\"<x>\" is there twice");
  refuse(ADDED, "1", bad, "added_tokens[0]");
  refuse("[" ADDED "]", "{}", bad, "added_tokens");
  refuse("\"special\":true", "\"special\":1", bad, "added_tokens[0].special is 1");
  refuse(VOCAB, "\"vocab\":[]", bad, "model.vocab");
  refuse(MERGES, "\"merges\":{}", bad, "model.merges");
  refuse(VOCAB ",", "", bad, "model.vocab is missing");
  refuse("\"add_prefix_space\":false", "\"add_prefix_space\":0", bad, "pre_tokenizer.add_prefix_space is 0");
  refuse("\"normalizer\":null", "\"normalizer\":7", bad, "normalizer is 7");
  refuse("{\"version\"", "[{\"version\"", bad, "JSON");
}

static sg_status load_built(sgi_bytes *b) {
  sg_tokenizer *t;
  sg_error err = {0};
  assert_true(sgi_bytes_add(b, "", 1));
  sg_status st = load_text(b->data, &t, &err);
  sg_tokenizer_free(t);
  sgi_bytes_deinit(b);
  return st;
}

static void test_hostile_sizes(void **state) {
  (void)state;
  sgi_bytes b = {0};
  for (int i = 0; i < 100000; i++) sgi_bytes_add(&b, "[", 1);
  assert_int_equal(load_built(&b), SG_ERR_FORMAT);
  const char *head = strstr(PLAIN, "null,\"pre_tokenizer\"");
  sgi_bytes_add(&b, PLAIN, (size_t)(head - PLAIN));
  for (int i = 0; i < 500; i++) sgi_bytes_add(&b, "{\"type\":\"Sequence\",\"normalizers\":[", 34);
  for (int i = 0; i < 500; i++) sgi_bytes_add(&b, "]}", 2);
  sgi_bytes_add(&b, head + 4, strlen(head + 4));
  assert_int_equal(load_built(&b), SG_ERR_FORMAT);
  sgi_bytes_add(&b, "[", 1);
  for (int i = 0; i < 9 << 20; i++) sgi_bytes_add(&b, "[],", 3);
  assert_int_equal(load_built(&b), SG_ERR_FORMAT);
  for (size_t n = 0; n < strlen(PLAIN); n += 7) { /* every beginning of a good file */
    sgi_bytes_add(&b, PLAIN, n);
    assert_int_equal(load_built(&b), SG_ERR_FORMAT);
  }
}

/* ---- special tokens -------------------------------------------------------------------------- */

#define TOKEN(id, text) "{\"id\":" id ",\"content\":\"" text "\",\"special\":true}"

static void test_special(void **state) {
  (void)state;
  char *text =
      changed(ADDED, TOKEN("6", "<x>") "," TOKEN("7", "<x>a") "," TOKEN("8", "<xy>") "," TOKEN("9", "\\u00e9"));
  sg_tokenizer *t;
  assert_sg_ok(load_text(text, &t, err));
  assert_int_equal(sg_tokenizer_vocab_size(t), 10);
  assert_string_equal(ids_of(t, "<x>"), "6 ");
  assert_string_equal(ids_of(t, "<x>ab<x>b"), "7 1 6 1 "); /* the longest one */
  assert_string_equal(ids_of(t, "<xy><x><x"), "8 6 ");
  assert_string_equal(ids_of(t, "<<xy>b"), "8 1 ");
  assert_string_equal(ids_of(t, "a\xC3\xA9\xC3"), "0 9 ");
  assert_string_equal(ids_of(t, ""), "");
  assert_int_equal(sg_tokenizer_special(t, "<xy>"), 8);
  assert_int_equal(sg_tokenizer_special(t, "ab"), -1);
  size_t n;
  assert_string_equal(sg_tokenizer_token_bytes(t, 7, &n), "<x>a");
  assert_int_equal(n, 4);
  assert_null(sg_tokenizer_token_bytes(t, 10, &n));
  assert_null(sg_tokenizer_token_bytes(t, -1, &n));
  char *back;
  assert_sg_ok(sg_tokenizer_decode(t, (const int32_t[]){6, 3, 9}, 3, false, &back, &n, err));
  assert_string_equal(back, "<x>ab\xC3\xA9");
  sg_buffer_free(back);
  assert_sg_ok(sg_tokenizer_decode(t, (const int32_t[]){6, 3, 9}, 3, true, &back, &n, err));
  assert_string_equal(back, "ab");
  sg_buffer_free(back);
  sg_error e;
  assert_int_equal(sg_tokenizer_decode(t, (const int32_t[]){0, 10}, 2, false, &back, &n, &e), SG_ERR_ARG);
  assert_non_null(strstr(e.text, "id 10"));
  assert_null(back);
  sg_tokenizer_free(t);
  free(text);
}

/* ---- there and back -------------------------------------------------------------------------- */

static uint32_t next_random(uint32_t *s) { return *s = *s * 1664525u + 1013904223u; }

static sg_tokenizer *plain_tokenizer(size_t vocab_size) {
  char *text;
  size_t n;
  sg_tokenizer *t;
  assert_sg_ok(sgi_read_file("tests/golden/bpe/mixed.txt", 1 << 20, &text, &n, err));
  sg_tokenizer_training s = {.vocab_size = vocab_size, .full_alphabet = true};
  const char *documents[] = {text};
  assert_sg_ok(sg_tokenizer_train(&s, documents, &n, 1, &t, err));
  sgi_free(text);
  return t;
}

/* With all bytes in the alphabet and no normaliser, decode(encode(x)) is x, its broken parts as
 * U+FFFD. */
static void test_round_trip(void **state) {
  (void)state;
  static const char *const broken[][2] = {{"\x80", "\xEF\xBF\xBD"},
                                          {"a\xC3", "a\xEF\xBF\xBD"},
                                          {"\xE2\x82z", "\xEF\xBF\xBDz"},
                                          {"\xE2\x28\xA1", "\xEF\xBF\xBD(\xEF\xBF\xBD"},
                                          {"\xED\xA0\x80", "\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD"},
                                          {"\xF0\x9F\x98", "\xEF\xBF\xBD"},
                                          {"\xF4\x90\x80\x80", "\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD"},
                                          {"\xC0\xAF", "\xEF\xBF\xBD\xEF\xBF\xBD"}};
  sg_tokenizer *t = plain_tokenizer(600);
  int32_t *ids;
  size_t count, n;
  char *back, text[256];
  for (size_t i = 0; i < SGI_COUNT(broken); i++) {
    assert_sg_ok(sg_tokenizer_encode(t, broken[i][0], strlen(broken[i][0]), &ids, &count, err));
    assert_sg_ok(sg_tokenizer_decode(t, ids, count, false, &back, &n, err));
    assert_string_equal(back, broken[i][1]);
    sg_buffer_free(ids);
    sg_buffer_free(back);
  }
  uint32_t seed = 7;
  for (int round = 0; round < 3000; round++) {
    size_t length = 0, wanted = next_random(&seed) >> 8 & 127;
    sgi_bytes mended = {0};
    while (length < wanted) {
      uint32_t r = next_random(&seed);
      uint32_t c = r >> 30 ? (r >> 8) % 128 : (r >> 4) % 0x110000; /* mostly ASCII */
      if (r % 50 == 0)
        text[length++] = (char)(r >> 16); /* perhaps broken */
      else if (c < 0xD800 || c > 0xDFFF)
        length += sgi_utf8_put(c, text + length);
    }
    assert_true(sgi_utf8_lossy(text, length, &mended));
    assert_sg_ok(sg_tokenizer_encode(t, text, length, &ids, &count, err));
    assert_sg_ok(sg_tokenizer_decode(t, ids, count, false, &back, &n, err));
    assert_int_equal(n, mended.n);
    if (n) assert_memory_equal(back, mended.data, n);
    sg_buffer_free(ids);
    sg_buffer_free(back);
    sgi_bytes_deinit(&mended);
  }
  sg_tokenizer_free(t);
}

/* ---- long words ------------------------------------------------------------------------------ */

/* Merging as the rule says it: look through everything for the lowest rank, the leftmost of equals;
 * again. */
static size_t merge_by_rule(const sg_tokenizer *t, int32_t *ids, size_t n) {
  for (;;) {
    uint32_t best = SGI_NO_RANK;
    size_t at = 0;
    for (size_t i = 0; i + 1 < n; i++) {
      uint32_t rank = sgi_bpe_rank(&t->bpe, ids[i], ids[i + 1]);
      if (rank < best) best = rank, at = i;
    }
    if (best == SGI_NO_RANK) return n;
    ids[at] = t->merges[best].id;
    memmove(ids + at + 1, ids + at + 2, (n - at - 2) * sizeof *ids);
    n--;
  }
}

static void test_long_words(void **state) {
  (void)state;
  sg_tokenizer *t = plain_tokenizer(2000);
  uint32_t seed = 3;
  for (int round = 0; round < 200; round++) {
    char word[1500];
    int32_t want[1500], own[1500];
    size_t n = 1 + (next_random(&seed) >> 8) % (round < 100 ? 100 : 1499), count;
    sgi_bpe_work work = {0};
    for (size_t i = 0; i < n; i++) word[i] = (char)("theandr aeio"[(next_random(&seed) >> 10) % (round % 2 ? 12 : 5)]);
    for (size_t i = 0; i < n; i++) want[i] = t->bpe.byte_ids[(unsigned char)word[i]];
    assert_true(sgi_bpe_word(&t->bpe, &work, word, n, own, &count));
    assert_int_equal(count, merge_by_rule(t, want, n));
    assert_memory_equal(own, want, count * sizeof *own);
    sgi_free(work.block);
  }
  sg_tokenizer_free(t);
}

static void fill(char *text, size_t n, const char *pattern) {
  for (size_t i = 0, k = strlen(pattern); i < n; i++) text[i] = pattern[i % k];
}

/* ---- threads --------------------------------------------------------------------------------- */

typedef struct job {
  const sg_tokenizer *t;
  const char *text;
  size_t n;
  uint64_t sum;
} job;

static void *encode_pieces(void *user) {
  job *j = user;
  for (size_t begin = 0; begin < j->n; begin += 997) {
    int32_t *ids;
    size_t count, n = j->n - begin < 1500 ? j->n - begin : 1500;
    if (sg_tokenizer_encode(j->t, j->text + begin, n, &ids, &count, NULL)) return NULL;
    for (size_t i = 0; i < count; i++) j->sum = j->sum * 31 + (uint64_t)ids[i] + 1;
    sg_buffer_free(ids);
  }
  return NULL;
}

static void test_threads(void **state) {
  (void)state;
  sg_tokenizer *t;
  char *text;
  size_t n;
  assert_sg_ok(sg_tokenizer_load(SMALL, &t, err));
  assert_sg_ok(sgi_read_file("tests/golden/bpe/stories.txt", 1 << 20, &text, &n, err));
  job one = {t, text, n, 0}, jobs[8];
  pthread_t threads[SGI_COUNT(jobs)];
  encode_pieces(&one);
  for (size_t i = 0; i < SGI_COUNT(jobs); i++) {
    jobs[i] = (job){t, text, n, 0};
    assert_int_equal(pthread_create(&threads[i], NULL, encode_pieces, &jobs[i]), 0);
  }
  for (size_t i = 0; i < SGI_COUNT(jobs); i++) {
    pthread_join(threads[i], NULL);
    assert_int_equal(jobs[i].sum, one.sum);
  }
  sg_tokenizer_free(t);
  sgi_free(text);
}

/* A tokenizer with patterns, stand-ins, normal form, whole tokens and added tokens that take white
 * space. */
static sg_status life_of_form(const char *file, sg_error *err) {
  static const char text[] = "caf\x65\xCC\x81 \xF0\x90\xB5\x80 \xE1\xA0\x8E  <x>  word 12345 \xFF";
  char path[100];
  sg_tokenizer *t = NULL;
  int32_t *ids = NULL;
  size_t n;
  snprintf(path, sizeof path, "tests/golden/tokenizer-forms/%s.json", file);
  sg_status st = sg_tokenizer_load(path, &t, err);
  if (!st) st = sg_tokenizer_encode(t, text, sizeof text - 1, &ids, &n, err);
  sg_buffer_free(ids);
  sg_tokenizer_free(t);
  return st;
}

static void test_memory_of_forms(void **state) {
  (void)state;
  static const char *const files[] = {"qwen2", "llama3", "added-rstrip"};
  for (size_t i = 0; i < SGI_COUNT(files); i++) {
    size_t before = sgi_alloc_count();
    assert_int_equal(life_of_form(files[i], NULL), SG_OK);
    size_t calls = sgi_alloc_count() - before;
    assert_true(calls > 30);
    for (size_t n = 1; n <= calls; n += failing_step()) {
      sg_error err = {0};
      sgi_alloc_fail_at(n, false);
      sg_status st = life_of_form(files[i], &err);
      sgi_alloc_fail_at(0, false);
      if (st != SG_ERR_MEMORY) fail_msg("%s, allocation %zu of %zu: status %d (%s)", files[i], n, calls, st, err.text);
    }
  }
}

/* ---- memory ---------------------------------------------------------------------------------- */

/* Everything once; the first failure is returned. */
static sg_status whole_life(const char *path, sg_error *err) {
  static const char *const special[] = {"<|pad|>", "<|endoftext|>"};
  static const char *const documents[] = {"one two two three three three", "caf\x65\xCC\x81 \xEF\xBC\xA1 \xFF"};
  const size_t lengths[] = {strlen(documents[0]), strlen(documents[1])};
  sg_tokenizer_training s = {
      .vocab_size = 270, .full_alphabet = true, .nfkc = true, .prefix_space = true, .special = special, .n_special = 2};
  sg_tokenizer *t = NULL, *again = NULL;
  int32_t *ids = NULL;
  char *text = NULL, word[300];
  size_t count, n;
  fill(word, sizeof word, "three");
  sg_status st = sg_tokenizer_train(&s, documents, lengths, 2, &t, err);
  if (!st) st = sg_tokenizer_save(t, path, err);
  if (!st) st = sg_tokenizer_load(path, &again, err);
  for (size_t i = 0; i < 2 && !st; i++) {
    st = sg_tokenizer_encode(again, documents[i], lengths[i], &ids, &count, err);
    if (!st) st = sg_tokenizer_decode(again, ids, count, false, &text, &n, err);
    sg_buffer_free(ids);
    sg_buffer_free(text);
    ids = NULL, text = NULL;
  }
  if (!st) st = sg_tokenizer_encode(again, word, sizeof word, &ids, &count, err);
  sg_buffer_free(ids);
  sg_tokenizer_free(t);
  sg_tokenizer_free(again);
  return st;
}

static void test_memory(void **state) {
  (void)state;
  char *path = in_directory("life.json");
  size_t before = sgi_alloc_count();
  assert_sg_ok(whole_life(path, err));
  size_t calls = sgi_alloc_count() - before;
  assert_true(calls > 30);
  for (size_t n = 1; n <= calls; n += failing_step()) {
    sg_error err = {0};
    sgi_alloc_fail_at(n, false);
    sg_status st = whole_life(path, &err);
    sgi_alloc_fail_at(0, false);
    if (st != SG_ERR_MEMORY)
      fail_msg("allocation %zu of %zu failed, but the status is %d (%s)", n, calls, st, err.text);
    assert_int_equal(err.code, SG_ERR_MEMORY);
  }
  assert_sg_ok(whole_life(path, err));
  sgi_free(path);
}

/* ---- training: arguments --------------------------------------------------------------------- */

static bool cancel(void *user, size_t done, size_t wanted) {
  size_t *calls = user;
  assert_true(done <= wanted);
  return ++*calls < 2;
}

static void refuse_training(sg_tokenizer_training s, const char *text, sg_status code, const char *part) {
  size_t n = strlen(text);
  sg_tokenizer *t;
  sg_error err = {0};
  assert_int_equal(sg_tokenizer_train(&s, &text, &n, 1, &t, &err), code);
  assert_null(t);
  if (!strstr(err.text, part)) fail_msg("\"%s\" does not hold \"%s\"", err.text, part);
}

static void test_training_arguments(void **state) {
  (void)state;
  static const char *const twice[] = {"<s>", "<s>"}, *const broken[] = {"<\xFF>"}, *const one[] = {"a"};
  sg_tokenizer_training s = {.vocab_size = 300, .full_alphabet = true};
  size_t calls = 0;
  refuse_training((sg_tokenizer_training){.vocab_size = 0}, "a", SG_ERR_ARG, "vocab_size is 0");
  refuse_training((sg_tokenizer_training){.vocab_size = SIZE_MAX}, "a", SG_ERR_ARG, "vocab_size");
  refuse_training((sg_tokenizer_training){.vocab_size = 200, .full_alphabet = true}, "a", SG_ERR_ARG, "vocab_size 200");
  refuse_training((sg_tokenizer_training){.vocab_size = 10}, "", SG_ERR_ARG, "empty");
  s.special = twice, s.n_special = 2;
  refuse_training(s, "a", SG_ERR_ARG, "twice");
  s.special = broken, s.n_special = 1;
  refuse_training(s, "a", SG_ERR_ARG, "special token");
  s.special = one;
  refuse_training(s, "a", SG_ERR_ARG, "special token \"a\"");
  char text[4000];
  fill(text, sizeof text - 1, "abc bca cab aab bba cca abcabc acbb bbaacc cbabcab ");
  text[sizeof text - 1] = '\0';
  for (size_t i = 0; i < sizeof text - 1; i += 3) text[i] = (char)('a' + i * i % 23);
  refuse_training(
      (sg_tokenizer_training){.vocab_size = 2000, .full_alphabet = true, .progress = cancel, .user = &calls}, text,
      SG_ERR_CANCELLED, "cancelled");
}

/* A word of one letter, long: pairs overlap, and counts must stay right. */
static void test_training_overlap(void **state) {
  (void)state;
  const char *text = "aaaaaaa";
  size_t n = strlen(text);
  sg_tokenizer *t;
  sg_tokenizer_training s = {.vocab_size = 100};
  assert_sg_ok(sg_tokenizer_train(&s, &text, &n, 1, &t, err));
  /* aaaaaaa: aa aa aa a, then the three pairs (aa,aa) x 2 and (aa,a): aaaa aa a, aaaaaa a or aaaa
   * aaa */
  assert_int_equal(t->n_merges, 4);
  assert_string_equal(ids_of(t, text), "4 ");
  assert_int_equal(t->merges[0].id, 1);
  assert_int_equal(t->merges[1].left, 1);
  assert_int_equal(t->merges[1].right, 1);
  sg_tokenizer_free(t);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_forms),
                                     cmocka_unit_test(test_memory_of_forms),
                                     cmocka_unit_test(test_patterns),
                                     cmocka_unit_test(test_long_patterns),
                                     cmocka_unit_test(test_end_of_window),
                                     cmocka_unit_test(test_features),
                                     cmocka_unit_test(test_unsupported),
                                     cmocka_unit_test(test_hostile),
                                     cmocka_unit_test(test_hostile_sizes),
                                     cmocka_unit_test(test_special),
                                     cmocka_unit_test(test_round_trip),
                                     cmocka_unit_test(test_long_words),
                                     cmocka_unit_test(test_threads),
                                     cmocka_unit_test(test_memory),
                                     cmocka_unit_test(test_training_arguments),
                                     cmocka_unit_test(test_training_overlap)};
  return cmocka_run_group_tests(tests, set_up, tear_down);
}
