/* text_form.h: how a command reads text files as documents. */
#ifndef SGATLIN_CLI_TEXT_FORM_H
#define SGATLIN_CLI_TEXT_FORM_H

#include "cli.h"
#include "report/text.h"

#define CLI_FORM_OPTIONS \
  {.name = "split", \
   .type = CLI_CHOICE, \
   .argument = "endoftext|blank-lines", \
   .value_text = "the run's, or endoftext", \
   .help = "what stands between documents of a .txt"}, \
  { \
    .name = "field", .type = CLI_STRING, .argument = "NAME", .value_text = "the run's, or text", \
    .help = "field of the lines of a .jsonl" \
  }

/* By the options above, else as the run that args[0] names read its own text. *own: that run's
 * settings "data", NULL where args[0] is no run (new reference). */
sg_status cli_text_form(const cli_call *c, sg_text_form *form, json_t **own, sg_error *err);
/* The same, and whether that run packs its rows. */
sg_status cli_text_form_packs(const cli_call *c, sg_text_form *form, bool *packs, sg_error *err);

#endif
