/* driver.c: every target behind libFuzzer in one program (make fuzz): FUZZ_TARGET, or what its own
 * name has behind "fuzz_", chooses. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fuzz/target.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);
int LLVMFuzzerInitialize(int *argc, char ***argv);

static const fuzz_target *target;

int LLVMFuzzerInitialize(int *argc, char ***argv) {
  (void)argc;
  const char *name = getenv("FUZZ_TARGET"), *own = strstr((*argv)[0], "fuzz_");
  if (!name) name = own ? own + 5 : "";
  for (size_t i = 0; fuzz_targets[i]; i++)
    if (!strcmp(fuzz_targets[i]->name, name)) target = fuzz_targets[i];
  if (!target) {
    fprintf(stderr, "FUZZ_TARGET: \"%s\" is none of:", name);
    for (size_t i = 0; fuzz_targets[i]; i++) fprintf(stderr, " %s", fuzz_targets[i]->name);
    fprintf(stderr, "\n");
    exit(2);
  }
  if (target->begin) target->begin();
  return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n) {
  static fuzz_outcome out;
  memset(&out, 0, sizeof out);
  target->run(data, n, &out);
  return 0;
}
