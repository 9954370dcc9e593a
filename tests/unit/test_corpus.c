/* The token cache: same bytes for any number of threads, kept while it is right, made anew when it
 * is not, whole or not there. */
#include <errno.h>
#include <fcntl.h>
#include <omp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
/* after the four headers it needs */
#include <cmocka.h>

#include "core/arena.h"
#include "core/file.h"
#include "support/text_scratch.h"
#include "data/data.h"

#define TOKENIZER "tests/golden/tokenizer/tokenizer.json"
#define OTHER_TOKENIZER "tests/golden/bpe/stories_alpha_300.json"

static sg_tokenizer *tok;
static int32_t eos;
static const sgi_text_form by_lines = {.blank_lines = true};

static sgi_corpus *open_as(const char *name, const sgi_text_form *form, const sg_tokenizer *with) {
  sgi_corpus *c;
  sg_error err = {SG_OK, ""};
  if (sgi_corpus_open(scratch_path(name), form, with, eos, NULL, NULL, &c, &err)) fail_msg("%s: %s", name, err.text);
  return c;
}

/* The one cache below DIR/name, as a path within the scratch directory. */
static const char *cache_of(const char *name) {
  static char found[1024];
  char command[2048];
  snprintf(command, sizeof command, "cd '%s' && find '%s' -name '*.tokens'", scratch_path("."), name);
  FILE *p = popen(command, "r");
  assert_non_null(p);
  found[0] = '\0';
  assert_non_null(fgets(found, sizeof found, p));
  char more[16];
  assert_null(fgets(more, sizeof more, p));
  pclose(p);
  found[strcspn(found, "\n")] = '\0';
  return found;
}

static ino_t inode(const char *name) {
  struct stat s;
  assert_int_equal(stat(scratch_path(name), &s), 0);
  return s.st_ino;
}

/* Document i is what the tokenizer makes of text, and eos. */
static void expect_document(const sgi_corpus *c, size_t i, const char *text, size_t length) {
  int32_t *ids;
  size_t count, n;
  assert_int_equal(sg_tokenizer_encode(tok, text, length, &ids, &count, NULL), SG_OK);
  const int32_t *got = sgi_corpus_document(c, i, &n);
  assert_int_equal(n, count + 1);
  if (count) assert_memory_equal(got, ids, count * sizeof *ids);
  assert_int_equal(got[count], eos);
  sg_buffer_free(ids);
}

/* Numbered documents of varying length, more than one block of them. */
static char *many_documents(size_t count, size_t *n) {
  char *text = malloc(count * 120);
  assert_non_null(text);
  *n = 0;
  for (size_t i = 0; i < count; i++) {
    *n += (size_t)sprintf(text + *n, "Story %zu of the day", i);
    for (size_t k = 0; k < i % 7; k++) *n += (size_t)sprintf(text + *n, " went on %zu", k);
    *n += (size_t)sprintf(text + *n, "\n\n");
  }
  return text;
}

/* All tokens of a corpus, one behind the other. */
static int32_t *all_tokens(const sgi_corpus *c, uint64_t *count) {
  int32_t *all = malloc((size_t)(sgi_corpus_tokens(c) + 1) * sizeof *all);
  assert_non_null(all);
  *count = 0;
  for (size_t i = 0, n; i < sgi_corpus_documents(c); i++) {
    const int32_t *ids = sgi_corpus_document(c, i, &n);
    assert_true(*count + n <= sgi_corpus_tokens(c));
    memcpy(all + *count, ids, n * sizeof *ids);
    *count += n;
  }
  assert_int_equal(*count, sgi_corpus_tokens(c));
  return all;
}

