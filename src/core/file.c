#include "core/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>
#define XXH_STATIC_LINKING_ONLY
#include <xxhash.h>

#include "core/arena.h"
#include "core/calls.h"
#include "core/file_guard.h"
#include "core/file_target.h"

sg_status sgi_fail_file(sg_error *err, const char *path, const char *what) {
  int e = errno;
  sg_status code = e == ENOSPC || e == EDQUOT || e == EFBIG ? SG_ERR_SPACE : e == ENOMEM ? SG_ERR_MEMORY : SG_ERR_IO;
  return sgi_fail(err, code, "%s: %s: %s", path, what, strerror(e));
}

/* ---- directories ----------------------------------------------------------------------------- */

static char *parent_of(const char *path) {
  const char *slash = strrchr(path, '/');
  if (!slash) return sgi_strdup(".");
  if (slash == path) return sgi_strdup("/");
  char *p = sgi_strdup(path);
  if (p) p[slash - path] = '\0';
  return p;
}

static sg_status sync_directory(const char *path, sg_error *err) {
  int fd = sgi_call_open(path, O_RDONLY | O_DIRECTORY, 0);
  if (fd < 0) return sgi_fail_file(err, path, "could not open the directory");
  int r = sgi_call_fsync(fd), e = errno;
  sgi_call_close(fd);
  errno = e;
  /* some file systems know no fsync of directories */
  return r < 0 && e != EINVAL && e != ENOTSUP ? sgi_fail_file(err, path, "could not make the directory durable")
                                              : SG_OK;
}

static sg_status sync_parent(const char *path, sg_error *err) {
  char *parent = parent_of(path);
  if (!parent) return sgi_fail_memory(err, strlen(path), "a path");
  sg_status st = sync_directory(parent, err);
  sgi_free(parent);
  return st;
}

bool sgi_is_file(const char *path) {
  struct stat s;
  return stat(path, &s) == 0 && S_ISREG(s.st_mode);
}

bool sgi_is_directory(const char *path) {
  struct stat s;
  return stat(path, &s) == 0 && S_ISDIR(s.st_mode);
}

sg_status sgi_make_directory(const char *path, sg_error *err) {
  if (sgi_is_directory(path)) return SG_OK;
  char *part = sgi_strdup(path);
  if (!part) return sgi_fail_memory(err, strlen(path), "a path");
  sg_status st = SG_OK;
  for (char *p = part + 1; !st; p++) {
    if (*p != '/' && *p != '\0') continue;
    char kept = *p;
    *p = '\0';
    if (!sgi_is_directory(part)) {
      if (sgi_call_mkdir(part) == 0)
        st = sync_parent(part, err);
      else if (errno != EEXIST)
        st = sgi_fail_file(err, part, "could not make the directory");
    }
    *p = kept;
    if (!kept) break;
  }
  sgi_free(part);
  if (!st && !sgi_is_directory(path)) st = sgi_fail(err, SG_ERR_IO, "%s: is there, but is no directory", path);
  return st;
}

sg_status sgi_rename(const char *from, const char *to, sg_error *err) {
  if (sgi_call_rename(from, to) < 0) return sgi_fail_file(err, to, "could not give the file its name");
  return sync_parent(to, err);
}

enum { MAX_DEPTH = 64 };

static sg_status remove_at(int parent, const char *name, const char *whole, int depth, sg_error *err);

/* Without a byte of memory, so that what failed for lack of it leaves nothing: readdir allocates.
 * Each time from the beginning until nothing is left, since what is removed may move the others. */
static sg_status empty_directory(int fd, const char *whole, int depth, sg_error *err) {
  union {
    char bytes[2048];
    struct dirent64 align;
  } room;
  for (;;) {
    bool removed = false;
    ssize_t n = lseek(fd, 0, SEEK_SET) < 0 ? -1 : 0;
    while (n >= 0 && !removed && (n = getdents64(fd, room.bytes, sizeof room.bytes)) > 0)
      for (ssize_t at = 0; at < n;) {
        const struct dirent64 *e = (const struct dirent64 *)(const void *)(room.bytes + at);
        at += e->d_reclen;
        if (!strcmp(e->d_name, ".") || !strcmp(e->d_name, "..")) continue;
        sg_status st = remove_at(fd, e->d_name, whole, depth + 1, err);
        if (st) return st;
        removed = true;
      }
    if (n < 0) return sgi_fail_file(err, whole, "could not read the directory");
    if (!removed) return SG_OK;
  }
}

