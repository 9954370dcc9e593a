/* ranks_mpi.h: what the command and its MPI part (a shared object, loaded only under mpirun) agree
 * on. The part links to nothing of the library. */
#ifndef SGATLIN_RANKS_MPI_H
#define SGATLIN_RANKS_MPI_H

#include "sgatlin.h"

enum { SGATLIN_RANKS_VERSION = 2 }; /* raised with sg_ranks, sg_transport and this file */
#define SGATLIN_RANKS_SYMBOL "sgatlin_ranks_part_"

typedef struct sgatlin_ranks_part {
  int version;
  /* A rank that is not heard of for `seconds` ends the job; fatal is told why first, in the process
   * that saw it. NULL, or why there are no ranks. */
  const char *(*open)(sg_ranks *out, double seconds, void (*fatal)(const char *text));
  void (*close)(sg_ranks *r);         /* together: all ranks are done */
  void (*end)(sg_ranks *r, int code); /* ends every process of the job */
} sgatlin_ranks_part;

#endif
