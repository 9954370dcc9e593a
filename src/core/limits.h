/* limits.h: what this process may use of the machine: its memory and processors, or less where it
 * runs in a container. */
#ifndef SGI_LIMITS_H
#define SGI_LIMITS_H

#include "core/base.h"

typedef struct sgi_limits {
  uint64_t memory;   /* bytes; UINT64_MAX: no limit */
  double processors; /* a quota may be a fraction; INFINITY: no limit */
} sgi_limits;

/* The smallest limits of the process's control group and of its parents, as far as they can be
 * seen: version 1 (memory, cpu) and version 2, mounted together or alone. root is put in front of
 * every path ("" for the real ones), so that tests can give a tree of their own. What cannot be
 * read, "max", nothing, -1, 0 and values beyond any machine are no limit. */
void sgi_limits_read(const char *root, sgi_limits *out);

/* Bytes of memory this process may use: of the machine or of its control groups, the smaller.
 * SIZE_MAX where neither is known. */
size_t sgi_memory_limit(void);
/* A command's own choice of memory, but at most three quarters of that. */
size_t sgi_memory_default(size_t wanted);
/* Threads that can run at once within the quota, rounded up, at least 1; SIZE_MAX: as many as there
 * are. */
size_t sgi_processor_limit(void);
/* What the processor calls itself, as the kernel tells it, without line ends; "unknown" where it
 * does not. root as above. */
void sgi_processor_name(const char *root, char *out, size_t size);

#endif
