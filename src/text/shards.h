/* shards.h: what is missing among the numbered files of a directory, by their names alone.
 *
 * - NAME-00003-of-00010.jsonl.zst is one of ten: from 00001 on where 00010 is there and 00000 is
 *   not, else from 00000 on.
 * - chunk_0003.jsonl.zst has a number behind a common name: all between the lowest and the highest
 *   are expected where at least half of them, and three, are there (years and the like are no
 *   shards).
 *
 * Endings may differ. A shard that was left out on purpose looks the same: callers let people say
 * so. */
#ifndef SGI_SHARDS_H
#define SGI_SHARDS_H

#include "text/notes.h"

/* paths: (n) text files, in any order; their last parts count. Adds to notes->missing and
 * missing_names. */
sg_status sgi_shards_missing(char *const *paths, size_t n, sgi_text_notes *notes, sg_error *err);

#endif
