/* notes.h: what was mended or passed over while text was read, to be told once, however many files
 * there were. */
#ifndef SGI_NOTES_H
#define SGI_NOTES_H

#include "core/base.h"

enum { SGI_NOTE_NAME = 64, SGI_NOTE_WHY = 160 };

/* Plain data: a token cache keeps it. Names are the last parts of paths, cut where they are
 * long. */
typedef struct sgi_text_notes {
  uint64_t broken;                 /* bytes that are no UTF-8; each part of them became U+FFFD */
  uint64_t broken_at, broken_line; /* the first: byte of its file's unpacked text; line of a .jsonl, else 0 */
  uint64_t halves, halves_line;    /* halves of surrogate pairs in JSON strings, each U+FFFD now; line of the first */
  uint64_t passed, passed_bytes;   /* entries of directories that were not read */
  uint64_t missing;                /* files that their neighbours' numbers speak of (shards.h) */
  char broken_file[SGI_NOTE_NAME], halves_file[SGI_NOTE_NAME];
  char passed_names[SGI_NOTE_WHY], missing_names[SGI_NOTE_WHY]; /* some of them */
  char passed_why[SGI_NOTE_WHY];                                /* of the first that looked like text; "" for none */
} sgi_text_notes;

/* Adds the counts; what was first in all stays first. */
void sgi_text_notes_add(sgi_text_notes *all, const sgi_text_notes *more);

/* Adds what was mended in a line of a file of JSON lines. */
void sgi_text_notes_mended(sgi_text_notes *all, const char *path, uint64_t line, uint64_t broken, uint64_t halves);

/* One sentence for each kind that happened; nothing where all was well. */
typedef void (*sgi_say)(void *user, const char *text);
void sgi_text_notes_say(const sgi_text_notes *n, sgi_say say, void *user);

/* The last part of path into out, cut to whole characters. */
void sgi_note_name(const char *path, char out[SGI_NOTE_NAME]);

#endif
