/* The documents that come out of text files, and what is said of files that are not right. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>
#include <zstd.h>
/* after the four headers it needs */
#include <cmocka.h>

#include "core/arena.h"
#include "core/file.h"
#include "support/text_scratch.h"
#include "text/reader.h"

/* All documents of a file, each in [brackets]; of a failure, its text. New: free. */
static char *read_all(const char *name, bool blank_lines, const char *field, sg_status expected) {
  sgi_reader *r;
  sg_error err = {SG_OK, ""};
  size_t size = 1 << 16, at = 0;
  char *all = calloc(1, size);
  sg_status st = sgi_reader_open(scratch_path(name), blank_lines, field, &r, &err);
  while (!st) {
    const char *text;
    size_t n;
    st = sgi_reader_next(r, &text, &n, &err);
    if (st || !text) break;
    if (at + n + 3 > size) {
      all = realloc(all, size = 2 * size + n + 3);
      assert_non_null(all);
    }
    all[at++] = '[';
    memcpy(all + at, text, n);
    at += n;
    all[at++] = ']';
    all[at] = '\0';
  }
  if (r) {
    const char *text;
    size_t n;
    assert_int_equal(sgi_reader_next(r, &text, &n, NULL), st); /* the end, or the failure, stays */
    assert_null(text);
  }
  sgi_reader_close(r);
  if (st) {
    assert_int_equal(err.code, st);
    snprintf(all, size, "%s", err.text);
  }
  if (st != expected) fail_msg("%s: status %d (%s), expected %d", name, st, err.text, expected);
  return all;
}

#define expect(name, blank, field, expected) \
  do { \
    char *got = read_all((name), (blank), (field), SG_OK); \
    assert_string_equal(got, (expected)); \
    free(got); \
  } while (0)

static void expect_failure(const char *name, const char *field, sg_status st, const char *part) {
  char *got = read_all(name, false, field, st);
  if (!strstr(got, part) || !strstr(got, name)) fail_msg("%s: \"%s\" says nothing of \"%s\"", name, got, part);
  free(got);
}

static const char stories[] =
    " \n<|endoftext|>\nOnce upon\n\na time. \n<|endoftext|>\n\n<|endoftext|>\r\nTwo "
    "<|end\n<|endoftext|>Three<|endoftext|>\n Four\n";

static void marks(void **state) {
  (void)state;
  const char *expected = "[Once upon\n\na time.][Two <|end][Three][Four]";
  scratch_text("a.txt", stories);
  expect("a.txt", false, NULL, expected);
  size_t n = strlen(stories);
  scratch_zstd("a.txt.zst", stories, n, 0);
  expect("a.txt.zst", false, NULL, expected);
  scratch_gzip("a.txt.gz", stories, n, 0);
  expect("a.txt.gz", false, NULL, expected);
  for (size_t piece = 1; piece < 40; piece += 6) {
    scratch_zstd("a.txt.zst", stories, n, piece);
    expect("a.txt.zst", false, NULL, expected);
    scratch_gzip("a.txt.gz", stories, n, piece);
    expect("a.txt.gz", false, NULL, expected);
  }
  scratch_text("a.txt", "\xEF\xBB\xBFmarked");
  expect("a.txt", false, NULL, "[marked]");
  scratch_text("a.txt", "");
  expect("a.txt", false, NULL, "");
  scratch_text("a.txt", "<|endoftext|><|endoftext|>\n\n");
  expect("a.txt", false, NULL, "");
  scratch_write("a.txt", "x\0y<|endoftext|>z", 17);
  sgi_reader *r;
  const char *text;
  size_t k;
  assert_int_equal(sgi_reader_open(scratch_path("a.txt"), false, NULL, &r, NULL), SG_OK);
  assert_int_equal(sgi_reader_next(r, &text, &k, NULL), SG_OK);
  assert_int_equal(k, 3);
  assert_memory_equal(text, "x\0y", 3);
  assert_int_equal(sgi_reader_next(r, &text, &k, NULL), SG_OK);
  assert_memory_equal(text, "z", 1);
  sgi_reader_close(r);
}

/* Documents as they stand, but for the line breaks beside a mark. */
/* From the place of any document on the same ones follow, in every form and packing; also after the
 * end and after a failure. */
