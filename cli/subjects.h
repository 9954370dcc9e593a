/* subjects.h: what the commands share that ask a model for facts: the prompts of a file, those that
 * it knows, progress. */
#ifndef SGATLIN_CLI_SUBJECTS_H
#define SGATLIN_CLI_SUBJECTS_H

#include "prompt.h"
#include "report/recall.h"

#define CLI_SUBJECTS_OPTIONS \
  {.name = "facts", \
   .letter = 'f', \
   .required = true, \
   .type = CLI_STRING, \
   .argument = "FACTS.json", \
   .help = "facts.json of 'data worlds', or from 'facts mine -o'"}, \
      {.name = "type", \
       .type = CLI_STRING, \
       .argument = "TYPE", \
       .value = "all", \
       .help = "which facts of worlds: quality, home, food, pet or all"}, \
      {.name = "limit", \
       .type = CLI_SIZE, \
       .argument = "N", \
       .value = "200", \
       .min = 1, \
       .help = "prompts at most, drawn by the seed"}, \
      {.name = "svg", .type = CLI_STRING, .argument = "FILE", .help = "draw the curves"}, CLI_SEED_OPTION

typedef struct cli_subjects {
  const cli_call *c;
  sgi_prompt p;
  sgi_recall_facts facts; /* for a request */
  cli_progress bar;
  const char *what; /* of the bar; NULL: not begun */
  double done;
} cli_subjects;

/* The model, and what is asked of it. Close in any case. */
sg_status cli_subjects_open(cli_subjects *s, const cli_call *c, sg_error *err);
void cli_subjects_close(cli_subjects *s);

/* cli_answer, below "32 of 40 prompts known ...". */
int cli_subjects_answer(cli_subjects *s, sg_status st, const sg_error *err, json_t *answer, cli_printer *print,
                        const void *user);

/* ---- a number a layer ------------------------------------------------------------------------ */

enum { CLI_SUBJECTS_SHOWN = 15 }; /* columns of a table */
/* A table of n columns, as many as are shown, "what 0", "what 1", ... behind one called name. */
cli_table *cli_subjects_table(const char *name, const char *what, size_t n, size_t *shown);
/* x (n): 0, 1, 2, ... and behind it room for n_curves lists of n numbers. New: sgi_free. */
double *cli_subjects_axis(size_t n, size_t n_curves, sg_error *err);

#endif
