/* ranks.c: mpirun's variables, and the MPI part of the command (mpi/), which is loaded for them and
 * for nothing else: without mpirun no MPI is needed. */
#include "ranks.h"

#include <dlfcn.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "../mpi/ranks_mpi.h"
#include "core/file.h"

static const char PART[] = "sgatlin-mpi.so";
static const sgatlin_ranks_part *part;
static sg_ranks ranks;

static size_t number(const char *variable) {
  const char *text = getenv(variable);
  return text ? (size_t)strtoul(text, NULL, 10) : 0;
}

/* Open MPI's mpirun, other PMI starters (MPICH, Slurm), Slurm with PMIx. */
size_t cli_ranks_count(void) {
  size_t n = number("OMPI_COMM_WORLD_SIZE");
  if (!n) n = number("PMI_SIZE");
  if (!n && getenv("PMIX_RANK")) n = number("SLURM_NTASKS");
  return n;
}

size_t cli_ranks_local(void) {
  size_t n = number("OMPI_COMM_WORLD_LOCAL_SIZE");
  if (!n) n = number("MPI_LOCALNRANKS");
  return n ? n : 1;
}

/* Beside the command, or where `make install` puts it. */
static bool find(char *path, size_t size) {
  char self[4096];
  ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
  if (n <= 0) return false;
  self[n] = 0;
  char *slash = strrchr(self, '/');
  if (!slash) return false;
  *slash = 0;
  snprintf(path, size, "%s/%s", self, PART);
  if (sgi_is_file(path)) return true;
  snprintf(path, size, "%s/../lib/sgatlin/%s", self, PART);
  return sgi_is_file(path);
}

static const char *load(const char *path) {
  void *object = dlopen(path, RTLD_NOW | RTLD_LOCAL);
  if (!object) return dlerror();
  part = dlsym(object, SGATLIN_RANKS_SYMBOL);
  if (!part) return dlerror();
  return part->version == SGATLIN_RANKS_VERSION ? NULL : "it is of another version of sgatlin";
}

static void fatal(const char *text) { cli_failed(SG_ERR_IO, "%s", text); }

/* mpirun passes SIGUSR1 on to all ranks, where SIGINT and SIGTERM make it kill them. */
static void asked(int signal) { cli_stop = signal; }

int cli_ranks_open(const cli_call *c, sg_ranks **out) {
  *out = NULL;
  size_t n = cli_ranks_count();
  char path[8192] = "";
  if (!n) return 0;
  const char *why = find(path, sizeof path) ? load(path) : "";
  if (why && n == 1) return 0; /* alone it needs none */
  if (why) {
    cli_failed(SG_ERR_UNSUPPORTED, "%zu processes were started by mpirun, but sgatlin's MPI part %s%s%s%s", n,
               *why ? "cannot be loaded (" : "is not there (", *why ? why : PART, ")",
               *why ? "" : ", which stands beside the command or in ../lib/sgatlin");
    cli_hint("install Debian's libopenmpi-dev and openmpi-bin, then build again: make (and make install)");
    return cli_exit_code(SG_ERR_UNSUPPORTED);
  }
  why = part->open(&ranks, (double)cli_size(c, "rank-timeout"), fatal);
  if (why) return cli_failed(SG_ERR_UNSUPPORTED, "the ranks that mpirun started cannot meet: %s", why);
  struct sigaction stop = {.sa_handler = asked};
  sigaction(SIGUSR1, &stop, NULL);
  *out = &ranks;
  return 0;
}

void cli_ranks_close(sg_ranks *r) {
  if (r) part->close(r);
}

int cli_ranks_fail(sg_ranks *r, const sg_error *err) {
  bool lead = cli_ranks_lead(r);
  char name[160];
  if (!lead) {
    nanosleep(&(struct timespec){2, 0}, NULL);
    r->transport->name(r->self, r->rank, name, sizeof name);
    cli_failed(err->code, "%s: %s", name, err->text);
  }
  int code = lead ? cli_fail(err) : cli_exit_code(err->code);
  if (r && r->count > 1) part->end(r, code);
  cli_ranks_close(r);
  return code;
}