static void places(void **state) {
  (void)state;
  enum { N = 400 };
  static char plain[1 << 16], lines[1 << 16];
  size_t p = 0, l = 0;
  for (int i = 0; i < N; i++) {
    p += (size_t)sprintf(plain + p, "%s\nStory %d of\n\nall. ", i % 3 ? "<|endoftext|>" : "<|endoftext|> <|endoftext|>",
                         i);
    l += (size_t)sprintf(lines + l, "{\"n\": %d, \"text\": \"Story %d\"}\n%s", i, i, i % 5 ? "" : "\n");
  }
  scratch_text("places.txt", plain);
  scratch_text("places.jsonl", lines);
  scratch_zstd("places.txt.zst", plain, p, 0);
  scratch_gzip("places.txt.gz", plain, p, 1000);
  static const char *const names[] = {"places.txt", "places.jsonl", "places.txt.zst", "places.txt.gz"};
  for (size_t f = 0; f < 4; f++) {
    sgi_reader *r;
    sgi_reader_place at[N];
    const char *text;
    size_t n;
    assert_int_equal(sgi_reader_open(scratch_path(names[f]), false, NULL, &r, NULL), SG_OK);
    for (int i = 0; i < N; i++) {
      at[i] = sgi_reader_tell(r);
      assert_int_equal(sgi_reader_next(r, &text, &n, NULL), SG_OK);
    }
    assert_int_equal(sgi_reader_next(r, &text, &n, NULL), SG_OK);
    assert_null(text);
    for (int i = N - 1; i >= 0; i -= 7) {
      assert_int_equal(sgi_reader_seek(r, at[i], NULL), SG_OK);
      for (int k = i; k < N && k < i + 3; k++) {
        char want[32];
        int m = snprintf(want, sizeof want, f == 1 ? "Story %d" : "Story %d of", k);
        assert_int_equal(sgi_reader_next(r, &text, &n, NULL), SG_OK);
        assert_true(n >= (size_t)m && !memcmp(text, want, (size_t)m));
      }
    }
    sg_error err = {0};
    assert_int_equal(sgi_reader_seek(r, (sgi_reader_place){1 << 20, 0}, &err), f < 2 ? SG_OK : SG_ERR_IO);
    if (f < 2) assert_int_equal(sgi_reader_next(r, &text, &n, NULL), SG_OK);
    if (f < 2) assert_null(text);
    sgi_reader_close(r);
  }
}

static void kept_space(void **state) {
  (void)state;
  static const char *const expected[] = {"\n a ", "\nb\n", " ", "c<|endof\n"};
  scratch_text("k.txt", "\n a \n<|endoftext|>\n\nb\n\n<|endoftext|>\n<|endoftext|> <|endoftext|>\nc<|endof\n");
  sgi_reader *r;
  const char *text;
  size_t n;
  assert_int_equal(sgi_reader_open(scratch_path("k.txt"), false, NULL, &r, NULL), SG_OK);
  sgi_reader_keep_space(r);
  for (size_t i = 0; i < 4; i++) {
    assert_int_equal(sgi_reader_next(r, &text, &n, NULL), SG_OK);
    assert_non_null(text);
    assert_int_equal(n, strlen(expected[i]));
    assert_memory_equal(text, expected[i], n);
  }
  assert_int_equal(sgi_reader_next(r, &text, &n, NULL), SG_OK);
  assert_null(text);
  sgi_reader_close(r);
}

static void blank_lines(void **state) {
  (void)state;
  scratch_text("b.txt", "\n\n one\ntwo\n\nthree \n \t\r\n\n\nfour\r\n\r\nfive\n   six\n\n");
  expect("b.txt", true, NULL, "[one\ntwo][three][four][five\n   six]");
  scratch_text("b.txt", "no end");
  expect("b.txt", true, NULL, "[no end]");
  scratch_text("b.txt", "a\n ");
  expect("b.txt", true, NULL, "[a]");
  scratch_text("b.txt", " \n\t\n");
  expect("b.txt", true, NULL, "");
}

