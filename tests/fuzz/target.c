#include "fuzz/target.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#define XXH_STATIC_LINKING_ONLY
#include <xxhash.h>

#include "core/file.h"
#include "support/temporary.h"

const fuzz_target *const fuzz_targets[] = {
    &fuzz_safetensors, &fuzz_config, &fuzz_settings, &fuzz_state, &fuzz_tokenizer, &fuzz_reader, &fuzz_http,
    &fuzz_recording,   &fuzz_bundle, &fuzz_graph,    &fuzz_words, &fuzz_edit,      &fuzz_gemm,   NULL};

void fuzz_expect(bool holds, const char *what) {
  if (holds) return;
  fprintf(stderr, "contradiction: %s\n", what);
  abort();
}

uint64_t fuzz_mix(uint64_t sum, const void *data, size_t n) { return XXH3_64bits_withSeed(data ? data : "", n, sum); }

static char directory[200];
static pid_t owner;

static void remove_directory(void) {
  if (getpid() == owner) sgi_remove_tree(directory, NULL);
}

const char *fuzz_directory(void) {
  if (*directory) return directory;
  if (!test_temporary(directory, sizeof directory, "sgatlin-fuzz", true)) {
    perror(directory);
    exit(2);
  }
  owner = getpid();
  atexit(remove_directory);
  return directory;
}

const char *fuzz_file(const char *name, const uint8_t *data, size_t n) {
  static char path[300];
  snprintf(path, sizeof path, "%s/%s", fuzz_directory(), name);
  int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
  size_t at = 0;
  while (fd >= 0 && at < n) {
    ssize_t k = write(fd, data + at, n - at);
    if (k <= 0) break;
    at += (size_t)k;
  }
  if (fd < 0 || at < n) {
    perror(path);
    exit(2);
  }
  close(fd);
  return path;
}
