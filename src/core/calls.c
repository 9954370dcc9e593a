#include "core/calls.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include "core/file.h"

static int system_open(const char *path, int flags, mode_t mode) { return open(path, flags, mode); }
static void *system_map(size_t size, int fd) { return mmap(NULL, size, PROT_READ, MAP_PRIVATE, fd, 0); }
static int system_fstat(int fd, struct stat *s) { return fstat(fd, s); }

const sgi_calls sgi_calls_system = {.open = system_open,
                                    .read = read,
                                    .write = write,
                                    .pwrite = pwrite,
                                    .fsync = fsync,
                                    .rename = rename,
                                    .mkdir = mkdir,
                                    .fstat = system_fstat,
                                    .ftruncate = ftruncate,
                                    .mmap = system_map,
                                    .close = close,
                                    .unlink = unlinkat};

static const sgi_calls *_Atomic table = &sgi_calls_system;

const sgi_calls *sgi_calls_use(const sgi_calls *other) {
  return atomic_exchange(&table, other ? other : &sgi_calls_system);
}

static const sgi_calls *now(void) { return atomic_load_explicit(&table, memory_order_relaxed); }

/* ---- the n-th call fails --------------------------------------------------------------------- */

static atomic_size_t calls, fail_at;
static atomic_int fail_error;
static atomic_bool fail_for_ever;

size_t sgi_file_fail_at(size_t n, int error, bool for_ever) {
  size_t made = atomic_load(&calls);
  atomic_store(&fail_error, error);
  atomic_store(&fail_for_ever, for_ever);
  atomic_store(&fail_at, n ? made + n : 0);
  return made;
}

/* True if this call has to fail; errno is set then, and *cut tells a short write from an error. */
static bool fails(bool *cut) {
  size_t n = atomic_fetch_add(&calls, 1) + 1, at = atomic_load(&fail_at);
  *cut = false;
  if (!at || n < at || (n > at && !atomic_load(&fail_for_ever))) return false;
  int e = atomic_load(&fail_error);
  *cut = e == 0;
  errno = e ? e : EIO;
  return true;
}

static bool fails_whole(void) {
  bool cut;
  return fails(&cut) && !cut;
}

/* ---- the calls ------------------------------------------------------------------------------- */

int sgi_call_open(const char *path, int flags, mode_t mode) {
  int fd;
  do fd = fails_whole() ? -1 : now()->open(path, flags | O_CLOEXEC, mode);
  while (fd < 0 && errno == EINTR);
  return fd;
}

ssize_t sgi_call_write(int fd, const void *data, size_t n, off_t offset, bool at) {
  bool cut;
  if (fails(&cut)) {
    if (!cut) return -1;
    if (n > 1) n /= 2;
  }
  return at ? now()->pwrite(fd, data, n, offset) : now()->write(fd, data, n);
}

ssize_t sgi_call_read(int fd, void *data, size_t n) {
  bool cut;
  if (fails(&cut)) {
    if (!cut) return -1;
    if (n > 1) n /= 2;
  }
  return now()->read(fd, data, n);
}

int sgi_call_fsync(int fd) {
  int r;
  do r = fails_whole() ? -1 : now()->fsync(fd);
  while (r < 0 && errno == EINTR);
  return r;
}

int sgi_call_rename(const char *from, const char *to) {
  int r;
  do r = fails_whole() ? -1 : now()->rename(from, to);
  while (r < 0 && errno == EINTR);
  return r;
}

int sgi_call_mkdir(const char *path) {
  int r;
  do r = fails_whole() ? -1 : now()->mkdir(path, 0777);
  while (r < 0 && errno == EINTR);
  return r;
}

int sgi_call_fstat(int fd, struct stat *s) {
  int r;
  do r = fails_whole() ? -1 : now()->fstat(fd, s);
  while (r < 0 && errno == EINTR);
  return r;
}

int sgi_call_truncate(int fd, size_t size) {
  int r;
  do r = fails_whole() ? -1 : now()->ftruncate(fd, (off_t)size);
  while (r < 0 && errno == EINTR);
  return r;
}

void *sgi_call_map(int fd, size_t size) {
  void *p;
  do p = fails_whole() ? MAP_FAILED : now()->mmap(size, fd);
  while (p == MAP_FAILED && errno == EINTR);
  return p;
}

int sgi_call_close(int fd) {
  bool fail = fails_whole();
  int e = errno, r = now()->close(fd);
  if (fail && e != EINTR) {
    errno = e;
    return -1;
  }
  return r < 0 && errno == EINTR ? 0 : r;
}

/* Removing is clean-up: it does not count as a call that tests make fail by number, or what a
 * failed save leaves could not be told from what its clean-up left. A table of calls may still fail
 * it. */
int sgi_call_unlink(int directory, const char *name, int flags) { return now()->unlink(directory, name, flags); }
