/* ranks.h: several processes that train one model. Whoever trains knows how many there are, which
 * one it is, and the few exchanges below; how bytes get from one to the other is a transport
 * (sgi_transport), of which the library has none: the command loads one where it was started by
 * mpirun (mpi/ranks_mpi.c). A single process is the trivial case: NULL, or a count of 1, and every
 * exchange is with itself.
 *
 * A transport does what it is asked or ends all processes: a rank that is gone, or that others have
 * waited for too long, is no error that anybody could go on from. So exchanges return nothing. */
#ifndef SGI_RANKS_H
#define SGI_RANKS_H

#include "core/base.h"

struct sgi_ranks;

typedef struct sgi_transport {
  /* Room for this many messages under way at a time, in numbered slots; false: memory is out. */
  bool (*reserve)(void *self, size_t slots);
  /* Begin; data stays as it is until the slot is done. Between two ranks messages arrive in the
   * order in which they were sent. */
  void (*send)(void *self, size_t slot, size_t to, const void *data, size_t bytes);
  void (*receive)(void *self, size_t slot, size_t from, void *data, size_t bytes);
  /* Whether a slot's message is through; whoever asks also moves what else is under way. */
  bool (*done)(void *self, size_t slot);
  void (*wait)(void *self, size_t slot);
  /* all (count blocks of bytes): what each rank gave. */
  void (*gather)(void *self, const void *mine, void *all, size_t bytes);
  /* Floats [bounds[r], bounds[r+1]) of rank r to all; x is everybody's own copy. */
  void (*share)(void *self, float *x, const size_t *bounds);
  /* What this rank is about, for messages; limited: it says so again within the time that a rank
   * may be silent. Text that lasts. */
  void (*about)(void *self, const char *what, bool limited);
  /* "rank 3 (node7, process 1234)" */
  void (*name)(void *self, size_t rank, char *out, size_t size);
  /* Those of the same colour among themselves, in the order of their ranks; false: no room. They
   * end with the whole. */
  bool (*split)(void *self, size_t colour, struct sgi_ranks *out);
} sgi_transport;

typedef struct sgi_ranks {
  const sgi_transport *transport; /* NULL where count is 1 */
  void *self;
  size_t rank, count;
  size_t local;  /* ranks on this machine */
  uint64_t sent; /* bytes that this rank has sent to others by exchanges of weights and gradients */
} sgi_ranks;

enum { SGI_MAX_SUMMED = 64 }; /* ranks of a sgi_ranks_sum */

static inline size_t sgi_ranks_count(const sgi_ranks *r) { return r ? r->count : 1; }
static inline size_t sgi_ranks_me(const sgi_ranks *r) { return r ? r->rank : 0; }
/* The rank that reads and writes files for all and talks to people. */
static inline bool sgi_ranks_lead(const sgi_ranks *r) { return sgi_ranks_me(r) == 0; }

/* All below but `about` are called by all ranks, in the same order. */
void sgi_ranks_about(const sgi_ranks *r, const char *what, bool limited);
void sgi_ranks_gather(const sgi_ranks *r, const void *mine, void *all, size_t bytes);
void sgi_ranks_share(sgi_ranks *r, float *x, const size_t *bounds);
bool sgi_ranks_any(const sgi_ranks *r, bool mine);
/* The first rank's failure is everybody's, with its rank in front unless that is the lead or
 * all failed alike; SG_OK where none failed. err must not be NULL. */
sg_status sgi_ranks_agree(const sgi_ranks *r, sg_status st, sg_error *err);
/* The lead's bytes to all. */
void sgi_ranks_tell(const sgi_ranks *r, void *data, size_t bytes);
/* x becomes the sum of all ranks' x, added in the order of ranks: the same bits for all. room: at
 * least n + count floats; slots for 2 count messages are reserved. */
void sgi_ranks_sum(sgi_ranks *r, float *x, size_t n, float *room);
/* Floats of `from` to the lead: x of `from`, into `out` of the lead; both may be called by the same
 * rank. Others pass by. */
void sgi_ranks_bring(const sgi_ranks *r, size_t from, const float *x, float *out, size_t n);

#endif
