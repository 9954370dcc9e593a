/* Errors, checked sizes, globs, arenas. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "core/arena.h"
#include "core/json.h"
#include "core/number.h"
#include "core/base.h"

static void errors_keep_code_and_place(void **state) {
  (void)state;
  sg_error err = {0};
  assert_int_equal(sgi_fail(&err, SG_ERR_FORMAT, "byte %d", 7), SG_ERR_FORMAT);
  sgi_error_prefix(&err, err.code, "model.safetensors");
  assert_string_equal(err.text, "model.safetensors: byte 7");
  assert_int_equal(sgi_fail(NULL, SG_ERR_IO, "x"), SG_ERR_IO);
  char text[2000];
  for (size_t i = 0; i + 2 < sizeof text; i += 2) memcpy(text + i, "\xC3\xA9", 2);
  text[sizeof text - 2] = '\0';
  sgi_fail(&err, SG_ERR_ARG, "x%s", text);
  size_t n = strlen(err.text);
  assert_true(n > 400 && n < SG_ERROR_TEXT);
  assert_int_equal((unsigned char)err.text[n - 1], 0xA9); /* whole characters only */
}

static void sizes_do_not_wrap(void **state) {
  (void)state;
  size_t out = 5;
  assert_false(sgi_size_mul(SIZE_MAX / 2, 3, &out));
  assert_true(sgi_size_mul(1000, 1000, &out) && out == 1000000);
}

static void names_and_patterns(void **state) {
  (void)state;
  const char *names[] = {"train.steps", "train.seed", "optimizer.clip"};
  assert_string_equal(sgi_nearest("train.step", names, 3), "train.steps");
  assert_null(sgi_nearest("zzz", names, 3));
  assert_true(sgi_match("layers.*.resid_*", "layers.12.resid_mid"));
  assert_false(sgi_match("layers.*.resid_?", "layers.12.resid_mid"));
  assert_true(sgi_match("*", ""));
}

static void arena_counts_what_it_places(void **state) {
  (void)state;
  sgi_arena count = {0};
  SGI_TAKE(&count, 3, float);
  SGI_TAKE(&count, 100, double);
  assert_int_equal(count.used, 64 + 832);
  sgi_arena a = {.base = sgi_alloc(count.used), .size = count.used};
  float *x = SGI_TAKE(&a, 3, float);
  double *y = SGI_TAKE(&a, 100, double);
  assert_true((uintptr_t)x % SGI_ALIGN == 0 && (char *)y - (char *)x == 64);
  sgi_free(a.base);
  sgi_arena huge = {0};
  sgi_take(&huge, SIZE_MAX / 2, 3);
  assert_true(huge.used == SIZE_MAX);
  sgi_alloc_fail_at(2, false);
  void *p = sgi_alloc(8), *q = sgi_alloc(8), *r = sgi_alloc(8);
  sgi_alloc_fail_at(0, false);
  assert_true(p && !q && r);
  sgi_free(p);
  sgi_free(r);
}

/* A list of 4-byte numbers that grows: old ones stay, new ones are zero, and where memory is out it
 * is as it was. */
static void growing_list(void **state) {
  (void)state;
  int32_t *list = NULL;
  size_t fits = 0;
  for (size_t n = 0; n < 1000; n++) {
    assert_true(sgi_room(&list, &fits, n, sizeof *list));
    assert_true(fits > n && list[n] == 0);
    list[n] = (int32_t)n + 1;
  }
  for (int32_t n = 0; n < 1000; n++) assert_int_equal(list[n], n + 1);
  size_t before = fits;
  int32_t *old = list;
  sgi_alloc_fail_at(1, false);
  assert_false(sgi_room(&list, &fits, fits, sizeof *list));
  sgi_alloc_fail_at(0, false);
  assert_true(list == old && fits == before && list[999] == 1000);
  size_t full = SIZE_MAX / 2 + 1;
  assert_false(sgi_room(&list, &full, full, sizeof *list)); /* twice as many are no number */
  sgi_free(list);
}

static void numbers_in_text(void **state) {
  (void)state;
  static const char *const no_whole[] = {"", " 1", "1 ", "-1", "+1", "0x10", "1.0", "1e5", "18446744073709551616"};
  static const char *const no_real[] = {"", " 1", "inf", "nan", "-nan", "0x1p3", "-0X2", "-", "+.", ".", "1e999", "e5"};
  uint64_t n;
  double x;
  const char *rest;
  for (size_t i = 0; i < SGI_COUNT(no_whole); i++)
    if (sgi_number_whole(no_whole[i], &n)) fail_msg("\"%s\" is taken for a whole number", no_whole[i]);
  for (size_t i = 0; i < SGI_COUNT(no_real); i++)
    if (sgi_number_real(no_real[i], &rest, &x)) fail_msg("\"%s\" is taken for a number", no_real[i]);
  assert_true(sgi_number_whole("18446744073709551615", &n) && n == UINT64_MAX);
  assert_true(sgi_number_whole("007", &n) && n == 7);
  assert_true(sgi_number_real("-1.5e3k", &rest, &x) && x == -1500 && !strcmp(rest, "k"));
  assert_true(sgi_number_real(".25", &rest, &x) && x == 0.25 && !*rest);
}

/* jansson passes over it behind a number; other readers do not. */
static void json_nul(void **state) {
  (void)state;
  static const char text[] = "{\"shape\":[3\0,0]}";
  json_t *o;
  sg_error e = {0};
  assert_int_equal(sgi_json_parse(text, sizeof text - 1, "x", &o, &e), SG_ERR_FORMAT);
  assert_null(o);
  assert_non_null(strstr(e.text, "x: byte 11: not valid JSON: a NUL"));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(json_nul),
      cmocka_unit_test(numbers_in_text),
      cmocka_unit_test(growing_list),
      cmocka_unit_test(errors_keep_code_and_place),
      cmocka_unit_test(sizes_do_not_wrap),
      cmocka_unit_test(names_and_patterns),
      cmocka_unit_test(arena_counts_what_it_places),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
