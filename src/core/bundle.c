/* Directories that are complete or not there.
 *
 * Idea. A checkpoint is several files that only make sense together. A rename is the one step
 * that a file system does wholly or not at all, so a bundle is written under another name and
 * renamed last.
 *
 *   PARENT/
 *     step-00000500/            complete: MANIFEST.json lists name, bytes, xxh3 of every file
 *     step-00001000.tmp-4711/   being written by process 4711, or left by one that was killed
 *     step-00000500.tmp-0/      an old one on its way out: it lost its name before its files
 *     latest                    text: the newest name, written whole after the rename
 *     lock                      (of the directory above) held while a process writes
 *
 * Order of a commit, each step durable before the next:
 *   1. files, each written and fsynced by its writer       a kill leaves .tmp-PID
 *   2. hashes -> MANIFEST.json, fsync of it and its folder  likewise
 *   3. rename to the final name, fsync of PARENT            from here on it exists, whole
 *   4. `latest`, itself a temporary file and a rename       a kill before: latest is one behind
 *
 * Invariants. A name without ".tmp-" is a complete bundle, or was damaged afterwards, which its
 * hashes show. `latest` is a hint for people and other programs: sgi_bundle_newest trusts numbers
 * and hashes, goes down from the highest that verifies, and says which it passed over. "Out of
 * memory" while verifying is no verdict on a bundle and ends the search. A bundle is removed by
 * losing its name first.
 *
 * Who cleans. Leftovers are removed by the next begin: the run's lock (flock, so it ends with the
 * process however that ends) says that nobody else is writing.
 *
 * Tried. Pruning by deleting files in place: a kill in the middle left a directory with a good
 * name and half its files. Not taken: trusting `latest`, which a power cut between 3 and 4 leaves
 * one behind. */
#include "core/bundle.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "core/arena.h"
#include "core/calls.h"
#include "core/manifest.h"

enum { NAME_BYTES = SGI_MANIFEST_NAME };
static const char TEMPORARY[] = ".tmp-";

struct sgi_bundle {
  char *parent, *final, *temporary;
  char name[NAME_BYTES];
};

/* ---- names of a directory -------------------------------------------------------------------- */

typedef struct names {
  char **list;
  size_t count, capacity;
} names;

static void names_free(names *n) {
  for (size_t i = 0; i < n->count; i++) sgi_free(n->list[i]);
  sgi_free(n->list);
}

static int by_text(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }

static sg_status list_directory(const char *path, names *out, sg_error *err) {
  DIR *d = opendir(path);
  if (!d) return sgi_fail_file(err, path, "could not open the directory");
  sg_status st = SG_OK;
  for (struct dirent *e; !st && (e = readdir(d));) {
    if (!strcmp(e->d_name, ".") || !strcmp(e->d_name, "..")) continue;
    if (!sgi_room(&out->list, &out->capacity, out->count, sizeof *out->list) ||
        !(out->list[out->count] = sgi_strdup(e->d_name)))
      st = sgi_fail_memory(err, NAME_BYTES, path);
    else
      out->count++;
  }
  closedir(d);
  if (out->count) qsort(out->list, out->count, sizeof *out->list, by_text);
  return st;
}

/* ---- making a bundle ------------------------------------------------------------------------- */

static void bundle_free(sgi_bundle *b) {
  sgi_free(b->parent);
  sgi_free(b->final);
  sgi_free(b->temporary);
  sgi_free(b);
}

static bool is_temporary(const char *name, const char *const *starts, size_t n) {
  const char *tail = strstr(name, TEMPORARY);
  bool ours = false;
  for (size_t i = 0; i < n; i++) ours = ours || !strncmp(name, starts[i], strlen(starts[i]));
  return ours && tail && tail != name;
}

sg_status sgi_remove_temporaries(const char *directory, const char *const *starts, size_t n, sg_error *err) {
  names all = {0};
  sg_status st = list_directory(directory, &all, err);
  for (size_t i = 0; i < all.count && !st; i++) {
    if (!is_temporary(all.list[i], starts, n)) continue;
    char *path = sgi_path_join(directory, all.list[i]);
    st = path ? sgi_remove_tree(path, err) : sgi_fail_memory(err, NAME_BYTES, "a path");
    sgi_free(path);
  }
  names_free(&all);
  return st;
}

/* The run's lock says that nobody else is writing. */
static sg_status remove_leftovers(const char *parent, sg_error *err) {
  return sgi_remove_temporaries(parent, (const char *const[]){""}, 1, err);
}