/* The two parts of a text, one behind the other, are the text; the border is where it should be. */
static void parts(void **state) {
  (void)state;
  const size_t sizes[] = {1, 2, 19, 20, 21, 500};
  for (size_t k = 0; k < SGI_COUNT(sizes); k++) {
    char name[32];
    size_t n, d = sizes[k];
    char *text = many_documents(d, &n);
    text[n] = 0;
    snprintf(name, sizeof name, "parts%zu.txt", d);
    scratch_text(name, text);
    free(text);
    sgi_corpus *whole = open_as(name, &by_lines, tok), *none = open_as(name, &by_lines, tok);
    uint64_t all_count, a_count, b_count;
    int32_t *all = all_tokens(whole, &all_count);
    assert_int_equal(sgi_corpus_take_part(none, SGI_FOR_TRAINING, 0, NULL), SG_OK);
    assert_true(sgi_corpus_hash(none) == sgi_corpus_hash(whole));
    assert_int_equal(sgi_corpus_take_part(none, SGI_HELD_OUT, 0, NULL), SG_ERR_ARG);
    for (double share = 0.05; share <= 0.5; share += 0.15) {
      sgi_corpus *a = open_as(name, &by_lines, tok), *b = open_as(name, &by_lines, tok);
      assert_int_equal(sgi_corpus_take_part(a, SGI_FOR_TRAINING, share, NULL), SG_OK);
      assert_int_equal(sgi_corpus_take_part(b, SGI_HELD_OUT, share, NULL), SG_OK);
      int32_t *first = all_tokens(a, &a_count), *last = all_tokens(b, &b_count);
      assert_int_equal(a_count + b_count, all_count);
      assert_memory_equal(first, all, a_count * sizeof *all);
      assert_memory_equal(last, all + a_count, b_count * sizeof *all);
      if (d >= 20) {
        assert_int_equal(sgi_corpus_documents(a) + sgi_corpus_documents(b), d);
        assert_int_equal(sgi_corpus_documents(b), (size_t)(share * (double)d + 0.5));
        assert_int_equal(first[a_count - 1], eos);
      } else {
        uint64_t held = (uint64_t)(share * (double)all_count);
        assert_int_equal(b_count, held ? held : 1);
      }
      assert_true(sgi_corpus_hash(a) != sgi_corpus_hash(b) && sgi_corpus_hash(a) != sgi_corpus_hash(whole));
      sgi_corpus_fit fit;
      sgi_corpus_measure(b, 3, &fit);
      uint64_t beyond = 0;
      for (size_t i = 0, m; i < sgi_corpus_documents(b); i++)
        beyond += (sgi_corpus_document(b, i, &m), m > 3 ? m - 3 : 0);
      assert_int_equal(fit.beyond, beyond);
      free(first);
      free(last);
      sgi_corpus_close(a);
      sgi_corpus_close(b);
    }
    free(all);
    sgi_corpus_close(whole);
    sgi_corpus_close(none);
  }
}

static void content(void **state) {
  (void)state;
  assert_int_equal(mkdir(scratch_path("mixed"), 0700), 0);
  scratch_text("mixed/b.txt", "One day.<|endoftext|>\x7F<|endoftext|>Two \xC3\xA9.");
  const char *json = "{\"body\":\" Three\"}\n{\"body\":\"Four\"}\n";
  scratch_gzip("mixed/a.jsonl.gz", json, strlen(json), 0);
  sgi_text_form form = {.field = "body"};
  sgi_corpus *c = open_as("mixed", &form, tok);
  const char *expected[] = {" Three", "Four", "One day.", "\x7F", "Two \xC3\xA9."};
  size_t n;
  uint64_t tokens = 0;
  assert_int_equal(sgi_corpus_documents(c), SGI_COUNT(expected));
  for (size_t i = 0; i < SGI_COUNT(expected); i++) {
    expect_document(c, i, expected[i], strlen(expected[i]));
    sgi_corpus_document(c, i, &n);
    tokens += n;
  }
  assert_int_equal(sgi_corpus_tokens(c), tokens);
  sgi_corpus_document(c, 3, &n);
  assert_int_equal(n, 2); /* the tokenizer has nothing for 0x7F: the space in front and eos stay */
  uint64_t hash = sgi_corpus_hash(c);
  sgi_corpus_close(c);
  /* The hash is of the tokens: another packing of the same text has the same, another cut of
   * documents has not. */
  assert_int_equal(mkdir(scratch_path("again"), 0700), 0);
  scratch_text("again/1.jsonl", json);
  scratch_text("again/2.txt", "One day.<|endoftext|>\x7F<|endoftext|>\nTwo \xC3\xA9.\n");
  c = open_as("again", &form, tok);
  assert_true(sgi_corpus_hash(c) == hash);
  sgi_corpus_close(c);
  scratch_text("again/2.txt", "One day.<|endoftext|>Two \xC3\xA9.\n");
  c = open_as("again", &form, tok);
  assert_false(sgi_corpus_hash(c) == hash);
  sgi_corpus_close(c);
  scratch_text("empty.txt", "\n");
  c = open_as("empty.txt", NULL, tok);
  assert_int_equal(sgi_corpus_documents(c), 0);
  assert_int_equal(sgi_corpus_tokens(c), 0);
  sgi_corpus_close(c);
}

