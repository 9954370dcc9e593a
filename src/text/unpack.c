#include "text/unpack.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>
#define XXH_STATIC_LINKING_ONLY
#include <xxhash.h>
#include <zlib.h>
#include <zstd.h>
#include <zstd_errors.h>

#include "core/arena.h"
#include "core/calls.h"
#include "core/stand_in.h"

enum {
  RAW_SIZE = 256 << 10,
  WINDOW_LOG = 27,       /* zstd frames may ask for at most 128 MB */
  SMALL_WINDOW_LOG = 25, /* and 32 MB in a small file: memory is bounded by what came from outside */
  SMALL_FILE = 1 << 20,
};
#define PIECE_MAX ((size_t)1 << 30)

struct sgi_unpack {
  XXH3_state_t hash; /* of the bytes on disk; first, for its alignment */
  const char *path;
  int fd;
  sgi_packing packing;
  sgi_stamp stamp;
  unsigned char *raw; /* packed bytes raw[raw_at..raw_n) are to be unpacked; a plain stream's first ones */
  size_t raw_at, raw_n;
  bool raw_end;
  uint64_t position;
  ZSTD_DCtx *zstd;
  z_stream gzip;
  bool gzip_open, between; /* between: at the end of a frame or member */
};

static bool strip_ending(const char *name, size_t *n, const char *ending) {
  size_t k = strlen(ending);
  if (*n <= k || strncasecmp(name + *n - k, ending, k) != 0) return false;
  *n -= k;
  return true;
}

sgi_text_kind sgi_text_ending(const char *name, sgi_packing *packing, size_t *stem) {
  const char *slash = strrchr(name, '/');
  if (slash) name = slash + 1;
  size_t n = strlen(name);
  *packing = strip_ending(name, &n, ".zst") ? SGI_ZSTD : strip_ending(name, &n, ".gz") ? SGI_GZIP : SGI_PLAIN;
  sgi_text_kind kind = strip_ending(name, &n, ".txt")                                          ? SGI_TEXT_PLAIN
                       : strip_ending(name, &n, ".jsonl") || strip_ending(name, &n, ".ndjson") ? SGI_TEXT_LINES
                       : strip_ending(name, &n, ".json")                                       ? SGI_TEXT_JSON
                                                                                               : SGI_TEXT_NONE;
  if (stem) *stem = n;
  return kind;
}

bool sgi_is_stream(const char *path) {
  struct stat s;
  if (!strcmp(path, "-")) return true;
  if (stat(path, &s) != 0 || S_ISDIR(s.st_mode)) return false;
  bool device = !strncmp(path, "/dev/", 5) && strncmp(path, "/dev/shm/", 9);
  return !S_ISREG(s.st_mode) || device || !strncmp(path, "/proc/", 6);
}

static const char *label(const char *path) { return strcmp(path, "-") ? path : "standard input"; }

static sg_status open_source(const char *path, int *fd, sgi_stamp *stamp, sg_error *err) {
  *fd = strcmp(path, "-") ? sgi_call_open(path, O_RDONLY, 0) : fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3);
  if (*fd < 0) return sgi_fail(err, SG_ERR_IO, "%s: could not open: %s", label(path), strerror(errno));
  struct stat s;
  sg_status st = SG_OK;
  if (sgi_call_fstat(*fd, &s) != 0)
    st = sgi_fail(err, SG_ERR_IO, "%s: %s", label(path), strerror(errno));
  else if (S_ISDIR(s.st_mode))
    st = sgi_fail(err, SG_ERR_ARG, "%s: is a directory, not a regular file or a pipe", label(path));
  if (st) {
    sgi_call_close(*fd);
    *fd = -1;
    return st;
  }
  *stamp = (sgi_stamp){.size = S_ISREG(s.st_mode) ? (uint64_t)s.st_size : 0,
                       .mtime = (int64_t)s.st_mtim.tv_sec * 1000000000 + s.st_mtim.tv_nsec};
  return SG_OK;
}

static sg_status read_some(int fd, const char *path, uint64_t at, void *to, size_t room, size_t *got, sg_error *err) {
  ssize_t k = 0;
  do k = sgi_call_read(fd, to, room < PIECE_MAX ? room : PIECE_MAX);
  while (k < 0 && errno == EINTR);
  if (k < 0)
    return sgi_fail(err, SG_ERR_IO, "%s: could not read at byte %llu: %s", label(path), (unsigned long long)at,
                    strerror(errno));
  *got = (size_t)k;
  return SG_OK;
}