sg_status sgi_bundle_begin(const char *parent, const char *name, sgi_bundle **out, sg_error *err) {
  *out = NULL;
  char temporary[NAME_BYTES + 32];
  if (!*name || strlen(name) >= NAME_BYTES || strchr(name, '/'))
    return sgi_fail(err, SG_ERR_ARG, "\"%.60s\" can not name a directory", name);
  sg_status st = sgi_make_directory(parent, err);
  if (!st) st = remove_leftovers(parent, err);
  if (st) return st;
  sgi_bundle *b = sgi_alloc(sizeof *b);
  if (!b) return sgi_fail_memory(err, sizeof *b, "a checkpoint");
  snprintf(b->name, sizeof b->name, "%s", name);
  snprintf(temporary, sizeof temporary, "%s%s%ld", name, TEMPORARY, (long)getpid());
  b->parent = sgi_strdup(parent);
  b->final = sgi_path_join(parent, name);
  b->temporary = sgi_path_join(parent, temporary);
  st = b->parent && b->final && b->temporary ? sgi_make_directory(b->temporary, err)
                                             : sgi_fail_memory(err, strlen(parent), "a path");
  if (st)
    sgi_bundle_drop(b);
  else
    *out = b;
  return st;
}

const char *sgi_bundle_path(const sgi_bundle *b) { return b->temporary; }

void sgi_bundle_drop(sgi_bundle *b) {
  if (!b) return;
  if (b->temporary) sgi_remove_tree(b->temporary, NULL);
  bundle_free(b);
}

static sg_status make_manifest(const sgi_bundle *b, json_t **out, sg_error *err) {
  names all = {0};
  sg_status st = list_directory(b->temporary, &all, err);
  if (!st) st = sgi_manifest_make(b->temporary, all.list, all.count, NULL, NULL, out, err);
  names_free(&all);
  return st;
}

/* The bundle loses its name, durably, and aside is what it is called until it is gone. Where that
 * can not be made durable it gets the name back; where it does not even take that, it goes at once:
 * a newer one is there already, and half of this one would be seen by its hashes. */
static sg_status set_aside(const char *path, const char *aside, sg_error *err) {
  sg_status st = sgi_remove_tree(aside, err);
  if (!st) st = sgi_rename(path, aside, err);
  if (st && sgi_call_rename(aside, path) < 0) sgi_remove_tree(aside, NULL);
  return st;
}

/* A bundle that has the name already (resume only redoes a step whose bundle did not verify) is
 * moved aside first. */
static sg_status give_name(const sgi_bundle *b, sg_error *err) {
  if (!sgi_is_directory(b->final)) return sgi_rename(b->temporary, b->final, err);
  size_t n = strlen(b->final) + 16;
  char *old = sgi_alloc(n);
  if (!old) return sgi_fail_memory(err, n, "a path");
  snprintf(old, n, "%s%s0", b->final, TEMPORARY);
  sg_status st = set_aside(b->final, old, err);
  if (!st) {
    st = sgi_rename(b->temporary, b->final, err);
    /* the new one has the name, or nothing helps */
    if (st && sgi_call_rename(old, b->final) < 0) sgi_remove_tree(old, NULL);
  }
  if (!st) st = sgi_remove_tree(old, err);
  sgi_free(old);
  return st;
}

static sg_status write_in(const char *directory, const char *name, const char *text, sg_error *err) {
  char *path = sgi_path_join(directory, name);
  sg_status st =
      path ? sgi_write_file(path, text, strlen(text), err) : sgi_fail_memory(err, strlen(directory), "a path");
  sgi_free(path);
  return st;
}

sg_status sgi_bundle_commit(sgi_bundle *b, const char *latest, sg_error *err) {
  json_t *manifest = NULL;
  char *path = sgi_path_join(b->temporary, SGI_MANIFEST), pointer[NAME_BYTES + 2];
  sg_status st = path ? make_manifest(b, &manifest, err) : sgi_fail_memory(err, NAME_BYTES, "a path");
  if (!st) st = sgi_json_save(path, manifest, err); /* and fsync of the directory */
  if (!st) st = give_name(b, err);
  if (!st && latest) {
    snprintf(pointer, sizeof pointer, "%s\n", b->name);
    st = write_in(b->parent, latest, pointer, err);
  }
  json_decref(manifest);
  sgi_free(path);
  if (st)
    sgi_bundle_drop(b);
  else
    bundle_free(b);
  return st;
}

/* ---- reading --------------------------------------------------------------------------------- */

/* Number of PREFIX followed by 1 to 18 digits; false for other names. */
static bool numbered(const char *name, const char *prefix, uint64_t *number) {
  size_t n = strlen(prefix), digits;
  if (strncmp(name, prefix, n)) return false;
  digits = strspn(name + n, "0123456789");
  if (!digits || digits > 18 || name[n + digits]) return false;
  *number = strtoull(name + n, NULL, 10);
  return true;
}

static int newest_first(const void *a, const void *b) {
  const char *x = *(char *const *)a, *y = *(char *const *)b;
  size_t n = strlen(x),
         m = strlen(y); /* equal prefix, so longer or later in order is larger; leading zeros keep lengths alike */
  return n != m ? (n < m ? 1 : -1) : strcmp(y, x);
}

