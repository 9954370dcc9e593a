/* disk_record.c: a table of file calls that does each call and writes it down. Runs in the
 * child. */
#include "faults/disk_record.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "core/calls.h"

static int log_fd = -1;

static void put(disk_op op, const char *path, const char *to, size_t offset, const void *data, size_t n) {
  int kept = errno;
  disk_line line = {.op = op, .offset = offset, .n = n};
  snprintf(line.path, sizeof line.path, "%.511s", path ? path : "");
  snprintf(line.to, sizeof line.to, "%.511s", to ? to : "");
  if (write(log_fd, &line, sizeof line) != sizeof line || (data && write(log_fd, data, n) != (ssize_t)n)) _exit(98);
  errno = kept;
}

/* The path that a descriptor was opened by; a file that was renamed since has its new one. */
static const char *path_of(int fd, char out[4096]) {
  char link[64];
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  ssize_t n = readlink(link, out, 4095);
  out[n > 0 ? n : 0] = '\0';
  return out;
}

static bool ours(const char *path) { return !strncmp(path, inside_out, strlen(inside_out)); }

static int note_open(const char *path, int flags, mode_t mode) {
  int fd = open(path, flags, mode);
  char real[4096];
  if (fd >= 0 && ours(path_of(fd, real)) && (flags & (O_CREAT | O_TRUNC)))
    put(flags & O_TRUNC ? DISK_OP_TRUNCATE : DISK_OP_CREATE, real, NULL, 0, NULL, 0);
  return fd;
}

static ssize_t note_pwrite(int fd, const void *data, size_t n, off_t offset) {
  ssize_t k = pwrite(fd, data, n, offset);
  char real[4096];
  if (k > 0 && ours(path_of(fd, real))) put(DISK_OP_WRITE, real, NULL, (size_t)offset, data, (size_t)k);
  return k;
}

static ssize_t note_write(int fd, const void *data, size_t n) {
  ssize_t k = write(fd, data, n);
  char real[4096];
  if (k > 0 && ours(path_of(fd, real))) {
    off_t end = lseek(fd, 0, SEEK_CUR);
    put(DISK_OP_WRITE, real, NULL, (size_t)(end - k), data, (size_t)k);
  }
  return k;
}

static int note_fsync(int fd) {
  int r = fsync(fd);
  char real[4096];
  if (!r && ours(path_of(fd, real))) put(DISK_OP_SYNC, real, NULL, 0, NULL, 0);
  return r;
}

static int note_rename(const char *from, const char *to) {
  int r = rename(from, to);
  if (!r && ours(to)) put(DISK_OP_RENAME, from, to, 0, NULL, 0);
  return r;
}

static int note_mkdir(const char *path, mode_t mode) {
  int r = mkdir(path, mode);
  if (!r && ours(path)) put(DISK_OP_MKDIR, path, NULL, 0, NULL, 0);
  return r;
}

static int note_truncate(int fd, off_t size) {
  int r = ftruncate(fd, size);
  char real[4096];
  if (!r && ours(path_of(fd, real))) put(DISK_OP_TRUNCATE, real, NULL, (size_t)size, NULL, 0);
  return r;
}

static int note_unlink(int directory, const char *name, int flags) {
  char whole[4096 + 300], real[4096];
  if (directory == AT_FDCWD)
    snprintf(whole, sizeof whole, "%s", name);
  else
    snprintf(whole, sizeof whole, "%s/%.255s", path_of(directory, real), name);
  int r = unlinkat(directory, name, flags);
  if (!r && ours(whole)) put(DISK_OP_REMOVE, whole, NULL, 0, NULL, 0);
  return r;
}

void disk_watch(void *path) {
  static sgi_calls table;
  log_fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  if (log_fd < 0) _exit(98);
  table = sgi_calls_system;
  table.open = note_open;
  table.write = note_write;
  table.pwrite = note_pwrite;
  table.fsync = note_fsync;
  table.rename = note_rename;
  table.mkdir = note_mkdir;
  table.ftruncate = note_truncate;
  table.unlink = note_unlink;
  sgi_calls_use(&table);
}
