#include "text/reader.h"

#include <dirent.h>
#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "core/arena.h"

enum {
  FIRST_SIZE = 1 << 20,
  LINE_VALUES = 1 << 20, /* values in one JSON line: what jansson builds of a line stays below 100 MB */
};
#define ENDINGS ".txt or .jsonl, plain or with .zst or .gz behind it"

struct sgi_reader {
  char *path, *field;
  bool jsonl, blank_lines;
  bool keep_space, marked; /* marked: text[at] stands behind a mark */
  sgi_unpack *source;
  /* unpacked text: text[at..n) is not handed out yet, no document ends in text[at..scan) */
  char *text;
  size_t at, scan, n, size;
  bool text_end;
  uint64_t base; /* byte of the unpacked text that text[0] is */
  uint64_t line; /* .jsonl: number of the line just read */
  json_t *object;
  sg_error failure;
};

/* ---- names --------------------------------------------------------------------------------------------- */

static const char *base_name(const char *path) {
  const char *slash = strrchr(path, '/');
  return slash ? slash + 1 : path;
}

static char *join(const char *directory, const char *name, const char *ending) {
  size_t d = strlen(directory), n = strlen(name), e = strlen(ending);
  char *path = sgi_alloc(d + n + e + 2);
  if (!path) return NULL;
  memcpy(path, directory, d);
  if (d && directory[d - 1] != '/') path[d++] = '/';
  memcpy(path + d, name, n);
  memcpy(path + d + n, ending, e);
  return path;
}

static int by_bytes(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }

void sgi_text_files_free(char **files, size_t n) {
  if (!files) return;
  for (size_t i = 0; i < n; i++) sgi_free(files[i]);
  sgi_free(files);
}

sg_status sgi_text_files(const char *path, char ***out, size_t *n_out, sg_error *err) {
  *out = NULL;
  *n_out = 0;
  struct stat s;
  if (stat(path, &s) != 0) return sgi_fail(err, SG_ERR_IO, "%s: %s", path, strerror(errno));
  DIR *dir = NULL;
  size_t n = 0, size = 16, passed = 0;
  bool jsonl;
  sgi_packing packing;
  char **files = sgi_alloc(size * sizeof *files);
  if (!files) return sgi_fail_memory(err, size * sizeof *files, "a list of files");
  sg_status st = SG_OK;
  if (!S_ISDIR(s.st_mode)) {
    if (!sgi_text_ending(base_name(path), &jsonl, &packing)) {
      st = sgi_fail(err, SG_ERR_ARG, "%s: not a text file by its name; expected %s", path, ENDINGS);
      goto fail;
    }
    if (!(files[0] = sgi_strdup(path))) goto memory;
    *out = files, *n_out = 1;
    return SG_OK;
  }
  if (!(dir = opendir(path))) {
    st = sgi_fail(err, SG_ERR_IO, "%s: could not list the directory: %s", path, strerror(errno));
    goto fail;
  }
  for (;;) {
    errno = 0;
    const struct dirent *entry = readdir(dir);
    if (!entry) {
      if (errno) {
        st = sgi_fail(err, SG_ERR_IO, "%s: could not list the directory: %s", path, strerror(errno));
        goto fail;
      }
      break;
    }
    if (entry->d_name[0] == '.') continue;
    passed++;
    if (!sgi_text_ending(entry->d_name, &jsonl, &packing)) continue;
    if (n == size) {
      char **more = sgi_realloc(files, size * sizeof *files, 2 * size * sizeof *files);
      if (!more) goto memory;
      files = more, size *= 2;
    }
    char *file = join(path, entry->d_name, "");
    if (!file) goto memory;
    if (stat(file, &s) != 0 || !S_ISREG(s.st_mode)) {
      sgi_free(file);
      continue;
    }
    files[n++] = file;
  }
  closedir(dir);
  dir = NULL;
  if (!n) {
    st =
        sgi_fail(err, SG_ERR_IO, "%s: no text file among the %zu entries of the directory; expected files ending in %s",
                 path, passed, ENDINGS);
    goto fail;
  }
  qsort(files, n, sizeof *files, by_bytes);
  *out = files, *n_out = n;
  return SG_OK;
memory:
  st = sgi_fail_memory(err, size * sizeof *files, "a list of files");
fail:
  if (dir) closedir(dir);
  sgi_text_files_free(files, n);
  return st;
}

