/* documents.h: documents of a text file by number, however large the file is: places of some are
 * remembered, the text is read anew. */
#ifndef SGS_DOCUMENTS_H
#define SGS_DOCUMENTS_H

#include "data/data.h"
#include "text/reader.h"

/* One thread at a time. */
typedef struct doc_file {
  char *name, *path; /* name: the last part */
  sgi_reader *reader;
  uint64_t bytes;           /* of the file, packed as it is */
  sgi_reader_place *places; /* (n_places): where document i * stride begins */
  size_t n_places, stride;
  size_t next;  /* number of the document that the reader gives next */
  size_t total; /* documents met so far; all of them once ended */
  bool ended;
} doc_file;

/* Called now and then with the part of the file that was read; false stops with
 * SG_ERR_CANCELLED. */
typedef bool (*documents_watch)(void *user, double part);

/* Opens the file as the other commands read it; one without a document is an error. documents_close
 * in any case. */
sg_status documents_open(doc_file *d, const char *path, const sgi_text_form *form, sg_error *err);
void documents_close(doc_file *d);

/* Document `number`, n bytes, borrowed until the next call; NULL where there are fewer. */
sg_status documents_at(doc_file *d, size_t number, documents_watch watch, void *user, const char **text, size_t *n,
                       sg_error *err);
/* The one behind the last that was given: *number is its number. */
sg_status documents_next(doc_file *d, const char **text, size_t *n, size_t *number, sg_error *err);

#endif
