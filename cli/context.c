#include "context.h"

#include <stdio.h>

sg_status cli_context_fail(const sg_config *config, size_t T, const char *hint, sg_error *err) {
  return sgi_fail(
      err, SG_ERR_ARG,
      "%zu tokens at a time, but the model was made for %zu (max_position): nothing beyond them was trained; %s", T,
      config->max_position, hint);
}

bool cli_context_text(const sg_config *config, size_t T, char text[CLI_CONTEXT_TEXT]) {
  snprintf(text, CLI_CONTEXT_TEXT,
           "%zu tokens are read at a time, but the model was made for %zu: what it does beyond them was never trained",
           T, config->max_position);
  return T > config->max_position;
}

void cli_context_warn(const sg_config *config, size_t T) {
  char text[CLI_CONTEXT_TEXT];
  if (cli_context_text(config, T, text)) cli_result_warning("%s", text);
}

sg_status cli_context_check(const cli_call *c, const sg_config *config, size_t T, sg_error *err) {
  if (T <= config->max_position) return SG_OK;
  if (!cli_flag(c, "beyond-context"))
    return cli_context_fail(config, T, "use fewer, or ask for it with --beyond-context", err);
  cli_context_warn(config, T);
  return SG_OK;
}
