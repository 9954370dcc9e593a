/* ranks_mpi.c: the transport of ranks.h over MPI (Open MPI).
 *
 * Nothing here waits inside MPI: every wait is a loop over MPI_Test that gives the processor away
 * between, so that ranks that share processors do not take them from each other, and so that a rank
 * that waits is known to be alive.
 *
 * Ranks watch each other. A thread of each sends a beat now and then, as long as the thread that
 * trains moves: it waits here, or has said what it is about within half the time that a rank may be
 * silent. Rank 0 looks after all others and rank 1 after rank 0. A rank that died is mpirun's to
 * notice; one that hangs, or is cut off, is found by its silence. */
#include "ranks_mpi.h"

#include <limits.h>
#include <mpi.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { NAME = 128, ALL_AT_ONCE = 1 << 30, PIECE = 1 << 28, MAX_GROUPS = 4 };

/* All ranks, or some of them that exchange among themselves. */
typedef struct group {
  MPI_Comm comm;
  int count;
  MPI_Request *slots;
  size_t n_slots;
} group;

static struct {
  group groups[MAX_GROUPS]; /* the first: all */
  int n_groups;
  MPI_Comm beats;
  int rank, count;
  double seconds;
  void (*fatal)(const char *text);
  _Atomic double moved; /* when the thread that trains last did */
  _Atomic(const char *) what;
  atomic_bool limited, over;
  pthread_t watcher;
  double *heard;       /* (count) */
  char (*names)[NAME]; /* (count) */
} mpi;

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* Between two looks: soon at first, then the processor is others'. */
static void rest(unsigned *looks) {
  mpi.moved = now();
  if (++*looks < 64)
    sched_yield();
  else
    nanosleep(&(struct timespec){0, 30000}, NULL);
}

static void finish(MPI_Request *r) {
  int done = 0;
  unsigned looks = 0;
  for (MPI_Test(r, &done, MPI_STATUS_IGNORE); !done; MPI_Test(r, &done, MPI_STATUS_IGNORE)) rest(&looks);
}

/* ---- the transport --------------------------------------------------------------------------- */

static bool reserve(void *self, size_t slots) {
  group *g = self;
  if (slots <= g->n_slots) return true;
  MPI_Request *more = realloc(g->slots, slots * sizeof *more);
  if (!more) return false;
  g->slots = more;
  for (; g->n_slots < slots; g->n_slots++) g->slots[g->n_slots] = MPI_REQUEST_NULL;
  return true;
}

/* Whoever sends keeps messages far below 2^31 bytes, which MPI counts in int. */
static void start_send(void *self, size_t slot, size_t to, const void *data, size_t bytes) {
  group *g = self;
  MPI_Isend(data, (int)bytes, MPI_BYTE, (int)to, 0, g->comm, &g->slots[slot]);
}

static void start_receive(void *self, size_t slot, size_t from, void *data, size_t bytes) {
  group *g = self;
  MPI_Irecv(data, (int)bytes, MPI_BYTE, (int)from, 0, g->comm, &g->slots[slot]);
}

static bool is_done(void *self, size_t slot) {
  group *g = self;
  int done = 0;
  MPI_Test(&g->slots[slot], &done, MPI_STATUS_IGNORE);
  return done;
}

static void wait_for(void *self, size_t slot) { finish(&((group *)self)->slots[slot]); }

static void gather(void *self, const void *mine, void *all, size_t bytes) {
  MPI_Request r;
  MPI_Iallgather(mine, (int)bytes, MPI_BYTE, all, (int)bytes, MPI_BYTE, ((group *)self)->comm, &r);
  finish(&r);
}