static sg_status remove_at(int parent, const char *name, const char *whole, int depth, sg_error *err) {
  struct stat s;
  if (fstatat(parent, name, &s, AT_SYMLINK_NOFOLLOW) < 0)
    return errno == ENOENT ? SG_OK : sgi_fail_file(err, whole, "could not look at");
  if (!S_ISDIR(s.st_mode))
    return sgi_call_unlink(parent, name, 0) < 0 && errno != ENOENT ? sgi_fail_file(err, whole, "could not remove")
                                                                   : SG_OK;
  if (depth > MAX_DEPTH)
    return sgi_fail(err, SG_ERR_IO, "%s: could not remove: directories are nested too deep", whole);
  int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  if (fd < 0) return sgi_fail_file(err, whole, "could not open the directory");
  sg_status st = empty_directory(fd, whole, depth, err);
  close(fd);
  if (!st && sgi_call_unlink(parent, name, AT_REMOVEDIR) < 0)
    st = sgi_fail_file(err, whole, "could not remove the directory");
  return st;
}

sg_status sgi_remove_tree(const char *path, sg_error *err) { return remove_at(AT_FDCWD, path, path, 0, err); }

uint64_t sgi_disk_free(const char *path) {
  struct statvfs s;
  char *p = sgi_strdup(path);
  while (p && statvfs(p, &s) < 0) {
    char *up = errno == ENOENT && strcmp(p, ".") && strcmp(p, "/") ? parent_of(p) : NULL;
    sgi_free(p);
    p = up;
  }
  if (!p) return 0;
  sgi_free(p);
  return (uint64_t)s.f_bavail * s.f_frsize;
}

const char *sgi_base_name(const char *path) {
  const char *slash = strrchr(path, '/');
  return slash ? slash + 1 : path;
}

char *sgi_path_join(const char *a, const char *b) {
  size_t n = strlen(a), m = strlen(b);
  char *p = sgi_alloc(n + m + 2);
  if (!p) return NULL;
  memcpy(p, a, n);
  if (n && a[n - 1] != '/') p[n++] = '/';
  memcpy(p + n, b, m + 1);
  return p;
}

/* ---- writing --------------------------------------------------------------------------------- */

enum { BUFFER = 64 << 10 };

struct sgi_writer {
  int fd;
  size_t used;            /* bytes waiting in buffer */
  size_t position;        /* in the file, of buffer's first byte */
  char *path, *temporary; /* temporary: NULL for a stream */
  char *real;             /* what temporary is renamed to */
  sgi_writer *next;       /* in the list of writers that have a temporary */
  char buffer[BUFFER];
};

static sg_status write_all(int fd, const char *path, const char *data, size_t n, size_t offset, bool at,
                           sg_error *err) {
  while (n > 0) {
    ssize_t k = sgi_call_write(fd, data, n, (off_t)offset, at);
    if (k < 0 && errno == EINTR) continue;
    if (k <= 0) {
      if (k == 0) errno = ENOSPC;
      return sgi_fail_file(err, path, "could not write");
    }
    data += k;
    offset += (size_t)k;
    n -= (size_t)k;
  }
  return SG_OK;
}

/* What a process that must end at once would leave behind. */
static pthread_mutex_t open_lock = PTHREAD_MUTEX_INITIALIZER;
static sgi_writer *open_writers;

static void remember(sgi_writer *w) {
  pthread_mutex_lock(&open_lock);
  w->next = open_writers;
  open_writers = w;
  pthread_mutex_unlock(&open_lock);
}

static void forget(const sgi_writer *w) {
  pthread_mutex_lock(&open_lock);
  for (sgi_writer **at = &open_writers; *at; at = &(*at)->next)
    if (*at == w) {
      *at = w->next;
      break;
    }
  pthread_mutex_unlock(&open_lock);
}

void sgi_writers_abandon(void) {
  pthread_mutex_lock(&open_lock);
  for (const sgi_writer *w = open_writers; w; w = w->next) sgi_call_unlink(AT_FDCWD, w->temporary, 0);
} /* locked for ever: no writer gets its name any more */

static void writer_free(sgi_writer *w) {
  forget(w);
  sgi_free(w->path);
  sgi_free(w->temporary);
  sgi_free(w->real);
  sgi_free(w);
}

static void remove_temporary(const sgi_writer *w) {
  if (w->temporary) sgi_call_unlink(AT_FDCWD, w->temporary, 0);
}

