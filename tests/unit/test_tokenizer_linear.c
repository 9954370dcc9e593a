/* test_tokenizer_linear.c: any text is encoded in time that grows with its length. */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "support/golden.h"

#include "text/tokenizer.h"

/* Of the processor, so that a busy machine adds nothing. */
static double seconds_to_encode(const sg_tokenizer *t, const char *text, size_t n) {
  int32_t *ids;
  size_t count;
  clock_t start = clock();
  assert_sg_ok(sg_tokenizer_encode(t, text, n, &ids, &count, err));
  sg_buffer_free(ids);
  return (double)(clock() - start) / CLOCKS_PER_SEC;
}

/* A quadratic step anywhere would take minutes. The bound leaves room for slow machines and
 * sanitizers. */
static void test_linear(void **state) {
  (void)state;
  enum { N = 1 << 20 };
  static const char *const patterns[] = {
      "a",    " ",  "\n",          "ab", "\xCC\xA7\xCC\x81", "\xE1\x84\x80\xE1\x85\xA1", "<|", "<|endoftext|",
      "\x80", "'s", "\xEF\xB7\xBA"};
  const double bound = 4;
  sg_tokenizer *t;
  assert_sg_ok(sg_tokenizer_load("tests/golden/tokenizer/tokenizer.json", &t, err));
  char *text = malloc(N);
  for (size_t i = 0; i < SGI_COUNT(patterns); i++) {
    for (size_t k = 0, n = strlen(patterns[i]); k < N; k++) text[k] = patterns[i][k % n];
    double s = seconds_to_encode(t, text, N);
    if (s > bound) fail_msg("1 MB of \"%s\" took %.1f s", patterns[i], s);
  }
  free(text);
  sg_tokenizer_free(t);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_linear)};
  return cmocka_run_group_tests_name("tokenizer, time", tests, NULL, NULL);
}
