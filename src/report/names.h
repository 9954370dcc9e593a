/* names.h: a file of labels and names (sg_names_open): labels of all neurons made, the whole file
 * as a document and back (docs/formats-names.md). */
#ifndef SGI_REPORT_NAMES_H
#define SGI_REPORT_NAMES_H

#include "prompt.h"

/* Labels of all neurons of p's model, in place of those that were there: *made of them. progress:
 * neurons; false stops. */
sg_status sgi_names_make(sg_names *names, const sgi_prompt *p, const sg_recording *rec,
                         bool (*progress)(void *user, size_t done, size_t wanted), void *user, size_t *made,
                         sg_error *err);
/* New reference. */
sg_status sgi_names_export(sg_names *names, json_t **out, sg_error *err);
/* Replaces what the document names and keeps the rest, all of it or nothing; *rows taken. where
 * names the document in errors. One of another model is SG_ERR_ARG. */
sg_status sgi_names_import(sg_names *names, const json_t *document, const char *where, size_t *rows, sg_error *err);

#endif
