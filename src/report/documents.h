/* documents.h: documents of a text file by number, however large the file is: places of some are
 * remembered, the text is read anew. */
#ifndef SGI_REPORT_DOCUMENTS_H
#define SGI_REPORT_DOCUMENTS_H

#include "core/base.h"

/* One thread at a time. */
typedef struct sgi_doc_file {
  char *name, *path; /* name: the last part */
  struct sgi_reader *reader;
  uint64_t bytes;                  /* of the file, packed as it is */
  struct sgi_reader_place *places; /* (n_places): where document i * stride begins */
  size_t n_places, stride;
  size_t next;  /* number of the document that the reader gives next */
  size_t total; /* documents met so far; all of them once ended */
  bool ended;
} sgi_doc_file;

/* Called now and then with the part of the file that was read; false stops with
 * SG_ERR_CANCELLED. */
typedef bool (*sgi_documents_watch)(void *user, double part);

/* Opens the file as the other commands read it; one without a document is an error. documents_close
 * in any case. */
sg_status sgi_documents_open(sgi_doc_file *d, const char *path, const sg_text_form *form, sg_error *err);
void sgi_documents_close(sgi_doc_file *d);

/* Document `number`, n bytes, borrowed until the next call; NULL where there are fewer. */
sg_status sgi_documents_at(sgi_doc_file *d, size_t number, sgi_documents_watch watch, void *user, const char **text,
                           size_t *n, sg_error *err);
/* The one behind the last that was given: *number is its number. */
sg_status sgi_documents_next(sgi_doc_file *d, const char **text, size_t *n, size_t *number, sg_error *err);
/* Bytes of the file that were read, packed as it is. */
uint64_t sgi_documents_position(const sgi_doc_file *d);

#endif
