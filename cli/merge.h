/* merge.h: `superposition --merge`: pairs that nearly always fire together as one neuron each. */
#ifndef SGATLIN_CLI_MERGE_H
#define SGATLIN_CLI_MERGE_H

#include "eval_text.h"
#include "model.h"
#include "own_text.h"
#include "report/merge.h"
#include "text_form.h"

#define CLI_MERGE_OPTIONS \
  {.name = "merge", \
   .type = CLI_SIZE, \
   .argument = "N", \
   .value_text = "none", \
   .min = 1, \
   .max = 1000000, \
   .help = "the N pairs that fire together most become one neuron each, in a model of its own (-o)"}, \
      {.name = "min-share", \
       .type = CLI_REAL, \
       .argument = "S", \
       .value = "0.9", \
       .min = 0.1, \
       .max = 1, \
       .help = "of --merge: share of the places of either neuron at which both fire, at least"}, \
      CLI_OUTPUT_OPTION("DIR", "of --merge: directory of the new model"), \
      {.name = "data", \
       .letter = 'd', \
       .type = CLI_STRING, \
       .argument = "PATH", \
       .help = "of --merge: held-out text for the loss before, merged, and with the second neurons silent"}, \
      CLI_FORM_OPTIONS, CLI_TOKENIZER_OPTION

/* Zeroed; cli_merge_close in any case. */
typedef struct cli_merge {
  const cli_call *call;
  sgi_merge_request request;
  sgi_eval_request eval;
  sg_text_form form;
  cli_text text;
  cli_eval_watch watch;
} cli_merge;

/* 0, or the exit code of options that do not belong together. */
int cli_merge_usage(const cli_call *c);
/* Whether --merge was given; with --data the model needs its tokenizer. */
static inline bool cli_merge_asked(const cli_call *c) { return cli_is_set(c, "merge"); }
static inline cli_need cli_merge_need(const cli_call *c) {
  return cli_is_set(c, "data") ? CLI_WITH_TOKENIZER : CLI_WITHOUT_TOKENIZER;
}
/* Takes what was asked for and says what can not be done before anything is run. */
sg_status cli_merge_open(cli_merge *x, const cli_call *c, const cli_model *m, const sg_recording *rec, size_t slot,
                         sg_error *err);
void cli_merge_close(cli_merge *x);
void cli_merge_print(const json_t *document);

#endif