sg_status sgi_stamp_file(const char *path, bool with_hash, sgi_stamp *out, sg_error *err) {
  int fd;
  sg_status st = open_source(path, &fd, out, err);
  if (st || !with_hash) {
    if (!st) sgi_call_close(fd);
    return st;
  }
  XXH3_state_t state;
  XXH3_64bits_reset(&state);
  char buffer[64 << 10];
  uint64_t at = 0;
  for (size_t got = 1; !st && got; at += got) {
    st = read_some(fd, path, at, buffer, sizeof buffer, &got, err);
    if (!st) XXH3_64bits_update(&state, buffer, got);
  }
  out->hash = XXH3_64bits_digest(&state);
  sgi_call_close(fd);
  return st;
}

static sg_status take_raw(sgi_unpack *u, void *to, size_t room, size_t *got, sg_error *err) {
  sg_status st = read_some(u->fd, u->path, u->position, to, room, got, err);
  if (st) return st;
  if (!*got) u->raw_end = true;
  XXH3_64bits_update(&u->hash, to, *got);
  u->position += *got;
  return SG_OK;
}

/* ---- unpacking: each fills room bytes unless the text ends ----------------------------------- */

static sg_status refill(sgi_unpack *u, sg_error *err) {
  u->raw_at = u->raw_n = 0;
  return take_raw(u, u->raw, RAW_SIZE, &u->raw_n, err);
}

static sg_status fail_damaged(const sgi_unpack *u, const char *what, sg_error *err) {
  return sgi_fail(err, SG_ERR_FORMAT, "%s: damaged %s data before byte %llu: %s", label(u->path),
                  u->packing == SGI_ZSTD ? "zstd" : "gzip", (unsigned long long)u->position, what);
}

static sg_status fail_short(const sgi_unpack *u, sg_error *err) {
  return sgi_fail(err, SG_ERR_FORMAT, "%s: ends at byte %llu in the middle of its %s data: incomplete copy?",
                  label(u->path), (unsigned long long)u->position, u->packing == SGI_ZSTD ? "zstd" : "gzip");
}

static sg_status unpack_plain(sgi_unpack *u, char *to, size_t room, size_t *got, sg_error *err) {
  *got = 0;
  size_t kept = u->raw_n - u->raw_at; /* of a stream: what was looked at to see whether it is packed */
  if (kept) {
    *got = kept < room ? kept : room;
    memcpy(to, u->raw + u->raw_at, *got);
    u->raw_at += *got;
  }
  while (*got < room && !u->raw_end) {
    size_t k = 0;
    sg_status st = take_raw(u, to + *got, room - *got, &k, err);
    if (st) return st;
    *got += k;
  }
  return SG_OK;
}

static int window_log(const sgi_unpack *u) {
  return u->stamp.size && u->stamp.size < SMALL_FILE ? SMALL_WINDOW_LOG : WINDOW_LOG;
}

static sg_status unpack_zstd(sgi_unpack *u, char *to, size_t room, size_t *got, sg_error *err) {
  ZSTD_outBuffer o = {to, room, 0};
  while (o.pos < o.size) {
    if (u->raw_at == u->raw_n && !u->raw_end) {
      sg_status st = refill(u, err);
      if (st) return st;
    }
    if (u->raw_at == u->raw_n && u->between) break;
    ZSTD_inBuffer in = {u->raw, u->raw_n, u->raw_at};
    size_t before = o.pos, left = ZSTD_decompressStream(u->zstd, &o, &in);
    bool moved = in.pos != u->raw_at || o.pos != before;
    u->raw_at = in.pos;
    if (ZSTD_isError(left)) {
      ZSTD_ErrorCode code = ZSTD_getErrorCode(left);
      if (code == ZSTD_error_memory_allocation)
        return sgi_fail_memory(err, (size_t)1 << window_log(u), "unpacking zstd data");
      if (code == ZSTD_error_frameParameter_windowTooLarge)
        return sgi_fail(err, SG_ERR_UNSUPPORTED, "%s: zstd window above %d MB%s; pack it again with --long=%d or less",
                        label(u->path), 1 << (window_log(u) - 20),
                        window_log(u) < WINDOW_LOG ? ", in a file below 1 MB" : "", window_log(u));
      return fail_damaged(u, ZSTD_getErrorName(left), err);
    }
    u->between = left == 0;
    if (!moved && !u->between && u->raw_end) return fail_short(u, err);
  }
  *got = o.pos;
  return SG_OK;
}