static void json_lines(void **state) {
  (void)state;
  const char *lines =
      "{\"text\": \" a\\nb \", \"id\": 1}\r\n\n  "
      "\n{\"id\":[1,2,{}],\"text\":\"\"}\n{\"text\":\"\\u00e9\\u0000\\ud83d\\ude00\"}";
  const char *expected = "[ a\nb ][\xC3\xA9";
  scratch_text("c.jsonl", lines);
  expect("c.jsonl", false, NULL, expected); /* the string ends at the NUL here; its length is tested below */
  scratch_gzip("c.jsonl.gz", lines, strlen(lines), 7);
  expect("c.jsonl.gz", false, "text", expected);
  scratch_zstd("c.jsonl.zst", lines, strlen(lines), 7);
  expect("c.jsonl.zst", false, "", expected);
  sgi_reader *r;
  const char *text;
  size_t n;
  assert_int_equal(sgi_reader_open(scratch_path("c.jsonl"), false, "text", &r, NULL), SG_OK);
  assert_int_equal(sgi_reader_next(r, &text, &n, NULL), SG_OK);
  assert_int_equal(sgi_reader_next(r, &text, &n, NULL), SG_OK);
  assert_int_equal(n, 7);
  assert_memory_equal(text, "\xC3\xA9\0\xF0\x9F\x98\x80", 7);
  sgi_reader_close(r);
  scratch_text("c.jsonl", "\xEF\xBB\xBF{\"body\":\"x\",\"title\":\"y\"}\n");
  expect("c.jsonl", false, "body", "[x]");
  expect_failure("c.jsonl", NULL, SG_ERR_FORMAT,
                 "line 1: field \"text\" is missing, expected a string; string fields of this line: "
                 "\"body\", \"title\"");
  scratch_text("c.jsonl", "{\"text\":\"x\"}\n\n{\"text\":3}\n");
  expect_failure("c.jsonl", NULL, SG_ERR_FORMAT, "line 3: field \"text\" is no string");
  scratch_text("c.jsonl", "{\"text\":\"x\"}\n{\"text\":\"y\"\n");
  expect_failure("c.jsonl", NULL, SG_ERR_FORMAT, "line 2, byte");
  scratch_text("c.jsonl", "{\"text\":\"x\"} {\"text\":\"y\"}\n");
  expect_failure("c.jsonl", NULL, SG_ERR_FORMAT, "line 1, byte");
  scratch_text("c.jsonl", "[\"x\"]\n");
  expect_failure("c.jsonl", NULL, SG_ERR_FORMAT, "line 1: not a JSON object but an array");
  scratch_text("c.jsonl", "{\"text\":\"x\",\"text\":\"y\"}\n");
  expect_failure("c.jsonl", NULL, SG_ERR_FORMAT, "duplicate");
  scratch_text("c.jsonl", "{\"text\":\"\xFF\"}\n");
  expect("c.jsonl", false, NULL, "[\xEF\xBF\xBD]");
}

static void too_large(void **state) {
  (void)state;
  size_t n = SGI_DOCUMENT_MAX + 64;
  char *big = malloc(n);
  assert_non_null(big);
  memset(big, 'a', n);
  memcpy(big, "ok<|endoftext|>", 15);
  scratch_zstd("d.txt.zst", big, n, 0);
  expect_failure("d.txt.zst", NULL, SG_ERR_FORMAT, "begins at byte 15 is longer than 64 MB");
  scratch_gzip("d.txt.gz", big, n, 0);
  expect_failure("d.txt.gz", NULL, SG_ERR_FORMAT, "begins at byte 15 is longer than 64 MB");
  memset(big, ' ', n); /* nothing but white space is no document, however long */
  big[n - 1] = 'x';
  scratch_zstd("d.txt.zst", big, n, 0);
  expect("d.txt.zst", false, NULL, "[x]");
  expect("d.txt.zst", true, NULL, "[x]");
  memset(big, 'b', n);
  memcpy(big, "{\"text\":\"x\"}\n{\"", 15);
  scratch_zstd("d.jsonl.zst", big, n, 0);
  expect_failure("d.jsonl.zst", NULL, SG_ERR_FORMAT, "line 2, which begins at byte 13, is longer than 64 MB");
  memset(big, '[', 1 << 22);
  memcpy(big, "{\"a\":", 5);
  memcpy(big + (1 << 22), "\n", 1);
  scratch_write("d.jsonl", big, (1 << 22) + 1);
  expect_failure("d.jsonl", NULL, SG_ERR_FORMAT, "line 1 has more than 1048576 values");
  /* A document of just the largest size is read whole. */
  memset(big, 'c', n);
  memcpy(big + SGI_DOCUMENT_MAX, "<|endoftext|>d", 14);
  scratch_zstd("d.txt.zst", big, SGI_DOCUMENT_MAX + 14, 0);
  sgi_reader *r;
  const char *text;
  size_t k;
  assert_int_equal(sgi_reader_open(scratch_path("d.txt.zst"), false, NULL, &r, NULL), SG_OK);
  assert_int_equal(sgi_reader_next(r, &text, &k, NULL), SG_OK);
  assert_int_equal(k, SGI_DOCUMENT_MAX);
  assert_int_equal(sgi_reader_next(r, &text, &k, NULL), SG_OK);
  assert_int_equal(k, 1);
  sgi_reader_close(r);
  free(big);
}