sg_status sgi_find_split(const char *directory, const char *name, char **path, sg_error *err) {
  static const char *const endings[] = {".txt", ".txt.zst", ".txt.gz", ".jsonl", ".jsonl.zst", ".jsonl.gz", ""};
  char found[SG_ERROR_TEXT / 2] = "";
  size_t n_found = 0;
  *path = NULL;
  for (size_t i = 0; i < SGI_COUNT(endings); i++) {
    char *one = join(directory, name, endings[i]);
    if (!one) {
      sgi_free(*path);
      *path = NULL;
      return sgi_fail_memory(err, strlen(directory) + strlen(name), "a path");
    }
    struct stat s;
    bool there = stat(one, &s) == 0 && (*endings[i] ? S_ISREG(s.st_mode) : S_ISDIR(s.st_mode));
    if (there) {
      const char *parts[] = {n_found ? ", " : "", name, *endings[i] ? endings[i] : "/"};
      for (size_t k = 0; k < SGI_COUNT(parts); k++) strncat(found, parts[k], sizeof found - strlen(found) - 1);
      n_found++;
    }
    if (there && n_found == 1)
      *path = one;
    else
      sgi_free(one);
  }
  if (n_found == 1) return SG_OK;
  sgi_free(*path);
  *path = NULL;
  if (n_found)
    return sgi_fail(err, SG_ERR_ARG, "%s: several texts for \"%s\": %s; keep one of them", directory, name, found);
  struct stat s;
  if (stat(directory, &s) != 0) return sgi_fail(err, SG_ERR_IO, "%s: %s", directory, strerror(errno));
  if (!S_ISDIR(s.st_mode)) return sgi_fail(err, SG_ERR_ARG, "%s: not a directory", directory);
  return sgi_fail(err, SG_ERR_IO,
                  "%s: no text for \"%s\"; expected %s.txt or %s.jsonl, plain or with .zst or .gz behind it, or a "
                  "directory %s/ of such files",
                  directory, name, name, name, name);
}

/* ---- the text buffer ----------------------------------------------------------------------------------- */

/* Unpacks more behind text[n). The buffer is filled whole each time and doubles, so that looking at its
 * tail again after each fill stays linear. Only called when no document ends in text[at..n). */
static sg_status fill(sgi_reader *r, sg_error *err) {
  size_t kept = r->n - r->at;
  if (kept > SGI_DOCUMENT_MAX) {
    unsigned long long byte = r->base + r->at;
    if (r->jsonl)
      return sgi_fail(err, SG_ERR_FORMAT, "%s: line %llu, which begins at byte %llu, is longer than %zu MB", r->path,
                      (unsigned long long)r->line + 1, byte, SGI_DOCUMENT_MAX >> 20);
    return sgi_fail(
        err, SG_ERR_FORMAT,
        "%s: the document that begins at byte %llu is longer than %zu MB; documents are split at %s", r->path, byte,
        SGI_DOCUMENT_MAX >> 20,
        r->blank_lines ? "blank lines here" : "\"" SGI_DOCUMENT_MARK "\" here, blank lines can be asked for");
  }
  if (kept > r->size / 2) {
    char *more = sgi_alloc(2 * r->size);
    if (!more) return sgi_fail_memory(err, 2 * r->size, "a document");
    memcpy(more, r->text + r->at, kept);
    sgi_free(r->text);
    r->text = more, r->size *= 2;
  } else {
    memmove(r->text, r->text + r->at, kept);
  }
  r->base += r->at;
  r->scan -= r->at;
  r->n = kept;
  r->at = 0;
  size_t room = r->size - r->n, got = 0;
  sg_status st = sgi_unpack_read(r->source, r->text + r->n, room, &got, err);
  if (st) return st;
  r->n += got;
  r->text_end = got < room;
  return SG_OK;
}

static bool is_space(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }

/* Where the document that begins at `at` ends, and where the next one may begin. False: more text is
 * needed. */
static bool end_at_mark(sgi_reader *r, size_t *end, size_t *next) {
  enum { K = sizeof SGI_DOCUMENT_MARK - 1 };
  const char *p = memmem(r->text + r->scan, r->n - r->scan, SGI_DOCUMENT_MARK, K);
  if (p) {
    *end = (size_t)(p - r->text);
    *next = *end + K;
    return true;
  }
  if (r->n - r->scan >= K) r->scan = r->n - (K - 1);
  return false;
}

