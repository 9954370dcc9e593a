/* corpus_place.h: where a command may write a corpus: an empty directory, or one that holds what it
 * wrote there before, which its corpus.json says. */
#ifndef SGI_REPORT_CORPUS_PLACE_H
#define SGI_REPORT_CORPUS_PLACE_H

#include "report.h"

/* *is: no directory with something in it but what a killed process had not given its name yet.
 * Fails for lack of memory alone: what is no directory making it will tell. */
sg_status sgi_place_empty(const char *directory, bool *is, sg_error *err);

/* What `file` of the directory says of a corpus of that name ("worlds"), in *out (new reference);
 * NULL where there is none. Fails for lack of memory alone. */
sg_status sgi_place_corpus(const char *directory, const char *file, const char *corpus, json_t **out, sg_error *err);

#endif
