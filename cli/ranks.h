/* ranks.h: a command that mpirun has started several times over. */
#ifndef SGATLIN_CLI_RANKS_H
#define SGATLIN_CLI_RANKS_H

#include "cli.h"

#define CLI_RANKS_OPTION \
  { \
    .name = "rank-timeout", .type = CLI_SIZE, .argument = "SECONDS", .value = "50", .min = 2, .max = 86400, \
    .help = "under mpirun: a rank that is silent for so long ends all, with its name" \
  }

/* The rank that talks to people; of one process it is it. */
static inline bool cli_ranks_lead(const sg_ranks *r) { return !r || !r->rank; }
/* Processes of the same job on this machine, as whoever started them says; 1 where nobody did. */
size_t cli_ranks_local(void);
/* Processes of the whole job; 0 where nobody says. */
size_t cli_ranks_count(void);
/* The ranks of the job; NULL where the process stands alone. 0, or an exit code after a message. */
int cli_ranks_open(const cli_call *c, sg_ranks **out);
/* After success, or what all ranks know to be the end. */
void cli_ranks_close(sg_ranks *r);
/* After a failure that was printed by the lead; of others `err` is, once the lead had time to say
 * the same. Does not return where there are several ranks: every process ends with the code. */
int cli_ranks_fail(sg_ranks *r, const sg_error *err);

#endif