/* The new file: beside the one to be, or without a name for what is a stream. */
static sg_status open_new(sgi_writer *w, sg_error *err) {
  enum { FLAGS = O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW };
  if (!w->real) {
    w->fd = sgi_target_collect();
    return w->fd < 0 ? sgi_fail_file(err, w->path, "no room to collect its content in TMPDIR") : SG_OK;
  }
  size_t n = strlen(w->real) + 32;
  w->temporary = sgi_alloc(n);
  if (!w->temporary) return sgi_fail_memory(err, n, "a path");
  snprintf(w->temporary, n, "%s.tmp-%ld", w->real, (long)getpid());
  w->fd = sgi_call_open(w->temporary, FLAGS, 0666);
  if (w->fd < 0 && errno == EEXIST) { /* left by a process of the same number that was killed */
    sgi_call_unlink(AT_FDCWD, w->temporary, 0);
    w->fd = sgi_call_open(w->temporary, FLAGS, 0666);
  }
  return w->fd < 0 ? sgi_fail_file(err, w->path, "could not make the file") : SG_OK;
}

sg_status sgi_writer_open(const char *path, sgi_writer **out, sg_error *err) {
  *out = NULL;
  sgi_writer *w = sgi_alloc(sizeof *w);
  if (!w) return sgi_fail_memory(err, sizeof *w, "a file's buffer");
  w->path = sgi_strdup(path);
  sg_status st = w->path ? sgi_target_of(path, &w->real, err) : sgi_fail_memory(err, strlen(path), "a path");
  if (!st) st = open_new(w, err);
  if (!st && w->temporary) remember(w);
  if (st)
    writer_free(w);
  else
    *out = w;
  return st;
}

static sg_status flush(sgi_writer *w, sg_error *err) {
  sg_status st = write_all(w->fd, w->path, w->buffer, w->used, w->position, true, err);
  w->position += w->used;
  w->used = 0;
  return st;
}

sg_status sgi_writer_write(sgi_writer *w, const void *data, size_t n, sg_error *err) {
  if (n > BUFFER - w->used) {
    sg_status st = flush(w, err);
    if (st) return st;
  }
  if (n <= BUFFER - w->used) {
    memcpy(w->buffer + w->used, data, n);
    w->used += n;
    return SG_OK;
  }
  sg_status st = write_all(w->fd, w->path, data, n, w->position, true, err);
  w->position += n;
  return st;
}

void sgi_writer_print(sgi_writer *w, sg_status *st, sg_error *err, const char *format, ...) {
  char text[512];
  va_list args;
  va_start(args, format);
  int n = vsnprintf(text, sizeof text, format, args);
  va_end(args);
  if (!*st && n > 0) *st = sgi_writer_write(w, text, (size_t)n < sizeof text ? (size_t)n : sizeof text - 1, err);
}

sg_status sgi_writer_write_at(sgi_writer *w, size_t offset, const void *data, size_t n, sg_error *err) {
  sg_status st = w->used ? flush(w, err) : SG_OK;
  return st ? st : write_all(w->fd, w->path, data, n, offset, true, err);
}

void sgi_writer_drop(sgi_writer *w) {
  if (!w) return;
  close(w->fd);
  remove_temporary(w);
  writer_free(w);
}

/* A stream gets all that was collected, from its beginning. */
static sg_status send(const sgi_writer *w, sg_error *err) {
  char part[16 << 10];
  int fd;
  sg_status st = sgi_target_stream(w->path, &fd, err);
  if (st) return st;
  for (off_t at = 0; !st;) {
    ssize_t k = pread(w->fd, part, sizeof part, at);
    if (k < 0 && errno == EINTR) continue;
    if (k < 0) st = sgi_fail_file(err, w->path, "could not read what was collected");
    if (k <= 0) break;
    st = write_all(fd, w->path, part, (size_t)k, 0, false, err);
    at += k;
  }
  if (sgi_call_close(fd) < 0 && !st) st = sgi_fail_file(err, w->path, "could not close the file");
  return st;
}

static sg_status close_stream(sgi_writer *w, sg_error *err) {
  sg_status st = flush(w, err);
  if (!st) st = sgi_guard_check(err);
  if (!st) st = send(w, err);
  close(w->fd);
  writer_free(w);
  return st;
}

