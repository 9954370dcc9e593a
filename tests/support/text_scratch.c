#include "support/text_scratch.h"

#undef NDEBUG
#include <assert.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <zlib.h>
#include <zstd.h>

#include "core/file.h"
#include "support/temporary.h"

static char root[512];

const char *scratch_begin(void) {
  bool made = test_temporary(root, sizeof root, "sgatlin-test", false);
  assert(made);
  return root;
}

void scratch_end(void) {
  sg_status st = sgi_remove_tree(root, NULL);
  assert(st == SG_OK);
}

const char *scratch_path(const char *name) {
  static char ring[16][1024];
  static size_t next;
  char *path = ring[next++ % 16];
  snprintf(path, sizeof ring[0], "%s/%s", root, name);
  return path;
}

void scratch_write(const char *name, const void *data, size_t n) {
  FILE *f = fopen(scratch_path(name), "wb");
  assert(f);
  size_t written = n ? fwrite(data, 1, n, f) : 0;
  assert(written == n);
  int closed = fclose(f);
  assert(!closed);
}

void scratch_text(const char *name, const char *text) { scratch_write(name, text, strlen(text)); }

void scratch_zstd(const char *name, const void *data, size_t n, size_t piece) {
  if (!piece) piece = n + 1;
  size_t size = 0, at = 0, room = 0;
  for (size_t i = 0; i == 0 || i < n; i += piece) room += ZSTD_compressBound(n - i < piece ? n - i : piece);
  char *packed = malloc(room);
  assert(packed);
  do {
    size_t k = n - at < piece ? n - at : piece;
    size_t got = ZSTD_compress(packed + size, room - size, (const char *)data + at, k, 3);
    assert(!ZSTD_isError(got));
    size += got;
    at += k;
  } while (at < n);
  scratch_write(name, packed, size);
  free(packed);
}

void scratch_gzip(const char *name, const void *data, size_t n, size_t piece) {
  if (!piece) piece = n + 1;
  size_t room = n + n / 100 + 64 * (n / piece + 1) + 1024, at = 0;
  char *packed = malloc(room);
  assert(packed);
  z_stream z = {.next_out = (Bytef *)packed, .avail_out = (uInt)room};
  int code = deflateInit2(&z, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY);
  assert(code == Z_OK);
  do {
    size_t k = n - at < piece ? n - at : piece;
    z.next_in = (Bytef *)(const char *)data + at;
    z.avail_in = (uInt)k;
    code = deflate(&z, Z_FINISH);
    assert(code == Z_STREAM_END);
    at += k;
    if (at < n) deflateReset(&z);
  } while (at < n);
  scratch_write(name, packed, room - z.avail_out);
  deflateEnd(&z);
  free(packed);
}

char *scratch_read(const char *name, size_t *n) {
  FILE *f = fopen(scratch_path(name), "rb");
  assert(f);
  fseek(f, 0, SEEK_END);
  *n = (size_t)ftell(f);
  rewind(f);
  char *data = malloc(*n + 1);
  assert(data);
  size_t got = fread(data, 1, *n, f);
  assert(got == *n);
  data[*n] = '\0';
  fclose(f);
  return data;
}

static size_t count_below(const char *directory, const char *part) {
  DIR *dir = opendir(directory);
  if (!dir) return 0;
  size_t count = 0;
  for (const struct dirent *e; (e = readdir(dir));) {
    if (!strcmp(e->d_name, ".") || !strcmp(e->d_name, "..")) continue;
    char path[2048];
    snprintf(path, sizeof path, "%s/%s", directory, e->d_name);
    struct stat s;
    if (lstat(path, &s) != 0) continue;
    if (S_ISDIR(s.st_mode))
      count += count_below(path, part);
    else if (strstr(e->d_name, part))
      count++;
  }
  closedir(dir);
  return count;
}

size_t scratch_count(const char *name, const char *part) { return count_below(scratch_path(name), part); }
