/* known_hash.h: hashes of large files, remembered between processes, so that a command that opens a
 * model of 4 GB need not read all of it before its first product. A file is taken for unchanged
 * while device, inode, size and both times (content and inode, to the nanosecond) are those of the
 * day it was hashed: what writes into a file moves them. Damage that a disk does to a file at rest
 * does not; `sgatlin verify` reads everything anew.
 *
 *   $XDG_CACHE_HOME/sgatlin/hashes/KEY     (or ~/.cache): one line of text; losing it costs one
 * reading
 */
#ifndef SGI_KNOWN_HASH_H
#define SGI_KNOWN_HASH_H

#include "core/file.h"

enum { SGI_KNOWN_FROM = 64 << 20 }; /* smaller files are read in milliseconds: nothing is kept of them */

/* The value of this kind ("xxh3", "weights") that was kept for the file. */
bool sgi_known_hash(const sgi_file_id *id, const char *kind, uint64_t *value);
/* Keeps it; where that cannot be done (no cache directory, a file that changed in the last seconds)
 * nothing happens. */
void sgi_keep_hash(const sgi_file_id *id, const char *kind, uint64_t value);

/* sgi_hash_file through the above. */
sg_status sgi_hash_file_known(const char *path, uint64_t *bytes, uint64_t *hash, sg_error *err);

#endif
