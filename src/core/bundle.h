/* bundle.h: directories that are complete or not there: checkpoints of a run (docs/formats.md,
 * checkpoints).
 *
 *   RUN/checkpoints/step-00001000/   files, and MANIFEST.json with name, bytes and xxh3 of each,
 * written last RUN/checkpoints/latest           name of the newest, replaced after the directory
 * stands Protocol: write step-N.tmp-PID/, fsync every file, MANIFEST.json last, fsync the
 * directory, rename, fsync the parent, then `latest`.
 */
#ifndef SGI_BUNDLE_H
#define SGI_BUNDLE_H

#include "core/file.h"

typedef struct sgi_bundle sgi_bundle;

/* Begins parent/name (parent is made if needed; leftovers of earlier crashes, *.tmp-*, are
 * removed). Put files into sgi_bundle_path(b) with the writers of file.h or safetensors.h. */
sg_status sgi_bundle_begin(const char *parent, const char *name, sgi_bundle **out, sg_error *err);
const char *sgi_bundle_path(const sgi_bundle *b); /* borrowed until commit or drop */
/* Hashes every file of the directory into MANIFEST.json, makes it durable and gives it its name (an
 * older one of that name is replaced only at this point). latest (NULL: none) is the pointer's name
 * in parent. Frees b in either case. */
sg_status sgi_bundle_commit(sgi_bundle *b, const char *latest, sg_error *err);
void sgi_bundle_drop(sgi_bundle *b);

/* Newest complete bundle of parent: names of the form PREFIX followed by digits, from the highest
 * number down; the first that verifies (verify is SG_OK for its path: core/manifest.h) is put into
 * out (size bytes, the name alone). skipped is called for each that was passed over, with the
 * reason. Where there is no such name (or no parent) out is ""; where there are and none verifies
 * it is SG_ERR_FORMAT. */
sg_status sgi_bundle_newest(const char *parent, const char *prefix,
                            sg_status (*verify)(const char *path, sg_error *err), char *out, size_t size,
                            void (*skipped)(void *user, const char *name, const char *reason), void *user,
                            sg_error *err);
/* Calls use with every name of PREFIX and digits, from the highest number down, until one fails. */
sg_status sgi_bundle_each(const char *parent, const char *prefix,
                          sg_status (*use)(void *user, const char *name, sg_error *err), void *user, sg_error *err);
/* Removes the oldest bundles of PREFIX beyond the newest keep, never those named in spare (n of
 * them). */
sg_status sgi_bundle_prune(const char *parent, const char *prefix, size_t keep, const char *const *spare, size_t n,
                           sg_error *err);

/* What processes that were killed left behind in directory: NAME.tmp-PID, where NAME begins with
 * one of starts (n of them). For who knows that nobody else writes there. */
sg_status sgi_remove_temporaries(const char *directory, const char *const *starts, size_t n, sg_error *err);

/* One process at a time: flock on DIR/lock. SG_ERR_IO saying who holds it. Released by sgi_unlock
 * or the process's end. */
typedef struct sgi_lock {
  int fd;
} sgi_lock;
sg_status sgi_lock_directory(const char *directory, sgi_lock *out, sg_error *err);
void sgi_unlock(sgi_lock *lock);

#endif