/* MPI counts in int: beyond that, owner by owner and piece by piece. */
static void share(void *self, float *x, const size_t *bounds) {
  const group *g = self;
  MPI_Request r;
  size_t count = (size_t)g->count;
  if (bounds[count] <= ALL_AT_ONCE && count <= 4096) {
    int counts[4096], at[4096];
    for (size_t i = 0; i < count; i++) counts[i] = (int)(bounds[i + 1] - bounds[i]), at[i] = (int)bounds[i];
    MPI_Iallgatherv(MPI_IN_PLACE, 0, MPI_DATATYPE_NULL, x, counts, at, MPI_FLOAT, g->comm, &r);
    finish(&r);
    return;
  }
  for (size_t i = 0; i < count; i++)
    for (size_t n, from = bounds[i]; from < bounds[i + 1]; from += n) {
      n = bounds[i + 1] - from < PIECE ? bounds[i + 1] - from : PIECE;
      MPI_Ibcast(x + from, (int)n, MPI_FLOAT, (int)i, g->comm, &r);
      finish(&r);
    }
}

static bool split(void *self, size_t colour, sg_ranks *out);

static void about(void *self, const char *what, bool limited) {
  (void)self;
  mpi.what = what;
  mpi.limited = limited;
  mpi.moved = now();
}

static void name(void *self, size_t rank, char *out, size_t size) {
  (void)self;
  snprintf(out, size, "rank %zu (%s)", rank, mpi.names[rank]);
}

static const sg_transport transport = {.reserve = reserve,
                                       .send = start_send,
                                       .receive = start_receive,
                                       .done = is_done,
                                       .wait = wait_for,
                                       .gather = gather,
                                       .share = share,
                                       .about = about,
                                       .name = name,
                                       .split = split};

static bool split(void *self, size_t colour, sg_ranks *out) {
  const group *g = self;
  int rank = 0;
  if (mpi.n_groups == MAX_GROUPS) return false;
  group *part = &mpi.groups[mpi.n_groups++];
  MPI_Comm_split(g->comm, (int)colour, 0, &part->comm);
  MPI_Comm_rank(part->comm, &rank);
  MPI_Comm_size(part->comm, &part->count);
  *out = (sg_ranks){.transport = &transport, .self = part, .rank = (size_t)rank, .count = (size_t)part->count};
  return reserve(part, 1);
}

/* ---- beats ----------------------------------------------------------------------------------- */

static bool alive(void) { return !mpi.limited || now() - mpi.moved < mpi.seconds / 2; }

static void beat(int to) {
  char what[NAME];
  snprintf(what, sizeof what, "%s", mpi.what);
  MPI_Send(what, sizeof what, MPI_CHAR, to, 0, mpi.beats);
}

static void hear(char (*what)[NAME]) {
  int there = 1;
  MPI_Status from;
  while (MPI_Iprobe(MPI_ANY_SOURCE, 0, mpi.beats, &there, &from), there) {
    char text[NAME];
    MPI_Recv(text, sizeof text, MPI_CHAR, from.MPI_SOURCE, 0, mpi.beats, MPI_STATUS_IGNORE);
    memcpy(what[from.MPI_SOURCE], text, sizeof text);
    mpi.heard[from.MPI_SOURCE] = now();
  }
}

static void give_up(int rank, const char *what) {
  char text[3 * NAME];
  snprintf(text, sizeof text,
           "rank %d (%s) has not been heard of for %.0f s (it was %s): all ranks end; the last checkpoint is good "
           "(--resume goes on from it; --rank-timeout waits longer)",
           rank, mpi.names[rank], mpi.seconds, what[0] ? what : "starting");
  mpi.fatal(text);
  MPI_Abort(mpi.groups[0].comm, 1);
}

