/* into.h: true direct effects on one neuron, of `attribute --into`. */
#ifndef SGATLIN_CLI_INTO_H
#define SGATLIN_CLI_INTO_H

#include "prompt.h"

typedef struct cli_into {
  bool asked;
  sg_term neuron;
  json_t *found; /* report/into.h */
} cli_into;

/* "LAYER:CHANNEL:NUMBER@POSITION"; NULL: not asked for. */
sg_status cli_into_parse(cli_into *x, const char *text, sg_error *err);
sg_status cli_into_run(cli_into *x, const sgi_prompt *p, const sg_attribute_request *r, const sg_attribution *a,
                       size_t top, sg_error *err);
void cli_into_print(const cli_into *x, const sgi_prompt *p);
void cli_into_json(const cli_into *x, json_t *o); /* adds "into" */
void cli_into_free(cli_into *x);

#endif