/* Documents that are larger than what is written at once, between small ones. */
static void large_documents(void **state) {
  (void)state;
  enum { WORDS = 400000 };
  char *text = malloc(WORDS * 8 + 64);
  assert_non_null(text);
  size_t n = (size_t)sprintf(text, "One.\n\n"), begin = n;
  for (size_t i = 0; i < WORDS; i++) n += (size_t)sprintf(text + n, "%s%zu", i ? " " : "", i % 97);
  size_t length = n - begin;
  n += (size_t)sprintf(text + n, "\n\nTwo.");
  scratch_zstd("large.txt.zst", text, n, 0);
  sgi_corpus *c = open_as("large.txt.zst", &by_lines, tok);
  assert_int_equal(sgi_corpus_documents(c), 3);
  expect_document(c, 0, "One.", 4);
  expect_document(c, 1, text + begin, length);
  expect_document(c, 2, "Two.", 4);
  sgi_corpus_close(c);
  free(text);
}

static void threads(void **state) {
  (void)state;
  size_t count = 10000, n, sizes[2];
  char *text = many_documents(count, &n), *bytes[2];
  int before = omp_get_max_threads();
  for (int t = 0; t < 2; t++) {
    assert_int_equal(mkdir(scratch_path(t ? "t2" : "t1"), 0700), 0);
    const char *name = t ? "t2/many.txt" : "t1/many.txt";
    scratch_write(name, text, n);
    struct timespec old[2] = {{1000000000, 5}, {1000000000, 5}};
    assert_int_equal(utimensat(AT_FDCWD, scratch_path(name), old, 0), 0);
    omp_set_num_threads(t + 1);
    sgi_corpus *c = open_as(name, &by_lines, tok);
    assert_int_equal(sgi_corpus_documents(c), count);
    for (size_t i = 0; i < count; i += i < 4090 ? 409 : 1) {
      char expected[200];
      size_t k = (size_t)sprintf(expected, "Story %zu of the day", i);
      for (size_t j = 0; j < i % 7; j++) k += (size_t)sprintf(expected + k, " went on %zu", j);
      expect_document(c, i, expected, k);
    }
    sgi_corpus_close(c);
    bytes[t] = scratch_read(cache_of(t ? "t2" : "t1"), &sizes[t]);
  }
  omp_set_num_threads(before);
  assert_int_equal(sizes[0], sizes[1]);
  assert_memory_equal(bytes[0], bytes[1], sizes[0]);
  free(bytes[0]);
  free(bytes[1]);
  free(text);
}

