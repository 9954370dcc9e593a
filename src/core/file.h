/* file.h: every system call on files that the library makes, so that one place handles short
 * writes, EINTR, full disks and durability, and tests can make the N-th call fail. Knows no
 * format. */
#ifndef SGI_FILE_H
#define SGI_FILE_H

#include "core/base.h"

/* A file written whole or not at all: bytes go to a new name beside path; close fsyncs it, renames
 * it over path and fsyncs the directory. Until close succeeds, an older file at path is untouched.
 * Links, FIFOs, devices: core/file_target.h. */
/* "PATH: WHAT: the system's reason", as errno has it: out of space, out of memory, or SG_ERR_IO. */
sg_status sgi_fail_file(sg_error *err, const char *path, const char *what);

typedef struct sgi_writer sgi_writer;
sg_status sgi_writer_open(const char *path, sgi_writer **out, sg_error *err);
sg_status sgi_writer_write(sgi_writer *w, const void *data, size_t n, sg_error *err);
/* At a byte offset, in any order; gaps read as zero. Does not move the position of
 * sgi_writer_write. */
sg_status sgi_writer_write_at(sgi_writer *w, size_t offset, const void *data, size_t n, sg_error *err);
sg_status sgi_writer_close(sgi_writer *w,
                           sg_error *err); /* frees w also where it fails (nothing is left behind then) */
/* Formatted text, of which the first 511 bytes are written, while *st is SG_OK; sets *st. */
void sgi_writer_print(sgi_writer *w, sg_status *st, sg_error *err, const char *format, ...) SG_PRINTF(4, 5);
void sgi_writer_drop(sgi_writer *w); /* gives up: removes the new file, frees w; NULL allowed */

/* For a process that ends now, from any thread: removes what open writers have written so far. No
 * writer can be used afterwards. */
void sgi_writers_abandon(void);

sg_status sgi_write_file(const char *path, const void *data, size_t n, sg_error *err);
/* Adds data at the end with one write (a line of a log); makes the file when it is missing. */
sg_status sgi_append_file(const char *path, const void *data, size_t n, sg_error *err);

/* Whole content of a regular file of at most max bytes, a NUL behind it. *data is new: sgi_free. */
sg_status sgi_read_file(const char *path, size_t max, char **data, size_t *n, sg_error *err);

/* Up to room bytes of a regular file from a byte on; *got of them, 0 behind its end. */
sg_status sgi_read_part(const char *path, size_t offset, void *buffer, size_t room, size_t *got, sg_error *err);

/* The content of a regular file of at most max bytes as another, whole or not at all. */
sg_status sgi_copy_file(const char *from, const char *to, size_t max, sg_error *err);

/* Which file it is, and of which moment: what writes into a file changes it. */
typedef struct sgi_file_id {
  uint64_t device, inode, size;
  int64_t modified, changed; /* nanoseconds: content, inode */
} sgi_file_id;
sg_status sgi_identify_file(const char *path, sgi_file_id *out, sg_error *err); /* a regular file */
static inline bool sgi_same_file(const sgi_file_id *a, const sgi_file_id *b) {
  return a->device == b->device && a->inode == b->inode && a->size == b->size && a->modified == b->modified &&
         a->changed == b->changed;
}

/* Read-only mapping of a regular file (NULL, 0 for an empty one). */
typedef struct sgi_map {
  const unsigned char *data;
  size_t size;
  sgi_file_id id; /* when it was mapped */
  int guard;      /* file_guard.h */
} sgi_map;
sg_status sgi_map_file(const char *path, sgi_map *out, sg_error *err);
void sgi_unmap_file(sgi_map *map);
/* Bytes [from, to) were looked at and are not needed for now: the pages that lie within leave the
 * process and are read again when touched. */
void sgi_map_release(const sgi_map *map, size_t from, size_t to);

/* Length and xxh3 of a regular file, read in small parts. */
sg_status sgi_hash_file(const char *path, uint64_t *bytes, uint64_t *hash, sg_error *err);

bool sgi_is_file(const char *path);
bool sgi_is_directory(const char *path);
sg_status sgi_make_directory(const char *path, sg_error *err);         /* with its parents; fine if it is there */
sg_status sgi_rename(const char *from, const char *to, sg_error *err); /* and fsync of the parent */
sg_status sgi_remove_tree(const char *path, sg_error *err);            /* fine if it is not there; follows no symlink */
sg_status sgi_truncate_file(const char *path, size_t size, sg_error *err);
/* Free bytes of the file system that holds path (or its nearest existing parent); 0 if it can not
 * be told. */
uint64_t sgi_disk_free(const char *path);

/* The last part of a path, within it. */
const char *sgi_base_name(const char *path);
/* "a/b" from two parts. New: sgi_free; NULL when memory is out. */
char *sgi_path_join(const char *a, const char *b);

/* Tests only: the n-th call from now fails with this errno (n 0: none; error 0: a short write),
 * once or for ever. Returns the number of calls so far. */
size_t sgi_file_fail_at(size_t n, int error, bool for_ever);

#endif