static void long_text(void **state) {
  (void)state;
  /* Many refills of the buffer: 3 MB of numbered documents. */
  size_t size = 3 << 20, n = 0, documents = 0;
  char *text = malloc(size + 64);
  assert_non_null(text);
  while (n < size)
    n += (size_t)sprintf(text + n, "%s%zu", documents ? "\n<|endoftext|>\n" : "", documents), documents++;
  scratch_write("e.txt", text, n);
  scratch_gzip("e.txt.gz", text, n, 10007);
  scratch_zstd("e.txt.zst", text, n, 100003);
  const char *names[] = {"e.txt", "e.txt.gz", "e.txt.zst"};
  for (size_t i = 0; i < 3; i++) {
    sgi_reader *r;
    assert_int_equal(sgi_reader_open(scratch_path(names[i]), false, NULL, &r, NULL), SG_OK);
    const char *one;
    size_t k, count = 0;
    uint64_t before = 0;
    while (sgi_reader_next(r, &one, &k, NULL) == SG_OK && one) {
      char expected[32];
      size_t m = (size_t)sprintf(expected, "%zu", count++);
      assert_int_equal(k, m);
      assert_memory_equal(one, expected, m);
      assert_true(sgi_reader_position(r) >= before);
      before = sgi_reader_position(r);
    }
    assert_int_equal(count, documents);
    size_t raw_n;
    char *raw = scratch_read(names[i], &raw_n);
    sgi_stamp stamp = sgi_reader_stamp(r), again;
    assert_int_equal(before, raw_n);
    assert_int_equal(stamp.size, raw_n);
    assert_true(stamp.hash == XXH3_64bits(raw, raw_n));
    assert_int_equal(sgi_stamp_file(scratch_path(names[i]), true, &again, NULL), SG_OK);
    assert_memory_equal(&again, &stamp, sizeof stamp);
    free(raw);
    sgi_reader_close(r);
  }
  free(text);
}

static void damaged(void **state) {
  (void)state;
  const char *names[] = {"f.txt.zst", "f.txt.gz", "f.jsonl.zst", "f.jsonl.gz"};
  for (size_t i = 0; i < 4; i++) {
    const char *text = i < 2 ? stories : "{\"text\":\"abcdefgh abcdefgh\"}\n{\"text\":\"q\"}\n";
    if (i % 2)
      scratch_gzip(names[i], text, strlen(text), 0);
    else
      scratch_zstd(names[i], text, strlen(text), 0);
    size_t n;
    char *packed = scratch_read(names[i], &n);
    for (size_t cut = 0; cut < n; cut++) { /* every truncation is noticed */
      scratch_write(names[i], packed, cut);
      expect_failure(names[i], NULL, SG_ERR_FORMAT, "in the middle");
    }
    for (size_t bit = 0; bit < 8 * n;
         bit++) { /* every flipped bit is survived, and gzip's checksum sees those in the data */
      packed[bit / 8] = (char)(packed[bit / 8] ^ (1 << bit % 8));
      scratch_write(names[i], packed, n);
      sgi_reader *r = NULL;
      const char *one = "";
      size_t k;
      sg_status st = sgi_reader_open(scratch_path(names[i]), false, NULL, &r, NULL);
      while (!st && one) st = sgi_reader_next(r, &one, &k, NULL);
      assert_true(st == SG_OK || st == SG_ERR_FORMAT || st == SG_ERR_UNSUPPORTED);
      sgi_reader_close(r);
      packed[bit / 8] = (char)(packed[bit / 8] ^ (1 << bit % 8));
    }
    char *longer = calloc(1, n + 64);
    memcpy(longer, packed, n);
    memcpy(longer + n, "garbage", 7);
    scratch_write(names[i], longer, n + 7);
    expect_failure(names[i], NULL, SG_ERR_FORMAT, "damaged");
    memset(longer + n, 0, 64); /* zeros behind gzip data are padding */
    scratch_write(names[i], longer, n + 64);
    char *got = read_all(names[i], false, NULL, i % 2 ? SG_OK : SG_ERR_FORMAT);
    free(got);
    free(longer);
    free(packed);
  }
  scratch_text("f.txt.gz", "this is no gzip");
  expect_failure("f.txt.gz", NULL, SG_ERR_FORMAT, "damaged gzip");
  scratch_text("f.txt.zst", "this is no zstd");
  expect_failure("f.txt.zst", NULL, SG_ERR_FORMAT, "damaged zstd");
  scratch_write("f.txt", "\xFF\xFE\x61\x00", 4);
  expect_failure("f.txt", NULL, SG_ERR_FORMAT, "UTF-16");
  /* a frame that asks for a window of 1 GB */
  scratch_write("f.txt.zst", "\x28\xB5\x2F\xFD\x00\xA0\x01\x00\x00", 9);
  expect_failure("f.txt.zst", NULL, SG_ERR_UNSUPPORTED, "window");
  /* Windows of 32 and 64 MB in a small file, and the latter behind a megabyte that is passed over:
   * what a file makes us allocate is bounded by its size. */
  enum { PADDING = 1 << 20 };
  const char small[] = "\x28\xB5\x2F\xFD\x00\x78\x09\x00\x00x", large[] = "\x28\xB5\x2F\xFD\x00\x80\x09\x00\x00x";
  scratch_write("f.txt.zst", small, sizeof small - 1);
  expect("f.txt.zst", false, NULL, "[x]");
  scratch_write("f.txt.zst", large, sizeof large - 1);
  expect_failure("f.txt.zst", NULL, SG_ERR_UNSUPPORTED, "window above 32 MB, in a file below 1 MB");
  char *padded = calloc(8 + PADDING + sizeof large, 1);
  memcpy(padded, "\x50\x2A\x4D\x18\x00\x00\x10\x00", 8);
  memcpy(padded + 8 + PADDING, large, sizeof large - 1);
  scratch_write("f.txt.zst", padded, 8 + PADDING + sizeof large - 1);
  expect("f.txt.zst", false, NULL, "[x]");
  free(padded);
}

