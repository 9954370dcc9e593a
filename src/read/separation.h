/* separation.h: do choices go with topics (docs/method-reading.md, topics)? Each document has a
 * topic and a count of every choice; the question is asked over all choices and over documents,
 * each with its most frequent choice, the lower number on ties. */
#ifndef SGI_SEPARATION_H
#define SGI_SEPARATION_H

#include "core/base.h"

typedef struct sgi_choices {
  size_t documents, choices, topics; /* n, M, K */
  const uint64_t *count;             /* (n,M) */
  const int32_t *topic;              /* (n) below K */
} sgi_choices;

typedef struct sgi_separation {
  double mi;         /* bits that choice and topic have in common */
  double null;       /* mean of the same over permutations of the topics among the documents */
  double entropy;    /* of the topics, bits */
  double separation; /* (mi - null) / entropy; NaN where there is one topic alone */
  double p;          /* (1 + permutations that reach mi) / (1 + permutations) */
  double purity;     /* share of what has the most frequent topic of its choice */
} sgi_separation;

/* mi alone, with document i given the topic of document order[i] (n); NULL: its own. by_document:
 * over documents; else over all that was counted. room: (K + 1) * (M + 1). */
double sgi_separation_bits(const sgi_choices *c, const int32_t *order, bool by_document, double *room);
/* room as above; order (n) is written over. Permutation number i is a function of (seed, i)
 * alone. */
void sgi_separation_measure(const sgi_choices *c, bool by_document, size_t permutations, uint64_t seed, int32_t *order,
                            double *room, sgi_separation *out);

#endif
