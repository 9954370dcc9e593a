/* tokenizer.h: what a tokenizer.json holds, and a tokenizer made of text files. */
#ifndef SGI_REPORT_TOKENIZER_H
#define SGI_REPORT_TOKENIZER_H

#include "report.h"

/* {file, model, vocab_size, merges, single_bytes, longest_token, normalizer, pre_tokenizer: [what
 * cuts a text, in order], ignore_merges, prefix_space, added: [{id, text}]}. New reference. */
json_t *sgi_tokenizer_json(const sg_tokenizer *tok, const char *path);
/* An added token that stands for no text. */
bool sgi_token_special(const sg_tokenizer *tok, int32_t id);

/* Ids of one line {"text": "..."}: of its string field; place is its name in errors, number that of
 * the line. What is mended in it is added to *notes, which is new where it was NULL:
 * sgi_mended_free. *ids is new: sg_buffer_free. */
typedef struct sgi_mended sgi_mended;
sg_status sgi_tokenizer_line(const sg_tokenizer *tok, const char *line, size_t n, const char *field, const char *file,
                             const char *place, uint64_t number, sgi_mended **notes, int32_t **ids, size_t *count,
                             sg_error *err);
/* One sentence for each kind of thing that was mended. */
void sgi_mended_say(const sgi_mended *notes, void (*say)(void *user, const char *text), void *user);
void sgi_mended_free(sgi_mended *notes);

/* A tokenizer from text: documents are read one at a time and only their words are kept. */
typedef struct sgi_tokenizer_files {
  const char *const *paths; /* files and directories */
  size_t n;
  const char *field; /* of .jsonl */
  bool blank_lines;
  size_t max_bytes;                          /* of text that is read; 0: all */
  sg_tokenizer_training training;            /* its progress is of merges */
  void (*say)(void *user, const char *text); /* what was mended and passed over */
  void (*begun)(void *user, bool merging);   /* reading, then merging */
  bool (*read)(void *user, uint64_t bytes);  /* of files, as they lie on disk; false ends it */
  void *user;
} sgi_tokenizer_files;
typedef struct sgi_tokenizer_made {
  size_t documents, bytes, words, merges; /* words: different ones */
} sgi_tokenizer_made;
/* *out is new: sg_tokenizer_free. */
sg_status sgi_tokenizer_make(const sgi_tokenizer_files *request, sg_tokenizer **out, sgi_tokenizer_made *made,
                             sg_error *err);

#endif
