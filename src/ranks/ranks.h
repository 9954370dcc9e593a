/* ranks.h: several processes that train one model. Whoever trains knows how many there are, which
 * one it is, and the few exchanges below; how bytes get from one to the other is a transport
 * (sg_transport in sgatlin.h), of which the library has none: whoever starts several processes
 * brings one along (the command: mpi/ranks_mpi.c). A single process is the trivial case: NULL, or a
 * count of 1, and every exchange is with itself. */
#ifndef SGI_RANKS_H
#define SGI_RANKS_H

#include "core/base.h"

enum { SGI_MAX_SUMMED = 64 }; /* ranks of a sgi_ranks_sum */

static inline size_t sgi_ranks_count(const sg_ranks *r) { return r ? r->count : 1; }
static inline size_t sgi_ranks_me(const sg_ranks *r) { return r ? r->rank : 0; }
/* The rank that reads and writes files for all and talks to people. */
static inline bool sgi_ranks_lead(const sg_ranks *r) { return sgi_ranks_me(r) == 0; }

/* All below but `about` are called by all ranks, in the same order. */
void sgi_ranks_about(const sg_ranks *r, const char *what, bool limited);
void sgi_ranks_gather(const sg_ranks *r, const void *mine, void *all, size_t bytes);
void sgi_ranks_share(sg_ranks *r, float *x, const size_t *bounds);
bool sgi_ranks_any(const sg_ranks *r, bool mine);
/* The first rank's failure is everybody's, with its rank in front unless that is the lead or
 * all failed alike; SG_OK where none failed. err must not be NULL. */
sg_status sgi_ranks_agree(const sg_ranks *r, sg_status st, sg_error *err);
/* The lead's bytes to all. */
void sgi_ranks_tell(const sg_ranks *r, void *data, size_t bytes);
/* x becomes the sum of all ranks' x, added in the order of ranks: the same bits for all. room: at
 * least n + count floats; slots for 2 count messages are reserved. */
void sgi_ranks_sum(sg_ranks *r, float *x, size_t n, float *room);
/* Floats of `from` to the lead: x of `from`, into `out` of the lead; both may be called by the same
 * rank. Others pass by. */
void sgi_ranks_bring(const sg_ranks *r, size_t from, const float *x, float *out, size_t n);

#endif
