/* context.h: one rule for all commands: what a model reads at a time is no longer than it was made
 * for, unless the user asks; then the result says so. */
#ifndef SGATLIN_CLI_CONTEXT_H
#define SGATLIN_CLI_CONTEXT_H

#include "cli.h"
#include "report/context.h"

#define CLI_BEYOND_OPTION \
  { \
    .name = "beyond-context", .type = CLI_FLAG, \
    .help = "read more tokens at a time than the model was made for, with a warning" \
  }

/* T tokens at a time: SG_OK up to max_position; above it an error, or with --beyond-context (which
 * the command has) a warning on standard error and under "warning" in the command's JSON. */
sg_status cli_context_check(const cli_call *c, const sg_config *config, size_t T, sg_error *err);
/* The warning alone, where another option (generate --context) is the asking. */
void cli_context_warn(const sg_config *config, size_t T);

#endif