static bool end_at_blank_line(sgi_reader *r, size_t *end, size_t *next) {
  while (r->scan < r->n) {
    const char *p = memchr(r->text + r->scan, '\n', r->n - r->scan);
    if (!p) {
      r->scan = r->n;
      return false;
    }
    size_t line = (size_t)(p - r->text), q = line + 1;
    while (q < r->n && r->text[q] != '\n' && is_space(r->text[q])) q++;
    if (q == r->n) { /* perhaps blank: the line break is looked at again */
      r->scan = line;
      return false;
    }
    if (r->text[q] == '\n') {
      *end = line;
      *next = q + 1;
      return true;
    }
    r->scan = q;
  }
  return false;
}

static bool end_at_line(sgi_reader *r, size_t *end, size_t *next) {
  const char *p = memchr(r->text + r->scan, '\n', r->n - r->scan);
  if (!p) {
    r->scan = r->n;
    return false;
  }
  *end = (size_t)(p - r->text);
  *next = *end + 1;
  return true;
}

static void drop_space(const sgi_reader *r, size_t *begin, size_t *end) {
  while (*begin < *end && is_space(r->text[*begin])) ++*begin;
  while (*end > *begin && is_space(r->text[*end - 1])) --*end;
}

/* The line breaks that belong to the mark in front and to the one behind, if there is one. */
static void drop_breaks(sgi_reader *r, bool mark_behind, size_t *begin, size_t *end) {
  if (r->marked && *begin < *end && r->text[*begin] == '\n') ++*begin;
  if (mark_behind && *end > *begin && r->text[*end - 1] == '\n') --*end;
  r->marked = mark_behind;
}

/* The next raw document or line without white space around it; *text NULL at the end. */
static sg_status next_piece(sgi_reader *r, const char **text, size_t *n, sg_error *err) {
  for (;;) {
    size_t end, next;
    /* White space in front goes at once, so that it never counts as part of a long document. Lines are
     * counted and keep theirs. */
    while (!r->jsonl && !r->keep_space && r->at < r->n && is_space(r->text[r->at])) r->at++;
    if (r->scan < r->at) r->scan = r->at;
    bool found = r->jsonl         ? end_at_line(r, &end, &next)
                 : r->blank_lines ? end_at_blank_line(r, &end, &next)
                                  : end_at_mark(r, &end, &next);
    if (!found) {
      if (!r->text_end) {
        sg_status st = fill(r, err);
        if (st) return st;
        continue;
      }
      if (r->at == r->n) {
        *text = NULL;
        return SG_OK;
      }
      end = next = r->n;
    }
    size_t begin = r->at;
    r->at = r->scan = next;
    r->line++;
    if (r->keep_space)
      drop_breaks(r, found, &begin, &end);
    else
      drop_space(r, &begin, &end);
    if (end - begin > SGI_DOCUMENT_MAX) {
      r->at = begin;
      r->line--;
      return fill(r, err);
    }
    if (end == begin) continue;
    *text = r->text + begin;
    *n = end - begin;
    return SG_OK;
  }
}

/* ---- JSON lines ---------------------------------------------------------------------------------------- */

/* Commas and brackets outside strings: a bound on the values in a line, before anything is built of it. */
static size_t count_values(const char *text, size_t n) {
  size_t count = 0;
  bool inside = false;
  for (size_t i = 0; i < n; i++) {
    char c = text[i];
    if (inside && c == '\\')
      i++;
    else if (c == '"')
      inside = !inside;
    else if (!inside && (c == ',' || c == '[' || c == '{'))
      count++;
  }
  return count;
}

static sg_status fail_field(const sgi_reader *r, const char *found, sg_error *err) {
  char keys[160] = "";
  const char *key;
  json_t *value;
  json_object_foreach(r->object, key, value) {
    if (!json_is_string(value) || strlen(keys) + strlen(key) + 6 > sizeof keys) continue;
    strcat(strcat(strcat(keys, *keys ? ", \"" : "\""), key), "\"");
  }
  return sgi_fail(err, SG_ERR_FORMAT,
                  "%s: line %llu: field \"%s\" is %s, expected a string; string fields of this line: %s", r->path,
                  (unsigned long long)r->line, r->field, found, *keys ? keys : "none");
}

