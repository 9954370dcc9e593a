/* manifest.h: MANIFEST.json of a directory: name, bytes and xxh3 of each of its files, written when
 * they are all there. A checkpoint and a finished recording have one. */
#ifndef SGI_MANIFEST_H
#define SGI_MANIFEST_H

#include "core/json.h"

enum { SGI_MANIFEST_NAME = 256 };
#define SGI_MANIFEST "MANIFEST.json"

/* An entry for each of names (n of them, files of directory), in this order. New reference.
 * progress (NULL allowed) is called after each; false stops with SG_ERR_CANCELLED. */
sg_status sgi_manifest_make(const char *directory, char *const *names, size_t n,
                            bool (*progress)(void *user, size_t done), void *user, json_t **out, sg_error *err);

/* SG_OK if every file that MANIFEST.json lists is there with its size and hash and required (NULL,
 * or ended by NULL) are among them; otherwise which one is wrong. One that lists nothing is wrong.
 * known: hashes of large files may come from core/known_hash.h. */
sg_status sgi_manifest_verify(const char *directory, const char *const *required, bool known, sg_error *err);

/* For readers of directories that may be large: sizes of all files that MANIFEST.json lists (where
 * there is one), and hashes of those that are together at most most bytes; the one named except is
 * left out. */
sg_status sgi_manifest_glance(const char *directory, const char *except, uint64_t most, sg_error *err);

#endif
