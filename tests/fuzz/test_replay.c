/* test_replay [DIRECTORY [TARGET]]: every input of tests/fuzz/corpus/TARGET, by any compiler: no
 * crash, no contradiction, a second at most. */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/arena.h"
#include "core/file.h"
#include "fuzz/target.h"

static size_t replay(const fuzz_target *t, const char *directory) {
  struct dirent **names;
  char path[600];
  size_t done = 0;
  int n = scandir(directory, &names, NULL, alphasort);
  for (int i = 0; i < n; i++) {
    char *data = NULL;
    size_t size;
    sg_error err = {0};
    static fuzz_outcome out;
    memset(&out, 0, sizeof out);
    snprintf(path, sizeof path, "%.300s/%s", directory, names[i]->d_name);
    if (names[i]->d_name[0] != '.' && !sgi_read_file(path, 64 << 20, &data, &size, &err)) {
      double start = sgi_cpu_now();
      t->run((const uint8_t *)data, size, &out);
      double took = sgi_cpu_now() - start;
      if (took > 5) fprintf(stderr, "%s: %.1f s\n", path, took), abort(); /* a second, and a sanitizer's slowness */
      done++;
    }
    sgi_free(data);
    free(names[i]);
  }
  if (n >= 0) free(names);
  return done;
}

int main(int argc, char **argv) {
  const char *root = argc > 1 ? argv[1] : "tests/fuzz/corpus";
  size_t failures = 0, all = 0;
  FILE *say = fdopen(dup(1), "w"); /* a target may close stdout */
  for (size_t i = 0; fuzz_targets[i]; i++) {
    const fuzz_target *t = fuzz_targets[i];
    char directory[600];
    if (argc > 2 && strcmp(argv[2], t->name)) continue;
    snprintf(directory, sizeof directory, "%.400s/%s", root, t->name);
    if (t->begin) t->begin();
    size_t n = replay(t, directory);
    fprintf(say, "%-12s %zu inputs\n", t->name, n);
    if (!n) failures++; /* a target without an input */
    all += n;
  }
  fprintf(say, "replayed: %zu, %zu failed\n", all, failures);
  return failures ? 1 : 0;
}
