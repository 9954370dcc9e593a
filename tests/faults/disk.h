/* disk.h: a disk that loses power. The file calls of one run of a command are written down; from
 * them every state is made that a disk could be found in after the power failed at any call: what
 * fsync has not made safe may be there, be there in part, or not.
 *
 * Safe is a write to a file when a later fsync of that file came before the cut; making, renaming
 * and removing a name is safe when an fsync of its directory did. Nothing else is promised,
 * whatever today's file systems do. */
#ifndef TEST_DISK_H
#define TEST_DISK_H

#include "faults/inside.h"

typedef struct disk disk;

/* Runs words in a child with its calls written down; $OUT is left as the run left it. The state of
 * $OUT before counts as safe. */
disk *disk_record(const char *const *words, inside_result *result);
void disk_free(disk *d);
size_t disk_count(const disk *d); /* calls that change something, or make it safe */

typedef enum disk_cut {
  DISK_LOST,  /* no unsafe write is there, all names are: a name without its bytes */
  DISK_TORN,  /* of each unsafe write the first few sectors of 512 bytes */
  DISK_PAGES, /* ... pages of 4096 bytes */
  DISK_NAMES, /* each unsafe name may be missing, in any order; the writes are there */
  DISK_ANY,   /* each unsafe call for itself: there, not there, in part */
  DISK_CUTS
} disk_cut;

/* $OUT becomes what the disk holds when the power fails after the first n calls. */
void disk_replay(const disk *d, size_t n, disk_cut cut, inside_random *random);
/* The highest number of a name PREFIXdigits that was renamed to and made safe within the first n
 * calls; 0: none. */
unsigned long disk_promised(const disk *d, size_t n, const char *prefix);

#endif
