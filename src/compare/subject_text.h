/* subject_text.h: attributes of subjects out of a text: the tokens of documents that name them
 * (docs/method-comparison.md, attributes rate). */
#ifndef SGI_SUBJECT_TEXT_H
#define SGI_SUBJECT_TEXT_H

#include "compare/subjects.h"

typedef struct sgi_subject_text {
  const char *path; /* for errors */
  size_t documents;
  const int32_t *(*document)(const void *source, size_t i, size_t *n); /* its tokens, n of them */
  const void *source;
  bool (*go_on)(void *user); /* between documents; false ends it; NULL: always */
  void *user;
} sgi_subject_text;

typedef struct sgi_subject_named {
  size_t documents; /* that name a subject of a prompt */
  size_t subjects;  /* of prompts, that a document names */
  double tokens;    /* attributes of one of them, on average */
} sgi_subject_named;

/* Attributes of the subjects of s's prompts become the tokens of all documents that name them (its
 * tokens in a row, no letter behind), less stop (V) and the subject's own tokens, ascending; none
 * for a subject that no document names. SG_ERR_ARG, naming the text, where no known prompt's
 * subject is named. */
sg_status sgi_subjects_read_text(sgi_subjects *s, const sg_model *m, const sg_tokenizer *tok, const bool *stop,
                                 const sgi_subject_text *text, sgi_subject_named *out, sg_error *err);

#endif
