/* golden.h: reading tests/golden and comparing with its tolerances. */
#ifndef TEST_GOLDEN_H
#define TEST_GOLDEN_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/json.h"
#include "core/safetensors.h"

/* Fails the test with err's text unless st is SG_OK. */
#define assert_sg_ok(call) \
  do { \
    sg_error e_ = {0}; \
    sg_error *err = &e_; \
    sg_status s_ = (call); \
    if (s_) fail_msg("%s: %s (%s)", #call, e_.text, sg_status_text(s_)); \
  } while (0)

/* Names of the entries of a directory in order, NULL at the end. golden_free. */
char **golden_list(const char *directory);
void golden_free(char **names);

/* A temporary directory of its own, removed by golden_remove. */
char *golden_temporary(void);
void golden_remove(char *path);

/* Parsed JSON; fails the test where it cannot be. */
json_t *golden_json(const char *path);

/* A number of tolerances.json: golden_tolerance("models", "logits", "abs"); measure "" for a plain
 * number. */
double golden_tolerance(const char *group, const char *what, const char *measure);

typedef struct golden_difference {
  double abs, rel, of_max; /* as the note of tolerances.json says */
  size_t at;               /* of the largest absolute difference */
} golden_difference;
golden_difference golden_compare(const float *a, const float *expected, size_t count);

#endif