static sg_status unpack_gzip(sgi_unpack *u, char *to, size_t room, size_t *got, sg_error *err) {
  z_stream *z = &u->gzip;
  size_t done = 0;
  while (done < room) {
    if (u->raw_at == u->raw_n && !u->raw_end) {
      sg_status st = refill(u, err);
      if (st) return st;
    }
    if (u->between) {
      /* Archives padded with zeros behind the last member are legal. */
      while (u->raw_at < u->raw_n && !u->raw[u->raw_at]) u->raw_at++;
      if (u->raw_at == u->raw_n) {
        if (u->raw_end) break;
        continue;
      }
      inflateReset(z);
      u->between = false;
    }
    size_t piece = room - done < PIECE_MAX ? room - done : PIECE_MAX;
    z->next_in = u->raw + u->raw_at;
    z->avail_in = (uInt)(u->raw_n - u->raw_at);
    z->next_out = (Bytef *)to + done;
    z->avail_out = (uInt)piece;
    int code = inflate(z, Z_NO_FLUSH);
    u->raw_at = u->raw_n - z->avail_in;
    done += piece - z->avail_out;
    if (code == Z_MEM_ERROR) return sgi_fail_memory(err, RAW_SIZE, "unpacking gzip data");
    if (code == Z_STREAM_END)
      u->between = true;
    else if (code != Z_OK && code != Z_BUF_ERROR)
      return fail_damaged(u, z->msg ? z->msg : "not a gzip member", err);
    else if (code == Z_BUF_ERROR && u->raw_at == u->raw_n && u->raw_end)
      return fail_short(u, err);
  }
  *got = done;
  return SG_OK;
}

static voidpf zlib_alloc(voidpf user, uInt items, uInt size) {
  (void)user;
  size_t bytes;
  return sgi_size_mul(items, size, &bytes) ? sgi_alloc(bytes) : NULL;
}

static void zlib_free(voidpf user, voidpf p) {
  (void)user;
  sgi_free(p);
}

/* ---- open, read, close ----------------------------------------------------------------------- */

/* By its first bytes. */
static sgi_packing packing_of(const unsigned char *head, size_t n) {
  static const unsigned char zstd[] = {0x28, 0xB5, 0x2F, 0xFD}, gzip[] = {0x1F, 0x8B};
  if (n >= sizeof zstd && !memcmp(head, zstd, sizeof zstd)) return SGI_ZSTD;
  return n >= sizeof gzip && !memcmp(head, gzip, sizeof gzip) ? SGI_GZIP : SGI_PLAIN;
}

/* The first bytes of a stream, four at least unless it ends. */
static sg_status look(sgi_unpack *u, sg_error *err) {
  sg_status st = SG_OK;
  for (size_t got = 1; !st && u->raw_n < 4 && got; u->raw_n += got)
    st = take_raw(u, u->raw + u->raw_n, RAW_SIZE - u->raw_n, &got, err);
  u->packing = packing_of(u->raw, u->raw_n);
  return st;
}

static sg_status start(sgi_unpack *u, sg_error *err) {
  XXH3_64bits_reset(&u->hash);
  if (u->packing == SGI_PLAIN) return SG_OK;
  if (!(u->raw = sgi_alloc(RAW_SIZE))) return sgi_fail_memory(err, RAW_SIZE, "reading a file");
  if (u->packing == SGI_BY_CONTENT) {
    sg_status st = look(u, err);
    if (st || u->packing == SGI_PLAIN) return st;
  }
  if (u->packing == SGI_ZSTD) {
    u->zstd = ZSTD_createDCtx();
    if (!u->zstd || ZSTD_isError(ZSTD_DCtx_setParameter(u->zstd, ZSTD_d_windowLogMax, window_log(u))))
      return sgi_fail_memory(err, RAW_SIZE, "unpacking zstd data");
    return SG_OK;
  }
  u->gzip.zalloc = zlib_alloc;
  u->gzip.zfree = zlib_free;
  if (inflateInit2(&u->gzip, 15 + 16) != Z_OK) return sgi_fail_memory(err, RAW_SIZE, "unpacking gzip data");
  u->gzip_open = true;
  return SG_OK;
}

