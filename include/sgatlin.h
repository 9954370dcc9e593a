/* sgatlin.h: the public interface, in reading order: status, model configuration, model, text, data,
 * training, running.
 *
 * Rules that hold everywhere
 * - A function that can fail returns sg_status (0 or negative) and takes a last argument `sg_error *err`: the
 *   caller's struct, filled with the code and one sentence (file, place, expected, found, what to do). NULL is
 *   allowed.
 * - Every pointer is *borrowed* (valid until the named call), the *caller's buffer* (with a count), or *new* (with
 *   the function that frees it). Free functions take NULL.
 * - The library never prints, exits or aborts, keeps no global state that a caller can see, and opens no network
 *   connection. Two models in two threads give what each gives alone.
 * - Arrays are row-major float32, shapes stand in comments in the letters of docs/method.md:
 *   B batch, T sequence length, n = B*T token rows, D d_model, V vocabulary, H heads, L layers, F hidden width or
 *   neurons of a pool, C channels, K neurons chosen per channel (top_k), Q key width.
 */
#ifndef SGATLIN_H
#define SGATLIN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define SG_API __attribute__((visibility("default")))
#define SG_PRINTF(f, a) __attribute__((format(printf, f, a)))
#else
#define SG_API
#define SG_PRINTF(f, a)
#endif

/* ---- status ---------------------------------------------------------------------------------------------- */

/* X(name, value, text): the one list of codes; values are pinned. */
#define SG_STATUS_LIST(X)                                        \
  X(SG_OK, 0, "no error")                                        \
  X(SG_ERR_ARG, -1, "invalid argument or setting")               \
  X(SG_ERR_MEMORY, -2, "out of memory")                          \
  X(SG_ERR_IO, -3, "file could not be read or written")          \
  X(SG_ERR_FORMAT, -4, "file is corrupt or of the wrong form")   \
  X(SG_ERR_UNSUPPORTED, -5, "feature is not supported")          \
  X(SG_ERR_SPACE, -6, "no space left")                           \
  X(SG_ERR_NUMERIC, -7, "a number is NaN or infinite")           \
  X(SG_ERR_CANCELLED, -8, "cancelled")                           \
  X(SG_ERR_INTERNAL, -9, "internal error")

typedef enum sg_status {
#define SG_STATUS_ENUM(name, value, text) name = value,
  SG_STATUS_LIST(SG_STATUS_ENUM)
#undef SG_STATUS_ENUM
} sg_status;

enum { SG_ERROR_TEXT = 480 };

typedef struct sg_error {
  sg_status code;
  char text[SG_ERROR_TEXT]; /* one sentence, NUL-terminated, never cut inside a UTF-8 character */
} sg_error;

/* Text of a code, borrowed for ever. */
SG_API const char *sg_status_text(sg_status code);

