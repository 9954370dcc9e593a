/* text.h: the text that a request reads: a file, a directory's split, or what a run itself held
 * out; its tokens, and rows of them. */
#ifndef SGI_REPORT_TEXT_H
#define SGI_REPORT_TEXT_H

#include "prompt.h"
#include "report.h"

/* ---- which text ------------------------------------------------------------------------------ */

/* Who is told. Any may be NULL. */
typedef struct sgi_text_watch {
  void (*note)(void *user, const char *text);                  /* a sentence for people */
  bool (*progress)(void *user, uint64_t done, uint64_t total); /* bytes while tokens are made; false ends it */
  bool (*stopped)(void *user);                                 /* between documents */
  void *user;
} sgi_text_watch;

typedef struct sgi_text {
  char *path;      /* a file, or a directory all of whose files are meant */
  double held_out; /* above 0: only this part of the file, its end */
} sgi_text;

typedef struct sgi_text_asked {
  const char *model;  /* where it is a run, its own text counts */
  const char *given;  /* NULL: the run's own */
  const char *option; /* what errors call it: "data" */
  const char *split;  /* "valid", "train": of a directory that has it */
} sgi_text_asked;

/* The text that is given, or what the run held out, with a note; else SG_ERR_ARG, which says what
 * is missing. sgi_text_free in any case. */
sg_status sgi_text_find(const sgi_text_asked *asked, const sgi_text_watch *watch, sgi_text *out, sg_error *err);
void sgi_text_free(sgi_text *t);
/* Whether model is a run that held text out. */
sg_status sgi_text_own(const char *model, bool *own, sg_error *err);
/* The directory that a run was trained from; NULL where model is no run, or its text is a file.
 * New: sgi_free. */
char *sgi_text_directory(const char *model);
/* A text is tokens only by the model's tokenizer: SG_ERR_ARG with the directory where it has
 * none. */
sg_status sgi_text_needs(const sg_tokenizer *tokenizer, const char *directory, sg_error *err);
/* As asked ("blank-lines" or "endoftext"; the field of .jsonl; NULL: not said), else as the run
 * read its own text (NULL: no model). *own: that run's settings "data", NULL where model is no run
 * (new reference). */
sg_status sgi_text_form_of(const char *model, const char *split, const char *field, sg_text_form *form, json_t **own,
                           sg_error *err);

/* ---- its tokens ------------------------------------------------------------------------------ */

typedef struct sgi_corpus sgi_corpus;
/* From the cache, or made now. A text without a document is SG_ERR_FORMAT. New: sgi_text_close. */
sg_status sgi_text_open(const sgi_text *t, const sg_text_form *form, const sg_tokenizer *tok, int32_t eos,
                        const sgi_text_watch *watch, sgi_corpus **out, sg_error *err);
/* The same, though it may hold none. */
sg_status sgi_text_encode(const sgi_text *t, const sg_text_form *form, const sg_tokenizer *tok, int32_t eos,
                          const sgi_text_watch *watch, sgi_corpus **out, sg_error *err);
/* SG_ERR_FORMAT with the names where shards of a directory are missing by the numbers of the
 * others, and what can be done otherwise. */
sg_status sgi_text_complete(const sgi_text *t, const sg_text_form *form, const char *otherwise, sg_error *err);
void sgi_text_close(sgi_corpus *c); /* NULL allowed */
size_t sgi_text_documents(const sgi_corpus *c);
uint64_t sgi_text_tokens(const sgi_corpus *c);
/* What ends a document in ids of a tokenizer of its own: <|endoftext|> or </s>; -1: it has
 * neither. */
int32_t sgi_text_end(const sg_tokenizer *tok);

typedef struct sgi_text_rows {
  int32_t *targets; /* (B,T) documents with the end token behind them, cut at T, filled with padding */
  size_t B, T;
} sgi_text_rows;
/* Documents until max_tokens are read, by p's model and tokenizer. sgi_text_rows_free in any
 * case. */
sg_status sgi_text_rows_read(sgi_text_rows *r, const sgi_prompt *p, const sgi_text *text, const sg_text_form *form,
                             size_t T, size_t max_tokens, const sgi_text_watch *watch, sg_error *err);
void sgi_text_rows_free(sgi_text_rows *r);

#endif