sg_status sgi_writer_close(sgi_writer *w, sg_error *err) {
  if (!w->real) return close_stream(w, err);
  sg_status st = flush(w, err);
  if (!st && sgi_call_fsync(w->fd) < 0) st = sgi_fail_file(err, w->path, "could not make the file durable");
  if (sgi_call_close(w->fd) < 0 && !st) st = sgi_fail_file(err, w->path, "could not close the file");
  if (!st) st = sgi_guard_check(err); /* it may be made of zeros that were read in place of a lost page */
  if (!st) st = sgi_target_still(w->real, err);
  forget(w); /* from here on its name is the real one's, or it is removed */
  if (!st && sgi_call_rename(w->temporary, w->real) < 0)
    st = sgi_fail_file(err, w->path, "could not give the file its name");
  if (st)
    remove_temporary(w);
  else
    st = sync_parent(w->real, err);
  writer_free(w);
  return st;
}

sg_status sgi_write_file(const char *path, const void *data, size_t n, sg_error *err) {
  sgi_writer *w;
  sg_status st = sgi_writer_open(path, &w, err);
  if (st) return st;
  st = sgi_writer_write(w, data, n, err);
  if (!st) return sgi_writer_close(w, err);
  sgi_writer_drop(w);
  return st;
}

sg_status sgi_append_file(const char *path, const void *data, size_t n, sg_error *err) {
  struct stat s;
  int fd = sgi_call_open(path, O_WRONLY | O_CREAT | O_APPEND | O_NONBLOCK,
                         0666); /* nobody reads a FIFO: an error, no wait */
  if (fd < 0) return sgi_fail_file(err, path, "could not open for writing");
  sg_status st = sgi_call_fstat(fd, &s) < 0 ? sgi_fail_file(err, path, "could not look at")
                 : !S_ISREG(s.st_mode)      ? sgi_fail(err, SG_ERR_IO, "%s: is no regular file", path)
                                            : write_all(fd, path, data, n, 0, false, err);
  if (sgi_call_close(fd) < 0 && !st) st = sgi_fail_file(err, path, "could not close the file");
  return st;
}

sg_status sgi_truncate_file(const char *path, size_t size, sg_error *err) {
  int fd = sgi_call_open(path, O_WRONLY | O_NONBLOCK, 0);
  if (fd < 0) return sgi_fail_file(err, path, "could not open for writing");
  struct stat s;
  sg_status st = SG_OK;
  if (sgi_call_fstat(fd, &s) < 0) st = sgi_fail_file(err, path, "could not look at");
  if (!st && (uint64_t)s.st_size > size && sgi_call_truncate(fd, size) < 0)
    st = sgi_fail_file(err, path, "could not cut the file");
  if (sgi_call_close(fd) < 0 && !st) st = sgi_fail_file(err, path, "could not close the file");
  return st;
}

/* ---- reading --------------------------------------------------------------------------------- */

static int64_t nanoseconds(struct timespec t) { return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec; }

static sgi_file_id identity(const struct stat *s) {
  return (sgi_file_id){(uint64_t)s->st_dev, (uint64_t)s->st_ino, (uint64_t)s->st_size, nanoseconds(s->st_mtim),
                       nanoseconds(s->st_ctim)};
}

sg_status sgi_identify_file(const char *path, sgi_file_id *out, sg_error *err) {
  struct stat s;
  if (stat(path, &s) < 0) return sgi_fail_file(err, path, "could not look at");
  if (!S_ISREG(s.st_mode)) return sgi_fail(err, SG_ERR_IO, "%s: is no regular file", path);
  *out = identity(&s);
  return SG_OK;
}

/* Opens a regular file only: a FIFO would block, a device never ends. */
static sg_status open_regular(const char *path, int *fd, sgi_file_id *id, sg_error *err) {
  struct stat s;
  *fd = sgi_call_open(path, O_RDONLY | O_NONBLOCK, 0);
  if (*fd < 0) return sgi_fail_file(err, path, "could not open");
  sg_status st = SG_OK;
  if (sgi_call_fstat(*fd, &s) < 0)
    st = sgi_fail_file(err, path, "could not look at");
  else if (!S_ISREG(s.st_mode))
    st = sgi_fail(err, SG_ERR_IO, "%s: is %s, expected a file", path,
                  S_ISDIR(s.st_mode) ? "a directory" : "no regular file");
  else if ((uint64_t)s.st_size > SIZE_MAX / 2)
    st = sgi_fail(err, SG_ERR_IO, "%s: is too large for this machine", path);
  else
    *id = identity(&s);
  if (st) close(*fd);
  return st;
}

