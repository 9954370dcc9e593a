/* baseline.h: the n-gram models' loss on exactly the tokens that an evaluation counts. */
#ifndef SGI_BASELINE_H
#define SGI_BASELINE_H

#include "read/evaluate.h"
#include "read/ngram.h"

/* Counts every document of a corpus. stop as in sgi_evaluate_request, with documents. New:
 * sgi_ngram_free. */
sg_status sgi_baseline_create(const sgi_corpus *train, const sg_config *c, bool (*stop)(void *user, uint64_t done),
                              void *user, sgi_ngram **out, sg_error *err);

/* Scores the rows of r: a document begins where it begins in a row, padding is not counted. */
sg_status sgi_baseline_score(const sgi_ngram *m, const sgi_evaluate_request *r, int32_t pad, sgi_ngram_score *sum,
                             sg_error *err);

#endif
