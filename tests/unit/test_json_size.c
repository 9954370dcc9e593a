/* What a JSON text takes is known before it is parsed. */
#include <malloc.h>
#include <stdlib.h>
#include <string.h>

#include "core/json.h"
#include "support/golden.h"

static char *repeated(const char *front, const char *piece, const char *back, size_t bytes, size_t *n) {
  size_t k = strlen(piece), count = bytes / k, at = strlen(front);
  char *t = malloc(at + count * k + strlen(back) + 1);
  assert_non_null(t);
  memcpy(t, front, at);
  for (size_t i = 0; i < count; i++, at += k) memcpy(t + at, piece, k);
  memcpy(t + at, back, strlen(back) + 1);
  *n = at + strlen(back);
  return t;
}

/* The estimate is no less than nine tenths of what is taken, and no more than two and a half times
 * that. */
static void estimates(void **state) {
  (void)state;
#ifdef __SANITIZE_ADDRESS__
  skip(); /* its malloc does not say what is taken */
#endif
  static const char *const all[][3] = {{"[", "[],", "[]]"},
                                       {"[", "{},", "{}]"},
                                       {"[", "1,", "1]"},
                                       {"[", "12345,", "1]"},
                                       {"[", "1.5,", "1]"},
                                       {"[", "\"\",", "\"\"]"},
                                       {"[", "\"abcdefgh\",", "1]"},
                                       {"[", "[1,2],", "1]"},
                                       {"[", "{\"a\":1},", "1]"},
                                       {"[", "{\"a\":[1],\"b\":\"c\"},", "1]"}};
  for (size_t i = 0; i < SGI_COUNT(all); i++) {
    size_t n, depth;
    char *t = repeated(all[i][0], all[i][1], all[i][2], 1 << 18, &n);
    struct mallinfo2 before = mallinfo2();
    json_t *o;
    assert_sg_ok(sgi_json_parse(t, n, "text", &o, err));
    struct mallinfo2 after = mallinfo2();
    size_t taken = after.uordblks + after.hblkhd - before.uordblks - before.hblkhd;
    size_t told = sgi_json_estimate(t, n, &depth);
    if (told < taken / 10 * 9 || told > taken * 5 / 2) fail_msg("%s: %zu told, %zu taken", all[i][1], told, taken);
    json_decref(o);
    free(t);
  }
}

static void refused(void **state) {
  (void)state;
  static const char *const many[] = {"[],", "{},", "[[]],", "1,", "[{}],"};
  for (size_t i = 0; i < SGI_COUNT(many); i++) {
    size_t n;
    char *t = repeated("[", many[i], "1]", 20 << 20, &n);
    json_t *o;
    sg_error e = {0};
    assert_int_equal(sgi_json_parse(t, n, "many.json", &o, &e), SG_ERR_FORMAT);
    assert_null(o);
    assert_non_null(strstr(e.text, "many.json"));
    free(t);
  }
  size_t n;
  json_t *o;
  char *deep = repeated("", "[", "", 65, &n);
  assert_int_equal(sgi_json_parse(deep, n, "deep.json", &o, NULL), SG_ERR_FORMAT);
  free(deep);
  char *ids = repeated("[", "12345, ", "1]", 20 << 20, &n); /* an honest list */
  assert_sg_ok(sgi_json_parse(ids, n, "ids.json", &o, err));
  json_decref(o);
  free(ids);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(estimates), cmocka_unit_test(refused)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