static void reuse(void **state) {
  (void)state;
  assert_int_equal(mkdir(scratch_path("r"), 0700), 0);
  scratch_text("r/x.txt", "One.<|endoftext|>Two.");
  sgi_corpus_close(open_as("r/x.txt", NULL, tok));
  const char *cache = cache_of("r");
  char name[1024];
  snprintf(name, sizeof name, "%s", cache);
  assert_memory_equal(name, "r/.sgatlin/x.txt.", 17);
  ino_t first = inode(name);
  sgi_corpus_close(open_as("r/x.txt", NULL, tok));
  assert_int_equal(inode(name), first);
  /* Another time, the same bytes: kept. */
  struct timespec old[2] = {{1000000000, 0}, {1000000000, 0}};
  assert_int_equal(utimensat(AT_FDCWD, scratch_path("r/x.txt"), old, 0), 0);
  sgi_corpus_close(open_as("r/x.txt", NULL, tok));
  assert_int_equal(inode(name), first);
  /* Other bytes of the same number and time, while the time was fresh: the hash decides. */
  scratch_text("r/x.txt", "One.<|endoftext|>Six.");
  sgi_corpus *c = open_as("r/x.txt", NULL, tok);
  expect_document(c, 1, "Six.", 4);
  sgi_corpus_close(c);
  struct stat s;
  assert_int_equal(stat(scratch_path("r/x.txt"), &s), 0);
  scratch_text("r/x.txt", "One.<|endoftext|>Ten.");
  struct timespec same[2] = {s.st_atim, s.st_mtim};
  assert_int_equal(utimensat(AT_FDCWD, scratch_path("r/x.txt"), same, 0), 0);
  c = open_as("r/x.txt", NULL, tok);
  expect_document(c, 1, "Ten.", 4);
  sgi_corpus_close(c);
  /* Longer. */
  scratch_text("r/x.txt", "One.<|endoftext|>Seven.");
  c = open_as("r/x.txt", NULL, tok);
  expect_document(c, 1, "Seven.", 6);
  sgi_corpus_close(c);
  assert_int_equal(scratch_count("r", ".tokens"), 1);
  /* Another form, eos or tokenizer has a cache of its own. */
  sgi_corpus_close(open_as("r/x.txt", &by_lines, tok));
  assert_int_equal(scratch_count("r", ".tokens"), 2);
  eos = 2;
  sgi_corpus_close(open_as("r/x.txt", NULL, tok));
  eos = sg_tokenizer_special(tok, "<|endoftext|>");
  assert_int_equal(scratch_count("r", ".tokens"), 3);
  sg_tokenizer *other;
  assert_int_equal(sg_tokenizer_load(OTHER_TOKENIZER, &other, NULL), SG_OK);
  sgi_corpus_close(open_as("r/x.txt", NULL, other));
  sg_tokenizer_free(other);
  assert_int_equal(scratch_count("r", ".tokens"), 4);
  assert_int_equal(scratch_count("r", "tmp"), 0);
  /* A directory: a file more, or of another name, is another corpus. */
  assert_int_equal(mkdir(scratch_path("rd"), 0700), 0);
  scratch_text("rd/1.txt", "One.");
  c = open_as("rd", NULL, tok);
  assert_int_equal(sgi_corpus_documents(c), 1);
  sgi_corpus_close(c);
  scratch_text("rd/2.txt", "Two.");
  c = open_as("rd", NULL, tok);
  assert_int_equal(sgi_corpus_documents(c), 2);
  sgi_corpus_close(c);
  assert_int_equal(unlink(scratch_path("rd/1.txt")), 0);
  c = open_as("rd/", NULL, tok);
  assert_int_equal(sgi_corpus_documents(c), 1);
  expect_document(c, 0, "Two.", 4);
  sgi_corpus_close(c);
}

static void damage(void **state) {
  (void)state;
  assert_int_equal(mkdir(scratch_path("d"), 0700), 0);
  scratch_text("d/x.txt", "One.<|endoftext|>Two of them.<|endoftext|>Three");
  /* An old file, so that each cache is made alike however long this takes. */
  struct timespec old[2] = {{1000000000, 0}, {1000000000, 0}};
  assert_int_equal(utimensat(AT_FDCWD, scratch_path("d/x.txt"), old, 0), 0);
  sgi_corpus_close(open_as("d/x.txt", NULL, tok));
  char name[1024];
  snprintf(name, sizeof name, "%s", cache_of("d"));
  size_t n, k;
  char *good = scratch_read(name, &n), *bad = malloc(n + 8);
  assert_non_null(bad);
  for (size_t i = 0; i < 2 * n + 8; i++) {
    memcpy(bad, good, n);
    memset(bad + n, 0, 8);
    if (i < n) bad[i] = (char)(bad[i] ^ (1 << i % 8));
    scratch_write(name, bad, i < n ? n : i < 2 * n ? i - n : n + 1 + i - 2 * n); /* a flip, a cut, a tail */
    sgi_corpus *c = open_as("d/x.txt", NULL, tok);
    expect_document(c, 1, "Two of them.", 12);
    sgi_corpus_close(c);
    char *now = scratch_read(name, &k);
    assert_int_equal(k, n);
    assert_memory_equal(now, good, n);
    free(now);
  }
  free(bad);
  free(good);
}

