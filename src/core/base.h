/* base.h: status, errors, checked sizes. Knows no model. */
#ifndef SGI_BASE_H
#define SGI_BASE_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sgatlin.h"

#define SGI_COUNT(a) (sizeof(a) / sizeof((a)[0]))

/* Fills err (NULL allowed) and returns code, so that a failure is one line: return sgi_fail(err,
 * ...). */
sg_status sgi_fail(sg_error *err, sg_status code, const char *format, ...) SG_PRINTF(3, 4);

/* SG_ERR_MEMORY with the number of bytes that could not be had. */
sg_status sgi_fail_memory(sg_error *err, size_t bytes, const char *what);

/* SG_ERR_ARG with its name where a caller of a public function left out what it needs. */
sg_status sgi_need(const void *given, const char *what, sg_error *err);

/* Puts "prefix: " in front of err's text (for callers that know the file or the row). Returns err's
 * code. */
sg_status sgi_error_prefix(sg_error *err, sg_status code, const char *format, ...) SG_PRINTF(3, 4);

/* Checked arithmetic for every size that comes from a file or a flag: false on overflow, *out
 * untouched. */
static inline bool sgi_size_mul(size_t a, size_t b, size_t *out) { return !__builtin_mul_overflow(a, b, out); }
static inline bool sgi_size_add(size_t a, size_t b, size_t *out) { return !__builtin_add_overflow(a, b, out); }

/* Seconds from a monotonic clock. */
double sgi_now(void);
/* Seconds of processor time that the process has taken: what a shared machine measures well, with
 * one thread. */
double sgi_cpu_now(void);

/* The name in `names` (count of them) nearest to `name` by edit distance, or NULL if none is near:
 * for "unknown key X; did you mean Y?". Borrowed from names. */
const char *sgi_nearest(const char *name, const char *const *names, size_t count);

/* Glob match with '*' and '?' only; '*' crosses dots. Used for site and tensor patterns. */
bool sgi_match(const char *pattern, const char *text);

#endif