static sg_status next_line(sgi_reader *r, const char **text, size_t *n, sg_error *err) {
  for (;;) {
    const char *line;
    size_t length;
    json_decref(r->object);
    r->object = NULL;
    sg_status st = next_piece(r, &line, &length, err);
    if (st || !line) {
      *text = NULL;
      return st;
    }
    unsigned long long number = r->line;
    if (count_values(line, length) > LINE_VALUES)
      return sgi_fail(err, SG_ERR_FORMAT, "%s: line %llu has more than %d values", r->path, number, LINE_VALUES);
    json_error_t e;
    r->object = json_loadb(line, length, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, &e);
    if (!r->object) {
      if (json_error_code(&e) == json_error_out_of_memory) return sgi_fail_memory(err, length, "a line of JSON");
      return sgi_fail(err, SG_ERR_FORMAT, "%s: line %llu, byte %d of it: %s; expected one JSON object a line", r->path,
                      number, e.position, e.text);
    }
    if (!json_is_object(r->object))
      return sgi_fail(err, SG_ERR_FORMAT, "%s: line %llu: not a JSON object; expected {\"%s\": \"...\"}", r->path,
                      number, r->field);
    const json_t *value = json_object_get(r->object, r->field);
    if (!json_is_string(value)) return fail_field(r, value ? "no string" : "missing", err);
    if (!json_string_length(value)) continue;
    *text = json_string_value(value);
    *n = json_string_length(value);
    return SG_OK;
  }
}

/* ---- open, next, close --------------------------------------------------------------------------------- */

static sg_status start(sgi_reader *r, sgi_packing packing, sg_error *err) {
  r->size = FIRST_SIZE;
  if (!r->path || !r->field || !(r->text = sgi_alloc(r->size))) return sgi_fail_memory(err, r->size, "reading text");
  sg_status st = sgi_unpack_open(r->path, packing, &r->source, err);
  if (st || (st = fill(r, err))) return st;
  if (r->n >= 3 && !memcmp(r->text, "\xEF\xBB\xBF", 3)) r->at = r->scan = 3;
  if (r->n >= 2 && (!memcmp(r->text, "\xFF\xFE", 2) || !memcmp(r->text, "\xFE\xFF", 2)))
    return sgi_fail(err, SG_ERR_FORMAT, "%s: begins with the byte order mark of UTF-16; convert it to UTF-8", r->path);
  return SG_OK;
}

sg_status sgi_reader_open(const char *path, bool blank_lines, const char *field, sgi_reader **out, sg_error *err) {
  *out = NULL;
  bool jsonl;
  sgi_packing packing;
  if (!sgi_text_ending(base_name(path), &jsonl, &packing))
    return sgi_fail(err, SG_ERR_ARG, "%s: not a text file by its name; expected %s", path, ENDINGS);
  sgi_reader *r = sgi_alloc(sizeof *r);
  if (!r) return sgi_fail_memory(err, sizeof *r, "reading text");
  r->jsonl = jsonl;
  r->blank_lines = blank_lines;
  r->path = sgi_strdup(path);
  r->field = sgi_strdup(field && *field ? field : "text");
  sg_status st = start(r, packing, err);
  if (st) {
    sgi_reader_close(r);
    return st;
  }
  *out = r;
  return SG_OK;
}

void sgi_reader_keep_space(sgi_reader *r) { r->keep_space = !r->jsonl && !r->blank_lines; }

sg_status sgi_reader_next(sgi_reader *r, const char **text, size_t *n, sg_error *err) {
  *text = NULL;
  *n = 0;
  if (!r->failure.code) {
    sg_status st = r->jsonl ? next_line(r, text, n, &r->failure) : next_piece(r, text, n, &r->failure);
    if (!st) return SG_OK;
    *text = NULL;
  }
  if (err) *err = r->failure;
  return r->failure.code;
}

sgi_reader_place sgi_reader_tell(const sgi_reader *r) { return (sgi_reader_place){r->base + r->at, r->line}; }

sg_status sgi_reader_seek(sgi_reader *r, sgi_reader_place place, sg_error *err) {
  r->failure = (sg_error){0};
  r->at = r->scan = r->n = 0;
  r->base = place.byte;
  r->line = place.line;
  r->text_end = r->marked = false;
  return sgi_unpack_seek(r->source, place.byte, err);
}

uint64_t sgi_reader_position(const sgi_reader *r) { return sgi_unpack_position(r->source); }
sgi_stamp sgi_reader_stamp(const sgi_reader *r) { return sgi_unpack_stamp(r->source); }

void sgi_reader_close(sgi_reader *r) {
  if (!r) return;
  json_decref(r->object);
  sgi_unpack_close(r->source);
  sgi_free(r->text);
  sgi_free(r->path);
  sgi_free(r->field);
  sgi_free(r);
}