/* A pointer in place of the file, or, in place of a packed one, what else its first bytes show. */
static sg_status look_at_head(const sgi_unpack *u, sg_error *err) {
  unsigned char head[256];
  ssize_t n = pread(u->fd, head, sizeof head, 0);
  if (n < 4) return SG_OK;
  if (u->packing != SGI_PLAIN && packing_of(head, (size_t)n) == u->packing) return SG_OK;
  return (u->packing == SGI_PLAIN ? sgi_stand_in_pointer : sgi_stand_in)(u->path, head, (size_t)n, err);
}

sg_status sgi_unpack_open(const char *path, sgi_packing packing, sgi_unpack **out, sg_error *err) {
  *out = NULL;
  sgi_unpack *u = sgi_alloc(sizeof *u);
  if (!u) return sgi_fail_memory(err, sizeof *u, "reading a file");
  u->path = path;
  u->packing = packing;
  sg_status st = open_source(path, &u->fd, &u->stamp, err);
  if (!st && packing != SGI_BY_CONTENT) st = look_at_head(u, err);
  if (!st) st = start(u, err);
  if (st) {
    sgi_unpack_close(u);
    return st;
  }
  *out = u;
  return SG_OK;
}

sg_status sgi_unpack_read(sgi_unpack *u, char *to, size_t room, size_t *got, sg_error *err) {
  *got = 0;
  switch (u->packing) {
    case SGI_ZSTD: return unpack_zstd(u, to, room, got, err);
    case SGI_GZIP: return unpack_gzip(u, to, room, got, err);
    default: return unpack_plain(u, to, room, got, err);
  }
}

/* Back to the file's first byte. */
static sg_status rewind_source(sgi_unpack *u, sg_error *err) {
  if (u->packing == SGI_ZSTD) ZSTD_DCtx_reset(u->zstd, ZSTD_reset_session_only);
  if (u->packing == SGI_GZIP) inflateReset(&u->gzip);
  u->raw_at = u->raw_n = 0;
  u->raw_end = u->between = false;
  u->position = 0;
  if (lseek(u->fd, 0, SEEK_SET) == 0) return SG_OK;
  return sgi_fail(err, SG_ERR_IO, "%s: could not go back to its start: %s", label(u->path), strerror(errno));
}

sg_status sgi_unpack_seek(sgi_unpack *u, uint64_t byte, sg_error *err) {
  char skipped[16 << 10];
  sg_status st = rewind_source(u, err);
  if (!st && u->packing == SGI_PLAIN) {
    if (byte > INT64_MAX || lseek(u->fd, (off_t)byte, SEEK_SET) < 0)
      return sgi_fail(err, SG_ERR_IO, "%s: could not go to byte %llu: %s", u->path, (unsigned long long)byte,
                      strerror(errno));
    u->position = byte;
    return SG_OK;
  }
  while (!st && byte) {
    size_t got = 0, room = byte < sizeof skipped ? (size_t)byte : sizeof skipped;
    st = sgi_unpack_read(u, skipped, room, &got, err);
    if (!st && got < room) return sgi_fail(err, SG_ERR_IO, "%s: ends sooner than when it was read first", u->path);
    byte -= got;
  }
  return st;
}

uint64_t sgi_unpack_position(const sgi_unpack *u) { return u->position; }

sgi_stamp sgi_unpack_stamp(const sgi_unpack *u) {
  sgi_stamp s = u->stamp;
  s.hash = XXH3_64bits_digest(&u->hash);
  return s;
}

void sgi_unpack_close(sgi_unpack *u) {
  if (!u) return;
  if (u->gzip_open) inflateEnd(&u->gzip);
  ZSTD_freeDCtx(u->zstd);
  if (u->fd >= 0) sgi_call_close(u->fd);
  sgi_free(u->raw);
  sgi_free(u);
}