static void not_text(void **state) {
  (void)state;
  scratch_text("g.csv", "x");
  expect_failure("g.csv", NULL, SG_ERR_ARG, ".jsonl");
  expect_failure("missing.txt", NULL, SG_ERR_IO, "missing.txt");
  assert_int_equal(mkdir(scratch_path("dir.txt"), 0700), 0);
  expect_failure("dir.txt", NULL, SG_ERR_ARG, "regular");
}

static void directories(void **state) {
  (void)state;
  assert_int_equal(mkdir(scratch_path("set"), 0700), 0);
  char **files;
  size_t n;
  sg_error err;
  assert_int_equal(sgi_text_files(scratch_path("set"), NULL, NULL, &files, &n, &err), SG_ERR_IO);
  assert_non_null(strstr(err.text, ".jsonl"));
  const char *names[] = {"b.txt",     "B.jsonl.gz",  "a.txt.zst", "\xC3\xA9.txt", "notes.md",
                         "x.txt.bz2", ".hidden.txt", ".txt",      "10.txt",       "9.txt"};
  for (size_t i = 0; i < SGI_COUNT(names); i++) {
    char path[64];
    snprintf(path, sizeof path, "set/%s", names[i]);
    scratch_text(path, "x");
  }
  assert_int_equal(mkdir(scratch_path("set/sub.txt"), 0700), 0);
  assert_int_equal(sgi_text_files(scratch_path("set"), NULL, NULL, &files, &n, &err), SG_OK);
  const char *expected[] = {"set/10.txt",    "set/9.txt", "set/B.jsonl.gz",
                            "set/a.txt.zst", "set/b.txt", "set/\xC3\xA9.txt"};
  assert_int_equal(n, SGI_COUNT(expected));
  for (size_t i = 0; i < n; i++) assert_string_equal(files[i], scratch_path(expected[i]));
  sgi_text_files_free(files, n);
  assert_int_equal(sgi_text_files(scratch_path("set/b.txt"), NULL, NULL, &files, &n, &err), SG_OK);
  assert_int_equal(n, 1);
  sgi_text_files_free(files, n);
  assert_int_equal(sgi_text_files(scratch_path("set/notes.md"), NULL, NULL, &files, &n, &err), SG_ERR_ARG);
  assert_int_equal(sgi_text_files(scratch_path("nowhere"), NULL, NULL, &files, &n, &err), SG_ERR_IO);
}

static void splits(void **state) {
  (void)state;
  assert_int_equal(mkdir(scratch_path("data"), 0700), 0);
  char *path;
  sg_error err;
  assert_int_equal(sgi_find_split(scratch_path("data"), "train", &path, &err), SG_ERR_IO);
  assert_non_null(strstr(err.text, "train.txt"));
  assert_null(path);
  assert_int_equal(sgi_find_split(scratch_path("nowhere"), "train", &path, &err), SG_ERR_IO);
  scratch_text("data/train.txt.zst", "x");
  scratch_text("data/valid.jsonl", "x");
  scratch_text("data/train.md", "x");
  assert_int_equal(sgi_find_split(scratch_path("data"), "train", &path, &err), SG_OK);
  assert_string_equal(path, scratch_path("data/train.txt.zst"));
  sgi_free(path);
  assert_int_equal(sgi_find_split(scratch_path("data"), "valid", &path, &err), SG_OK);
  assert_string_equal(path, scratch_path("data/valid.jsonl"));
  sgi_free(path);
  assert_int_equal(mkdir(scratch_path("data/train"), 0700), 0);
  assert_int_equal(sgi_find_split(scratch_path("data"), "train", &path, &err), SG_ERR_ARG);
  assert_non_null(strstr(err.text, "train/, train.txt.zst"));
  assert_null(path);
  assert_int_equal(unlink(scratch_path("data/train.txt.zst")), 0);
  assert_int_equal(sgi_find_split(scratch_path("data"), "train", &path, &err), SG_OK);
  assert_string_equal(path, scratch_path("data/train"));
  sgi_free(path);
}

