/* into.h: true direct effects on one neuron, of `attribute --into`. */
#ifndef SGATLIN_CLI_INTO_H
#define SGATLIN_CLI_INTO_H

#include "prompt.h"
#include "read/exact.h"

typedef struct cli_into {
  bool asked;
  sg_term neuron; /* its value after the run */
  sgi_exact_edge *edges;
  size_t count;
} cli_into;

/* "LAYER:CHANNEL:NUMBER@POSITION"; NULL: not asked for. */
sg_status cli_into_parse(cli_into *x, const char *text, sg_error *err);
sg_status cli_into_run(cli_into *x, const sg_model *m, const sg_attribute_request *r, const sg_attribution *a,
                       sg_error *err);
void cli_into_print(const cli_into *x, const sgi_prompt *p, size_t top);
void cli_into_json(const cli_into *x, const sgi_prompt *p, size_t top, json_t *o); /* adds "into" */
void cli_into_free(cli_into *x);

#endif
