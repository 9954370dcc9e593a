/* files.c: which files of a path are text, and which of a directory are one of its splits. */
#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "core/arena.h"
#include "core/file.h"
#include "text/reader.h"
#include "text/shards.h"

/* ---- lists of names -------------------------------------------------------------------------- */

typedef struct names {
  char **at;
  size_t n, size;
} names;

static void free_names(names *list) {
  sgi_text_files_free(list->at, list->n);
  *list = (names){0};
}

/* Takes name (NULL: memory was out already). */
static sg_status add_name(names *list, char *name, sg_error *err) {
  if (name && !sgi_room(&list->at, &list->size, list->n, sizeof *list->at)) {
    sgi_free(name);
    name = NULL;
  }
  if (!name) return sgi_fail_memory(err, (list->size + 1) * sizeof *list->at, "a list of files");
  list->at[list->n++] = name;
  return SG_OK;
}

static int by_bytes(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }

/* Names of a directory's entries but for hidden ones, in byte order. */
static sg_status list_directory(const char *path, names *out, sg_error *err) {
  DIR *dir = opendir(path);
  sg_status st = SG_OK;
  if (!dir) return sgi_fail_file(err, path, "could not list the directory");
  while (!st) {
    errno = 0;
    const struct dirent *entry = readdir(dir);
    if (!entry && errno) st = sgi_fail_file(err, path, "could not list the directory");
    if (!entry) break;
    if (entry->d_name[0] != '.') st = add_name(out, sgi_strdup(entry->d_name), err);
  }
  closedir(dir);
  if (!st && out->n) qsort(out->at, out->n, sizeof *out->at, by_bytes);
  return st;
}

void sgi_text_files_free(char **files, size_t n) {
  if (!files) return;
  for (size_t i = 0; i < n; i++) sgi_free(files[i]);
  sgi_free(files);
}

/* ---- text files of a path -------------------------------------------------------------------- */

/* Whether a .json can be read as JSON lines: its first one is. *why: what spoke against it. Only an
 * array and what is no matter of form are failures. */
static sg_status try_json(const char *path, const char *field, bool *lines, char why[SGI_NOTE_WHY], sg_error *err) {
  sgi_reader *r = NULL;
  const char *text;
  size_t n;
  sg_error e = {0};
  sg_status st = sgi_reader_open(path, false, field, &r, &e);
  if (!st) st = sgi_reader_next(r, &text, &n, &e);
  sgi_reader_close(r);
  *lines = !st;
  if (st == SG_ERR_FORMAT && !strstr(e.text, "but an array")) {
    size_t k = strlen(e.text);
    if (k >= SGI_NOTE_WHY) k = SGI_NOTE_WHY - 1;
    while (k && ((unsigned char)e.text[k] & 0xC0) == 0x80) k--;
    memcpy(why, e.text, k);
    return SG_OK;
  }
  if (st && err) *err = e;
  return st;
}

static void pass_over(sgi_text_notes *now, const char *name, const struct stat *s) {
  char shown[SGI_NOTE_NAME];
  sgi_note_name(name, shown);
  if (now->passed < 4 && strlen(now->passed_names) + strlen(shown) + 8 < sizeof now->passed_names) {
    if (now->passed) strcat(now->passed_names, ", ");
    strcat(strcat(now->passed_names, shown), S_ISDIR(s->st_mode) ? "/" : "");
  } else if (now->passed && !strstr(now->passed_names, ", ...")) {
    strcat(now->passed_names, ", ...");
  }
  now->passed++;
  if (S_ISREG(s->st_mode)) now->passed_bytes += (uint64_t)s->st_size;
}

/* One entry of a directory: into files, or passed over. */
static sg_status take_entry(const char *directory, const char *name, const char *field, sgi_text_notes *now,
                            names *files, sg_error *err) {
  struct stat s = {0};
  sgi_packing packing;
  char why[SGI_NOTE_WHY] = "", *path = sgi_path_join(directory, name);
  if (!path) return sgi_fail_memory(err, strlen(directory) + strlen(name), "a path");
  sgi_text_kind kind = sgi_text_ending(name, &packing, NULL);
  bool text = stat(path, &s) == 0 && S_ISREG(s.st_mode) && kind != SGI_TEXT_NONE;
  sg_status st = text && kind == SGI_TEXT_JSON ? try_json(path, field, &text, why, err) : SG_OK;
  if (!st && text) return add_name(files, path, err);
  sgi_free(path);
  if (st) return st;
  pass_over(now, name, &s);
  if (*why && !*now->passed_why) memcpy(now->passed_why, why, sizeof why);
  return SG_OK;
}

