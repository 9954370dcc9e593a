/* target.h: one parser each, fed with any bytes. The same targets are driven by libFuzzer
 * (driver.c), by the kept inputs of tests/fuzz/corpus (test_replay.c) and by structured mutations
 * of right files (test_mutations.c). */
#ifndef TEST_FUZZ_TARGET_H
#define TEST_FUZZ_TARGET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/base.h"

typedef struct fuzz_outcome {
  sg_status status;
  sg_error err;
  char path[256];   /* the file that the input was put into; "" where there is none */
  uint64_t meaning; /* of an accepted input: what was read, as one number; an input that differs in layout alone has the
                       same */
} fuzz_outcome;

typedef struct fuzz_target {
  const char *name;
  void (*begin)(void); /* once; NULL: nothing */
  /* Takes any input and aborts (fuzz_expect) where what was read contradicts itself. */
  void (*run)(const uint8_t *data, size_t n, fuzz_outcome *out);
} fuzz_target;

extern const fuzz_target fuzz_safetensors, fuzz_config, fuzz_settings, fuzz_state, fuzz_tokenizer, fuzz_reader,
    fuzz_http, fuzz_recording, fuzz_bundle, fuzz_graph, fuzz_words, fuzz_edit, fuzz_gemm;
extern const fuzz_target *const fuzz_targets[]; /* NULL at the end */

/* A contradiction: prints and aborts, so that a fuzzer keeps the input. */
void fuzz_expect(bool holds, const char *what);
/* Puts the input into a file of a directory in memory, beside what begin put there; the path lives
 * for ever. */
const char *fuzz_file(const char *name, const uint8_t *data, size_t n);
const char *fuzz_directory(void);
uint64_t fuzz_mix(uint64_t sum, const void *data, size_t n);

#endif