sg_status sgi_read_file(const char *path, size_t max, char **data, size_t *n, sg_error *err) {
  int fd;
  sgi_file_id id;
  size_t got = 0;
  *data = NULL;
  *n = 0;
  sg_status st = open_regular(path, &fd, &id, err);
  if (st) return st;
  size_t size = (size_t)id.size;
  if (size > max) {
    close(fd);
    return sgi_fail(err, SG_ERR_FORMAT, "%s: has %zu bytes, expected at most %zu", path, size, max);
  }
  char *p = sgi_alloc(size + 1);
  if (!p) st = sgi_fail_memory(err, size + 1, path);
  while (!st && got < size) {
    ssize_t k = sgi_call_read(fd, p + got, size - got);
    if (k < 0 && errno == EINTR) continue;
    if (k < 0) st = sgi_fail_file(err, path, "could not read");
    if (k == 0)
      st = sgi_fail(err, SG_ERR_IO, "%s: ended after %zu bytes of %zu: it changed while it was read", path, got, size);
    if (k > 0) got += (size_t)k;
  }
  sgi_call_close(fd);
  if (st) {
    sgi_free(p);
    return st;
  }
  *data = p;
  *n = size;
  return SG_OK;
}

sg_status sgi_read_part(const char *path, size_t offset, void *buffer, size_t room, size_t *got, sg_error *err) {
  int fd;
  sgi_file_id id;
  *got = 0;
  sg_status st = open_regular(path, &fd, &id, err);
  if (st) return st;
  bool more = offset < id.size && lseek(fd, (off_t)offset, SEEK_SET) >= 0;
  while (more && !st && *got < room) {
    ssize_t k = sgi_call_read(fd, (char *)buffer + *got, room - *got);
    if (k < 0 && errno == EINTR) continue;
    if (k < 0) st = sgi_fail_file(err, path, "could not read");
    if (k <= 0) break;
    *got += (size_t)k;
  }
  sgi_call_close(fd);
  return st;
}

sg_status sgi_copy_file(const char *from, const char *to, size_t max, sg_error *err) {
  char *data = NULL;
  size_t n = 0;
  sg_status st = sgi_read_file(from, max, &data, &n, err);
  if (!st) st = sgi_write_file(to, data, n, err);
  sgi_free(data);
  return st;
}

sg_status sgi_hash_file(const char *path, uint64_t *bytes, uint64_t *hash, sg_error *err) {
  int fd;
  sgi_file_id id;
  sg_status st = open_regular(path, &fd, &id, err);
  if (st) return st;
  XXH3_state_t state;
  char part[64 << 10];
  XXH3_64bits_reset(&state);
  *bytes = 0;
  for (ssize_t k = 1; k && !st;) {
    k = sgi_call_read(fd, part, sizeof part);
    if (k < 0 && errno != EINTR) st = sgi_fail_file(err, path, "could not read");
    if (k <= 0) continue;
    XXH3_64bits_update(&state, part, (size_t)k);
    *bytes += (uint64_t)k;
  }
  sgi_call_close(fd);
  *hash = XXH3_64bits_digest(&state);
  return st;
}

/* Files are replaced by renaming here, never cut; what others do to a file in use, file_guard.h
 * sees. */
sg_status sgi_map_file(const char *path, sgi_map *out, sg_error *err) {
  int fd;
  sgi_file_id id;
  *out = (sgi_map){0};
  sg_status st = open_regular(path, &fd, &id, err);
  if (st) return st;
  size_t size = (size_t)id.size;
  if (size) {
    void *p = sgi_call_map(fd, size);
    if (p == MAP_FAILED)
      st = sgi_fail_file(err, path, "could not map");
    else
      *out = (sgi_map){p, size, id, sgi_guard_add(path, p, &id)};
  }
  sgi_call_close(fd);
  return st;
}

void sgi_unmap_file(sgi_map *map) {
  sgi_guard_remove(map->guard);
  if (map->data) munmap((void *)(uintptr_t)map->data, map->size);
  *map = (sgi_map){0};
}

void sgi_map_release(const sgi_map *map, size_t from, size_t to) {
  size_t page = (size_t)sysconf(_SC_PAGESIZE);
  from = (from + page - 1) / page * page;
  to = to < map->size ? to / page * page : map->size;
  if (from < to) madvise((void *)(uintptr_t)(map->data + from), to - from, MADV_DONTNEED);
}
