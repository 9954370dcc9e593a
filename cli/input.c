/* input.c: whole files and lines, from a path or from standard input ("-"). */
#include "cli.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static const size_t MAX_PROMPT = (size_t)64 << 20;

static const char *label(const char *path) { return strcmp(path, "-") == 0 ? "standard input" : path; }

static sg_status open_input(const char *path, FILE **out, sg_error *err) {
  struct stat st;
  if (strcmp(path, "-") == 0) return *out = stdin, SG_OK;
  *out = fopen(path, "re");
  if (!*out)
    return sgi_fail(err, errno == ENOMEM ? SG_ERR_MEMORY : SG_ERR_IO, "%s: can not be opened: %s", path,
                    strerror(errno));
  if (fstat(fileno(*out), &st) == 0 && S_ISDIR(st.st_mode)) {
    fclose(*out);
    return sgi_fail(err, SG_ERR_IO, "%s: is a directory, a file is expected", path);
  }
  return SG_OK;
}

static void close_input(FILE *f) {
  if (f && f != stdin) fclose(f);
}

/* Makes room for one byte more than n. */
static sg_status grow(char **text, size_t *room, size_t n, size_t step, sg_error *err) {
  if (n + step < *room) return SG_OK;
  size_t want = *room + *room / 2 + step + 1;
  char *p = realloc(*text, want);
  if (!p) return sgi_fail_memory(err, want, "input");
  *text = p;
  *room = want;
  return SG_OK;
}

sg_status cli_read_all(const char *path, size_t max, char **text, size_t *n, sg_error *err) {
  FILE *f;
  size_t room = 0;
  *text = NULL;
  *n = 0;
  sg_status st = open_input(path, &f, err);
  if (st) return st;
  while (!st && !feof(f)) {
    if ((st = grow(text, &room, *n, 65536, err))) break;
    *n += fread(*text + *n, 1, 65536, f);
    if (ferror(f))
      st = sgi_fail(err, SG_ERR_IO, "%s: can not be read: %s", label(path), strerror(errno));
    else if (*n > max)
      st = sgi_fail(err, SG_ERR_UNSUPPORTED, "%s: is longer than %zu bytes", label(path), max);
  }
  close_input(f);
  if (st) {
    free(*text);
    *text = NULL;
    *n = 0;
    return st;
  }
  (*text)[*n] = 0;
  return SG_OK;
}

/* ---- prompts --------------------------------------------------------------------------------- */

static sg_status check_prompt(const char *path, const char *text, size_t n, sg_error *err) {
  bool little = n >= 2 && !memcmp(text, "\xFF\xFE", 2), big = n >= 2 && !memcmp(text, "\xFE\xFF", 2);
  if (little || big)
    return sgi_fail(err, SG_ERR_FORMAT, "%s: is UTF-16, a prompt is UTF-8 text: turn it by iconv -f UTF-16 -t UTF-8",
                    label(path));
  const char *zero = memchr(text, 0, n);
  if (zero)
    return sgi_fail(err, SG_ERR_FORMAT, "%s: byte %zu is zero: a prompt is UTF-8 text", label(path),
                    (size_t)(zero - text));
  return SG_OK;
}

sg_status cli_read_prompt(const char *path, char **text, size_t *n, sg_error *err) {
  char *all;
  size_t length;
  *text = NULL;
  *n = 0;
  sg_status st = cli_read_all(path, MAX_PROMPT, &all, &length, err);
  if (st) return st;
  st = check_prompt(path, all, length, err);
  if (!st) {
    size_t mark = (size_t)(sgi_skip_mark(all) - all);
    memmove(all, all + mark, length - mark + 1);
    length -= mark;
    if (length && all[length - 1] == '\n') length--, length -= length && all[length - 1] == '\r';
    all[length] = 0;
    *n = length;
    *text = sgi_strdup(all);
    if (!*text) st = sgi_fail_memory(err, length + 1, "a prompt");
  }
  free(all);
  return st;
}

/* ---- lines ----------------------------------------------------------------------------------- */

struct cli_lines {
  FILE *f;
  const char *path;
  char *text;
  size_t room, number, max;
};

sg_status cli_lines_open(const char *path, size_t max, cli_lines **out, sg_error *err) {
  *out = NULL;
  FILE *f;
  sg_status st = open_input(path, &f, err);
  if (st) return st;
  cli_lines *l = calloc(1, sizeof *l);
  if (!l) {
    close_input(f);
    return sgi_fail_memory(err, sizeof *l, "input");
  }
  *l = (cli_lines){.f = f, .path = path, .max = max};
  *out = l;
  return SG_OK;
}

sg_status cli_lines_next(cli_lines *l, const char **text, size_t *n, sg_error *err) {
  sg_status st = SG_OK;
  size_t used = 0;
  int b = 0;
  *text = NULL;
  *n = 0;
  l->number++;
  while ((b = getc_unlocked(l->f)) != EOF && b != '\n') {
    if ((st = grow(&l->text, &l->room, used, 256, err))) return st;
    l->text[used++] = (char)b;
    if (used > l->max)
      return sgi_fail(err, SG_ERR_UNSUPPORTED, "%s, line %zu: is longer than %zu bytes", label(l->path), l->number,
                      l->max);
  }
  if (ferror(l->f)) return sgi_fail(err, SG_ERR_IO, "%s: can not be read: %s", label(l->path), strerror(errno));
  if (b == EOF && used == 0) return SG_OK;
  if ((st = grow(&l->text, &l->room, used, 1, err))) return st;
  if (used && l->text[used - 1] == '\r') used--;
  l->text[used] = 0;
  *text = l->number == 1 ? sgi_skip_mark(l->text) : l->text; /* a byte order mark is the file's */
  *n = used - (size_t)(*text - l->text);
  return SG_OK;
}

const char *cli_lines_where(const cli_lines *l, char *out, size_t size) {
  snprintf(out, size, "%s, line %zu", label(l->path), l->number);
  return out;
}

void cli_lines_close(cli_lines *l) {
  if (!l) return;
  close_input(l->f);
  free(l->text);
  free(l);
}
