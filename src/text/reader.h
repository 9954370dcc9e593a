/* reader.h: documents out of text files, one at a time, whatever the form and compression. Knows no
 * token.
 *
 *   NAME.txt               documents between "<|endoftext|>" marks or blank lines; white space
 *                          around one is dropped
 *   NAME.jsonl, .ndjson,   one JSON object a line, the document is one string field of it, byte for
 *   .json                  byte
 * each plain, or packed as .zst or .gz (several frames or members in a row are one text); the
 * endings in any case. A stream ("-" for standard input, a pipe) has no ending: JSON lines where it
 * begins with an object, else as .txt. A byte order mark is skipped, a .txt whose first line ends
 * in CRLF is read as if all ended in LF, empty documents are left out, and what is no UTF-8 becomes
 * U+FFFD (notes.h counts it). Files are hostile input: memory stays below a few times
 * SGI_DOCUMENT_MAX, damage is SG_ERR_FORMAT.
 */
#ifndef SGI_READER_H
#define SGI_READER_H

#include "core/json.h"
#include "text/notes.h"
#include "text/unpack.h"

/* The longest document, and the longest line of a .jsonl file, in bytes. */
#define SGI_DOCUMENT_MAX ((size_t)64 << 20)
#define SGI_DOCUMENT_MARK "<|endoftext|>"
#define SGI_TEXT_ENDINGS ".txt, .jsonl, .ndjson or .json (JSON lines), plain or with .zst or .gz behind it"

/* A stream of documents. One thread at a time. */
typedef struct sgi_reader sgi_reader;

/* path: a file with one of the endings above, or a stream. blank_lines: .txt is split at blank
 * lines instead of marks. field: of .jsonl, NULL or "" for "text". New: sgi_reader_close. */
sg_status sgi_reader_open(const char *path, bool blank_lines, const char *field, sgi_reader **out, sg_error *err);
void sgi_reader_close(sgi_reader *r); /* NULL allowed */

/* Before the first document: of a .txt split at marks, a document is all that stands between two
 * marks but for one line break behind the first and one before the second; no other white space is
 * dropped. */
void sgi_reader_keep_space(sgi_reader *r);
/* Likewise: CRLF stays CRLF in documents, as runs have them that were begun before it was read as
 * LF. */
void sgi_reader_keep_cr(sgi_reader *r);

/* The next document: *text (n bytes, no NUL behind it) is borrowed until the next call; NULL at the
 * end of the file. A failure is final: later calls repeat it. Errors name the file and the line or
 * the byte of the unpacked text. */
sg_status sgi_reader_next(sgi_reader *r, const char **text, size_t *n, sg_error *err);

/* Documents in two steps, of which the second may be done by many threads at once: pieces as they
 * stand in the file, and what next makes of one. */
typedef struct sgi_raw {
  char *text; /* (n) a line of a .jsonl, a document of a .txt; NULL: the end of the file */
  size_t n;
  uint64_t byte, line; /* where it stands in the unpacked text */
} sgi_raw;
typedef struct sgi_raw_form { /* how pieces of a file are read; its texts are the reader's */
  const char *path, *field;
  bool jsonl, crlf;
} sgi_raw_form;
typedef struct sgi_raw_text {
  const char *text; /* (n) in the object or the piece; NULL: none, as its string is empty */
  size_t n;
  json_t *object;                     /* of a .jsonl, also where it is refused: json_decref */
  uint64_t broken, broken_at, halves; /* mended (notes.h) */
} sgi_raw_text;
sgi_raw_form sgi_reader_form(const sgi_reader *r);
/* Borrowed until the next call. */
sg_status sgi_reader_next_raw(sgi_reader *r, sgi_raw *out, sg_error *err);
/* may change p's bytes */
sg_status sgi_raw_read(const sgi_raw_form *f, const sgi_raw *p, sgi_raw_text *out, sg_error *err);
void sgi_raw_note(const sgi_raw_form *f, const sgi_raw *p, const sgi_raw_text *text, sgi_text_notes *notes);

/* A string field of the line that the last document stood in, by its name or a way through objects
 * ("meta.redpajama_set_name"); NULL where it has none, and for .txt. Borrowed until the next
 * call. */
const char *sgi_reader_label(const sgi_reader *r, const char *field);

/* Where the search for the next document begins; a reader of the same file and form goes on from
 * there. The stamp's hash means nothing after a seek. */
typedef struct sgi_reader_place {
  uint64_t byte, line; /* of the unpacked text; line: of a .jsonl, for messages */
} sgi_reader_place;
sgi_reader_place sgi_reader_tell(const sgi_reader *r);
sg_status sgi_reader_seek(sgi_reader *r, sgi_reader_place place, sg_error *err); /* a failure before it is forgotten */

uint64_t sgi_reader_position(const sgi_reader *r); /* bytes of the file (as it lies on disk) taken in so far */
const sgi_text_notes *sgi_reader_notes(const sgi_reader *r); /* of the documents given so far; borrowed until close */
sgi_stamp sgi_reader_stamp(const sgi_reader *r); /* size and time at open; the hash is whole once next gave NULL */

/* Text files of path: itself (a stream too), or the directory's files with the endings above in
 * byte order of their names (hidden files are passed over, subdirectories not entered). A .json of
 * a directory is taken where its first line is an object with the string field (of .jsonl; NULL or
 * "": "text"), refused where it is an array, else passed over; what is passed over is added to
 * notes (NULL allowed). None is an error. New: sgi_text_files_free. */
sg_status sgi_text_files(const char *path, const char *field, sgi_text_notes *notes, char ***files, size_t *n,
                         sg_error *err);
void sgi_text_files_free(char **files, size_t n); /* NULL allowed */
/* SG_ERR_FORMAT with the names where shards of a directory are missing (shards.h), and what can be
 * done otherwise. */
sg_status sgi_text_whole(const char *path, const char *field, const char *otherwise, sg_error *err);

/* DIR/NAME.txt, .jsonl or .ndjson, plain or packed, or the directory DIR/NAME, for a split such as
 * "train"; where there is none of them, NAME.json. Exactly one must be there: none is SG_ERR_IO,
 * several are SG_ERR_ARG with their names. *path is new: sgi_free. */
sg_status sgi_find_split(const char *directory, const char *name, char **path, sg_error *err);

#endif
