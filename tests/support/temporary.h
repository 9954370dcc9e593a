/* temporary.h: a new directory for one test: under $TMPDIR, or in memory where asked for and there
 * is such a place (thousands of runs, each with its fsyncs), or where the system keeps such. */
#ifndef TESTS_SUPPORT_TEMPORARY_H
#define TESTS_SUPPORT_TEMPORARY_H

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* name: "sgatlin-test". false: it could not be made; path says where. */
static inline bool test_temporary(char *path, size_t size, const char *name, bool in_memory) {
  const char *base = getenv("TMPDIR");
  if (!base || !*base) base = in_memory && !access("/dev/shm", W_OK) ? "/dev/shm" : "/tmp";
  snprintf(path, size, "%s/%s-XXXXXX", base, name);
  return mkdtemp(path) != NULL;
}

#endif
