#include "core/file_target.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "core/arena.h"
#include "core/calls.h"
#include "core/file.h"

enum { TRIES = 20 };
static const struct timespec PAUSE = {.tv_nsec = 50000000};

static sg_status refused(const char *path, mode_t mode, sg_error *err) {
  const char *what = S_ISDIR(mode)    ? "a directory"
                     : S_ISBLK(mode)  ? "a block device"
                     : S_ISSOCK(mode) ? "a socket"
                     : S_ISFIFO(mode) ? "a FIFO"
                     : S_ISCHR(mode)  ? "a device"
                                      : "no regular file";
  return sgi_fail(err, SG_ERR_IO, "%s: is %s, expected a file to write or a new name", path, what);
}

static bool same_file(const struct stat *a, const struct stat *b) {
  return a->st_dev == b->st_dev && a->st_ino == b->st_ino;
}

/* Standard output or error, reached by a link such as /dev/stdout: the descriptor, else -1. */
static int own_descriptor(const struct stat *s) {
  struct stat own;
  for (int fd = 1; fd <= 2; fd++)
    if (fstat(fd, &own) == 0 && same_file(s, &own)) return fd;
  return -1;
}

/* Whether the path leads to a stream; *linked: by a symbolic link. */
static sg_status look(const char *path, bool *stream, bool *linked, sg_error *err) {
  struct stat s;
  *stream = *linked = false;
  if (lstat(path, &s) < 0)
    return errno == ENOENT ? SG_OK : sgi_fail(err, SG_ERR_IO, "%s: could not look at: %s", path, strerror(errno));
  *linked = S_ISLNK(s.st_mode);
  if (*linked && stat(path, &s) < 0)
    return sgi_fail(err, SG_ERR_IO, "%s: is a symbolic link that leads nowhere (%s): remove it or name the file itself",
                    path, strerror(errno));
  *stream = S_ISFIFO(s.st_mode) || S_ISCHR(s.st_mode) || (*linked && own_descriptor(&s) >= 0);
  return *stream || S_ISREG(s.st_mode) ? SG_OK : refused(path, s.st_mode, err);
}

sg_status sgi_target_of(const char *path, char **real, sg_error *err) {
  bool stream, linked;
  *real = NULL;
  sg_status st = look(path, &stream, &linked, err);
  if (st || stream) return st;
  char *end = linked ? realpath(path, NULL) : NULL;
  if (linked && !end) return sgi_fail(err, SG_ERR_IO, "%s: could not follow the link: %s", path, strerror(errno));
  *real = sgi_strdup(end ? end : path);
  free(end);
  return *real ? SG_OK : sgi_fail_memory(err, strlen(path), "a path");
}

sg_status sgi_target_still(const char *real, sg_error *err) {
  struct stat s;
  if (lstat(real, &s) < 0 || S_ISREG(s.st_mode)) return SG_OK;
  return refused(real, s.st_mode, err);
}

int sgi_target_collect(void) {
  const char *place = getenv("TMPDIR");
  int fd = sgi_call_open(place && *place == '/' ? place : "/tmp", O_TMPFILE | O_RDWR, 0600);
  return fd >= 0 ? fd : memfd_create("sgatlin", MFD_CLOEXEC);
}

sg_status sgi_target_stream(const char *path, int *fd, sg_error *err) {
  struct stat s;
  int own = stat(path, &s) == 0 ? own_descriptor(&s) : -1;
  if (own >= 0) {
    *fd = fcntl(own, F_DUPFD_CLOEXEC, 3);
  } else {
    *fd = -1;
    for (int i = 0; i < TRIES && *fd < 0; i++) {
      *fd = sgi_call_open(path, O_WRONLY | O_NONBLOCK | O_NOCTTY, 0);
      if (*fd >= 0 || errno != ENXIO) break;
      nanosleep(&PAUSE, NULL);
      errno = ENXIO;
    }
    if (*fd < 0 && errno == ENXIO)
      return sgi_fail(err, SG_ERR_IO, "%s: nobody reads from it: start the reader first, or name a file", path);
  }
  if (*fd < 0) return sgi_fail_file(err, path, "could not open for writing");
  int flags = fcntl(*fd, F_GETFL);
  if (own < 0 && (flags < 0 || fcntl(*fd, F_SETFL, flags & ~O_NONBLOCK) < 0 || fstat(*fd, &s) < 0 ||
                  (!S_ISFIFO(s.st_mode) && !S_ISCHR(s.st_mode)))) {
    close(*fd);
    return sgi_fail(err, SG_ERR_IO, "%s: changed while it was opened", path);
  }
  return SG_OK;
}
