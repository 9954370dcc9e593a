/* unpack.h: the bytes of a text file, unpacked by its ending (.zst, .gz, else as they are), hashed
 * on the way; or of a stream (standard input, a pipe, a device), unpacked by its first bytes. Knows
 * no document. */
#ifndef SGI_UNPACK_H
#define SGI_UNPACK_H

#include "core/base.h"

/* What a file was when it was read, to see later whether it is still the same. */
typedef struct sgi_stamp {
  uint64_t size; /* bytes on disk */
  int64_t mtime; /* nanoseconds since 1970 */
  uint64_t hash; /* xxh3 of the bytes on disk */
} sgi_stamp;

/* The stamp of a regular file; with_hash false leaves the hash 0 and reads nothing. */
sg_status sgi_stamp_file(const char *path, bool with_hash, sgi_stamp *out, sg_error *err);

typedef enum sgi_packing { SGI_PLAIN, SGI_ZSTD, SGI_GZIP, SGI_BY_CONTENT } sgi_packing;

/* What the ending says of a text: .txt; .jsonl or .ndjson; .json, which may be JSON lines or
 * anything else. */
typedef enum sgi_text_kind { SGI_TEXT_NONE, SGI_TEXT_PLAIN, SGI_TEXT_LINES, SGI_TEXT_JSON } sgi_text_kind;

/* Kind and packing by the ending of a path's last part, alone or with .zst or .gz behind it, in any
 * case; *stem (NULL allowed) is the length of what stands in front in that part. */
sgi_text_kind sgi_text_ending(const char *name, sgi_packing *packing, size_t *stem);

/* "-" (standard input), and what is neither a regular file nor a directory, or lies in /dev or
 * /proc: can be read once, has no ending. */
bool sgi_is_stream(const char *path);

typedef struct sgi_unpack sgi_unpack;

/* path is a regular file or a stream ("-" for standard input), borrowed until close. BY_CONTENT:
 * packed where it begins as zstd and gzip data do. New: sgi_unpack_close. */
sg_status sgi_unpack_open(const char *path, sgi_packing packing, sgi_unpack **out, sg_error *err);
void sgi_unpack_close(sgi_unpack *u); /* NULL allowed */

/* Fills to[0..room) unless the text ends: *got < room only there. Several frames or members in a
 * row are one text; damaged or cut data is SG_ERR_FORMAT, a zstd window above 128 MB
 * SG_ERR_UNSUPPORTED. Memory does not grow with the text. */
sg_status sgi_unpack_read(sgi_unpack *u, char *to, size_t room, size_t *got, sg_error *err);

/* Goes to a byte of the unpacked text: at once in a plain file, by unpacking from the start in a
 * packed one; a stream cannot. The stamp's hash means nothing from then on. */
sg_status sgi_unpack_seek(sgi_unpack *u, uint64_t byte, sg_error *err);

uint64_t sgi_unpack_position(const sgi_unpack *u); /* bytes taken from the file so far */
sgi_stamp sgi_unpack_stamp(const sgi_unpack *u); /* size and time at open; the hash is whole once the text has ended */

#endif