static void memory_out(void **state) {
  (void)state;
  const char *line = "{\"text\":\"abc\"}\n";
  scratch_gzip("m.jsonl.gz", line, strlen(line), 0);
  scratch_zstd("m.txt.zst", line, strlen(line), 0);
  scratch_text("m.txt", line);
  const char *names[] = {"m.jsonl.gz", "m.txt.zst", "m.txt"};
  for (size_t i = 0; i < 3; i++) {
    for (size_t at = 1;; at++) {
      sgi_alloc_fail_at(at, false);
      size_t before = sgi_alloc_count();
      sgi_reader *r;
      const char *text;
      size_t n;
      sg_status st = sgi_reader_open(scratch_path(names[i]), false, NULL, &r, NULL);
      if (!st) st = sgi_reader_next(r, &text, &n, NULL);
      sgi_reader_close(r);
      bool reached = sgi_alloc_count() - before >= at;
      sgi_alloc_fail_at(0, false);
      assert_int_equal(st, reached ? SG_ERR_MEMORY : SG_OK);
      if (!reached) break;
    }
  }
  for (int of = 0; of < 2; of++) {
    for (size_t at = 1;; at++) {
      char **files = NULL, *path = NULL;
      size_t n = 0, before = sgi_alloc_count();
      sgi_alloc_fail_at(at, false);
      sg_status st = of ? sgi_find_split(scratch_path("data"), "train", &path, NULL)
                        : sgi_text_files(scratch_path("set"), NULL, NULL, &files, &n, NULL);
      bool reached = sgi_alloc_count() - before >= at;
      sgi_alloc_fail_at(0, false);
      assert_int_equal(st, reached ? SG_ERR_MEMORY : SG_OK);
      sgi_text_files_free(files, n);
      sgi_free(path);
      if (!reached) break;
      assert_true(at < 1000);
    }
  }
}

/* What a line of another program may hold beside good JSON. */
static void mended_lines(void **state) {
  (void)state;
  static const char lines[] =
      "{\"text\":\"whole \\ud83e\\udd99\"}\n"
      "{\"text\":\"low \\udd99 high \\uD83E.\",\"other\":\"\\udead\"}\n"
      "{\"text\":\"not one: \\\\ud83e\"}\n"
      "{\"text\":\"numbers\",\"id\":12345678901234567890123,\"p\":[NaN,-Infinity,1e999,-2.5E-7],\"t\":\"1e999\"}\n"
      "{\"text\":\"caf\xE9\"}\n"
      "{\"id\":NaN,\"text\":\"\\udc00\\ud800\"}\n";
  scratch_text("m1.jsonl", lines);
  expect("m1.jsonl", false, NULL,
         "[whole \xF0\x9F\xA6\x99][low \xEF\xBF\xBD high \xEF\xBF\xBD.][not one: \\ud83e][numbers]"
         "[caf\xEF\xBF\xBD][\xEF\xBF\xBD\xEF\xBF\xBD]");
  sgi_reader *r;
  const char *text = "";
  size_t n;
  assert_int_equal(sgi_reader_open(scratch_path("m1.jsonl"), false, NULL, &r, NULL), SG_OK);
  while (text) assert_int_equal(sgi_reader_next(r, &text, &n, NULL), SG_OK);
  const sgi_text_notes *notes = sgi_reader_notes(r);
  assert_int_equal(notes->halves, 5);
  assert_int_equal(notes->halves_line, 2);
  assert_int_equal(notes->broken, 1);
  assert_int_equal(notes->broken_line, 5);
  assert_string_equal(notes->broken_file, "m1.jsonl");
  sgi_reader_close(r);
  static const char *const bad[] = {"{\"text\":\"x\",\"id\":01}\n",
                                    "{\"text\":\"x\",\"id\":1.}\n",
                                    "{\"text\":\"x\",\"id\":NaNs}\n",
                                    "{\"text\":\"\\ud83\"}\n",
                                    "{\"text\":\"x\"\n",
                                    "{\"text\":\"x\",\"id\":--1}\n"};
  for (size_t i = 0; i < SGI_COUNT(bad); i++) {
    scratch_text("m2.jsonl", bad[i]);
    expect_failure("m2.jsonl", NULL, SG_ERR_FORMAT, "line 1, byte");
  }
  scratch_text("m2.jsonl", "{\"text\":1e999}\n");
  expect_failure("m2.jsonl", NULL, SG_ERR_FORMAT, "field \"text\" is no string");
}

