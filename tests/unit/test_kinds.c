/* What a kind needs outside its file, its word in kinds.h and its reference: sizes to be made from,
 * and its section of the method, which names every tensor. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "support/small.h"

static char *page;

/* The kind's section of the method: from its heading to the next. */
static char *section(const char *kind) {
  char heading[64];
  snprintf(heading, sizeof heading, "\n### %s\n", kind);
  char *begin = strstr(page, heading);
  if (!begin) fail_msg("docs/method.md has no section \"### %s\"", kind);
  begin += strlen(heading);
  char *end = strstr(begin, "\n#");
  return strndup(begin, end ? (size_t)(end - begin) : strlen(begin));
}

static void every_kind_is_in_the_method(void **state) {
  (void)state;
  const char *kind;
  for (size_t i = 0; (kind = sg_feedforward_name(i)); i++) {
    sg_config c = small_config(kind);
    sgi_table table = {0};
    assert_sg_ok(sgi_ffn_of(&c)->tensors(&c, "", &table, err));
    char *text = section(kind);
    for (size_t t = 0; t < table.count; t++) {
      char quoted[SGI_MAX_TENSOR_NAME + 3];
      snprintf(quoted, sizeof quoted, "`%s`", table.rows[t].name);
      if (strncmp(table.rows[t].name, "router.", 7) && !strstr(text, quoted))
        fail_msg("the section %s of docs/method.md does not name the tensor %s", kind, quoted);
    }
    free(text);
    sgi_table_deinit(&table);
  }
}

/* Settings, files and errors find it by its name. */
static void every_kind_is_found(void **state) {
  (void)state;
  const char *kind;
  size_t i = 0;
  for (; (kind = sg_feedforward_name(i)); i++) assert_ptr_equal(sgi_ffn_find(kind, NULL), sgi_ffn_at(i));
  sg_error e = {0};
  assert_null(sgi_ffn_find("sgatln", &e));
  assert_non_null(strstr(e.text, "did you mean sgatlin?"));
  for (size_t k = 0; k < i; k++) assert_non_null(strstr(e.text, sg_feedforward_name(k)));
}

static int setup(void **state) {
  (void)state;
  FILE *f = fopen("docs/method.md", "rb");
  if (!f || !(page = calloc(1, 1 << 20)) || !fread(page, 1, (1 << 20) - 1, f)) return 1;
  return fclose(f);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(every_kind_is_in_the_method),
                                     cmocka_unit_test(every_kind_is_found)};
  return cmocka_run_group_tests(tests, setup, NULL);
}