static void *watch(void *unused) {
  (void)unused;
  char(*what)[NAME] = calloc((size_t)mpi.count, NAME);
  double every = mpi.seconds / 16 < 2 ? mpi.seconds / 16 : 2, looked = now(), sent = 0;
  if (!what) return NULL;
  for (int r = 0; r < mpi.count; r++) mpi.heard[r] = looked;
  while (!mpi.over) {
    nanosleep(&(struct timespec){(time_t)(every / 2), (long)(1e9 * (every / 2 - (double)(time_t)(every / 2)))}, NULL);
    double t = now();
    /* Who was stopped itself has not heard anybody. */
    if (t - looked > mpi.seconds / 4)
      for (int r = 0; r < mpi.count; r++) mpi.heard[r] = t;
    looked = t;
    if (t - sent >= every && alive()) {
      beat(mpi.rank ? 0 : 1);
      sent = t;
    }
    hear(what);
    int first = mpi.rank == 0 ? 1 : 0, end = mpi.rank == 0 ? mpi.count : mpi.rank == 1;
    for (int r = first; r < end; r++)
      if (t - mpi.heard[r] > mpi.seconds / 2) give_up(r, what[r]);
  }
  free(what);
  return NULL;
}

/* ---- begin and end --------------------------------------------------------------------------- */

static bool exchange_names(void) {
  char mine[NAME], host[64] = "?";
  gethostname(host, sizeof host - 1);
  snprintf(mine, sizeof mine, "%s, process %ld", host, (long)getpid());
  mpi.names = calloc((size_t)mpi.count, NAME);
  mpi.heard = calloc((size_t)mpi.count, sizeof *mpi.heard);
  if (!mpi.names || !mpi.heard) return false;
  gather(&mpi.groups[0], mine, mpi.names, NAME);
  return true;
}

static const char *open_ranks(sg_ranks *out, double seconds, void (*fatal)(const char *text)) {
  int provided = 0, local = 1;
  MPI_Comm machine;
  if (MPI_Init_thread(NULL, NULL, MPI_THREAD_MULTIPLE, &provided)) return "MPI_Init_thread failed";
  if (provided < MPI_THREAD_MULTIPLE) return "this MPI does not let two threads of a process use it";
  group *all = &mpi.groups[0];
  mpi.n_groups = 1;
  MPI_Comm_dup(MPI_COMM_WORLD, &all->comm);
  MPI_Comm_dup(MPI_COMM_WORLD, &mpi.beats);
  MPI_Comm_rank(all->comm, &mpi.rank);
  MPI_Comm_size(all->comm, &mpi.count);
  all->count = mpi.count;
  MPI_Comm_split_type(all->comm, MPI_COMM_TYPE_SHARED, mpi.rank, MPI_INFO_NULL, &machine);
  MPI_Comm_size(machine, &local);
  MPI_Comm_free(&machine);
  mpi.seconds = seconds;
  mpi.fatal = fatal;
  mpi.what = "starting";
  mpi.moved = now();
  if (!reserve(all, 1) || !exchange_names()) return "memory is out";
  *out = (sg_ranks){.transport = &transport,
                    .self = all,
                    .rank = (size_t)mpi.rank,
                    .count = (size_t)mpi.count,
                    .local = (size_t)local};
  if (mpi.count > 1 && pthread_create(&mpi.watcher, NULL, watch, NULL)) return "no thread to watch the ranks";
  return NULL;
}

static void close_ranks(sg_ranks *r) {
  MPI_Request all;
  (void)r;
  about(NULL, "ending", false);
  MPI_Ibarrier(mpi.groups[0].comm, &all);
  finish(&all);
  mpi.over = true;
  if (mpi.count > 1) pthread_join(mpi.watcher, NULL);
  MPI_Ibarrier(mpi.groups[0].comm, &all); /* all beats are sent: those on their way are taken in */
  finish(&all);
  char(*what)[NAME] = calloc((size_t)mpi.count, NAME);
  if (what) hear(what);
  free(what);
  MPI_Finalize();
  for (int i = 0; i < mpi.n_groups; i++) free(mpi.groups[i].slots);
  free(mpi.names);
  free(mpi.heard);
}

static void end_ranks(sg_ranks *r, int code) {
  (void)r;
  MPI_Abort(mpi.groups[0].comm, code);
}

__attribute__((visibility("default"))) extern const sgatlin_ranks_part sgatlin_ranks_part_;
const sgatlin_ranks_part sgatlin_ranks_part_ = {SGATLIN_RANKS_VERSION, open_ranks, close_ranks, end_ranks};
