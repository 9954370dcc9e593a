/* failing.h: a call whose allocations fail one after the other, once and for ever, until it gets
 * through: each failure is SG_ERR_MEMORY with a sentence. Leaks are the sanitizer's to find. */
#ifndef TEST_FAILING_H
#define TEST_FAILING_H

#include "core/arena.h"
#include "support/golden.h"

/* What it makes it frees. */
typedef sg_status (*failing_call)(void *user, sg_error *err);

/* make check tries every fifth allocation of those that make test tries. */
static inline size_t failing_step(void) { return getenv("SGATLIN_TEST_QUICK") ? 5 : 1; }

/* step: every step-th allocation, for calls that make very many. Returns how many failures were
 * seen. */
static inline size_t allocations_fail_by(failing_call f, void *user, size_t step) {
  size_t failures = 0;
  for (int for_ever = 0; for_ever < 2; for_ever++)
    for (size_t n = 1;; n += step) {
      sg_error err = {0};
      size_t before = sgi_alloc_fail_at(n, for_ever);
      sg_status st = f(user, &err);
      size_t calls = sgi_alloc_fail_at(0, false) - before;
      if (st && (st != SG_ERR_MEMORY || err.code != st || !err.text[0]))
        fail_msg("allocation %zu: %s (%s)", n, err.text, sg_status_text(st));
      failures += st != SG_OK;
      if (n > calls) break;
    }
  return failures;
}
static inline size_t allocations_fail(failing_call f, void *user) { return allocations_fail_by(f, user, 1); }

/* The call fails so, and its sentence holds text. */
#define assert_refused(call, code_wanted, words) \
  do { \
    sg_error e_ = {0}; \
    sg_error *err = &e_; \
    sg_status s_ = (call); \
    if (s_ != (code_wanted) || e_.code != s_ || !strstr(e_.text, words)) \
      fail_msg("%s: %s (%s), expected %s with \"%s\"", #call, e_.text, sg_status_text(s_), \
               sg_status_text(code_wanted), words); \
  } while (0)

#endif
