/* text_scratch.h: a directory for one test and text files in it, plain or packed. Failures stop the
 * test (assert). */
#ifndef TEXT_SCRATCH_H
#define TEXT_SCRATCH_H

#include <stddef.h>

/* A new directory under $TMPDIR or /tmp. Borrowed until scratch_end. */
const char *scratch_begin(void);
void scratch_end(void); /* removes it */

/* "DIR/name": borrowed, of a ring of 16. */
const char *scratch_path(const char *name);

void scratch_write(const char *name, const void *data, size_t n);
void scratch_text(const char *name, const char *text);
/* Packed in pieces of `piece` bytes, each its own frame or member; 0: one. */
void scratch_zstd(const char *name, const void *data, size_t n, size_t piece);
void scratch_gzip(const char *name, const void *data, size_t n, size_t piece);

/* The whole file, a NUL behind it. New: free. */
char *scratch_read(const char *name, size_t *n);

/* Number of files anywhere below DIR/name whose names contain part. */
size_t scratch_count(const char *name, const char *part);

#endif
