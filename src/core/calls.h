/* calls.h: the system calls on files in one table, so that tests can put their own in: to fail, to
 * count, to write down what a save does. What a save or a load depends on goes through it; clean-up
 * after an error and the lock of a run do not. The functions below go on after EINTR where a call
 * can be made again. */
#ifndef SGI_CALLS_H
#define SGI_CALLS_H

#include <sys/stat.h>
#include <sys/types.h>

#include "core/base.h"

typedef struct sgi_calls {
  int (*open)(const char *path, int flags, mode_t mode);
  ssize_t (*read)(int fd, void *data, size_t n);
  ssize_t (*write)(int fd, const void *data, size_t n);
  ssize_t (*pwrite)(int fd, const void *data, size_t n, off_t offset);
  int (*fsync)(int fd);
  int (*rename)(const char *from, const char *to);
  int (*mkdir)(const char *path, mode_t mode);
  int (*fstat)(int fd, struct stat *s);
  int (*ftruncate)(int fd, off_t size);
  void *(*mmap)(size_t size, int fd); /* for reading, private; MAP_FAILED */
  int (*close)(int fd);
  int (*unlink)(int directory, const char *name, int flags); /* unlinkat */
} sgi_calls;

extern const sgi_calls sgi_calls_system;
/* Tests only: calls go to table from now on (NULL: the system's); it must live until the next
 * change. Returns the one before. */
const sgi_calls *sgi_calls_use(const sgi_calls *table);

int sgi_call_open(const char *path, int flags, mode_t mode); /* O_CLOEXEC is added */
ssize_t sgi_call_write(int fd, const void *data, size_t n, off_t offset, bool at);
ssize_t sgi_call_read(int fd, void *data, size_t n);
int sgi_call_fsync(int fd);
int sgi_call_rename(const char *from, const char *to);
int sgi_call_mkdir(const char *path);
int sgi_call_fstat(int fd, struct stat *s);
int sgi_call_truncate(int fd, size_t size);
void *sgi_call_map(int fd, size_t size);
/* A close that fails after fsync has lost nothing, but says that something is wrong. EINTR leaves
 * the descriptor closed on Linux. */
int sgi_call_close(int fd);
int sgi_call_unlink(int directory, const char *name, int flags);

#endif