static void endings(void **state) {
  (void)state;
  const char *line = "{\"text\":\"a\"}\n";
  static const char *const names[] = {"e.json", "e.ndjson", "e.JSONL", "e.Json"};
  for (size_t i = 0; i < SGI_COUNT(names); i++) {
    scratch_text(names[i], line);
    expect(names[i], false, NULL, "[a]");
  }
  scratch_gzip("e.json.gz", line, strlen(line), 0);
  scratch_zstd("e.NDJSON.ZST", line, strlen(line), 0);
  expect("e.json.gz", false, NULL, "[a]");
  expect("e.NDJSON.ZST", false, NULL, "[a]");
  scratch_text("E.TXT", line);
  expect("E.TXT", false, NULL, "[{\"text\":\"a\"}]");
  scratch_text("e.json", " \n[{\"text\":\"a\"}]\n");
  expect_failure("e.json", NULL, SG_ERR_FORMAT, "jq -c '.[]'");
}

/* What a directory passes over is counted; a .json in it may be anything but an array. */
static void passed_over(void **state) {
  (void)state;
  assert_int_equal(mkdir(scratch_path("po"), 0700), 0);
  assert_int_equal(mkdir(scratch_path("po/more"), 0700), 0);
  scratch_text("po/a.jsonl", "{\"text\":\"a\"}\n");
  scratch_text("po/b.json", "{\"text\":\"b\"}\n");
  scratch_text("po/info.json", "{\"name\":\"c\"}\n");
  scratch_text("po/x.csv", "1,2\n");
  scratch_text("po/.hidden", "1");
  char **files;
  size_t n;
  sg_error err;
  sgi_text_notes notes = {0};
  assert_int_equal(sgi_text_files(scratch_path("po"), NULL, &notes, &files, &n, &err), SG_OK);
  assert_int_equal(n, 2);
  assert_string_equal(files[1], scratch_path("po/b.json"));
  sgi_text_files_free(files, n);
  assert_int_equal(notes.passed, 3);
  assert_int_equal(notes.passed_bytes, 17);
  assert_string_equal(notes.passed_names, "info.json, more/, x.csv");
  assert_non_null(strstr(notes.passed_why, "field \"text\" is missing"));
  assert_int_equal(sgi_text_files(scratch_path("po"), "name", NULL, &files, &n, &err), SG_OK);
  assert_int_equal(n, 2); /* a.jsonl says by its name that it is text */
  sgi_text_files_free(files, n);
  scratch_text("po/z.json", "[1]\n");
  assert_int_equal(sgi_text_files(scratch_path("po"), NULL, NULL, &files, &n, &err), SG_ERR_FORMAT);
  assert_non_null(strstr(err.text, "z.json"));
}

/* What the names of a directory say is missing. */
static void missing(void **state) {
  (void)state;
  static const struct {
    const char *names, *missing; /* with spaces between */
    uint64_t count;
  } all[] = {
      {"chunk_0.txt chunk_1.txt chunk_2.txt", "", 0},
      {"chunk_0.txt chunk_1.txt.zst chunk_3.jsonl.gz", "chunk_2.jsonl.gz", 1},
      {"chunk_8.txt chunk_9.txt chunk_11.txt", "chunk_10.txt", 1},
      {"c_0008.txt c_0009.txt c_0011.txt", "c_0010.txt", 1},
      {"c_0001.txt c_0002.txt c_0003.txt c_0008.txt c_0009.txt c_0010.txt c_0011.txt c_0014.txt",
       "c_0004.txt, c_0005.txt, c_0006.txt, c_0007.txt, ...", 6},
      {"1998.txt 2003.txt 2011.txt", "", 0}, /* years */
      {"a1.txt a3.txt", "", 0},              /* too few to be a family */
      {"a1.txt b2.txt c4.txt", "", 0},       /* none of a name */
      {"plain.txt other.txt", "", 0},
      {"t-00000-of-00003.txt t-00001-of-00003.txt t-00002-of-00003.txt", "", 0},
      {"t-00001-of-00003.txt t-00002-of-00003.txt t-00003-of-00003.txt", "", 0},
      {"t-00000-of-00003.txt t-00002-of-00003.txt", "t-00001-of-00003.txt", 1},
      {"t-00000-of-00003.txt", "t-00001-of-00003.txt, t-00002-of-00003.txt", 2},
      {"t-00003-of-00003.txt", "t-00001-of-00003.txt, t-00002-of-00003.txt", 2},
      {"t-00001-of-00003.txt", "t-00000-of-00003.txt, t-00002-of-00003.txt", 2},
      {"a-1-of-2.x.txt a-0-of-2.x.txt b-0-of-2.txt", "b-1-of-2.txt", 1},
      {"t-0-of-900000000000000000.txt",
       "t-1-of-900000000000000000.txt, t-2-of-900000000000000000.txt, t-3-of-900000000000000000.txt, "
       "t-4-of-900000000000000000.txt, ...",
       899999999999999999u},
      {"t-5-of-3.txt u-1-of-0.txt of-3.txt -of-3.txt 123456789012345678901.txt", "", 0},
      {"a1.txt a01.txt a2.txt a4.txt", "a3.txt", 1},
  };
  char path[64];
  for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
    char names[300];
    snprintf(path, sizeof path, "ms%zu", i);
    assert_int_equal(mkdir(scratch_path(path), 0700), 0);
    strcpy(names, all[i].names);
    for (char *name = strtok(names, " "); name; name = strtok(NULL, " ")) {
      char file[128];
      snprintf(file, sizeof file, "%s/%s", path, name);
      scratch_text(file, "x");
    }
    char **files;
    size_t n;
    sg_error err = {0};
    sgi_text_notes notes = {0};
    assert_int_equal(sgi_text_files(scratch_path(path), NULL, &notes, &files, &n, &err), SG_OK);
    sgi_text_files_free(files, n);
    if (notes.missing != all[i].count || strcmp(notes.missing_names, all[i].missing))
      fail_msg("%s: %llu missing: \"%s\", expected %llu: \"%s\"", all[i].names, (unsigned long long)notes.missing,
               notes.missing_names, (unsigned long long)all[i].count, all[i].missing);
    sg_status st = sgi_text_whole(scratch_path(path), NULL, "do without", &err);
    assert_int_equal(st, all[i].count ? SG_ERR_FORMAT : SG_OK);
    if (st) assert_non_null(strstr(err.text, "or do without"));
  }
}