static bool cancel_at_once(void *user, uint64_t done, uint64_t total) {
  (void)user;
  (void)done;
  (void)total;
  return false;
}

static bool see_progress(void *user, uint64_t done, uint64_t total) {
  uint64_t *seen = user;
  assert_true(done >= seen[0] && done <= total);
  seen[0] = done;
  seen[1] = total;
  return true;
}

static void failures(void **state) {
  (void)state;
  assert_int_equal(mkdir(scratch_path("f"), 0700), 0);
  sgi_corpus *c;
  sg_error err;
  scratch_text("f/x.jsonl", "{\"text\":\"One\"}\n{\"text\":1}\n");
  assert_int_equal(sgi_corpus_open(scratch_path("f"), NULL, tok, eos, NULL, NULL, &c, &err), SG_ERR_FORMAT);
  assert_non_null(strstr(err.text, "x.jsonl: line 2"));
  assert_null(c);
  scratch_text("f/x.jsonl", "{\"text\":\"One\"}\n");
  assert_int_equal(sgi_corpus_open(scratch_path("f"), NULL, tok, eos, cancel_at_once, NULL, &c, &err),
                   SG_ERR_CANCELLED);
  assert_int_equal(sgi_corpus_open(scratch_path("f"), NULL, tok, -1, NULL, NULL, &c, &err), SG_ERR_ARG);
  assert_int_equal(sgi_corpus_open(scratch_path("f"), NULL, tok, 1 << 30, NULL, NULL, &c, &err), SG_ERR_ARG);
  assert_int_equal(sgi_corpus_open(scratch_path("nowhere"), NULL, tok, eos, NULL, NULL, &c, &err), SG_ERR_IO);
  assert_int_equal(scratch_count("f", "tokens"), 0); /* no cache, and nothing half-written */
  uint64_t seen[2] = {0, 0};
  assert_int_equal(sgi_corpus_open(scratch_path("f"), NULL, tok, eos, see_progress, seen, &c, &err), SG_OK);
  assert_int_equal(seen[0], 15);
  assert_int_equal(seen[1], 15);
  sgi_corpus_close(c);
}

/* Each call on files fails once, and for ever: the corpus opens all the same (from elsewhere) or an
 * error is told, and nothing is left half-written. */
static void file_failures(void **state) {
  (void)state;
  const int errors[] = {EIO, ENOSPC, 0};
  for (size_t e = 0; e < SGI_COUNT(errors); e++) {
    for (int for_ever = 0; for_ever < 2; for_ever++) {
      for (size_t at = 1;; at++) {
        assert_int_equal(mkdir(scratch_path("ff"), 0700), 0);
        scratch_text("ff/x.txt", "One.<|endoftext|>Two.");
        sgi_corpus *c;
        sg_error err = {SG_OK, ""};
        size_t before = sgi_file_fail_at(at, errors[e], for_ever);
        sg_status st = sgi_corpus_open(scratch_path("ff/x.txt"), NULL, tok, eos, NULL, NULL, &c, &err);
        size_t calls = sgi_file_fail_at(0, 0, false) - before;
        if (st) {
          assert_null(c);
          assert_true(*err.text && err.code == st);
        } else {
          expect_document(c, 1, "Two.", 4);
          sgi_corpus_close(c);
        }
        size_t whole = scratch_count("ff", ".tokens") + scratch_count("cache", ".tokens");
        assert_int_equal(scratch_count("ff", "") + scratch_count("cache", ""), whole + 1); /* and x.txt */
        assert_int_equal(sgi_remove_tree(scratch_path("ff"), NULL), SG_OK);
        assert_int_equal(sgi_remove_tree(scratch_path("cache"), NULL), SG_OK);
        if (calls < at) break;
        assert_true(at < 1000);
      }
    }
  }
}

