/* disk_record.h: the lines of the record that disk.c reads. */
#ifndef TEST_DISK_RECORD_H
#define TEST_DISK_RECORD_H

#include "faults/inside.h"

typedef enum disk_op {
  DISK_OP_CREATE,
  DISK_OP_WRITE,
  DISK_OP_TRUNCATE,
  DISK_OP_SYNC,
  DISK_OP_RENAME,
  DISK_OP_MKDIR,
  DISK_OP_REMOVE
} disk_op;

typedef struct disk_line {
  disk_op op;
  size_t offset, n; /* n bytes follow a DISK_OP_WRITE */
  char path[512], to[512];
} disk_line;

/* inside_how.before: path is the record's. */
void disk_watch(void *path);

#endif