static sg_status take_directory(const char *path, const char *field, sgi_text_notes *notes, names *files,
                                sg_error *err) {
  names entries = {0};
  sgi_text_notes now = {0};
  sg_status st = list_directory(path, &entries, err);
  for (size_t i = 0; i < entries.n && !st; i++) st = take_entry(path, entries.at[i], field, &now, files, err);
  if (!st && !files->n)
    st = sgi_fail(err, SG_ERR_IO,
                  "%s: no text file among the %zu entries of the directory; expected files ending in %s%s%s", path,
                  entries.n, SGI_TEXT_ENDINGS, *now.passed_why ? "; " : "", now.passed_why);
  free_names(&entries);
  if (!st) st = sgi_shards_missing(files->at, files->n, &now, err);
  if (notes && !st) sgi_text_notes_add(notes, &now);
  return st;
}

sg_status sgi_text_files(const char *path, const char *field, sgi_text_notes *notes, char ***out, size_t *n,
                         sg_error *err) {
  *out = NULL;
  *n = 0;
  names files = {0};
  struct stat s;
  sgi_packing packing;
  sg_status st;
  bool stream = sgi_is_stream(path);
  if (!stream && stat(path, &s) != 0) return sgi_fail(err, SG_ERR_IO, "%s: %s", path, strerror(errno));
  if (!stream && S_ISDIR(s.st_mode))
    st = take_directory(path, field, notes, &files, err);
  else if (!stream && sgi_text_ending(path, &packing, NULL) == SGI_TEXT_NONE)
    st = sgi_fail(err, SG_ERR_ARG, "%s: not a text file by its name; expected %s", path, SGI_TEXT_ENDINGS);
  else
    st = add_name(&files, sgi_strdup(path), err);
  if (st) {
    free_names(&files);
    return st;
  }
  *out = files.at, *n = files.n;
  return SG_OK;
}

sg_status sgi_text_whole(const char *path, const char *field, const char *otherwise, sg_error *err) {
  sgi_text_notes notes = {0};
  char **files;
  size_t n;
  sg_status st = sgi_text_files(path, field, &notes, &files, &n, err);
  if (st) return st;
  sgi_text_files_free(files, n);
  if (!notes.missing) return SG_OK;
  return sgi_fail(err, SG_ERR_FORMAT, "%s: %llu %s missing by the numbers of the others: %s; fetch %s, or %s", path,
                  (unsigned long long)notes.missing, notes.missing == 1 ? "shard is" : "shards are",
                  notes.missing_names, notes.missing == 1 ? "it" : "them", otherwise);
}

/* ---- splits ---------------------------------------------------------------------------------- */

/* Whether an entry is the split of that name: its text file, or (a directory) its files. */
static bool is_split(const char *directory, const char *entry, const char *name, bool json, sg_status *st,
                     sg_error *err) {
  sgi_packing packing;
  size_t stem, n = strlen(name);
  sgi_text_kind kind = sgi_text_ending(entry, &packing, &stem);
  bool file = kind != SGI_TEXT_NONE && (kind == SGI_TEXT_JSON) == json && stem == n && !memcmp(entry, name, n);
  bool whole = !json && !strcmp(entry, name);
  if (!file && !whole) return false;
  struct stat s;
  char *path = sgi_path_join(directory, entry);
  if (!path) return *st = sgi_fail_memory(err, strlen(directory) + n, "a path"), false;
  bool there = stat(path, &s) == 0 && (file ? S_ISREG(s.st_mode) : S_ISDIR(s.st_mode));
  sgi_free(path);
  return there;
}

sg_status sgi_find_split(const char *directory, const char *name, char **path, sg_error *err) {
  char found[SG_ERROR_TEXT / 2] = "";
  size_t n_found = 0;
  names entries = {0};
  struct stat s;
  *path = NULL;
  if (stat(directory, &s) != 0) return sgi_fail(err, SG_ERR_IO, "%s: %s", directory, strerror(errno));
  if (!S_ISDIR(s.st_mode)) return sgi_fail(err, SG_ERR_ARG, "%s: not a directory", directory);
  sg_status st = list_directory(directory, &entries, err);
  for (size_t round = 0; round < 2 && !n_found; round++) {
    for (size_t i = 0; i < entries.n && !st; i++) {
      if (!is_split(directory, entries.at[i], name, round, &st, err)) continue;
      const char *parts[] = {n_found ? ", " : "", entries.at[i], strcmp(entries.at[i], name) ? "" : "/"};
      for (size_t k = 0; k < SGI_COUNT(parts); k++) strncat(found, parts[k], sizeof found - strlen(found) - 1);
      if (!n_found++ && !(*path = sgi_path_join(directory, entries.at[i])))
        st = sgi_fail_memory(err, strlen(directory), "a path");
    }
  }
  free_names(&entries);
  if (!st && n_found == 1) return SG_OK;
  sgi_free(*path);
  *path = NULL;
  if (st) return st;
  if (n_found)
    return sgi_fail(err, SG_ERR_ARG, "%s: several texts for \"%s\": %s; keep one of them", directory, name, found);
  return sgi_fail(err, SG_ERR_IO,
                  "%s: no text for \"%s\"; expected %s.txt or %s.jsonl, plain or with .zst or .gz behind it, or a "
                  "directory %s/ of such files",
                  directory, name, name, name, name);
}