static void memory_out(void **state) {
  (void)state;
  for (size_t at = 1;; at++) {
    assert_int_equal(mkdir(scratch_path("mo"), 0700), 0);
    scratch_text("mo/x.txt", "One.<|endoftext|>Two.");
    sgi_corpus *c;
    sgi_alloc_fail_at(at, false);
    size_t before = sgi_alloc_count();
    sg_status st = sgi_corpus_open(scratch_path("mo/x.txt"), NULL, tok, eos, NULL, NULL, &c, NULL);
    bool reached = sgi_alloc_count() - before >= at;
    sgi_alloc_fail_at(0, false);
    if (st) {
      assert_int_equal(st, SG_ERR_MEMORY);
    } else {
      expect_document(c, 1, "Two.", 4);
    }
    sgi_corpus_close(c);
    size_t whole = scratch_count("mo", ".tokens") + scratch_count("cache", ".tokens");
    assert_int_equal(scratch_count("mo", "") + scratch_count("cache", ""), whole + 1);
    assert_int_equal(sgi_remove_tree(scratch_path("mo"), NULL), SG_OK);
    assert_int_equal(sgi_remove_tree(scratch_path("cache"), NULL), SG_OK);
    if (!reached) break;
  }
}

static void elsewhere(void **state) {
  (void)state;
  /* A file in the way of the directory: as good as a directory that cannot be written, also for
   * root. */
  assert_int_equal(mkdir(scratch_path("ro"), 0700), 0);
  scratch_text("ro/x.txt", "One.<|endoftext|>Two.");
  scratch_text("ro/.sgatlin", "");
  sgi_corpus *c = open_as("ro/x.txt", NULL, tok);
  expect_document(c, 1, "Two.", 4);
  sgi_corpus_close(c);
  char name[1024];
  snprintf(name, sizeof name, "%s", cache_of("cache"));
  assert_memory_equal(name, "cache/sgatlin/x.txt.", 20);
  ino_t first = inode(name);
  sgi_corpus_close(open_as("ro/x.txt", NULL, tok));
  assert_int_equal(inode(name), first);
  /* The same name elsewhere does not share it. */
  assert_int_equal(mkdir(scratch_path("ro2"), 0700), 0);
  scratch_text("ro2/x.txt", "One.<|endoftext|>Two.");
  scratch_text("ro2/.sgatlin", "");
  sgi_corpus_close(open_as("ro2/x.txt", NULL, tok));
  assert_int_equal(scratch_count("cache", ".tokens"), 2);
  /* Nowhere to write. */
  assert_int_equal(sgi_remove_tree(scratch_path("cache"), NULL), SG_OK);
  scratch_text("cache", "");
  sg_error err;
  assert_int_equal(sgi_corpus_open(scratch_path("ro/x.txt"), NULL, tok, eos, NULL, NULL, &c, &err), SG_ERR_IO);
  assert_non_null(strstr(err.text, "XDG_CACHE_HOME"));
  assert_int_equal(unlink(scratch_path("cache")), 0);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(content),   cmocka_unit_test(parts),         cmocka_unit_test(large_documents),
      cmocka_unit_test(threads),   cmocka_unit_test(reuse),         cmocka_unit_test(damage),
      cmocka_unit_test(failures),  cmocka_unit_test(file_failures), cmocka_unit_test(memory_out),
      cmocka_unit_test(elsewhere),
  };
  scratch_begin();
  setenv("XDG_CACHE_HOME", scratch_path("cache"), 1);
  sg_error err;
  if (sg_tokenizer_load(TOKENIZER, &tok, &err)) {
    fprintf(stderr, "%s\n", err.text);
    return 1;
  }
  eos = sg_tokenizer_special(tok, "<|endoftext|>");
  int failed = cmocka_run_group_tests(tests, NULL, NULL);
  sg_tokenizer_free(tok);
  scratch_end();
  return failed;
}
