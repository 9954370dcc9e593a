#include "support/page.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "support/golden.h"

enum { LONGEST = 1 << 20 };

char *page_read(const char *path) {
  FILE *f = fopen(path, "rb");
  if (!f) fail_msg("%s: cannot be read", path);
  char *text = calloc(1, LONGEST);
  assert_non_null(text);
  assert_true(fread(text, 1, LONGEST - 1, f) > 0);
  fclose(f);
  return text;
}

void page_holds(const char *path, const char *from, const char *to, void (*write)(FILE *f), const char *source,
                const char *command) {
  char *page = page_read(path), *begin = strstr(page, from), *end = begin ? strstr(begin, to) : NULL, *want;
  if (!end) fail_msg("%s: no part that begins with \"%s\" and ends before \"%s\"", path, from, to);
  begin += strlen(from);
  size_t size;
  FILE *f = open_memstream(&want, &size);
  assert_non_null(f);
  write(f);
  fclose(f);
  bool same = size == (size_t)(end - begin) && !memcmp(want, begin, size);
  if (!same && getenv("UPDATE")) {
    f = fopen(path, "wb");
    assert_non_null(f);
    fprintf(f, "%.*s%s%s", (int)(begin - page), page, want, end);
    assert_int_equal(fclose(f), 0);
  } else if (!same) {
    fail_msg("%s does not say what %s says: UPDATE=1 %s writes it", path, source, command);
  }
  free(page), free(want);
}
