/* study.h: what `isoflop` and `sweep` share: a study's runs done one after the other, and what came
 * out. */
#ifndef SGATLIN_CLI_STUDY_H
#define SGATLIN_CLI_STUDY_H

#include "cli.h"
#include "report/study.h"

/* Options that both have, and what they do; command: "isoflop" or "sweep", for lines that start
 * it. */
#define STUDY_OPTIONS \
  {.name = "data", \
   .letter = 'd', \
   .type = CLI_STRING, \
   .argument = "DIR", \
   .help = "directory with train.* and valid.*"}, \
      {.name = "tokenizer", \
       .type = CLI_STRING, \
       .argument = "FILE", \
       .value_text = "trained on the data", \
       .help = "tokenizer.json of all runs"}, \
      CLI_REQUIRED_OUTPUT("STUDY", "directory of the study; one that is there is gone on with"), \
      {.name = "set", \
       .letter = 's', \
       .type = CLI_LIST, \
       .argument = "KEY=VALUE", \
       .help = "one setting of all runs (sgatlin train --keys lists them)"}, \
      {.name = "vary", \
       .type = CLI_LIST, \
       .argument = "KEY=A,B,...", \
       .help = "values to try; several such options: every combination"}, \
      {.name = "dry-run", \
       .type = CLI_FLAG, \
       .help = "say steps, memory, disk and time of every run and of all, and stop"}, \
      {.name = "plan", \
       .type = CLI_STRING, \
       .argument = "FILE", \
       .help = "write the runs that have not ended as one command a line, for a scheduler (-: print), and stop"}, \
      {.name = "run", .type = CLI_STRING, .argument = "NAME", .help = "do this one run, and stop"}, \
      {.name = "collect", \
       .type = CLI_LIST, \
       .argument = "DIR", \
       .help = "take over results of a copy of this study from another machine"}, \
      {.name = "retime", \
       .type = CLI_FLAG, \
       .help = \
           "time some steps of every kind, size and choice anew on this machine, in turn; times and their factors " \
           "are then by these, and no longer as the runs took"}, \
      {.name = "rounds", \
       .type = CLI_SIZE, \
       .argument = "N", \
       .value = "5", \
       .min = 1, \
       .max = 1000, \
       .help = "of --retime: how often each is timed; the median counts"}, \
      {.name = "max-memory", \
       .type = CLI_BYTES, \
       .argument = "BYTES", \
       .value_text = "3G, or 3/4 of the machine's or the container's", \
       .min = 1, \
       .help = "memory of the whole process"}, \
      CLI_JSON_OPTION

/* Every combination of the values of --vary, added to wanted as "variants". */
sg_status study_vary(const cli_call *c, json_t *wanted, sg_error *err);
/* Each --choice (of `sweep`) as one more of these. */
sg_status study_choices(const cli_call *c, json_t *wanted, sg_error *err);
/* "a,b" as a list of texts, or of numbers. New; NULL when memory is out. */
json_t *study_words(const char *text);
sg_status study_numbers(const char *option, const char *text, json_t **out, sg_error *err);
/* "data", "set" and the format. New. */
json_t *study_begin(const cli_call *c);
/* One of these options (n of them) is given: it says what a new study asks, and is held against one
 * that is there. */
bool study_asks(const cli_call *c, const char *const *options, size_t n);
/* 1 .. n as "seeds". */
json_t *study_seeds(size_t n);

/* The whole command. wanted is taken: NULL to go on with the study that is there. against: kinds to
 * compare with (n of them). */
int study_command(const cli_call *c, const char *command, json_t *wanted, const char *const *against, size_t n);

#endif
