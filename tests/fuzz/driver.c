/* driver.c: one target for libFuzzer; TARGET is its name (make fuzz). */
#include <string.h>

#include "fuzz/target.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);
int LLVMFuzzerInitialize(int *argc, char ***argv);

int LLVMFuzzerInitialize(int *argc, char ***argv) {
  (void)argc, (void)argv;
  if (TARGET.begin) TARGET.begin();
  return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n) {
  static fuzz_outcome out;
  memset(&out, 0, sizeof out);
  TARGET.run(data, n, &out);
  return 0;
}
