/* subjects.h: what the commands share that ask a model for facts: the prompts of a file, those that
 * it knows, progress. */
#ifndef SGATLIN_CLI_SUBJECTS_H
#define SGATLIN_CLI_SUBJECTS_H

#include "compare/subjects.h"
#include "prompt.h"

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
  sgi_subjects all;
  cli_progress bar;
  const char *what; /* of the bar; NULL: not begun */
} cli_subjects;

/* Model, facts and what is known of them. Close in any case. */
sg_status cli_subjects_open(cli_subjects *s, const cli_call *c, sg_error *err);
void cli_subjects_close(cli_subjects *s);

/* For requests: user is the cli_subjects. */
bool cli_subjects_progress(void *user, size_t done, size_t wanted);
/* The bar's end; st's exit code, or 0. */
int cli_subjects_end(cli_subjects *s, sg_status st, const sg_error *err);
/* "32 of 40 prompts known ...". */
void cli_subjects_print(const cli_subjects *s);
/* The document of a result with "facts" and "seed" in front. Takes the reference. */
int cli_subjects_json(const cli_subjects *s, json_t *result);

#endif