/* Numbered names only, from the newest down. */
static sg_status list_numbered(const char *parent, const char *prefix, names *out, sg_error *err) {
  sg_status st = list_directory(parent, out, err);
  size_t kept = 0;
  for (size_t i = 0; i < out->count; i++) {
    uint64_t number;
    if (numbered(out->list[i], prefix, &number))
      out->list[kept++] = out->list[i];
    else
      sgi_free(out->list[i]);
  }
  out->count = kept;
  if (kept) qsort(out->list, kept, sizeof *out->list, newest_first);
  return st;
}

sg_status sgi_bundle_newest(const char *parent, const char *prefix,
                            sg_status (*verify)(const char *path, sg_error *err), char *out, size_t size,
                            void (*skipped)(void *user, const char *name, const char *reason), void *user,
                            sg_error *err) {
  names all = {0};
  *out = '\0';
  if (!sgi_is_directory(parent)) return SG_OK;
  sg_status st = list_numbered(parent, prefix, &all, err);
  bool found = false;
  for (size_t i = 0; i < all.count && !st && !found; i++) {
    char *path = sgi_path_join(parent, all.list[i]);
    sg_error why = {0};
    sg_status verdict = path ? verify(path, &why) : sgi_fail_memory(&why, NAME_BYTES, "a path");
    if (verdict == SG_ERR_MEMORY) { /* says nothing about the bundle */
      st = sgi_fail(err, SG_ERR_MEMORY, "%s", why.text);
    } else if (!verdict && strlen(all.list[i]) < size) {
      snprintf(out, size, "%s", all.list[i]);
      found = true;
    } else if (skipped) {
      skipped(user, all.list[i], why.text);
    }
    sgi_free(path);
  }
  size_t n = all.count;
  names_free(&all);
  return st || found || !n ? st
                           : sgi_fail(err, SG_ERR_FORMAT, "%s: none of its %zu checkpoints is complete", parent, n);
}

/* Under its name a bundle is whole or not there: it loses its name first, for good, and what a kill
 * leaves is a leftover. */
static sg_status remove_whole(const char *path, sg_error *err) {
  size_t n = strlen(path) + 16;
  char *aside = sgi_alloc(n);
  if (!aside) return sgi_fail_memory(err, n, "a path");
  snprintf(aside, n, "%s%s0", path, TEMPORARY);
  sg_status st = set_aside(path, aside, err);
  if (!st) st = sgi_remove_tree(aside, err);
  sgi_free(aside);
  return st;
}

sg_status sgi_bundle_each(const char *parent, const char *prefix,
                          sg_status (*use)(void *user, const char *name, sg_error *err), void *user, sg_error *err) {
  names all = {0};
  sg_status st = list_numbered(parent, prefix, &all, err);
  for (size_t i = 0; i < all.count && !st; i++) st = use(user, all.list[i], err);
  names_free(&all);
  return st;
}

sg_status sgi_bundle_prune(const char *parent, const char *prefix, size_t keep, const char *const *spare, size_t n,
                           sg_error *err) {
  names all = {0};
  sg_status st = list_numbered(parent, prefix, &all, err);
  for (size_t i = keep; i < all.count && !st; i++) {
    bool spared = false;
    for (size_t k = 0; k < n; k++) spared = spared || !strcmp(spare[k], all.list[i]);
    if (spared) continue;
    char *path = sgi_path_join(parent, all.list[i]);
    st = path ? remove_whole(path, err) : sgi_fail_memory(err, NAME_BYTES, "a path");
    sgi_free(path);
  }
  names_free(&all);
  return st;
}

/* ---- lock ------------------------------------------------------------------------------------ */

sg_status sgi_lock_directory(const char *directory, sgi_lock *out, sg_error *err) {
  out->fd = -1;
  char *path = sgi_path_join(directory, "lock"), holder[32] = "";
  if (!path) return sgi_fail_memory(err, strlen(directory), "a path");
  int fd = sgi_call_open(path, O_RDWR | O_CREAT | O_NOFOLLOW, 0666);
  sg_status st = SG_OK;
  if (fd < 0) {
    st = sgi_fail_file(err, path, "could not open");
  } else if (flock(fd, LOCK_EX | LOCK_NB) < 0) {
    ssize_t k = pread(fd, holder, sizeof holder - 1, 0);
    holder[k > 0 ? strcspn(holder, "\n") : 0] = '\0';
    st = sgi_fail(err, SG_ERR_IO, "%s: is in use by another process%s%s", directory, *holder ? " with number " : "",
                  holder);
    close(fd);
  } else {
    int n = snprintf(holder, sizeof holder, "%ld\n", (long)getpid());
    if (ftruncate(fd, 0) == 0 && pwrite(fd, holder, (size_t)n, 0) < 0) errno = 0; /* only for the message above */
    out->fd = fd;
  }
  sgi_free(path);
  return st;
}

void sgi_unlock(sgi_lock *lock) {
  if (lock->fd >= 0) close(lock->fd);
  lock->fd = -1;
}