/* CRLF in .txt is LF, at marks, at blank lines and inside; as it is where asked. */
static void line_ends(void **state) {
  (void)state;
  const char *text = "a\r\nb\r\r\nc\r\n<|endoftext|>\r\n\r\nd\re\r\n\r\n<|endoftext|>\r\n";
  scratch_text("cr.txt", text);
  expect("cr.txt", false, NULL, "[a\nb\r\nc][d\re]");
  scratch_text("cr2.txt", "a\r\nb\r\n\r\nc\r\n");
  expect("cr2.txt", true, NULL, "[a\nb][c]");
  static const char *const kept[] = {"a\nb\r\nc", "\nd\re\n", "a\r\nb\r\r\nc", "\r\nd\re\r\n"};
  for (size_t round = 0; round < 2; round++) {
    sgi_reader *r;
    const char *got;
    size_t n;
    assert_int_equal(sgi_reader_open(scratch_path("cr.txt"), false, NULL, &r, NULL), SG_OK);
    sgi_reader_keep_space(r);
    if (round) sgi_reader_keep_cr(r);
    for (size_t i = 0; i < 2; i++) {
      assert_int_equal(sgi_reader_next(r, &got, &n, NULL), SG_OK);
      assert_int_equal(n, strlen(kept[2 * round + i]));
      assert_memory_equal(got, kept[2 * round + i], n);
    }
    assert_int_equal(sgi_reader_next(r, &got, &n, NULL), SG_OK);
    assert_null(got);
    sgi_reader_close(r);
  }
}

/* A pipe is read as what it begins with, packed or not. */
static void streams(void **state) {
  (void)state;
  static const struct {
    const char *text, *expected;
  } all[] = {{"one<|endoftext|>two\n", "[one][two]"},
             {"", ""},
             {"{\"text\":\"a\"}\n{\"text\":\"b\"}\n", "[a][b]"},
             {"\xEF\xBB\xBF {\"text\":\"a\"}", "[a]"},
             {"{ a set }\nof words", "[{ a set }\nof words]"}};
  assert_int_equal(mkfifo(scratch_path("pipe"), 0600), 0);
  for (size_t i = 0; i < 3 * SGI_COUNT(all); i++) {
    const char *text = all[i / 3].text;
    if (i % 3 == 0) scratch_text("piped", text);
    if (i % 3 == 1) scratch_gzip("piped", text, strlen(text), 5);
    if (i % 3 == 2) scratch_zstd("piped", text, strlen(text), 5);
    char command[600];
    snprintf(command, sizeof command, "cat %s >%s &", scratch_path("piped"), scratch_path("pipe"));
    assert_int_equal(system(command), 0);
    expect("pipe", false, NULL, all[i / 3].expected);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(marks),        cmocka_unit_test(places),     cmocka_unit_test(kept_space),
      cmocka_unit_test(blank_lines),  cmocka_unit_test(json_lines), cmocka_unit_test(too_large),
      cmocka_unit_test(long_text),    cmocka_unit_test(damaged),    cmocka_unit_test(not_text),
      cmocka_unit_test(directories),  cmocka_unit_test(splits),     cmocka_unit_test(memory_out),
      cmocka_unit_test(mended_lines), cmocka_unit_test(endings),    cmocka_unit_test(passed_over),
      cmocka_unit_test(missing),      cmocka_unit_test(line_ends),  cmocka_unit_test(streams),
  };
  scratch_begin();
  int failed = cmocka_run_group_tests(tests, NULL, NULL);
  scratch_end();
  return failed;
}
